package imapserver

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"waxwing/imap"
	"waxwing/internal/criteria"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
)

// hit is a message that a search has found.
type hit struct {
	seq    int
	uid    uint32
	modseq uint64
}

// search is SEARCH and UID SEARCH (RFC 9051 §6.4.4).
func (s *session) search(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.Search)
	if why := s.returnFault(a.Return); why != "" {
		return bad(why)
	}
	hits, failed := s.find(ctx, c, a.Charset, a.Key)
	if failed.condition != "" {
		if returns(a.Return, "SAVE") {
			s.saved = nil // RFC 5182 §2.1
		}
		return failed
	}
	s.save(a.Return, hits)
	switch {
	case a.Return != nil || s.on.rev2:
		s.writeESearch(c, a.Return, hits, numbersOf(hits, c.UID), criteria.UsesModSeq(a.Key))
	default:
		s.w.Text("* SEARCH")
		s.writeNumbers(numbersOf(hits, c.UID))
		if criteria.UsesModSeq(a.Key) && len(hits) > 0 {
			s.w.Text(" (MODSEQ " + strconv.FormatUint(highest(hits), 10) + ")")
		}
		s.w.Text("\r\n")
	}
	return done(c)
}

// returnFault says what is wrong with RETURN.
func (s *session) returnFault(options []imap.ReturnOption) string {
	switch {
	case options != nil && s.disabled("ESEARCH"):
		return "RETURN is not served here"
	case returns(options, "PARTIAL") && s.disabled("PARTIAL"):
		return "PARTIAL is not served here"
	case returns(options, "SAVE") && s.disabled("SEARCHRES"):
		return "SAVE is not served here"
	case returns(options, "PARTIAL") && returns(options, "ALL"):
		return "PARTIAL and ALL exclude each other" // RFC 9394 §3.1
	}
	return ""
}

func returns(options []imap.ReturnOption, name string) bool {
	return slices.ContainsFunc(options, func(o imap.ReturnOption) bool { return o.Name == name })
}

// save keeps the result for "$" (RFC 5182 §2.1: with MIN or MAX alone, only these).
func (s *session) save(options []imap.ReturnOption, hits []hit) {
	if !returns(options, "SAVE") {
		return
	}
	uids := []uint32{}
	only := (returns(options, "MIN") || returns(options, "MAX")) && !returns(options, "ALL") && !returns(options, "COUNT")
	for i, h := range hits {
		if !only || i == 0 && returns(options, "MIN") || i == len(hits)-1 && returns(options, "MAX") {
			uids = append(uids, h.uid)
		}
	}
	s.saved = mailbox.Ranges(uids)
}

// find carries a search out. The hits ascend.
func (s *session) find(ctx context.Context, c *imap.Command, charset string, key imap.Key) ([]hit, answer) {
	if !slices.Contains([]string{"", "US-ASCII", "UTF-8"}, charset) {
		return nil, no("BADCHARSET (US-ASCII UTF-8)", "searches are in US-ASCII or UTF-8")
	}
	if criteria.UsesModSeq(key) {
		if s.disabled("CONDSTORE") {
			return nil, bad("MODSEQ is not served here")
		}
		s.useCondStore(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, s.srv.searchTime())
	defer cancel()
	hits, err := s.compile(ctx, key, c.Tag).run()
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, no("LIMIT", "the search took too long; search for less")
	case err != nil:
		return nil, s.failed(err)
	}
	return hits, answer{}
}

func numbersOf(hits []hit, uid bool) []uint32 {
	out := make([]uint32, len(hits))
	for i, h := range hits {
		if out[i] = uint32(h.seq); uid {
			out[i] = h.uid
		}
	}
	return out
}

func highest(hits []hit) (modseq uint64) {
	for _, h := range hits {
		modseq = max(modseq, h.modseq)
	}
	return modseq
}

func (s *session) writeNumbers(ns []uint32) {
	for _, n := range ns {
		s.w.Text(" ")
		s.w.Number(uint64(n))
	}
}

