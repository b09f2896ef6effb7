package imapserver

import (
	"bufio"
	"context"
	"strconv"
	"strings"

	"waxwing/imap"
	"waxwing/internal/imapserver/offer"
)

// capabilities are what is offered now.
func (s *session) capabilities() string {
	if s.account != "" {
		return strings.Join(append(s.off.Rest(offer.All()), "APPENDLIMIT="+strconv.FormatInt(s.srv.appendLimit(), 10)), " ")
	}
	out := s.off.Rest(offer.First())
	if s.conn.OffersTLS() {
		out = append(out, "STARTTLS")
	}
	if s.conn.TLS() == nil {
		out = append(out, "LOGINDISABLED")
	}
	for _, m := range s.conn.Mechanisms() {
		out = append(out, "AUTH="+m)
	}
	return strings.Join(out, " ")
}

// disabled reports that a capability is switched off.
func (s *session) disabled(name string) bool { return s.off.Has(name) }

func (s *session) capability(_ context.Context, c *imap.Command) answer {
	s.w.Line("* CAPABILITY ", s.capabilities())
	return done(c)
}

func (s *session) noop(_ context.Context, c *imap.Command) answer { return done(c) }

func (s *session) logout(_ context.Context, c *imap.Command) answer {
	s.bye("logout", "", "until next time")
	return done(c)
}

// id is ID (RFC 2971). What the client says goes to the log of logins.
func (s *session) id(_ context.Context, c *imap.Command) answer {
	if f := c.Args.(*imap.ID).Fields; f["name"] != "" {
		s.conn.Call(strings.TrimSpace(f["name"] + " " + f["version"]))
	}
	s.w.Text(`* ID ("name" "Waxwing")` + "\r\n")
	return done(c)
}

func (s *session) namespace(_ context.Context, c *imap.Command) answer {
	s.w.Line(`* NAMESPACE (("" "/")) NIL NIL`)
	return done(c)
}

// enable is ENABLE (RFC 5161).
func (s *session) enable(ctx context.Context, c *imap.Command) answer {
	var on []string
	for _, w := range c.Args.(*imap.Words).Words {
		name := w
		if name == "IMAP4REV2" {
			name = "IMAP4rev2"
		}
		if s.disabled(name) {
			continue
		}
		switch w {
		case "IMAP4REV2":
			s.on.rev2 = true
		case "UTF8=ACCEPT":
			s.on.utf8 = true
		case "CONDSTORE":
			s.useCondStore(ctx)
		case "QRESYNC":
			s.useCondStore(ctx)
			s.on.qresync = true
		case "UIDONLY":
			s.on.uidonly = true
		default:
			continue
		}
		on = append(on, name)
	}
	s.w.UTF8 = s.on.rev2 || s.on.utf8
	s.w.Line(strings.Join(append([]string{"* ENABLED"}, on...), " "))
	return done(c)
}

// useCondStore notes that the client goes by mod-sequences from now on (RFC 7162 §3.1).
func (s *session) useCondStore(context.Context) {
	if s.on.condstore || s.disabled("CONDSTORE") {
		return
	}
	s.on.condstore = true
	if s.box != nil { // RFC 7162 §3.1.2.1: it has not been told with SELECT
		s.w.Status("*", "OK", "HIGHESTMODSEQ "+strconv.FormatUint(s.box.Look.Box().ModSeq, 10), "highest")
	}
}

// compress is COMPRESS (RFC 4978).
func (s *session) compress(_ context.Context, c *imap.Command) answer {
	w := c.Args.(*imap.Words).Words
	switch {
	case len(w) != 1 || w[0] != "DEFLATE":
		return bad("only DEFLATE is served")
	case s.deflate:
		return no("COMPRESSIONACTIVE", "compression is active already")
	}
	s.w.Status(c.Tag, "OK", "", "compression is active now")
	if s.w.Flush() != nil {
		s.over = "lost"
		return answer{}
	}
	s.deflate = true
	_ = s.w.SetOutput(s.conn.Compress(s.br)) // nothing is buffered that could fail
	s.readFrom(bufio.NewReader(s.conn))
	return answer{}
}
