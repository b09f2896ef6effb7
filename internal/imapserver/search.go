package imapserver

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/imap"
	"waxwing/internal/criteria"
	"waxwing/internal/delivery"
	"waxwing/internal/imapserver/selection"
	"waxwing/internal/mailbox"
	"waxwing/internal/threads"
	"waxwing/structure"
)

// search is SEARCH and UID SEARCH (RFC 9051 §6.4.4).
func (s *session) search(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.Search)
	options := selection.Options(a.Return)
	if why := s.returnFault(options, c.Tag, "CONTEXT=SEARCH"); why != "" {
		return bad(why)
	}
	hits, failed := s.find(ctx, c, a.Charset, a.Key)
	if failed.condition != "" {
		if options.Has("SAVE") {
			s.box.Saved = nil // RFC 5182 §2.1
		}
		return failed
	}
	s.box.Save(options, hits)
	switch {
	case options.Silent():
	case a.Return != nil || s.on.rev2:
		r := selection.Result{Tag: c.Tag, UID: c.UID, Options: options, Hits: hits, ModSeq: criteria.UsesModSeq(a.Key)}
		r.Write(s.w)
	default:
		selection.WriteNumbers(s.w, "SEARCH", selection.Numbers(hits, c.UID))
		if criteria.UsesModSeq(a.Key) && len(hits) > 0 {
			s.w.Text(" (MODSEQ " + strconv.FormatUint(selection.Highest(hits), 10) + ")")
		}
		s.w.Text("\r\n")
	}
	s.keep(options, &selection.Standing{Tag: c.Tag, UID: c.UID, Key: a.Key}, hits)
	return done(c)
}

// keep has a result kept up to date, if the client wants that (RFC 5267 §4.3).
func (s *session) keep(options selection.Options, st *selection.Standing, hits []selection.Hit) {
	if !options.Has("UPDATE") {
		return
	}
	if why := s.box.Contexts.Add(st, hits); why != "" {
		selection.NoUpdate(s.w, st.Tag, why)
	}
}

// cancelUpdate is CANCELUPDATE (RFC 5267 §4.5).
func (s *session) cancelUpdate(_ context.Context, c *imap.Command) answer {
	for _, tag := range c.Args.(*imap.CancelUpdate).Tags {
		i := s.box.Contexts.Find(tag)
		if i < 0 {
			return bad("no result of that tag is kept up to date")
		}
		s.box.Contexts.Cancel(i)
	}
	return done(c)
}

// returnFault says what is wrong with RETURN.
func (s *session) returnFault(o selection.Options, tag, updates string) string {
	contexts := o.Has("UPDATE") || o.Has("CONTEXT")
	switch {
	case o != nil && s.disabled("ESEARCH"):
		return "RETURN is not served here"
	case o.Has("PARTIAL") && s.disabled("PARTIAL") && s.disabled(updates):
		return "PARTIAL is not served here"
	case o.Has("SAVE") && s.disabled("SEARCHRES"):
		return "SAVE is not served here"
	case contexts && s.disabled(updates):
		return "UPDATE and CONTEXT are not served here"
	case o.Has("PARTIAL") && o.Has("ALL"):
		return "PARTIAL and ALL exclude each other" // RFC 9394 §3.1
	case o.Has("UPDATE") && s.box.Contexts.Find(tag) >= 0:
		return "the result of a command of that tag is kept up to date" // RFC 5267 §4.3
	}
	return ""
}

// finder carries searches out in the selected mailbox.
func (s *session) finder(ctx context.Context, tag string) *selection.Finder {
	return &selection.Finder{Box: s.box, Boxes: s.srv.Boxes, Progress: s.progress(tag), Known: criteria.Known{
		Keywords: s.words.keywords, Now: s.srv.now(),
		Structure: func(m *mailbox.Mail) (*structure.Message, error) { return s.srv.structure(ctx, m, nil) },
		Content: func(id int64) (delivery.Content, error) {
			c, _, err := s.srv.Boxes.Open(ctx, id)
			return c, err
		},
		Expired:  ctx.Err,
		Index:    s.index(ctx),
		EmailID:  func(id int64) string { return objectID('E', id) },
		ThreadID: func(id int64) string { return objectID('T', id) },
	}}
}

