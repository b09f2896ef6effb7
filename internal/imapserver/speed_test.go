package imapserver

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"waxwing/internal/store/storetest"
)

// drop sends a command and lets go of what comes, up to the tagged line.
func (c *client) drop(command string) (lines int) {
	c.tag++
	tag := fmt.Appendf(nil, "a%d ", c.tag)
	c.send(string(tag) + command + "\r\n")
	for ; ; lines++ {
		line, err := c.br.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			c.t.Fatal(err)
		}
		if bytes.HasPrefix(line, tag) {
			return lines
		}
	}
}

// BenchmarkLarge is what a session says of many messages, with all that is below it. The client's share is in it, too.
func BenchmarkLarge(b *testing.B) {
	w := newWorld(b, storetest.Open(b))
	w.account("joe")
	c := w.login()
	const n = 10_000
	for i := 0; i < n; i += maxMulti {
		var all strings.Builder
		for range maxMulti {
			fmt.Fprintf(&all, " {%d+}\r\n%s", len(hello), hello)
		}
		c.ok("APPEND INBOX" + all.String())
	}
	c.ok("SELECT INBOX")
	for _, work := range []struct{ name, first, then string }{
		{"fetch flags", "FETCH 1:* (UID FLAGS)", "FETCH 1:* (UID FLAGS)"},
		{"store", `STORE 1:* +FLAGS (\Flagged)`, `STORE 1:* -FLAGS (\Flagged)`},
		{"store silent", `STORE 1:* +FLAGS.SILENT (\Flagged)`, `STORE 1:* -FLAGS.SILENT (\Flagged)`},
	} {
		b.Run(work.name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				command := []string{work.first, work.then}[i%2]
				if lines := c.drop(command); lines < n && !strings.Contains(command, "SILENT") {
					b.Fatalf("%d lines", lines)
				}
			}
		})
	}
}
