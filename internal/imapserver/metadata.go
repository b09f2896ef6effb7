package imapserver

import (
	"context"
	"errors"
	"strconv"

	"waxwing/imap"
	"waxwing/internal/annotations"
)

// annotated is the mailbox whose metadata a command means: "" is the server.
func (s *session) annotated(ctx context.Context, name string) (int64, error) {
	if name == "" {
		return annotations.Server, nil
	}
	b, err := s.srv.Boxes.Box(ctx, s.account, s.mailboxName(name))
	return b.ID, err
}

// getMetadata is GETMETADATA (RFC 5464 §4.2).
func (s *session) getMetadata(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.GetMetadata)
	for _, e := range a.Entries {
		if why := annotations.NameFault(e); why != "" {
			return bad(why)
		}
	}
	box, err := s.annotated(ctx, a.Mailbox)
	if err != nil {
		return s.failed(err)
	}
	depth := map[string]int{"0": 0, "1": 1, "infinity": -1}[a.Depth]
	entries, err := s.srv.Annotations.Get(ctx, s.account, box, a.Entries, depth)
	if err != nil {
		return s.failed(err)
	}
	longest, some := 0, false
	for _, e := range entries {
		if a.MaxSize != nil && uint64(len(e.Value)) > *a.MaxSize {
			longest = max(longest, len(e.Value))
			continue
		}
		if !some {
			s.w.Text("* METADATA ")
			s.writeName(s.mailboxName(a.Mailbox))
			s.w.Text(" (")
		} else {
			s.w.Text(" ")
		}
		some = true
		s.w.Text(e.Name + " ")
		s.w.String(string(e.Value))
	}
	if some {
		s.w.Text(")\r\n")
	}
	out := done(c)
	if longest > 0 {
		out.code = "METADATA LONGENTRIES " + strconv.Itoa(longest)
	}
	return out
}

// setMetadata is SETMETADATA (RFC 5464 §4.3).
func (s *session) setMetadata(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.SetMetadata)
	var entries []annotations.Entry
	for _, e := range a.Entries {
		if why := annotations.NameFault(e.Name); why != "" {
			return bad(why)
		}
		one := annotations.Entry{Name: e.Name}
		if e.Value != nil {
			one.Value = append([]byte{}, *e.Value...)
		}
		entries = append(entries, one)
	}
	box, err := s.annotated(ctx, a.Mailbox)
	if err == nil {
		err = s.srv.Annotations.Set(ctx, s.account, box, entries)
	}
	switch {
	case errors.Is(err, annotations.ErrTooLong):
		return no("METADATA MAXSIZE "+strconv.Itoa(annotations.MaxValue), err.Error())
	case errors.Is(err, annotations.ErrTooMany):
		return no("METADATA TOOMANY", err.Error())
	case err != nil:
		return s.failed(err)
	}
	return done(c)
}
