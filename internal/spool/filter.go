package spool

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

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
	Until        int64 // recipients with no larger ID than this; 0: all
	Limit        int   // at most 1000; 0: 100. Listing only
}

// Period is a time from From to before Before; a zero end is open.
type Period struct{ From, Before time.Time }

func (f Filter) states() []State {
	if len(f.States) == 0 {
		return []State{Waiting, Leased, Held}
	}
	out := slices.Clone(f.States)
	slices.Sort(out)
	return slices.Compact(out)
}

// read reads some that are in a state; tail is a further condition, and the order.
func (f Filter) read(tx *store.Tx, state State, tail string, limit int) ([]Item, error) {
	where, args := f.where(state)
	return store.Collect(tx, scanItem, `SELECT `+itemColumns+` FROM recipients r JOIN messages m ON m.id = r.message WHERE `+where+tail+` LIMIT ?`,
		append(args, int64(limit))...)
}

// where is the condition for the recipients r, with their messages m, in one state.
func (f Filter) where(state State) (string, []any) {
	where, args := []string{"r.state = " + strconv.Itoa(int(state)), byID(state) + " > ?"}, []any{f.After}
	add := func(cond string, vs ...any) {
		where = append(where, cond)
		args = append(args, vs...)
	}
	if f.Until != 0 {
		add("r.id <= ?", f.Until)
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

// byID is the identifier as a condition and an order name it. What waits and what is held have an index by it. What is leased has its own in
// another order: with a sign the identifier is no column, for which no planner takes the index of all identifiers, and with it all that is over.
func byID(state State) string {
	if state == Leased {
		return "+r.id"
	}
	return "r.id"
}

// Scans reports that no index has what the filter asks for: whoever must not wait looks through a Window at a time.
func (f Filter) Scans() bool {
	over := slices.ContainsFunc(f.states(), func(s State) bool { return s > Held })
	return f.Message == 0 && (over || f.Sender+f.SenderDomain+f.Address+f.Transport+f.Word+f.Host != "" || f.Need != nil || f.Purpose != nil || f.Accepted != Period{} || f.Due != Period{})
}

// Find are the recipients that match and are in one of some states, 8 octets each, and how
// many that match are leased.
func (f Filter) Find(tx *store.Tx, in ...State) (ids []int64, leased int, err error) {
	for _, s := range f.states() {
		where, args := f.where(s)
		found, err := store.Column[int64](tx, `SELECT r.id FROM recipients r JOIN messages m ON m.id = r.message WHERE `+where, args...)
		if err != nil {
			return nil, 0, err
		}
		switch {
		case s == Leased:
			leased = len(found)
		case slices.Contains(in, s):
			ids = append(ids, found...)
		}
	}
	return ids, leased, nil
}
