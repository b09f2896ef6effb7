package imapserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"waxwing/imap"
	"waxwing/internal/imapserver/incoming"
	"waxwing/internal/imapserver/selection"
	"waxwing/internal/mailboxes"
	"waxwing/message"
	"waxwing/structure"
)

const (
	// maxRefused is how much of a message that is not taken is read all the same, from a
	// client that does not wait to be asked.
	maxRefused = 1 << 20
	// maxMulti bounds the messages of one APPEND (RFC 3502).
	maxMulti = 200
	// maxTogether is how many of the longest messages one APPEND can have: they wait on the disk for the last of them.
	maxTogether = 4
)

// append is APPEND (RFC 9051 §6.3.12), of several messages too (RFC 3502).
func (s *session) append(ctx context.Context, c *imap.Command) answer {
	name := s.mailboxName(c.Args.(*imap.Append).Mailbox)
	if _, err := s.srv.Boxes.Box(ctx, s.account, name); err != nil {
		s.refuseMessages(c)
		return s.notThere(err)
	}
	messages, free, a := s.messages(ctx, c)
	defer free()
	if a.condition != "" || s.over != "" {
		return a
	}
	b, uids, err := s.srv.Boxes.Append(ctx, s.account, name, messages)
	if err != nil {
		return s.notThere(err)
	}
	a = done(c)
	if !s.disabled("UIDPLUS") {
		a.code = selection.AppendUID(b, uids)
	}
	return a
}

// messages takes the messages of a command in. With an answer they are refused; free
// gives back what they hold.
func (s *session) messages(ctx context.Context, c *imap.Command) (out []mailboxes.Appended, free func(), a answer) {
	var held []*incoming.Message
	free = func() {
		for _, h := range held {
			h.Close()
		}
	}
	use, failed := s.srv.Boxes.Usage(ctx, s.account)
	for {
		m, err := s.r.NextMessage()
		if errors.Is(err, io.EOF) && len(out) > 0 {
			return out, free, answer{}
		}
		if err != nil {
			return nil, free, s.unreadableMessage(err)
		}
		a := s.refusal(c, m, len(out))
		if a.condition == "" && failed != nil {
			a = s.failed(failed)
		}
		if a.condition == "" {
			a = s.room(c, m.Size, out, use)
		}
		if a.condition != "" {
			if s.r.Refuse(m, maxRefused) != nil {
				s.bye("too-long", "TOOBIG", a.text)
				return nil, free, answer{}
			}
			return nil, free, a
		}
		h, err := s.take(ctx, m)
		held = append(held, h)
		if err != nil {
			return nil, free, s.untaken(err)
		}
		one := mailboxes.Appended{Flags: m.Flags, Date: m.Date, Content: h.Content()}
		if err := describe(&one); err != nil {
			return nil, free, s.failed(err)
		}
		out = append(out, one)
	}
}

// take takes the octets of a message in.
func (s *session) take(ctx context.Context, m imap.Message) (*incoming.Message, error) {
	if !m.Catenate {
		r, err := s.r.Take(m)
		if err != nil {
			return &incoming.Message{}, err
		}
		if m.Binary && !m.UTF8 {
			return incoming.Read(r, s.srv.TempDir, &s.srv.encoding)
		}
		return incoming.Read(r, s.srv.TempDir, nil)
	}
	parts := &catenation{s: s, ctx: ctx, left: s.srv.appendLimit()}
	defer parts.Close()
	h, err := incoming.Read(parts, s.srv.TempDir, nil)
	var part errPart
	switch {
	case errors.As(err, &part):
		if s.r.GiveUp(parts.last, maxRefused) != nil {
			s.bye("too-long", "TOOBIG", part.text)
		}
	case err == nil && h.Size() == 0:
		err = errPart{no("", "a message of no octets")}
		if s.r.GiveUp(imap.Part{}, maxRefused) != nil {
			s.bye("too-long", "TOOBIG", "a message of no octets")
		}
	}
	return h, err
}

