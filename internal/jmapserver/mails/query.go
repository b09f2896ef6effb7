package mails

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"

	"waxwing/internal/delivery"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/catalog"
	"waxwing/internal/jmapserver/email"
	"waxwing/internal/jmapserver/finding"
	"waxwing/internal/mailboxes"
	"waxwing/internal/search"
	"waxwing/internal/store"
	"waxwing/jmap"
	"waxwing/structure"
)

func isGone(err error) bool { return errors.Is(err, mailboxes.ErrNoSuchMessage) }

// question is what a query asks, without which part of the answer.
type question struct {
	filter   *jmap.Filter
	sort     []jmap.Comparator
	collapse bool
	key      [32]byte
}

// ask reads a question. The error is InvalidArguments.
func ask(c *call.Call, filter, sort json.RawMessage, collapse bool) (q question, fault *jmap.Error) {
	var err error
	if q.filter, err = jmap.ParseFilter(filter); err == nil {
		q.sort, err = jmap.ParseSort(sort)
	}
	if err != nil {
		return q, jmap.Errorf(jmap.InvalidArguments, "%v", err)
	}
	q.collapse = collapse
	q.key = keyOf("Email", c.Name, filter, sort, collapse)
	return q, nil
}

// keyOf is that of a question, by which its results are remembered.
func keyOf(parts ...any) [32]byte {
	key, err := json.Marshal(parts)
	if err != nil {
		return [32]byte{} // what has been read as JSON can be written as such
	}
	return sha256.Sum256(key)
}

// emailQuery is Email/query (RFC 8621 §4.4).
func (r *Room) emailQuery(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a struct {
		call.Query
		Collapse bool `json:"collapseThreads"`
	}
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	q, fault := ask(c, a.Filter, a.Sort, a.Collapse)
	if fault != nil {
		return nil, fault
	}
	state, all, err := r.find(c, &q)
	if err != nil {
		return nil, c.Failed(err)
	}
	out, fault := a.Answer(c, state, all)
	if fault != nil {
		return nil, fault
	}
	return out, nil
}

// emailQueryChanges is Email/queryChanges (RFC 8621 §4.5).
func (r *Room) emailQueryChanges(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a struct {
		call.QueryChanges
		Collapse bool `json:"collapseThreads"`
	}
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	q, fault := ask(c, a.Filter, a.Sort, a.Collapse)
	if fault != nil {
		return nil, fault
	}
	old, known := r.results.get(q.key, a.SinceQueryState)
	if !known {
		return nil, jmap.Errorf(jmap.CannotCalculateChanges, "what the query found then is not remembered")
	}
	state, all, err := r.find(c, &q)
	if err != nil {
		return nil, c.Failed(err)
	}
	out, fault := a.Answer(c, state, old, all)
	if fault != nil {
		return nil, fault
	}
	return out, nil
}

// find is all that a query finds, in order. What it has found in the same state before is remembered: who scrolls asks again and again.
func (r *Room) find(c *call.Call, q *question) (state string, all []jmap.ID, err error) {
	var texts []*finding.Text
	var untold []int64 // mails whose facts are needed, and of which it is not known how they are built
	known := false
	prepare := func(tx *store.Tx, v *catalog.View) error {
		state = finding.At(v.ModSeq).String()
		if all, known = r.results.get(q.key, state); known {
			return nil
		}
		p, o, err := compile(v, q)
		if err != nil {
			return err
		}
		texts = p.Texts
		if p.NeedsFacts || o.NeedsFacts {
			untold, err = learn(tx, v)
		}
		return err
	}
	if err := r.Catalog.Look(c.Ctx, c.Name, prepare); err != nil || known {
		return state, all, err
	}
	for _, t := range texts {
		if t.Found, err = r.look(c.Ctx, c.Name, t); err != nil {
			return "", nil, err
		}
	}
	facts, err := r.facts(c.Ctx, untold)
	if err != nil {
		return "", nil, err
	}
	err = r.Catalog.Look(c.Ctx, c.Name, func(tx *store.Tx, v *catalog.View) error {
		for id, f := range facts {
			if e := v.Mails[id]; e != nil {
				e.Facts = f
			}
		}
		p, o, err := compile(v, q)
		if err != nil {
			return err
		}
		for i := range p.Texts {
			p.Texts[i].Found = texts[i].Found
		}
		state, all = finding.At(v.ModSeq).String(), run(v, p, o, q.collapse)
		return nil
	})
	if err == nil {
		r.results.put(q.key, state, all)
	}
	return state, all, err
}

