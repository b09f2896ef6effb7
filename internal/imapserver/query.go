package imapserver

import (
	"context"
	"strconv"
	"time"

	"waxwing/imap"
	"waxwing/internal/criteria"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/structure"
)

// query is one search that is under way.
type query struct {
	*session
	*criteria.Program
	ctx  context.Context
	tag  string
	told time.Time // of the progress
}

// compile makes a search of the selected mailbox ready.
func (s *session) compile(ctx context.Context, key imap.Key, tag string) *query {
	return &query{session: s, ctx: ctx, tag: tag, Program: criteria.Compile(key, criteria.Known{
		Keywords: s.words.keywords, Count: uint32(s.box.look.Count()), Last: s.box.look.Last(), Saved: written(s.saved), Now: s.srv.now(),
		Structure: func(m *mailbox.Mail) (*structure.Message, error) { return s.srv.structure(ctx, m, nil) },
		Content: func(id int64) (delivery.Content, error) {
			c, _, err := s.srv.Boxes.Open(ctx, id)
			return c, err
		},
		Index:    s.index(ctx),
		EmailID:  func(id int64) string { return objectID('E', id) },
		ThreadID: func(id int64) string { return objectID('T', id) },
	})}
}

// index asks the index for a text in the selected mailbox; nil: there is none.
func (s *session) index(ctx context.Context) func(key, text string) (criteria.Indexed, bool) {
	if s.srv.Search == nil {
		return nil
	}
	return func(key, text string) (criteria.Indexed, bool) {
		a, ok, err := s.srv.Search.Indexed(ctx, s.account, s.box.id, key, text)
		if err != nil { // then the messages are read
			s.conn.Log().Error("the index for searches gave no answer", "account", s.account, "error", err)
		}
		return a, ok && err == nil
	}
}

// progressEvery is how often a client is told that a command goes on (RFC 9585).
const progressEvery = 10 * time.Second

// progress tells the client that the search goes on.
func (q *query) progress(done, all int) {
	now := time.Now()
	if q.told.IsZero() {
		q.told = now
	}
	if now.Sub(q.told) < progressEvery || q.disabled("INPROGRESS") {
		return
	}
	q.told = now
	q.w.Status("*", "OK", `INPROGRESS ("`+q.tag+`" `+strconv.Itoa(done)+" "+strconv.Itoa(all)+")", "still searching")
	_ = q.w.Flush()
}
