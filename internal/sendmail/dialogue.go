package sendmail

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"time"

	"waxwing/message"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

// idle is how long a program may keep a dialogue open between its commands. It ends
// sooner when the program does, whose end of the pipe closes then.
const idle = time.Hour

// speak is -bs: SMTP on standard input and output, as mailers of web frameworks use
// it. A transaction is sent when its data has come, and answered with what became
// of it, so that nothing is promised that a server has not.
func (p *Program) speak(ctx context.Context, call *call, conf *config) error {
	host := p.Machine.Host
	if host == "" {
		host = "localhost"
	}
	d := &dialogue{p: p, call: call, conf: conf, names: newNames(conf, p.Machine)}
	srv := &smtpserver.Server{Hostname: host, Backend: d, Now: p.Now,
		Limits:   smtpserver.Limits{MessageSize: maxMessage, Transactions: 1 << 20, Recipients: 2000},
		Timeouts: smtpserver.Timeouts{Command: idle},
		// What could not be kept to: a client that is told nothing of it asks for nothing.
		// BDAT counts octets, and line ends may be mended on the way.
		Offer: smtpserver.Offer{NoDSN: true, NoChunking: true}}
	near, far := net.Pipe()
	go func() {
		_, _ = io.Copy(lineEnds{far}, p.Stdin) // the dialogue ends with its input, whyever that ends
		far.Close()
	}()
	srv.ServeConn(ctx, stdio{near, p.Stdout})
	return nil
}

// stdio is a connection whose answers go to standard output.
type stdio struct {
	net.Conn
	out io.Writer
}

func (s stdio) Write(b []byte) (int, error) { return s.out.Write(b) }

// SetWriteDeadline is that of standard output, which has none; the pipe's would
// fail once standard input has ended, with replies still to be written.
func (s stdio) SetWriteDeadline(time.Time) error { return nil }

// lineEnds writes lines with CRLF at their ends, whatever they had.
type lineEnds struct{ w io.Writer }

func (l lineEnds) Write(b []byte) (int, error) {
	out := bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r"), nil), []byte("\n"), []byte("\r\n"))
	if _, err := l.w.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// dialogue is the backend behind it.
type dialogue struct {
	p     *Program
	call  *call
	conf  *config
	names *names
}

func (d *dialogue) NewSession(context.Context, smtpserver.Conn) (smtpserver.Session, error) {
	return &dialogueSession{dialogue: d}, nil
}

type dialogueSession struct {
	*dialogue
	tx call
}

func (s *dialogueSession) Reset() { s.tx = call{} }
func (s *dialogueSession) Close() {}

func (s *dialogueSession) Mail(_ context.Context, m smtp.MailParams) error {
	s.Reset()
	s.tx = call{fromGiven: true, fullName: s.call.fullName, need: s.call.need, needGiven: s.call.needGiven}
	if !m.Null {
		from := s.names.author(message.Address{Local: m.From.Local, Domain: m.From.Domain})
		s.tx.from = from.Addr()
	}
	return nil
}

func (s *dialogueSession) Rcpt(_ context.Context, r smtp.RcptParams) error {
	to := s.names.recipient(message.Address{Local: r.To.Local, Domain: r.To.Domain})
	if to.Domain == "" {
		return smtp.NewReply(550, smtp.Enhanced{Class: 5, Subject: 1, Detail: 2}, "%s is a user of this machine, and nothing says what domain its mail has", r.To.Local)
	}
	s.tx.recipients = append(s.tx.recipients, to.Addr())
	return nil
}

func (s *dialogueSession) Data(ctx context.Context, r io.Reader) (*smtp.Reply, error) {
	msg, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	o, err := s.p.compose(msg[message.MboxLines(msg):], &s.tx, s.conf)
	if err != nil {
		return nil, asReply(err)
	}
	reply, err := o.send(ctx, &s.tx, s.conf)
	if err != nil {
		return nil, asReply(err)
	}
	return reply, nil
}

// asReply is the refusal that the program gets. A server's own code stays where it
// says something of the message; what it says of our login does not.
func asReply(err error) *smtp.Reply {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Code: exSoftware, Err: err}
	}
	code, enhanced := codeReply(e.Code)
	if r := e.Reply; r != nil {
		enhanced = r.Enhanced
		switch {
		case r.Temporary():
			code = 451
		case r.Code >= 550 && r.Code <= 556:
			code = r.Code
		default:
			code = 554
		}
	}
	return smtp.NewReply(code, enhanced, "%s", e)
}
