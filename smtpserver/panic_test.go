package smtpserver

import (
	"context"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
	"waxwing/smtp"
)

// fragile is a backend whose sessions panic at one step.
type fragile struct {
	mailbox
	at string
}

type fragileSession struct {
	Session
	at string
}

func (b *fragile) NewSession(ctx context.Context, c Conn) (Session, error) {
	s, err := b.mailbox.NewSession(ctx, c)
	f := &fragileSession{s, b.at}
	f.step("session")
	return f, err
}

func (s *fragileSession) step(name string) {
	if s.at == name {
		panic("fragile: " + name)
	}
}

func (s *fragileSession) Mail(ctx context.Context, p smtp.MailParams) error {
	s.step("mail")
	return s.Session.Mail(ctx, p)
}

func (s *fragileSession) Rcpt(ctx context.Context, p smtp.RcptParams) error {
	s.step("rcpt")
	return s.Session.Rcpt(ctx, p)
}

func (s *fragileSession) Data(ctx context.Context, r io.Reader) (*smtp.Reply, error) {
	s.step("data")
	reply, err := s.Session.Data(ctx, r)
	s.step("taken")
	return reply, err
}

func (s *fragileSession) Reset() {
	s.step("reset")
	s.Session.Reset()
}

func (s *fragileSession) Close() {
	s.Session.Close()
	s.step("close")
}

// OPS-9: whatever step of a connection panics, the client gets 421 and never 250 for
// its message, the connection's place is given back, and others are served.
func TestPanicEndsOneConnection(t *testing.T) {
	t.Parallel()
	talk := []struct{ step, say string }{
		{"session", "EHLO c.test\r\n"}, {"mail", "MAIL FROM:<a@x.test>\r\n"}, {"rcpt", "RCPT TO:<b@y.test>\r\n"},
		{"data", "DATA\r\nx\r\n.\r\n"}, {"taken", "DATA\r\nx\r\n.\r\n"}, {"reset", "DATA\r\nx\r\n.\r\n"},
		{"data", "BDAT 3 LAST\r\nx\r\n"},
	}
	for i, at := range talk {
		t.Run(at.step, func(t *testing.T) {
			t.Parallel()
			watch := guardtest.New()
			s := &Server{Hostname: "mx.test", Backend: &fragile{at: at.step}, Guard: &watch.Guard, Limits: Limits{ConnectionsPerAddr: 2}}
			addr := start(t, s)
			idle := dial(t, addr)
			idle.want("220")
			for round := range 3 { // more than there are places
				p := dial(t, addr)
				p.want("220")
				for _, before := range talk[:min(i, 3)] {
					p.send(before.say)
					for !strings.HasPrefix(p.want("250"), "250 ") {
					}
				}
				p.send(at.say)
				if strings.HasPrefix(at.say, "DATA") && at.step != "session" {
					p.want("354")
				}
				p.want("421 4.3.0 mx.test internal error")
				p.want("CLOSED")
				for end := time.Now().Add(2 * time.Minute); s.gate.Open() > 1; time.Sleep(time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("round %d: the place was not given back", round)
					}
				}
			}
			if !watch.Saw(guard.SMTP, 3) {
				t.Errorf("counted: %v", watch.Seen())
			}
			idle.send("NOOP\r\n")
			idle.want("250")
		})
	}
}

// OPS-9: a panic while a session is closed, or in what observes connections, costs one
// connection only.
func TestPanicAroundDialogue(t *testing.T) {
	t.Parallel()
	watch := guardtest.New()
	connected := false
	s := &Server{Hostname: "mx.test", Backend: &fragile{at: "close"}, Guard: &watch.Guard, Limits: Limits{ConnectionsPerAddr: 1}}
	s.Trace.Connected = func(netip.Addr, string) {
		if !connected {
			connected = true
			panic("observer")
		}
	}
	s.Trace.Disconnected = func(netip.Addr, string) { panic("observer") }
	addr := start(t, s)
	dial(t, addr).want("CLOSED")
	for range 2 {
		var p *peer
		for end := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Millisecond) { // the place is free a moment after the end
			p = dial(t, addr)
			if line, err := p.br.ReadString('\n'); err == nil && strings.HasPrefix(line, "220") {
				break
			}
			if time.Now().After(end) {
				t.Fatal("the place was not given back")
			}
		}
		p.send("HELO c.test\r\n")
		p.want("250")
		p.send("QUIT\r\n")
		p.want("221")
		p.want("CLOSED")
	}
	if !watch.Saw(guard.SMTP, 5) {
		t.Errorf("counted: %v", watch.Seen())
	}
}