// writeESearch writes an ESEARCH response (RFC 4731 §3.1). numbers are those of hits in the
// order of the result, which may be that of SORT.
func (s *session) writeESearch(c *imap.Command, options []imap.ReturnOption, hits []hit, numbers []uint32, modseq bool) {
	s.w.Text("* ESEARCH (TAG ")
	s.w.String(c.Tag)
	s.w.Text(")")
	if c.UID {
		s.w.Text(" UID")
	}
	if len(options) == 0 {
		options = []imap.ReturnOption{{Name: "ALL"}}
	}
	var in []hit // whose modseq counts
	for _, o := range options {
		switch {
		case o.Name == "COUNT":
			s.w.Text(" COUNT ")
			s.w.Number(uint64(len(hits)))
		case o.Name == "PARTIAL":
			in = append(in, s.writePartial(o.Partial, hits, numbers)...)
		case len(hits) == 0:
		case o.Name == "MIN":
			s.w.Text(" MIN ")
			s.w.Number(uint64(slices.Min(numbers)))
			in = append(in, hits[slices.Index(numbers, slices.Min(numbers))])
		case o.Name == "MAX":
			s.w.Text(" MAX ")
			s.w.Number(uint64(slices.Max(numbers)))
			in = append(in, hits[slices.Index(numbers, slices.Max(numbers))])
		case o.Name == "ALL":
			s.w.Text(" ALL ")
			s.w.Raw(imap.AppendRanges(nil, imap.Numbers(numbers)))
			in = hits
		}
	}
	if returns(options, "COUNT") && len(in) == 0 {
		in = hits
	}
	if modseq && len(in) > 0 {
		s.w.Text(" MODSEQ ")
		s.w.Number(highest(in))
	}
	s.w.Text("\r\n")
}

// writePartial writes one window of the result (RFC 9394 §3.1).
func (s *session) writePartial(p imap.Partial, hits []hit, numbers []uint32) []hit {
	from, to := window(int64(len(hits)), p)
	from, to = max(from, 1), min(to, int64(len(hits)))
	s.w.Text(" PARTIAL (" + strconv.FormatInt(p.From, 10) + ":" + strconv.FormatInt(p.To, 10) + " ")
	if from > to {
		s.w.Text("NIL)")
		return nil
	}
	s.w.Raw(imap.AppendRanges(nil, imap.Numbers(numbers[from-1:to])))
	s.w.Text(")")
	return hits[from-1 : to]
}

// run finds what matches: first by what the view knows, then, of what is left, by what is
// kept of the mails and by their text.
func (q *query) run() (hits []hit, err error) {
	open := []int{} // places in hits that are not decided
	m := &criteria.Message{}
	err = q.each(q.ctx, []span{{1, q.box.look.Count()}}, func(l mailboxes.Line) bool {
		if l.Gone {
			return true
		}
		m.Seq, m.UID, m.Flags, m.ModSeq = l.Seq, l.UID, l.Flags, l.ModSeq
		switch q.Eval(m) {
		case criteria.Unknown:
			open = append(open, len(hits))
			fallthrough
		case criteria.Yes:
			hits = append(hits, hit{l.Seq, l.UID, l.ModSeq})
		}
		return q.ctx.Err() == nil
	})
	if err == nil {
		err = q.ctx.Err()
	}
	if err != nil || len(open) == 0 {
		return hits, err
	}
	return q.decide(hits, open)
}

// decide looks closer at the hits of open, and returns those that are left of all.
func (q *query) decide(hits []hit, open []int) ([]hit, error) {
	drop := make([]bool, len(hits))
	for _, i := range open {
		drop[i] = true // unless it is found to match
	}
	for done := 0; done < len(open); done += mailsStep {
		some := open[done:min(done+mailsStep, len(open))]
		uids := make([]uint32, len(some))
		for i, at := range some {
			uids[i] = hits[at].uid
		}
		at := 0
		err := q.srv.Boxes.Mails(q.ctx, q.box.id, mailbox.Ranges(uids), func(m *mailbox.Message) error {
			for at < len(some) && hits[some[at]].uid < m.Entry.UID {
				at++
			}
			if at == len(some) || hits[some[at]].uid != m.Entry.UID {
				return nil
			}
			h := hits[some[at]]
			x := &criteria.Message{Seq: h.seq, UID: h.uid, Flags: m.Entry.Flags, ModSeq: h.modseq, Mail: m}
			drop[some[at]] = q.Eval(x) != criteria.Yes
			if x.Err != nil && !errors.Is(x.Err, mailboxes.ErrNoSuchMessage) {
				return x.Err
			}
			return q.ctx.Err()
		})
		if err != nil {
			return nil, err
		}
		q.progress(done, len(open))
	}
	kept := hits[:0]
	for i, h := range hits {
		if !drop[i] {
			kept = append(kept, h)
		}
	}
	return kept, nil
}