// find carries a search out. The hits ascend.
func (s *session) find(ctx context.Context, c *imap.Command, charset string, key imap.Key) ([]selection.Hit, answer) {
	if !slices.Contains([]string{"", "US-ASCII", "UTF-8"}, charset) {
		return nil, no("BADCHARSET (US-ASCII UTF-8)", "searches are in US-ASCII or UTF-8")
	}
	if k := criteria.Unserved(key, s.disabled); k != "" {
		return nil, bad(k + " is not served here")
	}
	if criteria.UsesModSeq(key) {
		s.useCondStore(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, s.srv.searchTime())
	defer cancel()
	hits, err := s.finder(ctx, c.Tag).Find(ctx, key)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, s.limited("search-time", "LIMIT", "the search took too long; search for less")
	case err != nil:
		return nil, s.failed(err)
	}
	return hits, answer{}
}

// index asks the index for texts in the selected mailbox; nil: there is none.
func (s *session) index(ctx context.Context) func([]imap.Key) (criteria.Indexed, bool) {
	if s.srv.Search == nil {
		return nil
	}
	return func(keys []imap.Key) (criteria.Indexed, bool) {
		a, ok, err := s.srv.Search.Indexed(ctx, s.account, s.box.ID, keys)
		if err != nil { // then the messages are read
			s.conn.Log().Error("the index for searches gave no answer", "account", s.account, "error", err)
		}
		return a, ok && err == nil
	}
}

// progressEvery is how often a client is told that a command goes on (RFC 9585).
const progressEvery = 10 * time.Second

// progress tells the client that a search goes on.
func (s *session) progress(tag string) func(done, all int) {
	told := time.Now()
	return func(done, all int) {
		if now := time.Now(); now.Sub(told) >= progressEvery && tag != "" && !s.disabled("INPROGRESS") {
			told = now
			s.w.Status("*", "OK", `INPROGRESS ("`+tag+`" `+strconv.Itoa(done)+" "+strconv.Itoa(all)+")", "still searching")
			_ = s.w.Flush()
		}
	}
}

// sort is SORT and UID SORT (RFC 5256 §3), with RETURN (RFC 5267 §3).
func (s *session) sort(ctx context.Context, c *imap.Command) answer {
	a := c.Args.(*imap.Sort)
	options := selection.Options(a.Return)
	if why := s.returnFault(options, c.Tag, "CONTEXT=SORT"); why != "" {
		return bad(why)
	}
	if a.Return != nil && s.disabled("ESORT") {
		return bad("RETURN is not served here")
	}
	if slices.ContainsFunc(a.By, func(k imap.SortKey) bool { return strings.HasPrefix(k.Name, "DISPLAY") }) && s.disabled("SORT=DISPLAY") {
		return bad("SORT by displayed names is not served here")
	}
	hits, failed := s.find(ctx, c, a.Charset, a.Key)
	if failed.condition != "" {
		return failed
	}
	s.box.Save(options, hits)
	ctx, cancel := context.WithTimeout(ctx, s.srv.searchTime())
	defer cancel()
	sorted, err := s.finder(ctx, c.Tag).Sort(ctx, hits, a.By)
	if err != nil {
		return s.failed(err)
	}
	switch {
	case options.Silent():
	case a.Return != nil:
		r := selection.Result{Tag: c.Tag, UID: c.UID, Options: options, Hits: sorted, ModSeq: criteria.UsesModSeq(a.Key)}
		r.Write(s.w)
	default:
		selection.WriteNumbers(s.w, "SORT", selection.Numbers(sorted, c.UID))
		s.w.Text("\r\n")
	}
	s.keep(options, &selection.Standing{Tag: c.Tag, UID: c.UID, Key: a.Key, By: a.By}, sorted)
	return done(c)
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
	ctx, cancel := context.WithTimeout(ctx, s.srv.searchTime())
	defer cancel()
	all, err := s.finder(ctx, c.Tag).Threads(ctx, hits, c.UID)
	if err != nil {
		return s.failed(err)
	}
	s.w.Text("* THREAD")
	for i, n := range put(all) {
		if i == 0 { // RFC 5256 §5: a space, if there are any
			s.w.Text(" ")
		}
		s.w.Raw(threads.Append(nil, n))
	}
	s.w.Text("\r\n")
	return done(c)
}
