package submitsocket

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"waxwing/smtp"
	"waxwing/smtpserver"
)

// program is a connection whose other end is a program on this machine.
type program struct {
	net.Conn
	uid     uint32
	user    User
	unheard error // a reply could not be written

	mu     sync.Mutex
	end    time.Time // nothing is read later; zero: no bound yet
	wanted time.Time // the read deadline that was asked for
}

// RemoteAddr is this machine.
func (p *program) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (p *program) LocalAddr() net.Addr  { return p.RemoteAddr() }

// bound lets nothing be read after end.
func (p *program) bound(end time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end = end
	p.arm()
}

func (p *program) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = t
	return p.arm()
}

func (p *program) arm() error {
	if p.wanted.IsZero() || !p.end.IsZero() && p.end.Before(p.wanted) {
		return p.Conn.SetReadDeadline(p.end)
	}
	return p.Conn.SetReadDeadline(p.wanted)
}

func (p *program) Write(b []byte) (int, error) {
	n, err := p.Conn.Write(b)
	if err != nil {
		p.unheard = err
	}
	return n, err
}

// say answers a program that is not listened to.
func (p *program) say(reply *smtp.Reply) {
	p.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	fmt.Fprintf(p, "%s\r\n", reply)
}

// dialogue is a program's turn: the backend and the observer of its SMTP session.
type dialogue struct {
	*program
	end        func() // of the turn
	mail       smtp.MailParams
	recipients int
	refused    *smtp.Reply // of the first recipient that was; nil: none was
	reply      *smtp.Reply // what became of the message, or the first refusal
}

func (d *dialogue) NewSession(ctx context.Context, c smtpserver.Conn) (smtpserver.Session, error) {
	s, err := d.user.Backend.NewSession(ctx, local{c, d.uid})
	if err != nil {
		return nil, err
	}
	return session{s, d}, nil
}

// heard notes a reply.
func (d *dialogue) heard(verb string, r *smtp.Reply) {
	if verb == "RCPT" {
		d.recipients++
	}
	// A command that cannot be read has no verb: it may have been a recipient.
	if (verb == "RCPT" || verb == "") && d.refused == nil && r.Code >= 400 {
		d.refused = r
	}
	settles := r.Code >= 400 || r.Positive() && (verb == "DATA" || verb == "BDAT")
	if d.reply == nil && settles {
		d.reply = r
	}
}

// session is the backend's, whose message goes to all recipients or to none.
type session struct {
	smtpserver.Session
	d *dialogue
}

func (s session) Mail(ctx context.Context, p smtp.MailParams) error {
	s.d.mail = p
	return s.Session.Mail(ctx, p)
}

func (s session) Data(ctx context.Context, r io.Reader) (*smtp.Reply, error) {
	defer s.d.end() // what still comes needs no turn
	if why := s.d.refused; why != nil {
		return nil, smtp.NewReply(why.Code, why.Enhanced, "nothing was sent: a recipient was refused: %s", why.Text())
	}
	return s.Session.Data(ctx, r)
}

// local is what a backend sees of the connection: who it is, it has not said itself.
type local struct {
	smtpserver.Conn
	uid uint32
}

func (l local) HELO() string { return fmt.Sprintf("uid-%d", l.uid) }
