// Package call is what the methods of a JMAP server have in common: the call that is being answered, its
// arguments, and the forms of /get, /changes, /set and /query (RFC 8620 §5).
package call

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/jmap"
)

// Limits are what is taken at once (RFC 8620 §2).
type Limits struct {
	SizeUpload, SizeRequest              int64
	ConcurrentUpload, ConcurrentRequests int
	CallsInRequest                       int
	ObjectsInGet, ObjectsInSet           int
	RequestTime                          time.Duration // for all calls of a request together
}

// Call is one method call.
type Call struct {
	Ctx context.Context
	// Name is the account's, ID what clients call it.
	Name    string
	ID      jmap.ID
	Created map[jmap.ID]jmap.ID // by creation id, of the whole request
	// Credential is by what the client has logged in, as a mark of it; "": by what has none, as the session of a browser.
	Credential func() (string, error)
	// Using are the capabilities that the request uses.
	Using  map[string]bool
	Remote netip.AddrPort       // where the client is
	TLS    *tls.ConnectionState // of its connection
	Limits Limits
	Log    *slog.Logger
	// Also are calls whose results follow this one's (RFC 8620 §3.4: implicit calls).
	Also []Implicit
}

// AccountID is how clients call an account.
func AccountID(account string) jmap.ID {
	return jmap.ID("a" + base64.RawURLEncoding.EncodeToString([]byte(account)))
}

// Implicit is a call that another one makes.
type Implicit struct {
	Name string
	Args map[string]any
}

// Method answers calls of one name.
type Method func(c *Call, args Args) (any, *jmap.Error)

// Capability is a set of methods under a URI (RFC 8620 §2).
type Capability struct {
	URI     string
	Session any // what the session says of it
	Account any // and what it says there of each account; nil: it is not of accounts
	Methods map[string]Method
	// States are the states of its types for push; nil: they have none.
	States func(c *Call) (map[string]string, error)
}

// Args are the arguments of a call.
type Args map[string]json.RawMessage

// Failed is the answer to a call that an error of ours has ended, which is in the log.
func (c *Call) Failed(err error) *jmap.Error {
	var e *jmap.Error
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(c.Ctx.Err(), context.DeadlineExceeded) {
		return TooLong()
	}
	if c.Ctx.Err() == nil {
		c.Log.Error("JMAP method failed", "account", c.Name, "error", err)
	}
	return jmap.Errorf(jmap.ServerFail, "the server could not do this; its log says why")
}

// TooLong is the answer to a call for which the time of its request was too short.
func TooLong() *jmap.Error {
	return jmap.Errorf(jmap.ServerUnavailable, "the request took too long: ask for less at once")
}

// SetFailed is Failed for one record.
func (c *Call) SetFailed(err error) *jmap.SetError {
	var s *jmap.SetError
	if errors.As(err, &s) {
		return s
	}
	e := c.Failed(err)
	return &jmap.SetError{Type: e.Type, Description: e.Description}
}

// Resolve is an id, or the id of what was created with the creation id behind "#".
func (c *Call) Resolve(id jmap.ID) (jmap.ID, bool) {
	creation, is := strings.CutPrefix(string(id), "#")
	if !is {
		return id, true
	}
	to, ok := c.Created[jmap.ID(creation)]
	return to, ok
}

// Doomed tells whether a record is among those to be destroyed, by its id or by the creation id of it.
func (c *Call) Doomed(destroy []jmap.ID, id jmap.ID) bool {
	return slices.ContainsFunc(destroy, func(d jmap.ID) bool {
		to, ok := c.Resolve(d)
		return ok && to == id
	})
}

// Existing are the ids of records, each once, in which creation ids are replaced by what was created with them; missing are those with which nothing was.
func (c *Call) Existing(ids []jmap.ID) (existing, missing []jmap.ID) {
	for _, id := range Once(ids) {
		if to, ok := c.Resolve(id); ok {
			existing = append(existing, to)
		} else {
			missing = append(missing, id)
		}
	}
	return Once(existing), missing
}

// WillDestroy is the answer to an update of a record that is destroyed in the same call.
func WillDestroy() *jmap.SetError {
	return jmap.SetErrorf(jmap.WillDestroy, nil, "it is destroyed")
}

