// Package sieveserver serves ManageSieve (RFC 5804): the programs with which people edit the scripts that
// sort their mail.
package sieveserver

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"time"

	"waxwing/internal/scripts"
	"waxwing/internal/wire"
	"waxwing/managesieve"
	"waxwing/sasl"
	"waxwing/sieve"
)

const (
	// RFC 5804 §1.3: at least 30 minutes once somebody has logged in.
	idleAfterLogin = 31 * time.Minute
	idleBefore     = time.Minute
	maxSASL        = 16 << 10 // octets of a response, for who has not logged in
)

// Server is what all sessions have in common.
type Server struct {
	Scripts *scripts.Store
	Version string
	Log     *slog.Logger
}

// session is one client's. It belongs to one goroutine.
type session struct {
	*Server
	conn *wire.Conn
	in   *bufio.Reader
	read *managesieve.Reader
	out  *bufio.Writer
	over string // why the session ends; "" while it goes on
}

// Refuse is what a client is told that is refused.
func Refuse(string) string {
	return string(managesieve.Answer{Word: "BYE", Code: "TRYLATER", Text: "too many connections, try again later"}.Write())
}

// Handle speaks with one client.
func (s *Server) Handle(ctx context.Context, c *wire.Conn) {
	c.Call("managesieve")
	v := &session{Server: s, conn: c, out: bufio.NewWriter(c)}
	v.listen()
	v.capabilities()
	v.say(managesieve.Answer{Word: "OK", Text: "Waxwing ManageSieve"})
	for v.over == "" {
		v.next(ctx)
	}
	c.End(v.over)
}

// listen begins to read anew: what came before a TLS handshake counts for nothing.
func (v *session) listen() {
	v.in = bufio.NewReader(v.conn)
	v.read = &managesieve.Reader{In: v.in, Limit: maxSASL}
}

func (v *session) end(why string) {
	if v.over == "" {
		v.over = why
	}
}

// bye ends the session with a word to the client.
func (v *session) bye(why, code, text string) {
	v.say(managesieve.Answer{Word: "BYE", Code: code, Text: text})
	v.end(why)
}

func (v *session) write(b []byte) { _, _ = v.out.Write(b) } // Flush has the error

// say sends an answer, with what was written before it.
func (v *session) say(a managesieve.Answer) {
	v.write(a.Write())
	if v.out.Flush() != nil {
		v.end("lost")
	}
}

// next waits for a command and carries it out.
func (v *session) next(ctx context.Context) {
	idle := idleBefore
	if v.conn.Identity() != "" {
		idle = idleAfterLogin
	}
	switch v.conn.Await(v.in, idle) {
	case wire.Input:
	case wire.Rung:
		return
	case wire.TimedOut:
		v.bye("timeout", "", "nothing was said for too long")
		return
	case wire.Drained:
		v.bye("drain", "TRYLATER", "the server is being stopped")
		return
	case wire.Ousted:
		v.bye("ousted", "", "the account or its password has changed, log in again")
		return
	default:
		v.end("lost")
		return
	}
	c, err := v.read.Command()
	var bad *managesieve.SyntaxError
	var large *managesieve.TooLarge
	switch {
	case err == nil:
		v.command(ctx, c)
	case errors.As(err, &large):
		v.fault(ctx, managesieve.Answer{Word: "NO", Code: "QUOTA/MAXSIZE", Text: scripts.ErrTooLarge.Error()})
	case errors.As(err, &bad):
		v.fault(ctx, managesieve.Answer{Word: "NO", Text: bad.Text})
	case errors.Is(err, managesieve.ErrLineTooLong), errors.Is(err, managesieve.ErrSkip):
		v.bye("errors", "", err.Error())
	default:
		v.end("lost")
	}
}

// fault answers an error of the client's, late if there were many.
func (v *session) fault(ctx context.Context, a managesieve.Answer) {
	if !v.conn.Fault(ctx) {
		v.bye("errors", "", "too many errors")
		return
	}
	v.say(a)
}

// verb is a command with the shape of its arguments: "s" a string, "n" a number, "t" a script.
type verb struct {
	args  string
	login bool // only for who has logged in
	run   func(v *session, ctx context.Context, c managesieve.Command)
}

// verbs are the commands of RFC 5804 §2.
func verbs() map[string]verb {
	return map[string]verb{
		"AUTHENTICATE": {"s?", false, (*session).authenticate},
		"STARTTLS":     {"", false, (*session).starttls},
		"LOGOUT":       {"", false, (*session).logout},
		"CAPABILITY":   {"", false, (*session).capability},
		"NOOP":         {"?", false, (*session).noop},
		"HAVESPACE":    {"sn", true, (*session).haveSpace},
		"PUTSCRIPT":    {"ss", true, (*session).putScript},
		"LISTSCRIPTS":  {"", true, (*session).listScripts},
		"SETACTIVE":    {"s", true, (*session).setActive},
		"GETSCRIPT":    {"s", true, (*session).getScript},
		"DELETESCRIPT": {"s", true, (*session).deleteScript},
		"RENAMESCRIPT": {"ss", true, (*session).renameScript},
		"CHECKSCRIPT":  {"s", true, (*session).checkScript},
	}
}

func (v *session) command(ctx context.Context, c managesieve.Command) {
	d, ok := verbs()[c.Name]
	switch {
	case !ok:
		v.fault(ctx, managesieve.Answer{Word: "NO", Text: "the command is not known"})
	case d.login && v.conn.Identity() == "":
		v.fault(ctx, managesieve.Answer{Word: "NO", Text: "log in first"})
	case !fits(d.args, c.Args):
		v.fault(ctx, managesieve.Answer{Word: "NO", Text: c.Name + " takes other arguments"})
	default:
		d.run(v, ctx, c)
	}
}

