package smtpserver

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// transaction opens one and goes on to where the data may come.
func (p *peer) upToData(rcpt string) {
	p.t.Helper()
	for _, line := range []string{"S: 220", "C: HELO c.test", "S: 250", "C: MAIL FROM:<a@x.test>", "S: 250", "C: RCPT TO:<" + rcpt + "@y.test>", "S: 250", "C: DATA", "S: 354"} {
		p.line(0, line)
	}
}

const inner = "MAIL FROM:<admin@x.test>\r\nRCPT TO:<joe@y.test>\r\nDATA\r\ninner\r\n.\r\nQUIT\r\n"

// INB-13: whatever another server may have taken for the end of the data, or not,
// nothing is kept, one 521 is the last word, and no command behind it is carried
// out; in whatever pieces it comes, and whatever else is wrong with the message.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]string{
		"LF.LF": "\n.\n", "LF.CRLF": "\n.\r\n", "CRLF.LF": "\r\n.\n", "CR.CR": "\r.\r", "CR.CRLF": "\r.\r\n", "CRLF.CR": "\r\n.\r", "LF.CR": "\n.\r", "CR.LF": "\r.\n",
		"CRCRLF.CRLF": "\r\r\n.\r\n", "CRLF.CRCRLF": "\r\n.\r\r\n", "CRLFCR.CRLF": "\r\n\r.\r\n", "CRLFLF.CRLF": "\r\n\n.\r\n", "CRLF.NULCRLF": "\r\n.\x00\r\n\n", "CRNULLF.CRLF": "\r\x00\n.\r\n",
		"LFCRLF.CRLF": "\n\r\n.\r\n", "CRLF.CRLFCR": "\r\n\r\r\n.\r\n", "CR at the end": "x\r\r\n.\r\n", "stuffed": "\r\n..\n", "LF alone": "\n",
	} {
		for rcpt, body := range map[string]string{"joe": "A: b\r\n\r\nouter", "early": "A: b\r\n\r\nouter", "large": strings.Repeat("0123456789\r\n", 5000) + "outer"} {
			for _, step := range []int{1, 3, 1 << 20} {
				t.Run(name+" "+rcpt, func(t *testing.T) {
					t.Parallel()
					box := &mailbox{}
					p := dial(t, start(t, &Server{Hostname: "mx.test", Backend: box, Limits: Limits{MessageSize: 1000}}))
					p.upToData(rcpt)
					all := []byte(body + end + inner)
					tail := all[len(body)-2:]
					p.send(string(all[:len(body)-2]))
					for len(tail) > 0 {
						n := min(step, len(tail))
						if _, err := p.nc.Write(tail[:n]); err != nil {
							break // closed already
						}
						tail = tail[n:]
					}
					p.want("521 5.5.2 mx.test message data holds a bare CR or LF")
					p.want("CLOSED")
					if kept := box.kept(); len(kept) > 0 {
						t.Errorf("kept %+v", kept)
					}
				})
			}
		}
	}
}

// The case from use, octet for octet.
func TestSmugglingCase(t *testing.T) {
	t.Parallel()
	in, err := os.ReadFile("testdata/cases/smuggle-crcrlf.smtp")
	if err != nil {
		t.Fatal(err)
	}
	box := &mailbox{}
	p := dial(t, start(t, &Server{Hostname: "mx.test", Backend: box}))
	p.send(string(in))
	out, err := io.ReadAll(p.br)
	if err != nil || bytes.Count(out, []byte("354 ")) != 1 || !bytes.Contains(out, []byte("\r\n521 5.5.2 ")) || bytes.Count(out, []byte("\n")) != bytes.Count(out, []byte("\n250"))+3 {
		t.Errorf("%v: %s", err, out)
	}
	if kept := box.kept(); len(kept) > 0 {
		t.Errorf("kept %+v", kept)
	}
}

// A client that ends its lines with LF alone waits for an answer to its final dot:
// it gets it at once, and one that is still sending reads it too.
func TestBareNewlineIsTold(t *testing.T) {
	t.Parallel()
	addr := start(t, &Server{Hostname: "mx.test", Backend: &mailbox{}})
	began := time.Now()
	p := dial(t, addr)
	p.upToData("joe")
	p.send("Subject: x\n\nbody\n.\n")
	p.want("521 5.5.2")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("told after %s", took)
	}
	p = dial(t, addr)
	p.upToData("joe")
	p.send("Subject: x\n\n")
	for range 100 {
		if _, err := io.WriteString(p.nc, strings.Repeat("y", 64<<10)+"\n"); err != nil {
			break
		}
	}
	p.want("521 5.5.2")
}

// INB-13: a line of any length is taken on MX; it is content.
func TestLongLines(t *testing.T) {
	t.Parallel()
	box := &mailbox{}
	p := dial(t, start(t, &Server{Hostname: "mx.test", Backend: box}))
	want := ""
	p.want("220")
	p.line(0, "C: HELO c.test")
	p.want("250")
	for _, n := range []int{998, 999, 4096, 12288, 16<<10 - 1, 16 << 10, 2 << 20} {
		body := "Subject: x\r\n\r\n" + strings.Repeat("y", n) + "\r\n"
		want += body
		for _, line := range []string{"C: MAIL FROM:<a@x.test>", "S: 250", "C: RCPT TO:<b@y.test>", "S: 250", "C: DATA", "S: 354"} {
			p.line(0, line)
		}
		p.send(body + ".\r\n")
		p.want("250")
	}
	got := ""
	for _, l := range box.kept() {
		got += l.body
	}
	if got != want {
		t.Errorf("%d octets were kept of %d", len(got), len(want))
	}
}