// NoObject is the answer to a patch of what is in a property that has nothing in it (RFC 8620 §5.3).
func NoObject(s jmap.Step) *jmap.SetError {
	return jmap.SetErrorf(jmap.InvalidPatch, nil, "nothing can be set in %.100q", s.Path[0])
}

// Get are the arguments of /get.
type Get struct {
	AccountID  jmap.ID    `json:"accountId"`
	IDs        *[]jmap.ID `json:"ids"`
	Properties *[]string  `json:"properties"`
}

// Check says whether so many may be asked for at once.
func (g *Get) Check(c *Call) *jmap.Error {
	if g.IDs != nil && len(*g.IDs) > c.Limits.ObjectsInGet {
		return jmap.Errorf(jmap.RequestTooLarge, "%d objects can be asked for at once", c.Limits.ObjectsInGet)
	}
	return nil
}

// Got is the response of /get.
type Got struct {
	AccountID jmap.ID   `json:"accountId"`
	State     string    `json:"state"`
	List      []any     `json:"list"`
	NotFound  []jmap.ID `json:"notFound"`
}

// Pick answers /get from all records that there are: those that are asked for, each once, with the properties that are.
// names are all properties. The error is InvalidArguments or RequestTooLarge.
func Pick[T any](c *Call, g *Get, state string, records map[jmap.ID]T, show Shape[T]) (*Got, *jmap.Error) {
	if err := g.Check(c); err != nil {
		return nil, err
	}
	if g.Properties != nil {
		for _, p := range *g.Properties {
			if !slices.Contains(show.Names, p) {
				return nil, jmap.Errorf(jmap.InvalidArguments, "there is no property %.100q", p)
			}
		}
	}
	out := &Got{AccountID: c.ID, State: state, List: []any{}, NotFound: []jmap.ID{}}
	var ids []jmap.ID
	if g.IDs != nil {
		ids = Once(*g.IDs)
	} else {
		for id := range records {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		if len(ids) > c.Limits.ObjectsInGet {
			return nil, jmap.Errorf(jmap.RequestTooLarge, "there are %d objects, %d can be asked for at once", len(ids), c.Limits.ObjectsInGet)
		}
	}
	for _, id := range ids {
		if r, ok := records[id]; ok {
			out.List = append(out.List, Only(show.Of(id, r), g.Properties))
		} else {
			out.NotFound = append(out.NotFound, id)
		}
	}
	return out, nil
}

// Shape is how records of a type are written.
type Shape[T any] struct {
	Names []string
	Of    func(id jmap.ID, record T) map[string]any
}

// Only leaves the properties that are asked for, and the id.
func Only(record map[string]any, properties *[]string) map[string]any {
	if properties == nil {
		return record
	}
	for name := range record {
		if name != "id" && !slices.Contains(*properties, name) {
			delete(record, name)
		}
	}
	return record
}

// Once are ids, each once.
func Once(ids []jmap.ID) []jmap.ID {
	seen := make(map[jmap.ID]bool, len(ids))
	out := make([]jmap.ID, 0, len(ids))
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}

// Changes are the arguments of /changes.
type Changes struct {
	AccountID  jmap.ID `json:"accountId"`
	SinceState string  `json:"sinceState" must:"be"`
	MaxChanges *int    `json:"maxChanges"`
}

// Max is how many changes are wanted; 0: all. The error is InvalidArguments.
func (a *Changes) Max() (int, *jmap.Error) {
	if a.MaxChanges == nil {
		return 0, nil
	}
	if *a.MaxChanges <= 0 {
		return 0, jmap.Errorf(jmap.InvalidArguments, "maxChanges is a number above 0")
	}
	return *a.MaxChanges, nil
}

// Changed is the response of /changes.
type Changed struct {
	AccountID jmap.ID   `json:"accountId"`
	OldState  string    `json:"oldState"`
	NewState  string    `json:"newState"`
	More      bool      `json:"hasMoreChanges"`
	Created   []jmap.ID `json:"created"`
	Updated   []jmap.ID `json:"updated"`
	Destroyed []jmap.ID `json:"destroyed"`
}

// Set are the arguments of /set.
type Set struct {
	AccountID jmap.ID                     `json:"accountId"`
	IfInState *string                     `json:"ifInState"`
	Create    map[jmap.ID]json.RawMessage `json:"create"`
	Update    map[jmap.ID]jmap.Patch      `json:"update"`
	Destroy   []jmap.ID                   `json:"destroy"`
}

// Check says whether so much may be changed at once, and whether the state is the one that the client knows.
func (s *Set) Check(c *Call, state string) *jmap.Error {
	if len(s.Create)+len(s.Update)+len(s.Destroy) > c.Limits.ObjectsInSet {
		return jmap.Errorf(jmap.RequestTooLarge, "%d objects can be changed at once", c.Limits.ObjectsInSet)
	}
	if s.IfInState != nil && *s.IfInState != state {
		return jmap.Errorf(jmap.StateMismatch, "the state is %s", state)
	}
	for id := range s.Create {
		if !id.Valid() {
			return jmap.Errorf(jmap.InvalidArguments, "%.100q is no creation id", string(id))
		}
	}
	return nil
}

// Done is the response of /set.
type Done struct {
	AccountID    jmap.ID                    `json:"accountId"`
	OldState     string                     `json:"oldState"`
	NewState     string                     `json:"newState"`
	Created      map[jmap.ID]any            `json:"created"`
	Updated      map[jmap.ID]any            `json:"updated"`
	Destroyed    []jmap.ID                  `json:"destroyed"`
	NotCreated   map[jmap.ID]*jmap.SetError `json:"notCreated"`
	NotUpdated   map[jmap.ID]*jmap.SetError `json:"notUpdated"`
	NotDestroyed map[jmap.ID]*jmap.SetError `json:"notDestroyed"`
}

// Failed is the answer to a /set that an error has ended after it has begun: where something was done by then, the client must find out what is so
// now (RFC 8620 §3.6.2).
func (d *Done) Failed(c *Call, err error) *jmap.Error {
	fault := c.Failed(err)
	if len(d.Created)+len(d.Updated)+len(d.Destroyed) == 0 {
		return fault
	}
	return jmap.Errorf(jmap.ServerPartialFail, "some of it was done: get what is there now")
}

// Create notes what became of a creation.
func (d *Done) Create(c *Call, creation, id jmap.ID, record map[string]any) {
	if d.Created == nil {
		d.Created = map[jmap.ID]any{}
	}
	d.Created[creation], c.Created[creation] = record, id
}

// Update notes an update; record are properties that the server has set; nil: none.
func (d *Done) Update(id jmap.ID, record map[string]any) {
	if d.Updated == nil {
		d.Updated = map[jmap.ID]any{}
	}
	if d.Updated[id] = nil; record != nil {
		d.Updated[id] = record
	}
}

// Refuse notes an error in one of the three maps.
func Refuse(in *map[jmap.ID]*jmap.SetError, id jmap.ID, e *jmap.SetError) {
	if *in == nil {
		*in = map[jmap.ID]*jmap.SetError{}
	}
	(*in)[id] = e
}

// Query are the arguments of /query that all types have.
type Query struct {
	AccountID      jmap.ID         `json:"accountId"`
	Filter         json.RawMessage `json:"filter"`
	Sort           json.RawMessage `json:"sort"`
	Position       int64           `json:"position"`
	Anchor         *jmap.ID        `json:"anchor"`
	AnchorOffset   int64           `json:"anchorOffset"`
	Limit          *int64          `json:"limit"`
	CalculateTotal bool            `json:"calculateTotal"`
}

// maxResults is how many ids a query returns.
const maxResults = 10_000

// Window is the part of the results that is wanted. limited says that it is less than was asked for.
func (q *Query) Window() (w jmap.Window, limited bool, err *jmap.Error) {
	w = jmap.Window{Position: q.Position, AnchorOffset: q.AnchorOffset, Limit: maxResults}
	if q.Anchor != nil {
		w.Anchor = *q.Anchor
	}
	if max(q.Position, q.AnchorOffset) > jmap.MaxInt || min(q.Position, q.AnchorOffset) < jmap.MinInt || q.Limit != nil && *q.Limit > jmap.MaxInt {
		return w, false, jmap.Errorf(jmap.InvalidArguments, "numbers are between %d and %d", jmap.MinInt, jmap.MaxInt)
	}
	if q.Limit == nil || *q.Limit > maxResults {
		return w, true, nil
	}
	if *q.Limit < 0 {
		return w, false, jmap.Errorf(jmap.InvalidArguments, "limit is a number of 0 or more")
	}
	w.Limit = int(*q.Limit)
	return w, false, nil
}

// Found is the response of /query.
type Found struct {
	AccountID    jmap.ID   `json:"accountId"`
	QueryState   string    `json:"queryState"`
	CanCalculate bool      `json:"canCalculateChanges"`
	Position     int64     `json:"position"`
	IDs          []jmap.ID `json:"ids"`
	Total        *int64    `json:"total,omitempty"`
	Limit        *int64    `json:"limit,omitempty"`
}

// Answer is the response to a query that has found all.
func (q *Query) Answer(c *Call, state string, all []jmap.ID) (*Found, *jmap.Error) {
	w, limited, err := q.Window()
	if err != nil {
		return nil, err
	}
	at, ids, err := jmap.Cut(all, w)
	if err != nil {
		return nil, err
	}
	out := &Found{AccountID: c.ID, QueryState: state, CanCalculate: true, Position: at, IDs: ids}
	if limited && (q.Limit != nil || int64(len(all)) > at+int64(len(ids))) {
		most := int64(maxResults)
		out.Limit = &most
	}
	if q.CalculateTotal {
		n := int64(len(all))
		out.Total = &n
	}
	return out, nil
}

// QueryChanges are the arguments of /queryChanges that all types have.
type QueryChanges struct {
	AccountID       jmap.ID         `json:"accountId"`
	Filter          json.RawMessage `json:"filter"`
	Sort            json.RawMessage `json:"sort"`
	SinceQueryState string          `json:"sinceQueryState" must:"be"`
	MaxChanges      *int            `json:"maxChanges"`
	UpToID          *jmap.ID        `json:"upToId"`
	CalculateTotal  bool            `json:"calculateTotal"`
}

// QueryChanged is the response of /queryChanges.
type QueryChanged struct {
	AccountID     jmap.ID      `json:"accountId"`
	OldQueryState string       `json:"oldQueryState"`
	NewQueryState string       `json:"newQueryState"`
	Total         *int64       `json:"total,omitempty"`
	Removed       []jmap.ID    `json:"removed"`
	Added         []jmap.Added `json:"added"`
}

// Answer is the response about results that were old once and are now. The error is TooManyChanges.
func (q *QueryChanges) Answer(c *Call, state string, old, now []jmap.ID) (*QueryChanged, *jmap.Error) {
	if q.MaxChanges != nil && *q.MaxChanges < 0 {
		return nil, jmap.Errorf(jmap.InvalidArguments, "maxChanges is a number of 0 or more")
	}
	removed, added := jmap.Difference(old, now)
	if q.MaxChanges != nil && len(removed)+len(added) > *q.MaxChanges {
		return nil, jmap.Errorf(jmap.TooManyChanges, "there are %d changes", len(removed)+len(added))
	}
	out := &QueryChanged{AccountID: c.ID, OldQueryState: q.SinceQueryState, NewQueryState: state,
		Removed: append([]jmap.ID{}, removed...), Added: append([]jmap.Added{}, added...)}
	if q.CalculateTotal {
		n := int64(len(now))
		out.Total = &n
	}
	return out, nil
}

// Kinds of ids: the first letter of each. Those of mailboxes, mails and threads are as IMAP has them (RFC 8474).
const (
	BoxKind    = 'M'
	EmailKind  = 'E'
	ThreadKind = 'T'
)

// ID is how an id of a kind is written.
func ID(kind byte, id int64) jmap.ID { return jmap.ID(string(kind) + delivery.ID(id).String()) }

// Number reads an id of a kind; false: it is none.
func Number(kind byte, id jmap.ID) (int64, bool) {
	rest, ok := strings.CutPrefix(string(id), string(kind))
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(rest, 36, 64)
	return n, err == nil && n > 0 && ID(kind, n) == id
}
