package submitsocket

import (
	"context"
	"io"
	"os"
	"testing"

	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

// broken is a backend that panics with the message in hand.
type broken struct{ backend }

type brokenSession struct{ smtpserver.Session }

func (b *broken) NewSession(ctx context.Context, c smtpserver.Conn) (smtpserver.Session, error) {
	s, err := b.backend.NewSession(ctx, c)
	return &brokenSession{s}, err
}

func (s *brokenSession) Data(context.Context, io.Reader) (*smtp.Reply, error) { panic("data") }

// OPS-9: a message over which the server panics is refused for now, each time, and the
// connection's place is given back.
func TestPanicRefusesOneMessage(t *testing.T) {
	t.Parallel()
	watch := guardtest.New()
	_, path, _ := start(t, func(s *Server) {
		s.Guard, s.Connections = &watch.Guard, 1
		s.Users[uint32(os.Getuid())] = User{Account: "web", Backend: &broken{}}
	})
	for range 3 {
		a, err := submit(t.Context(), path, ok, mail)
		if a == nil || a.Code != 421 {
			t.Errorf("%+v, %v", a, err)
		}
	}
	if !watch.Saw(guard.Sendmail, 3) {
		t.Errorf("counted: %v", watch.Seen())
	}
}
