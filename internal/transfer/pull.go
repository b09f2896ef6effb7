package transfer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"waxwing/internal/store"
	"waxwing/internal/transfer/imapclient"
)

// Puller takes in what lies in mailboxes of another server. It remembers by UID how far it has come,
// in the transaction that takes messages in: begun again, it goes on there, and none comes twice.
type Puller struct {
	Importer
	Source string   // the user and the server, under which is remembered how far
	Only   []string // mailboxes, in any case; none: all
	Into   string   // the mailbox above all; "": they are called as there
}

// fetchStep is how many messages are asked for at once.
const fetchStep = 50

// taken is a message that was read from the connection.
type taken struct {
	held
	err error
}

// Take is for imapclient.New.
func (p *Puller) Take(r io.Reader, _ int64) (any, error) {
	c, end, err := hold(r, p.Temp, p.Max)
	if _, ours := errors.AsType[errWrite](err); ours {
		return nil, err
	}
	if _, long := errors.AsType[errLong](err); err != nil && !long {
		return nil, err // of the connection
	}
	return taken{held{c, end}, err}, nil
}

// Pull takes all mailboxes, one after the other, over a connection that is logged in.
func (p *Puller) Pull(ctx context.Context, c *imapclient.Client) error {
	all, err := c.List()
	if err != nil {
		return err
	}
	found := false
	for _, m := range all {
		if len(p.Only) > 0 && !slices.ContainsFunc(p.Only, func(name string) bool { return strings.EqualFold(name, m.Name) }) {
			continue
		}
		found = true
		err := p.mailbox(ctx, c, m)
		if refused, ok := errors.AsType[*imapclient.Refused](err); ok {
			p.left(fmt.Sprintf("mailbox %q", m.Name), refused)
		} else if err != nil {
			return err
		}
	}
	if !found {
		return errors.New("the server has no such mailbox")
	}
	return nil
}

// source is a mailbox there that is being pulled, and how far it was.
type source struct {
	imapclient.Mailbox
	target   string
	validity uint32
}

func (p *Puller) mailbox(ctx context.Context, c *imapclient.Client, m imapclient.Mailbox) error {
	s := source{Mailbox: m, target: m.Name}
	if p.Into != "" {
		s.target = join(p.Into, m.Name)
	}
	t, err := p.target(ctx, s.target)
	if err != nil || t.err != nil {
		return err
	}
	if s.validity, err = c.Examine(m.Raw); err != nil {
		return err
	}
	last, err := p.last(ctx, &s)
	if err != nil {
		return err
	}
	uids, err := c.UIDs(last)
	if err != nil {
		return err
	}
	p.done.Part, p.done.Whole = 0, int64(len(uids))
	for len(uids) > 0 && err == nil {
		some := uids[:min(len(uids), fetchStep)]
		uids = uids[len(some):]
		err = p.fetch(ctx, c, &s, some)
		p.done.Part += int64(len(some))
	}
	if err == nil {
		err = p.flush(ctx)
	}
	return err
}

// fetch takes some messages, in ascending order: in which order a server sends them is its own affair, and how far the
// pull has come is remembered by UID. Where the server refuses, it does so for one of them: they are asked for one by one.
func (p *Puller) fetch(ctx context.Context, c *imapclient.Client, s *source, uids []uint32) error {
	early := map[uint32]imapclient.Message{} // that came before one with a lower UID
	defer func() {
		for _, m := range early {
			drop(m)
		}
	}()
	rest := uids // that have not been taken
	err := c.Fetch(uids, func(m imapclient.Message) error {
		if _, twice := early[m.UID]; twice || !slices.Contains(rest, m.UID) {
			drop(m)
			return nil
		}
		early[m.UID] = m
		return p.inOrder(ctx, s, early, &rest)
	})
	refused, ok := errors.AsType[*imapclient.Refused](err)
	if err != nil && !ok {
		return err
	}
	for len(rest) > 0 {
		u := rest[0]
		switch {
		case early[u].UID == u:
			if err := p.inOrder(ctx, s, early, &rest); err != nil {
				return err
			}
			continue
		case ok && len(uids) == 1:
			p.left(s.what(u), refused)
		case ok:
			if err := p.fetch(ctx, c, s, []uint32{u}); err != nil {
				return err
			}
		}
		rest = rest[1:]
	}
	return nil
}

// inOrder takes the messages that are next.
func (p *Puller) inOrder(ctx context.Context, s *source, early map[uint32]imapclient.Message, rest *[]uint32) error {
	for len(*rest) > 0 {
		m, has := early[(*rest)[0]]
		if !has {
			break
		}
		delete(early, m.UID)
		*rest = (*rest)[1:]
		if err := p.message(ctx, s, m); err != nil {
			return err
		}
	}
	return nil
}

// drop gives back what a message holds that nobody takes.
func drop(m imapclient.Message) {
	if t, ok := m.Body.(taken); ok && t.err == nil {
		t.close()
	}
}

func (s *source) what(uid uint32) string { return fmt.Sprintf("mailbox %q, UID %d", s.Name, uid) }

func (p *Puller) message(ctx context.Context, s *source, m imapclient.Message) error {
	in := incoming{what: s.what(m.UID), box: s.target, flags: m.Flags, date: m.Date, also: p.remember(s, m.UID)}
	if text, ok := m.Body.(string); ok {
		in.text = strings.NewReader(text)
		return p.add(ctx, in)
	}
	body := m.Body.(taken)
	if body.err != nil {
		p.left(in.what, body.err)
		return nil
	}
	if err := ctx.Err(); err != nil {
		body.close()
		return err
	}
	t, err := p.target(ctx, in.box)
	if err != nil {
		body.close()
		return err
	}
	return p.put(ctx, t, in, body.held)
}

// last is up to which UID all was taken.
func (p *Puller) last(ctx context.Context, s *source) (uid uint32, err error) {
	err = p.Boxes.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT uid FROM mail_pulls WHERE account = ? AND source = ? AND mailbox = ? AND target = ? AND uidvalidity = ?`, p.Account, p.Source, s.Raw, s.target, int64(s.validity)).Scan(&uid)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return uid, err
}

// remember notes that all up to a UID was taken.
func (p *Puller) remember(s *source, uid uint32) func(*store.Tx) error {
	return func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO mail_pulls (account, source, mailbox, target, uidvalidity, uid) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (account, source, mailbox, target) DO UPDATE SET uidvalidity = excluded.uidvalidity, uid = excluded.uid`, p.Account, p.Source, s.Raw, s.target, int64(s.validity), int64(uid))
		return err
	}
}