// untaken is the answer to a message that was not taken in.
func (s *session) untaken(err error) answer {
	var part errPart
	switch {
	case errors.As(err, &part):
		if s.over != "" {
			return answer{}
		}
		return part.answer
	case errors.As(err, new(*os.PathError)):
		s.failed(err)
		s.bye("failed", "UNAVAILABLE", "there is no room for the message")
		return answer{}
	}
	return s.unreadableMessage(err)
}

// unreadableMessage is the answer to a message that was not read.
func (s *session) unreadableMessage(err error) answer {
	var syntax *imap.SyntaxError
	if errors.As(err, &syntax) {
		return bad(syntax.Text)
	}
	s.over = "lost"
	return answer{}
}

// refusal says why a message is not taken; its condition is "" if it is.
func (s *session) refusal(c *imap.Command, m imap.Message, before int) answer {
	switch {
	case m.Size > s.srv.appendLimit():
		return s.limited("size", "TOOBIG", fmt.Sprintf("a message can have %d octets", s.srv.appendLimit()))
	case m.Catenate && s.disabled("CATENATE"):
		return bad("CATENATE is not served here")
	case m.Size == 0 && !m.Catenate:
		return no("", "a message of no octets")
	case before > 0 && (c.Name == "REPLACE" || s.disabled("MULTIAPPEND")):
		return bad("one message is expected")
	case before == maxMulti:
		return s.limited("messages", "LIMIT", fmt.Sprintf("at most %d messages in one command", maxMulti))
	case m.UTF8 && !s.on.utf8 && !s.on.rev2:
		return bad("UTF8 needs ENABLE UTF8=ACCEPT")
	case m.Binary && s.disabled("BINARY") && !m.UTF8:
		return no("UNKNOWN-CTE", "BINARY is not served here")
	}
	return answer{}
}

// room refuses a message, before it is read, that with those before it would be too much for one command or for the quota.
func (s *session) room(c *imap.Command, total int64, before []mailboxes.Appended, u mailboxes.Usage) answer {
	for i := range before {
		total += before[i].Content.Size()
	}
	switch {
	case total > maxTogether*s.srv.appendLimit():
		return s.limited("size", "TOOBIG", fmt.Sprintf("the messages of one command can have %d octets", maxTogether*s.srv.appendLimit()))
	case c.Name == "APPEND" && u.Max.Octets > 0 && u.Octets+total > u.Max.Octets:
		return s.failed(mailboxes.ErrOverQuota)
	}
	return answer{}
}

// describe finds out how a message is built, before it is stored.
func describe(m *mailboxes.Appended) error {
	body, err := m.Content.Open()
	if err != nil {
		return err
	}
	defer body.Close()
	built, err := structure.Parse(body)
	if err != nil {
		return err
	}
	m.MessageID = message.CleanMessageID(built.Envelope.MessageID)
	_, m.References = built.Thread()
	m.Structure, err = built.AppendBinary(nil)
	return err
}

// replace is REPLACE (RFC 8508): the new message comes and the old one goes in one transaction.
func (s *session) replace(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.Replace)
	uids, err := s.box.UIDs(ctx, a.Message, c.UID)
	if err == nil && len(uids) == 1 && uids[0].Low != uids[0].High || len(uids) > 1 || a.Message.Saved {
		err = selection.NumberError{}
	}
	name := s.mailboxName(a.Mailbox)
	if err == nil {
		_, err = s.srv.Boxes.Box(ctx, s.account, name)
	}
	if err != nil || s.box.ReadOnly {
		s.refuseMessages(c)
		switch {
		case errors.As(err, new(selection.NumberError)):
			return bad("one message is to be replaced")
		case err != nil:
			return s.notThere(err)
		}
		return no("CANNOT", "the mailbox is selected read-only")
	}
	messages, free, refused := s.messages(ctx, c)
	defer free()
	if refused.condition != "" || s.over != "" {
		return refused
	}
	b, added, err := s.srv.Boxes.Replace(ctx, messages[0], name, s.box.Look.Box(), uids)
	if errors.Is(err, mailboxes.ErrNoSuchMessage) {
		return no("EXPUNGEISSUED", "the message has gone already")
	}
	if err != nil {
		return s.notThere(err)
	}
	s.w.Status("*", "OK", selection.AppendUID(b, []uint32{added}), "the message that replaces it")
	return done(c)
}
