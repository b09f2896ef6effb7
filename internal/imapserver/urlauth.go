package imapserver

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"waxwing/imap"
	"waxwing/imap/imapurl"
	"waxwing/internal/imapserver/item"
	"waxwing/internal/imapserver/urlauth"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
)

// genURLAuth is GENURLAUTH (RFC 4467 §7).
func (s *session) genURLAuth(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.GenURLAuth)
	var signed []string
	for i, text := range a.URLs {
		u, err := imapurl.Parse(text)
		switch {
		case err != nil:
			return bad(err.Error())
		case u.Host == "" || u.User == "" || u.Access == "" || u.Mechanism != "":
			return bad("a URL to be signed begins with imap:// and the user, and ends with ;URLAUTH= and whom it is for")
		case a.Mechanisms[i] != urlauth.Mechanism:
			return bad("the mechanism is INTERNAL")
		}
		owner, err := s.owner(ctx, u)
		if err == nil && owner != s.account {
			return no("NOPERM", "only URLs of your own messages are signed")
		}
		var box mailbox.Box
		if err == nil {
			box, err = s.srv.Boxes.Box(ctx, owner, u.Mailbox)
		}
		if err != nil {
			return s.failed(err)
		}
		if u.UIDValidity != 0 && u.UIDValidity != box.UIDValidity {
			return no("NONEXISTENT", "the mailbox has another UIDVALIDITY")
		}
		one, err := s.srv.urlKeys().Sign(ctx, box.ID, u.Rump)
		if err != nil {
			return s.failed(err)
		}
		signed = append(signed, one)
	}
	s.w.Text("* GENURLAUTH")
	for _, one := range signed {
		s.w.Text(" ")
		s.w.String(one)
	}
	s.w.Text("\r\n")
	return done(c)
}

func (s *Server) urlKeys() *urlauth.Keys { return &urlauth.Keys{DB: s.Boxes.DB} }

// isHost reports that a URL means this server: it names no host, or one by which the client can have reached it.
func (s *session) isHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	at := ""
	if cs := s.conn.TLS(); cs != nil {
		at = cs.ServerName
	}
	return host == "" || strings.EqualFold(host, s.srv.Hostname) || strings.EqualFold(host, at) || host == s.conn.Local().Addr().Unmap().String()
}

// owner is the account whose messages a URL means; "" is nobody's.
func (s *session) owner(ctx context.Context, u *imapurl.URL) (string, error) {
	if u.User == "" || u.User == s.account || s.srv.Account == nil {
		return u.User, nil
	}
	return s.srv.Account(ctx, u.User)
}

// resetKey is RESETKEY (RFC 4467 §7).
func (s *session) resetKey(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.ResetKey)
	id := int64(0)
	if a.Mailbox != nil {
		b, err := s.srv.Boxes.Box(ctx, s.account, s.mailboxName(*a.Mailbox))
		if err != nil {
			return s.failed(err)
		}
		id = b.ID
	}
	for _, m := range a.Mechanisms {
		if m != urlauth.Mechanism {
			return bad("the mechanism is INTERNAL")
		}
	}
	if err := s.srv.urlKeys().Reset(ctx, s.account, id); err != nil {
		return s.failed(err)
	}
	out := done(c)
	if a.Mailbox != nil {
		out.code = "URLMECH " + urlauth.Mechanism
	}
	return out
}

// urlFetch is URLFETCH (RFC 4467 §7, RFC 5524). A URL that may not be fetched, and one of a message that
// is not there, are NIL alike.
func (s *session) urlFetch(ctx context.Context, c *imap.Command) answer {
	for _, r := range c.Args.(*imap.URLFetch).URLs {
		if r.Items != nil && s.disabled("URLAUTH=BINARY") {
			return bad("URLFETCH with items is not served here")
		}
		x, section, err := s.authorized(ctx, r.URL)
		if err != nil && !notFound(err) {
			return s.failed(err)
		}
		s.w.Text("* URLFETCH ")
		s.w.String(r.URL)
		s.w.Text(" ")
		switch {
		case err != nil:
			s.w.Text("NIL")
		case r.Items == nil:
			x.WriteSection(section)
		default:
			x.WriteParts(section, r.Items)
		}
		s.w.Text("\r\n")
		if s.w.Err() != nil {
			s.over = "lost"
			break
		}
	}
	return done(c)
}

// errURL says why a URL means nothing that may be read.
type errURL string

func (e errURL) Error() string { return string(e) }

// notFound reports an error that lies in what was asked for.
func notFound(err error) bool {
	return errors.As(err, new(errURL)) || errors.Is(err, mailboxes.ErrNoSuchMailbox) || errors.Is(err, mailboxes.ErrNoSuchMessage) ||
		errors.Is(err, mailboxes.ErrNoSuchAccount) || errors.As(err, new(*mailbox.NameError)) || errors.Is(err, item.ErrNoSection)
}

