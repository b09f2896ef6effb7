package receive

import (
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"waxwing/internal/login"
)

// INB-2: where the memory for incoming mail is used up, a message goes to its file
// sooner, and is the same; a header that would need more is refused for now.
func TestIncomingMemoryIsUsedUp(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	full := &Memory{}
	b := &MX{Door: common(q)}
	b.TempDir, b.Memory = t.TempDir(), full
	c := serve(t, b, nil)
	body := strings.Repeat(strings.Repeat("x", 98)+"\r\n", 1000) + "end" // 100 kB
	c.send("250", "<a@x.test>", "<joe@here.test>", "A: b\r\n\r\n"+body)
	if got := q.last(t); !got.file || !strings.HasSuffix(got.body, "\r\nA: b\r\n\r\n"+body+"\r\n") {
		t.Errorf("in a file: %v; %.200q", got.file, got.body)
	}
	c.send("250", "<a@x.test>", "<joe@here.test>", "A: b\r\n\r\nshort")
	if q.last(t).file {
		t.Error("a short message is in a file")
	}
	header := strings.Repeat("A: "+strings.Repeat("x", 95)+"\r\n", 1000)
	c.send("452 4.3.1", "<a@x.test>", "<joe@here.test>", header+"\r\nx")
	full.Limit = 1 << 20
	c.send("250", "<a@x.test>", "<joe@here.test>", header+"\r\nx")
	if n := full.used.Load(); n != 0 {
		t.Errorf("%d octets are not given back", n)
	}
	left, err := os.ReadDir(b.TempDir)
	if err != nil || len(left) != 0 {
		t.Errorf("files left: %v %v", left, err)
	}
}

// A conversion keeps the share.
func TestConvertedMessageGivesBack(t *testing.T) {
	t.Parallel()
	q, m := &outbox{}, &Memory{Limit: 1 << 20}
	b := &Submission{Door: common(q), Signer: seal{}}
	b.TempDir, b.Memory = t.TempDir(), m
	c := serve(t, b, &login.Checker{Accounts: people{}})
	c.login()
	c.send("250", "<joe@here.test>", "<ann@here.test>", "From: joe@here.test\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"+strings.Repeat("ü\r\n", 50_000))
	if n := m.used.Load(); n != 0 {
		t.Errorf("%d octets are not given back", n)
	}
}

// endless gives n octets of a message and then nothing more until it is let go.
type endless struct {
	head io.Reader
	told func()
	let  <-chan struct{}
}

func (e *endless) Read(p []byte) (int, error) {
	n, err := e.head.Read(p)
	if err == nil || !errors.Is(err, io.EOF) {
		return n, nil
	}
	e.told()
	<-e.let
	return 0, io.ErrUnexpectedEOF
}

// INB-2: hundreds of clients that send most of a MiB, or of many, and then nothing
// more, make the server hold its bound and 64 KiB of each. Not parallel: it measures
// the process.
func TestSlowSendersHoldLittle(t *testing.T) {
	const clients, limit = 300, 16 << 20
	for name, size := range map[string]int{"most of a MiB": 900 << 10, "many MiB": 3 << 20} {
		c := &Door{Memory: &Memory{Limit: limit}, TempDir: t.TempDir()}
		let, waiting := make(chan struct{}), sync.WaitGroup{}
		waiting.Add(clients)
		line := strings.Repeat("x", 998) + "\r\n"
		text := "A: b\r\n\r\n" + strings.Repeat(line, size/len(line))
		runtime.GC()
		var before, during runtime.MemStats
		runtime.ReadMemStats(&before)
		var done sync.WaitGroup
		for range clients {
			done.Go(func() {
				_, fail := c.take(&endless{head: strings.NewReader(text), told: waiting.Done, let: let}, nil)
				if fail == nil {
					t.Error("a message that was broken off is taken")
				}
			})
		}
		waiting.Wait()
		runtime.GC()
		runtime.ReadMemStats(&during)
		if used := c.Memory.used.Load(); used > limit {
			t.Errorf("%s: %d octets, %d are allowed", name, used, limit)
		}
		held := int64(during.HeapAlloc) - int64(before.HeapAlloc)
		t.Logf("%s from each of %d: %d KiB in use, %d KiB of the bound", name, clients, held>>10, c.Memory.used.Load()>>10)
		// 32 KiB to copy into the file besides.
		if most := int64(limit + clients*(ownMemory+40<<10)); held > most {
			t.Errorf("%s: %d octets are in use, more than %d", name, held, most)
		}
		close(let)
		done.Wait()
		if n := c.Memory.used.Load(); n != 0 {
			t.Errorf("%s: %d octets are not given back", name, n)
		}
	}
}
