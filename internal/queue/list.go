package queue

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// ErrNoSuchMessage is returned for a message that is not, or no longer, in the queue
// or its history.
var ErrNoSuchMessage = errors.New("no such message in the queue or its history")

// Filter chooses recipients; what is set must all match (QUE-6).
type Filter struct {
	Message int64   // one message
	States  []State // none: waiting, leased and held
	Sender  string  // whole address, case matters in its local part
	Domain  string  // recipient domain, A-labels
	Address string  // recipient
	Account string
	After   int64 // recipients with a larger ID than this: the next page
	Limit   int   // at most 1000; 0: 100
}

// Item is one recipient with its message.
type Item struct {
	Envelope    delivery.Envelope // without Recipients
	Recipient   delivery.Recipient
	State       State
	Due         time.Time // next attempt, end of the lease, or when it was settled
	Owner       string    // of the lease
	Word        string    // why it is in this state
	Text        string
	Reply       string
	Host        string
	TLS         string
	FirstFailAt time.Time
}

const itemColumns = `m.id, m.sender, m.need, m.purpose, m.ref, m.account, m.eight_bit, m.smtputf8, m.env_id, m.ret, m.size, m.accepted, m.peer, m.transport,
	r.id, r.address, r.domain, r.local, r.orcpt, r.notify, r.state, r.due, r.owner, r.attempts, r.last_attempt,
	r.first_fail, r.first_fail_at, r.last_addrs, r.word, r.text, r.reply, r.host, r.tls`

// List returns recipients in the order of their IDs, which is that of acceptance.
func (q *Queue) List(ctx context.Context, f Filter) ([]Item, error) {
	query, args := f.query()
	var out []Item
	err := q.Store.Read(ctx, func(tx *store.Tx) error {
		out = nil
		rs, err := tx.Query(query, args...)
		if err != nil {
			return err
		}
		defer rs.Close()
		for rs.Next() {
			it, err := scanItem(rs)
			if err != nil {
				return err
			}
			out = append(out, it)
		}
		return rs.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list the queue: %w", err)
	}
	return out, nil
}

func (f Filter) query() (string, []any) {
	where, args := []string{"r.id > ?"}, []any{f.After}
	add := func(cond string, vs ...any) {
		where = append(where, cond)
		args = append(args, vs...)
	}
	if len(f.States) == 0 {
		f.States = []State{Waiting, Leased, Held}
	}
	marks := make([]any, len(f.States))
	for i, s := range f.States {
		marks[i] = int64(s)
	}
	add("r.state IN (?"+strings.Repeat(", ?", len(marks)-1)+")", marks...)
	if f.Message != 0 {
		add("m.id = ?", f.Message)
		add("r.id BETWEEN m.first_recipient AND m.last_recipient")
	}
	for _, c := range []struct{ cond, value string }{
		{"m.sender = ?", f.Sender}, {"r.domain = ?", f.Domain}, {"r.address = ?", f.Address}, {"m.account = ?", f.Account},
	} {
		if c.value != "" {
			add(c.cond, c.value)
		}
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	args = append(args, int64(min(limit, 1000)))
	return `SELECT ` + itemColumns + ` FROM recipients r JOIN messages m ON m.id = r.message WHERE ` +
		strings.Join(where, " AND ") + ` ORDER BY r.id LIMIT ?`, args
}

func scanItem(rs *sql.Rows) (Item, error) {
	var it Item
	var domain, addrs, firstFail string
	var notify, state, due, last, failAt int64
	r := &it.Recipient
	env, err := scanEnvelope(rs.Scan, &r.ID, &r.Address, &domain, &r.Local, &r.ORcpt, &notify, &state, &due, &it.Owner, &r.Attempts, &last,
		&firstFail, &failAt, &addrs, &it.Word, &it.Text, &it.Reply, &it.Host, &it.TLS)
	if err != nil {
		return Item{}, err
	}
	it.Envelope = env
	r.Domain, _ = delivery.ParseRecipientDomain(domain) // zero where it cannot be read; Address still tells it
	r.Notify, it.State = delivery.Notify(notify), State(state)
	it.Due, r.LastAttempt, it.FirstFailAt = store.FromTime(due), store.FromTime(last), store.FromTime(failAt)
	r.FirstFail, r.LastAddrs = firstFailText(firstFail, it.FirstFailAt), parseAddrs(addrs)
	return it, nil
}

// Attempt is one row of the history.
type Attempt struct {
	ID        int64
	Domain    string
	Transport string
	Owner     string // the machine that made it
	Started   time.Time
	Ended     time.Time
	Detail    Detail
}

// Shown is all that is known of one message.
type Shown struct {
	Envelope   delivery.Envelope // without Recipients
	Recipients []Item
	Attempts   []Attempt // oldest first
}

// maxAttempts bounds what Show returns.
const maxAttempts = 1000

// Show returns a message with its recipients (the first 1000) and its
// attempts; ErrNoSuchMessage.
func (q *Queue) Show(ctx context.Context, id int64) (Shown, error) {
	var out Shown
	items, err := q.List(ctx, Filter{Message: id, States: []State{Waiting, Leased, Held, Delivered, Failed}, Limit: 1000})
	if err != nil {
		return out, err
	}
	if len(items) == 0 {
		return out, ErrNoSuchMessage
	}
	out.Envelope, out.Recipients = items[0].Envelope, items
	err = q.Store.Read(ctx, func(tx *store.Tx) error {
		out.Attempts, err = scanAttempts(tx, `SELECT id, domain, transport, owner, started, ended, detail FROM attempts
			WHERE message = ? ORDER BY id LIMIT ?`, id, int64(maxAttempts))
		return err
	})
	if err != nil {
		return out, fmt.Errorf("show message %s: %w", LogID(id), err)
	}
	return out, nil
}

func scanAttempts(tx *store.Tx, query string, args ...any) ([]Attempt, error) {
	rs, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	var out []Attempt
	for rs.Next() {
		var a Attempt
		var started, ended int64
		var detail string
		if err := rs.Scan(&a.ID, &a.Domain, &a.Transport, &a.Owner, &started, &ended, &detail); err != nil {
			return nil, err
		}
		a.Started, a.Ended = store.FromTime(started), store.FromTime(ended)
		if err := json.Unmarshal([]byte(detail), &a.Detail); err != nil {
			return nil, fmt.Errorf("attempt %d: %w", a.ID, err)
		}
		out = append(out, a)
	}
	return out, rs.Err()
}

// Content returns the body of a message that is still in the queue.
func (q *Queue) Content(ctx context.Context, id int64) (delivery.Content, error) {
	items, err := q.List(ctx, Filter{Message: id, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, ErrNoSuchMessage
	}
	return q.body(ctx, id, items[0].Envelope.Size)
}

// Count returns the number of recipients in each state. It reads the whole
// table: for a person, not for a loop.
func (q *Queue) Count(ctx context.Context) (map[State]int, error) {
	out := map[State]int{}
	err := q.Store.Read(ctx, func(tx *store.Tx) error {
		clear(out)
		rs, err := tx.Query(`SELECT state, count(*) FROM recipients GROUP BY state`)
		if err != nil {
			return err
		}
		defer rs.Close()
		for rs.Next() {
			var s State
			var n int
			if err := rs.Scan(&s, &n); err != nil {
				return err
			}
			out[s] = n
		}
		return rs.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("count the queue: %w", err)
	}
	return out, nil
}
