package queue

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// ErrNoSuchMessage is returned for a message that is not, or no longer, in the queue
// or its history.
var ErrNoSuchMessage = errors.New("no such message in the queue or its history")

// Filter chooses recipients; all that is set must match (QUE-6). The zero Filter
// is everything that is not settled.
type Filter struct {
	Message      int64   // one message
	States       []State // none: waiting, leased and held
	Sender       string  // whole address, case matters in its local part
	SenderDomain string  // A-labels
	Domain       string  // recipient domain, A-labels, or an address literal
	Address      string  // recipient
	Account      string
	Transport    string            // the message's own, or an operator's
	Need         *delivery.TLSNeed // nil: any
	Purpose      *delivery.Purpose // nil: any
	Word         string            // why it is in its state
	Host         string            // that answered last
	Accepted     Period
	Due          Period
	After        int64 // recipients with a larger ID than this: the next page
	Limit        int   // at most 1000; 0: 100. Listing only
}

// Period is a time from From to before Before; a zero end is open.
type Period struct{ From, Before time.Time }

// Item is one recipient with its message.
type Item struct {
	Envelope delivery.Envelope // without Recipients
	Entry
}

// itemColumns are those of a message m and of its recipient r.
var itemColumns = of("m", envelopeColumns) + ", " + of("r", entryColumns)

// of names the columns of a table in a query that joins it.
func of(table, columns string) string {
	var out []string
	for c := range strings.SplitSeq(columns, ",") {
		out = append(out, table+"."+strings.TrimSpace(c))
	}
	return strings.Join(out, ", ")
}

func scanItem(r store.Row) (it Item, err error) {
	err = r.Scan(append(envelopeInto(&it.Envelope), it.into()...)...)
	it.parse()
	it.override(&it.Envelope)
	return it, err
}

// List returns recipients in the order of their IDs, which is that of acceptance.
func (q *Queue) List(ctx context.Context, f Filter) ([]Item, error) {
	limit := min(cmp.Or(max(f.Limit, 0), 100), 1000)
	var out []Item
	err := q.Store.Read(ctx, func(tx *store.Tx) error {
		out = nil
		for _, state := range f.states() { // one query each: each state has its own indexes
			items, err := f.read(tx, state, limit)
			if err != nil {
				return err
			}
			out = append(out, items...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the queue: %w", err)
	}
	slices.SortFunc(out, func(a, b Item) int { return cmp.Compare(a.Recipient.ID, b.Recipient.ID) })
	return out[:min(len(out), limit)], nil
}

func (f Filter) states() []State {
	if len(f.States) == 0 {
		return []State{Waiting, Leased, Held}
	}
	out := slices.Clone(f.States)
	slices.Sort(out)
	return slices.Compact(out)
}

func (f Filter) read(tx *store.Tx, state State, limit int) ([]Item, error) {
	return f.readBy(tx, state, ` ORDER BY r.id`, limit)
}

// readBy is read with a further condition, or in another order.
func (f Filter) readBy(tx *store.Tx, state State, tail string, limit int) ([]Item, error) {
	where, args := f.where(state)
	return store.Collect(tx, scanItem, `SELECT `+itemColumns+` FROM recipients r JOIN messages m ON m.id = r.message WHERE `+where+tail+` LIMIT ?`,
		append(args, int64(limit))...)
}

// where is the condition for the recipients r, with their messages m, in one state.
func (f Filter) where(state State) (string, []any) {
	where, args := []string{"r.state = " + strconv.Itoa(int(state)), "r.id > ?"}, []any{f.After}
	add := func(cond string, vs ...any) {
		where = append(where, cond)
		args = append(args, vs...)
	}
	if f.Message != 0 {
		add("m.id = ?", f.Message)
		add("r.id BETWEEN m.first_recipient AND m.last_recipient")
	}
	for _, c := range []struct{ cond, value string }{
		{"m.sender = ?", f.Sender}, {"r.address = ?", f.Address},
		{"r.account <> '' AND r.account = ?", f.Account}, {"COALESCE(r.via, m.transport) = ?", f.Transport}, {"r.word = ?", f.Word}, {"r.host = ?", f.Host},
	} {
		if c.value != "" {
			add(c.cond, c.value)
		}
	}
	switch {
	case f.Domain != "" && state == Waiting: // two indexes: what waits for the domain, what waits for a transport
		add(`r.id IN (SELECT id FROM recipients WHERE state = 0 AND dest = ?
			UNION ALL SELECT id FROM recipients WHERE state = 0 AND dest <> domain AND domain = ?)`, f.Domain, f.Domain)
	case f.Domain != "":
		add("r.domain = ?", f.Domain)
	}
	if f.SenderDomain != "" {
		// No LIKE: its escapes differ, and so does what it takes for the same letter.
		suffix := "@" + f.SenderDomain
		add("length(m.sender) > ? AND lower(substr(m.sender, length(m.sender) - ?)) = ?", int64(len(suffix)), int64(len(suffix)-1), strings.ToLower(suffix))
	}
	if f.Need != nil {
		add("COALESCE(r.need, m.need) = ?", int64(*f.Need))
	}
	if f.Purpose != nil {
		add("m.purpose = ?", int64(*f.Purpose))
	}
	for _, c := range []struct {
		column string
		p      Period
	}{{"m.accepted", f.Accepted}, {"r.due", f.Due}} {
		if !c.p.From.IsZero() {
			add(c.column+" >= ?", store.Time(c.p.From))
		}
		if !c.p.Before.IsZero() {
			add(c.column+" < ?", store.Time(c.p.Before))
		}
	}
	return strings.Join(where, " AND "), args
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
		out.Attempts, err = store.Collect(tx, scanAttempt, `SELECT id, domain, transport, owner, started, ended, detail FROM attempts
			WHERE message = ? ORDER BY id LIMIT ?`, id, int64(maxAttempts))
		return err
	})
	if err != nil {
		return out, fmt.Errorf("show message %s: %w", LogID(id), err)
	}
	return out, nil
}

func scanAttempt(r store.Row) (a Attempt, err error) {
	var detail string
	err = r.Scan(&a.ID, &a.Domain, &a.Transport, &a.Owner, timeInto{&a.Started}, timeInto{&a.Ended}, &detail)
	if err == nil {
		err = json.Unmarshal([]byte(detail), &a.Detail)
	}
	if err != nil {
		err = fmt.Errorf("attempt %s: %w", LogID(a.ID), err)
	}
	return a, err
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
		return tx.Each(func(r store.Row) error {
			var s State
			var n int
			err := r.Scan(&s, &n)
			out[s] = n
			return err
		}, `SELECT state, count(*) FROM recipients GROUP BY state`)
	})
	if err != nil {
		return nil, fmt.Errorf("count the queue: %w", err)
	}
	return out, nil
}
