package imapserver

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"waxwing/imap"
	"waxwing/internal/criteria"
	"waxwing/internal/mailbox"
	"waxwing/internal/threads"
	"waxwing/structure"
)

// sort is SORT and UID SORT (RFC 5256 §3), with RETURN (RFC 5267 §3).
func (s *session) sort(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.Sort)
	if why := s.returnFault(a.Return); why != "" {
		return bad(why)
	}
	if slices.ContainsFunc(a.By, func(k imap.SortKey) bool { return strings.HasPrefix(k.Name, "DISPLAY") }) && s.disabled("SORT=DISPLAY") {
		return bad("SORT by displayed names is not served here")
	}
	hits, failed := s.find(ctx, c, a.Charset, a.Key)
	if failed.condition != "" {
		return failed
	}
	s.save(a.Return, hits)
	sorted, err := s.sorted(ctx, hits, a.By)
	if err != nil {
		return s.failed(err)
	}
	if a.Return != nil {
		s.writeESearch(c, a.Return, sorted, numbersOf(sorted, c.UID), criteria.UsesModSeq(a.Key))
		return done(c)
	}
	s.w.Text("* SORT")
	s.writeNumbers(numbersOf(sorted, c.UID))
	s.w.Text("\r\n")
	return done(c)
}

func (s *session) sorted(ctx context.Context, hits []hit, by []imap.SortKey) ([]hit, error) {
	type sortable struct {
		hit
		criteria.Sortable
	}
	all := make([]sortable, 0, len(hits))
	err := s.described(ctx, hits, func(h hit, m *mailbox.Message, built *structure.Message) {
		all = append(all, sortable{h, criteria.NewSortable(m, built, by)})
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b sortable) int {
		return cmp.Or(a.Compare(&b.Sortable, by), cmp.Compare(a.seq, b.seq))
	})
	out := make([]hit, len(all))
	for i := range all {
		out[i] = all[i].hit
	}
	return out, nil
}

// described calls fn for the hits that are still there, with how they are built.
func (s *session) described(ctx context.Context, hits []hit, fn func(h hit, m *mailbox.Message, built *structure.Message)) error {
	ctx, cancel := context.WithTimeout(ctx, s.srv.searchTime())
	defer cancel()
	at := 0
	return s.srv.Boxes.Mails(ctx, s.box.id, mailbox.Ranges(numbersOf(hits, true)), func(m *mailbox.Message) error {
		for at < len(hits) && hits[at].uid < m.Entry.UID {
			at++
		}
		if at == len(hits) || hits[at].uid != m.Entry.UID {
			return nil
		}
		built, err := s.srv.structure(ctx, &m.Mail, nil)
		if err != nil {
			return err
		}
		fn(hits[at], m, built)
		return ctx.Err()
	})
}

// thread is THREAD and UID THREAD (RFC 5256 §3).
func (s *session) thread(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.Thread)
	put := threads.ByReferences
	switch {
	case !slices.Contains([]string{"REFERENCES", "ORDEREDSUBJECT"}, a.Algorithm), s.disabled("THREAD=" + a.Algorithm):
		return bad("THREAD knows no " + a.Algorithm)
	case a.Algorithm == "ORDEREDSUBJECT":
		put = threads.BySubject
	}
	hits, failed := s.find(ctx, c, a.Charset, a.Key)
	if failed.condition != "" {
		return failed
	}
	var all []threads.Message
	err := s.described(ctx, hits, func(h hit, m *mailbox.Message, built *structure.Message) {
		one := threads.Message{Number: uint32(h.seq), Order: h.seq}
		if c.UID {
			one.Number = h.uid
		}
		one.ID, one.References = built.Thread()
		one.Subject, one.Reply = structure.BaseSubject(built.Envelope.Subject)
		var ok bool
		if one.Sent, ok = built.Envelope.Sent(); !ok {
			one.Sent = m.Received
		}
		all = append(all, one)
	})
	if err != nil {
		return s.failed(err)
	}
	s.w.Text("* THREAD ")
	for _, n := range put(all) {
		s.w.Raw(threads.Append(nil, n))
	}
	s.w.Text("\r\n")
	return done(c)
}