func compile(v *catalog.View, q *question) (*finding.Program, *finding.Order, error) {
	known := finding.Known{Words: v.Words, Box: func(id jmap.ID) (int64, bool) {
		n, ok := number(boxKind, id)
		return n, ok && v.Box(n) != nil
	}}
	p, fault := finding.Compile(q.filter, known)
	if fault != nil {
		return nil, nil, fault
	}
	o, fault := finding.NewOrder(q.sort, known)
	if fault != nil {
		return nil, nil, fault
	}
	if p.NeedsThreads || o.NeedsThreads {
		known.Threads = v.Threads()
		p, _ = finding.Compile(q.filter, known)
		o, _ = finding.NewOrder(q.sort, known)
	}
	return p, o, nil
}

// run picks the mails that are found, in order.
func run(v *catalog.View, p *finding.Program, o *finding.Order, collapse bool) []jmap.ID {
	var found []*finding.Email
	for _, e := range v.Sorted() {
		if e.Lies() && p.Matches(e) {
			found = append(found, e)
		}
	}
	if !o.IsByReceived() {
		slices.SortFunc(found, o.Compare)
	}
	out := make([]jmap.ID, 0, len(found))
	seen := map[int64]bool{}
	for _, e := range found {
		if collapse && seen[e.Thread] {
			continue
		}
		if collapse {
			seen[e.Thread] = true
		}
		out = append(out, ID(emailKind, e.ID))
	}
	return out
}

// learn gives mails their facts, where it is known how they are built; the others are returned.
func learn(tx *store.Tx, v *catalog.View) (untold []int64, err error) {
	var without []*finding.Email
	for _, e := range v.Sorted() {
		if e.Facts == nil && e.Lies() {
			without = append(without, e)
		}
	}
	for some := range slices.Chunk(without, 500) {
		kept, err := catalog.Structures(tx, some)
		if err != nil {
			return nil, err
		}
		for _, e := range some {
			if built, err := structure.Decode(kept[e.ID]); err == nil {
				e.Facts = factsOf(built, e.Received)
			} else {
				untold = append(untold, e.ID)
			}
		}
	}
	return untold, nil
}

// facts are those of mails that must be read for it.
func (r *Room) facts(ctx context.Context, mails []int64) (map[int64]*finding.Facts, error) {
	out := map[int64]*finding.Facts{}
	for _, id := range mails {
		var received int64
		built, err := r.built(ctx, id, nil, &lazy{get: func() (delivery.Content, error) {
			c, m, err := r.Boxes.Content(ctx, id)
			received = store.Time(m.Received)
			return c, err
		}})
		if isGone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out[id] = factsOf(built, received)
	}
	return out, nil
}

// factsOf are what mails are sorted by (RFC 8621 §4.4.2).
func factsOf(m *structure.Message, received int64) *finding.Facts {
	e := &m.Envelope
	f := &finding.Facts{Sent: received, From: sortName(e.From), To: sortName(e.To), HasAttachment: email.HasAttachment(m)}
	if t, ok := e.Sent(); ok {
		f.Sent = store.Time(t)
	}
	base, _ := structure.BaseSubject(e.Subject)
	f.Subject = strings.ToLower(email.TextOf(base))
	return f
}

// sortName is the name of the first address, or the address.
func sortName(list []structure.Address) string {
	all := email.AddressesOf(list)
	switch {
	case len(all) == 0:
		return ""
	case all[0].Name != nil:
		return strings.ToLower(*all[0].Name)
	}
	return strings.ToLower(all[0].Email)
}

