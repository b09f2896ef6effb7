package imapserver

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"waxwing/internal/store/storetest"
)

// withPicture is a message with an attachment.
const withPicture = "From: Joe <joe@example.net>\r\nSubject: hello\r\nMessage-ID: <5@example.net>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhow are you?\r\n--b\r\nContent-Type: image/png; name=\"a.png\"\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--b--\r\n"

// IMP-3: what mail programs say. testdata/clients has a dialogue of each, as they are known to speak; in its lines,
//
//	> is a command, which is answered OK; {hello} is a message, {hello?} one before which the client waits to be asked, and
//	  {5+}|text another literal,
//	NO is a command that is refused,
//	+ is an AUTHENTICATE PLAIN with the response after the server's question,
//	< must stand in the answer to the command before,
//	I is an IDLE, in which a message comes and this is heard.
func TestClients(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/clients/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".txt")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, storetest.Open(t))
			w.account("joe")
			other := w.login()
			for i := range 4 {
				other.append("INBOX", strings.Replace(hello, "<1@", fmt.Sprintf("<%d@", 4-i), 1))
			}
			other.append("INBOX", withPicture)
			d := &dialogue{t: t, client: w.dial(), other: other}
			for i, line := range strings.Split(string(text), "\n") {
				if line != "" && line[0] != '#' {
					d.step(i+1, line)
				}
			}
		})
	}
}

// dialogue is a client's with the server.
type dialogue struct {
	*client
	t     *testing.T
	other *client // another session of the same account
	said  string  // the answer to the last command
}

func (d *dialogue) step(at int, line string) {
	d.t.Helper()
	kind, text, _ := strings.Cut(line, " ")
	switch kind {
	case "<":
		if !strings.Contains(d.said, text) {
			d.t.Errorf("line %d: no %q in\n%s", at, text, d.said)
		}
	case "I":
		d.idle(text)
	case "+":
		d.tag++
		d.send(fmt.Sprintf("a%d %s\r\n", d.tag, text))
		if l := d.line(); !strings.HasPrefix(l, "+ ") {
			d.t.Fatalf("line %d: %s", at, l)
		}
		d.send(base64.StdEncoding.EncodeToString([]byte("\x00joe\x00secret")) + "\r\n")
		d.answer(at, line, "OK")
	case ">", "NO":
		d.tag++
		d.command(fmt.Sprintf("a%d %s", d.tag, text))
		d.answer(at, line, map[string]string{">": "OK", "NO": "NO"}[kind])
	default:
		d.t.Fatalf("line %d: %s", at, line)
	}
}

// command sends a command with its literals.
func (d *dialogue) command(text string) {
	d.t.Helper()
	text = strings.ReplaceAll(text, "{hello}", fmt.Sprintf("{%d+}\r\n%s", len(hello), hello))
	text = strings.ReplaceAll(text, "+}|", "+}\r\n")
	if before, after, waits := strings.Cut(text, "{hello?}"); waits {
		d.send(fmt.Sprintf("%s{%d}\r\n", before, len(hello)))
		if l := d.line(); !strings.HasPrefix(l, "+ ") {
			d.t.Fatalf("%s: %s", before, l)
		}
		text = hello + after
	}
	d.send(text + "\r\n")
}

// answer reads up to the tagged response.
func (d *dialogue) answer(at int, line, want string) {
	d.t.Helper()
	tag := fmt.Sprintf("a%d ", d.tag)
	d.said = ""
	for {
		l := d.client.line()
		d.said += l + "\n"
		if rest, ok := strings.CutPrefix(l, tag); ok {
			if !strings.HasPrefix(rest, want+" ") {
				d.t.Fatalf("line %d: %s: %s", at, line, d.said)
			}
			return
		}
	}
}

func (d *dialogue) idle(want string) {
	d.t.Helper()
	d.tag++
	d.send(fmt.Sprintf("a%d IDLE\r\n", d.tag))
	d.until("+ ")
	d.other.append("INBOX", hello)
	d.until(want)
	d.send("DONE\r\n")
	d.answer(0, "DONE", "OK")
}