// fits says whether arguments have a shape; "?" is a string that may be missing.
func fits(shape string, args []managesieve.Argument) bool {
	if n, ok := strings.CutSuffix(shape, "?"); ok {
		return fits(n, args) || fits(n+"s", args)
	}
	if len(args) != len(shape) {
		return false
	}
	for i, a := range args {
		if a.IsText != (shape[i] == 's') {
			return false
		}
	}
	return true
}

// capabilities are sent as a greeting, after STARTTLS, and when asked for (RFC 5804 §1.7).
func (v *session) capabilities() {
	v.write(managesieve.Lines("IMPLEMENTATION", "Waxwing "+v.Version))
	v.write(managesieve.Lines("VERSION", "1.0"))
	if v.conn.Identity() == "" {
		v.write(managesieve.Lines("SASL", strings.Join(v.conn.Mechanisms(), " ")))
	} else {
		v.write(managesieve.Lines("OWNER", v.conn.Identity()))
	}
	v.write(managesieve.Lines("SIEVE", strings.Join(sieve.Capabilities(), " ")))
	v.write(managesieve.Lines("NOTIFY", "mailto"))
	v.write(managesieve.Lines("MAXREDIRECTS", "4"))
	if v.conn.OffersTLS() {
		v.write(managesieve.Lines("STARTTLS"))
	}
}

func (v *session) capability(context.Context, managesieve.Command) {
	v.capabilities()
	v.say(managesieve.Answer{Word: "OK"})
}

func (v *session) logout(context.Context, managesieve.Command) {
	v.say(managesieve.Answer{Word: "OK", Text: "bye"})
	v.end("quit")
}

func (v *session) noop(_ context.Context, c managesieve.Command) {
	a := managesieve.Answer{Word: "OK"}
	if len(c.Args) == 1 {
		a.Code = "TAG " + string(managesieve.Quote(c.Args[0].Text))
	}
	v.say(a)
}

func (v *session) starttls(ctx context.Context, _ managesieve.Command) {
	switch {
	case !v.conn.OffersTLS():
		v.fault(ctx, managesieve.Answer{Word: "NO", Text: "STARTTLS is not offered"})
	case v.in.Buffered() > 0:
		// What came along in plaintext could have been put there by anybody.
		v.bye("pipelined-starttls", "", "commands came along with STARTTLS")
	case !v.conn.MayStartTLS():
		v.bye("limit-tls", "TRYLATER", "too many TLS handshakes at one time, try again later")
	default:
		v.say(managesieve.Answer{Word: "OK", Text: "begin TLS now"})
		if v.over != "" || v.conn.StartTLS(ctx) != nil {
			v.end("tls")
			return
		}
		v.listen()
		v.capabilities()
		v.say(managesieve.Answer{Word: "OK"})
	}
}

func (v *session) authenticate(ctx context.Context, c managesieve.Command) {
	switch {
	case v.conn.Identity() != "":
		v.fault(ctx, managesieve.Answer{Word: "NO", Text: "already logged in"})
		return
	case v.conn.TLS() == nil:
		v.fault(ctx, managesieve.Answer{Word: "NO", Code: "ENCRYPT-NEEDED", Text: "a login needs TLS first"})
		return
	}
	var first []byte
	if len(c.Args) == 2 {
		var err error
		if first, err = decode(c.Args[1].Text); err != nil {
			v.fault(ctx, managesieve.Answer{Word: "NO", Text: "the initial response is not base64"})
			return
		}
	}
	v.loggedIn(v.conn.Login(ctx, strings.ToUpper(c.Args[0].Text), first, v.ask))
}

// decode is not nil for an empty response.
func decode(s string) ([]byte, error) {
	if s == "=" {
		s = ""
	}
	b, err := base64.StdEncoding.DecodeString(s)
	return append([]byte{}, b...), err
}

// ask sends a challenge and reads the response.
func (v *session) ask(challenge []byte) ([]byte, error) {
	v.write(managesieve.Quote(base64.StdEncoding.EncodeToString(challenge)))
	v.write([]byte("\r\n"))
	if err := v.out.Flush(); err != nil {
		return nil, err
	}
	s, err := v.read.String()
	switch {
	case err != nil:
		return nil, err
	case s == "*":
		return nil, wire.ErrCancelled
	}
	b, err := decode(s)
	if err != nil {
		return nil, wire.ErrBase64
	}
	return b, nil
}

// loggedIn turns the end of a login into its answer.
func (v *session) loggedIn(err error) {
	reply, refused := wire.Refusal(err)
	a := managesieve.Answer{Word: "NO", Text: "the login could not be checked, try again later", Code: "TRYLATER"}
	var syntax *sasl.SyntaxError
	switch {
	case err == nil:
		v.read.Limit = scripts.MaxScript
		v.say(managesieve.Answer{Word: "OK", Text: "logged in"})
		return
	case errors.Is(err, wire.ErrMechanism), errors.Is(err, wire.ErrCancelled), errors.Is(err, wire.ErrBase64):
		a.Code, a.Text = "", err.Error()
	case errors.As(err, &syntax):
		a.Code, a.Text = "", syntax.Error()
	case errors.Is(err, wire.ErrManyOfAccount):
		a.Text = "this account has too many connections"
	case refused:
		a.Text = reply.Text()
		if reply.Permanent() {
			a.Code = ""
		}
	case errors.Is(err, sasl.ErrFailed):
		a.Code, a.Text = "", "wrong name or password"
	}
	if errors.Is(err, wire.ErrManyLogins) || refused && reply.Code == 421 {
		v.bye("logins", a.Code, a.Text)
		return
	}
	v.say(a)
}