// authorized finds what a signed URL means.
func (s *session) authorized(ctx context.Context, text string) (*item.Item, *imap.Section, error) {
	u, err := imapurl.Parse(text)
	if err != nil {
		return nil, nil, errURL(err.Error())
	}
	owner, err := s.owner(ctx, u)
	if err != nil {
		return nil, nil, err
	}
	if owner == "" || u.Mechanism == "" || !urlauth.Allows(u, s.account, s.srv.now()) {
		return nil, nil, errURL("the URL is for somebody else")
	}
	box, err := s.srv.Boxes.Box(ctx, owner, u.Mailbox)
	if err != nil {
		return nil, nil, err
	}
	if ok, err := s.srv.urlKeys().Signed(ctx, box.ID, u); !ok {
		if err == nil {
			err = errURL("the URL is not signed")
		}
		return nil, nil, err
	}
	x, err := s.message(ctx, box, u)
	return x, u.Section, err
}

// message opens the message that a URL means.
func (s *session) message(ctx context.Context, box mailbox.Box, u *imapurl.URL) (*item.Item, error) {
	if u.UIDValidity != 0 && u.UIDValidity != box.UIDValidity {
		return nil, errURL("the mailbox has another UIDVALIDITY")
	}
	x := &item.Item{W: s.w}
	err := s.srv.Boxes.Mails(ctx, box.ID, []mailbox.Range{{Low: u.UID, High: u.UID}}, func(m *mailbox.Message) error {
		x.Mail = m
		return nil
	})
	if err == nil && x.Mail == nil {
		err = mailboxes.ErrNoSuchMessage
	}
	if err == nil {
		x.Content, _, err = s.srv.Boxes.Open(ctx, x.Mail.ID)
	}
	if err == nil {
		x.Built, err = s.srv.structure(ctx, &x.Mail.Mail, x.Content)
	}
	return x, err
}

// errPart is why a message cannot be put together.
type errPart struct{ answer }

func (errPart) Error() string { return "a part of the message cannot be had" }

// catenation reads a message that is put together from parts (RFC 4469).
type catenation struct {
	s    *session
	ctx  context.Context
	left int64         // octets that the message can still have
	part io.ReadCloser // nil: the next one begins
	last imap.Part
}

func (c *catenation) Read(p []byte) (int, error) {
	for {
		if c.part == nil {
			if err := c.next(); err != nil {
				return 0, err
			}
		}
		n, err := c.part.Read(p)
		if err != io.EOF {
			return n, err
		}
		c.part.Close()
		c.part = nil
		if n > 0 {
			return n, nil
		}
	}
}

// Close ends a part that was not read to its end.
func (c *catenation) Close() {
	if c.part != nil {
		c.part.Close()
	}
}

// next begins a part; io.EOF behind the last.
func (c *catenation) next() (err error) {
	if c.last, err = c.s.r.NextPart(); err != nil {
		return err
	}
	size := c.last.Size
	var linked io.ReadCloser
	if c.last.URL != "" {
		if linked, size, err = c.open(c.last.URL); err != nil {
			return err
		}
	}
	if c.left -= size; c.left < 0 {
		if linked != nil {
			linked.Close()
		}
		return errPart{no("TOOBIG", "the message would be too large")}
	}
	if linked != nil {
		c.part = linked
		return nil
	}
	r, err := c.s.r.TakePart(c.last)
	c.part = io.NopCloser(r)
	return err
}

// open opens what a URL of the user's own, or one that is signed, means.
func (c *catenation) open(text string) (io.ReadCloser, int64, error) {
	x, section, err := c.s.linked(c.ctx, text)
	var r io.ReadCloser
	var size int64
	if err == nil {
		r, size, err = x.Open(section)
	}
	switch {
	case err == nil:
		return r, size, nil
	case notFound(err):
		code := "BADURL " + string(imap.AppendString(nil, text, false))
		if strings.ContainsAny(code, "\r\n") {
			code = "BADURL \"\""
		}
		return nil, 0, errPart{no(code, err.Error())}
	}
	return nil, 0, errPart{c.s.failed(err)}
}

// linked is what a URL in CATENATE means.
func (s *session) linked(ctx context.Context, text string) (*item.Item, *imap.Section, error) {
	u, err := imapurl.Parse(text)
	if err != nil {
		return nil, nil, errURL(err.Error())
	}
	if u.Mechanism != "" {
		return s.authorized(ctx, text)
	}
	if !s.isHost(u.Host) {
		return nil, nil, errURL("the message is on another server, from which nothing is fetched")
	}
	owner, err := s.owner(ctx, u)
	if err != nil {
		return nil, nil, err
	}
	if owner != "" && owner != s.account {
		return nil, nil, errURL("the message is somebody else's")
	}
	box, err := s.srv.Boxes.Box(ctx, s.account, u.Mailbox)
	if err != nil {
		return nil, nil, err
	}
	x, err := s.message(ctx, box, u)
	return x, u.Section, err
}