// searched are where texts of a filter stand.
var searched = map[string]search.Field{"text": search.Any, "from": search.From, "to": search.To, "cc": search.Cc, "bcc": search.Bcc, "subject": search.Subject, "body": search.Body}

// look finds the mails in which a text stands. A text without words, such as a comma, stands in none.
func (r *Room) look(ctx context.Context, account string, t *finding.Text) (map[int64]struct{}, error) {
	field, ok := searched[t.Field]
	if !ok {
		return r.lookAtHeaders(ctx, account, t)
	}
	q := search.Query{}
	for _, token := range finding.Tokens(t.Value) {
		if c := (search.Condition{Field: field, Text: token}); !c.Unsearchable() {
			q = append(q, c)
		}
	}
	found := map[int64]struct{}{}
	if len(q) == 0 {
		return found, nil
	}
	mails, tail, err := r.Search.Search(ctx, account, q)
	if err == nil {
		var more []int64
		more, err = r.Search.Scan(ctx, q, tail)
		mails = append(slices.DeleteFunc(mails, func(m int64) bool { return slices.Contains(tail, m) }), more...)
	}
	for _, m := range mails {
		found[m] = struct{}{}
	}
	return found, err
}

// lookAtHeaders looks for a header field in the mails themselves: in those that the index has for its text, if it has one.
func (r *Room) lookAtHeaders(ctx context.Context, account string, t *finding.Text) (map[int64]struct{}, error) {
	var candidates []int64
	found := map[int64]struct{}{}
	if field, in := search.FieldOf(t.Name); in && !t.Any && !(search.Condition{Field: field, Text: t.Value}).Unsearchable() {
		mails, tail, err := r.Search.Search(ctx, account, search.Query{{Field: field, Text: t.Value}})
		if err != nil {
			return nil, err
		}
		candidates = append(mails, tail...)
	} else {
		err := r.Catalog.Look(ctx, account, func(_ *store.Tx, v *catalog.View) error {
			for id := range v.Mails {
				candidates = append(candidates, id)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for _, id := range candidates {
		has, err := r.hasHeader(ctx, id, t)
		if err != nil && !isGone(err) {
			return nil, err
		}
		if has {
			found[id] = struct{}{}
		}
	}
	return found, nil
}

func (r *Room) hasHeader(ctx context.Context, id int64, t *finding.Text) (bool, error) {
	m, err := r.message(ctx, id, nil)
	if err != nil {
		return false, err
	}
	values, err := m.Values(t.Name)
	if t.Any {
		return len(values) > 0, err
	}
	return slices.ContainsFunc(values, func(v string) bool { return strings.Contains(strings.ToLower(v), strings.ToLower(t.Value)) }), err
}

// results remembers what queries have found, for queryChanges.
type results struct {
	mu   sync.Mutex
	byID map[resultKey][]jmap.ID
	kept []resultKey // the newest at the end
	size int         // ids, all together
}

type resultKey struct {
	query [32]byte
	state string
}

// How much is remembered: some 20 octets an id.
const (
	maxLists   = 1000
	maxListIDs = 1_000_000
)

func (r *results) get(query [32]byte, state string) ([]jmap.ID, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, ok := r.byID[resultKey{query, state}]
	return all, ok
}

func (r *results) put(query [32]byte, state string, all []jmap.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := resultKey{query, state}
	if _, has := r.byID[key]; has || len(all) > maxListIDs/4 {
		return
	}
	if r.byID == nil {
		r.byID = map[resultKey][]jmap.ID{}
	}
	r.byID[key], r.kept, r.size = all, append(r.kept, key), r.size+len(all)
	for len(r.kept) > maxLists || r.size > maxListIDs {
		oldest := r.kept[0]
		r.size -= len(r.byID[oldest])
		delete(r.byID, oldest)
		r.kept = r.kept[1:]
	}
}
