package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/internal/reason"
	"waxwing/internal/store"
	"waxwing/internal/text"
)

// Hook is one webhook.
type Hook struct {
	ID       delivery.ID `json:"id"`
	URL      string      `json:"url"`
	Account  string      `json:"account,omitempty"` // whose mail it is told of; "": that of Domain
	Domain   string      `json:"domain,omitempty"`  // A-labels: of senders, and of received mail's recipients
	Events   []Type      `json:"events"`
	Note     string      `json:"note,omitempty"`
	Created  time.Time   `json:"created"`
	Disabled time.Time   `json:"disabled,omitzero"` // zero: it is not
	Word     reason.Word `json:"word,omitempty"`    // of the last failure; "" after a success
	Failing  time.Time   `json:"failing,omitzero"`  // since when; zero: it is not
	Dropped  int64       `json:"dropped,omitempty"` // events for which there was no room

	secret   Secret
	failures int
	claim    int64 // under which a machine has it
}

// Store keeps webhooks and what is to be posted to them. Its methods may be called at the same
// time.
type Store struct {
	DB  *store.Store
	Now func() time.Time

	hooks store.Cached[[]Hook]
	once  sync.Once
	added chan struct{}
}

const (
	area       = "webhooks"
	maxHooks   = 100    // of one account or domain
	maxNote    = 200    // octets
	maxURL     = 2000   // octets
	maxBacklog = 10_000 // events that wait for one webhook
	keep       = 7 * 24 * time.Hour

	waiting  = "waiting"
	accepted = "accepted"
	failed   = "failed"
)

// Errors of this package.
var (
	ErrNotFound = errors.New("no such webhook")
)

// CheckURL says what is wrong with a webhook's address; nil if nothing is.
func CheckURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || len(s) > maxURL || u.Host == "" || u.Opaque != "":
		return fmt.Errorf("%.100q is no address such as https://shop.example.org/mail-events", s)
	case u.User != nil:
		return errors.New("a webhook's address has no user and password: what is posted is signed")
	case u.Fragment != "":
		return errors.New("a webhook's address has no fragment (#…)")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u):
		return nil
	}
	return errors.New("events go by https, or by http to this machine: http://127.0.0.1:PORT/")
}

// loopback: the address names this machine.
func loopback(u *url.URL) bool {
	a, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && a.IsLoopback()
}

// Add makes a webhook and returns it with its secret, which is not shown again. URL, Account,
// Domain, Events and Note are the caller's.
func (s *Store) Add(ctx context.Context, h Hook) (Hook, Secret, error) {
	if err := CheckURL(h.URL); err != nil {
		return h, nil, err
	}
	if h.Account == "" && h.Domain == "" {
		return h, nil, errors.New("a webhook is told of an account's mail or of a domain's: name one")
	}
	if h.Domain != "" {
		n, err := dns.ParseName(h.Domain)
		if err != nil {
			return h, nil, fmt.Errorf("domain of the webhook: %w", err)
		}
		h.Domain = n.ASCII()
	}
	types, err := ParseTypes(strings.Fields(join(h.Events)))
	if err != nil {
		return h, nil, err
	}
	h.ID, h.Created, h.Events, h.Note, h.secret = delivery.ID(store.NewID()), s.Now(), types, foreign.Text(h.Note, maxNote), newSecret()
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`INSERT INTO webhooks (id, url, account, domain, events, note, secret, created, disabled, word, failures, failing, due, lease, claim, dropped)
			SELECT ?, ?, NULLIF(?, ''), NULLIF(?, ''), ?, ?, ?, ?, 0, '', 0, 0, 0, 0, 0, 0
			WHERE (SELECT count(*) FROM webhooks WHERE COALESCE(account, '') = ? AND COALESCE(domain, '') = ?) < ?`,
			int64(h.ID), h.URL, h.Account, h.Domain, join(h.Events), h.Note, []byte(h.secret), store.Time(h.Created), h.Account, h.Domain, int64(maxHooks))
		if err == nil && n == 0 {
			err = fmt.Errorf("there are %d webhooks of it already: remove some", maxHooks)
		}
		if err != nil {
			return err
		}
		return tx.Raise(area)
	})
	if store.IsForeignKey(err) {
		err = errors.New("no such account or domain")
	}
	if err != nil {
		return h, nil, fmt.Errorf("add a webhook: %w", err)
	}
	return h, h.secret, nil
}

const columns = `SELECT id, url, COALESCE(account, ''), COALESCE(domain, ''), events, note, secret, created, disabled, word, failures, failing, dropped FROM webhooks `

func scan(r store.Row) (h Hook, err error) {
	var id, created, disabled, failing int64
	var events string
	var secret []byte
	err = r.Scan(&id, &h.URL, &h.Account, &h.Domain, &events, &h.Note, &secret, &created, &disabled, &h.Word, &h.failures, &failing, &h.Dropped)
	h.ID, h.secret, h.Created, h.Disabled, h.Failing = delivery.ID(id), secret, store.FromTime(created), store.FromTime(disabled), store.FromTime(failing)
	for w := range strings.FieldsSeq(events) {
		h.Events = append(h.Events, Type(w))
	}
	return h, err
}

// List are all webhooks.
func (s *Store) List(ctx context.Context) ([]Hook, error) {
	all, err := store.List(ctx, s.DB, scan, columns+`ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	return all, nil
}

// Get is one; ErrNotFound.
func (s *Store) Get(ctx context.Context, id delivery.ID) (Hook, error) {
	all, err := store.List(ctx, s.DB, scan, columns+`WHERE id = ?`, int64(id))
	if err == nil && len(all) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Hook{}, fmt.Errorf("webhook %s: %w", id, err)
	}
	return all[0], nil
}

// change changes one webhook; ErrNotFound.
func (s *Store) change(ctx context.Context, id delivery.ID, q string, args ...any) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(q, append(args, int64(id))...)
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		if err != nil {
			return err
		}
		return tx.Raise(area)
	})
}

// Remove ends a webhook, with what waits for it.
func (s *Store) Remove(ctx context.Context, id delivery.ID) error {
	return s.change(ctx, id, `DELETE FROM webhooks WHERE id = ?`)
}

// Enable takes a webhook into use again. What happened meanwhile it is not told.
func (s *Store) Enable(ctx context.Context, id delivery.ID) error {
	return s.change(ctx, id, `UPDATE webhooks SET disabled = 0, failures = 0, failing = 0, due = 0, word = '' WHERE id = ?`)
}

// wants reports whether a webhook is told of an event.
func (h *Hook) wants(e *told) bool {
	return h.Disabled.IsZero() && (h.Account == "" || h.Account == e.account) && (h.Domain == "" || h.Domain == e.domain) && slices.Contains(h.Events, e.kind)
}

// Settled notes the events of an attempt in the transaction that settles it; some says that
// there are any, and Wake is to be called after the commit.
func (s *Store) Settled(tx *store.Tx, env *delivery.Envelope, outcomes []Outcome) (some bool, err error) {
	hooks, err := s.hooks.Get(tx.Context(), s.DB, area, func(tx *store.Tx) ([]Hook, error) { return store.Collect(tx, scan, columns+`WHERE disabled = 0`) })
	if err != nil || len(hooks) == 0 {
		return false, err
	}
	dropped := make([]int64, len(hooks))
	for i := range outcomes {
		for _, e := range eventsOf(env, &outcomes[i]) {
			for k := range hooks {
				if !hooks[k].wants(&e) {
					continue
				}
				if dropped[k] > 0 { // to find out again costs as much as there are events
					dropped[k]++
					continue
				}
				room, err := s.note(tx, &hooks[k], e)
				if err != nil {
					return false, err
				}
				if some = some || room; !room {
					dropped[k]++
				}
			}
		}
	}
	for k, n := range dropped {
		if n == 0 {
			continue
		}
		if _, err := tx.Exec(`UPDATE webhooks SET dropped = dropped + ? WHERE id = ? AND disabled = 0`, n, int64(hooks[k].ID)); err != nil {
			return false, err
		}
	}
	return some, nil
}

// note writes an event for a webhook, if that is still there and has room.
func (s *Store) note(tx *store.Tx, h *Hook, e told) (room bool, err error) {
	id, now := delivery.ID(store.NewID()), s.Now()
	body, err := json.Marshal(Event{ID: id, Type: e.kind, Timestamp: now, Data: e.data})
	if err != nil {
		return false, err
	}
	n, err := tx.Exec(`INSERT INTO webhook_posts (id, webhook, type, body, state, created, due, tries, changed, word, note)
		SELECT ?, id, ?, ?, 'waiting', ?, ?, 0, ?, '', '' FROM webhooks WHERE id = ? AND disabled = 0
			AND (SELECT count(*) FROM webhook_posts WHERE webhook = ? AND state = 'waiting') < ?`,
		int64(id), string(e.kind), body, store.Time(now), store.Time(now), store.Time(now), int64(h.ID), int64(h.ID), int64(maxBacklog))
	return n > 0, err
}

func (s *Store) wake() chan struct{} {
	s.once.Do(func() { s.added = make(chan struct{}, 1) })
	return s.added
}

// Wake makes the service look, after the commit of what Settled has noted.
func (s *Store) Wake() {
	select {
	case s.wake() <- struct{}{}:
	default: // it is going to look already
	}
}

// Post is one event on its way to a webhook, or at its end.
type Post struct {
	ID      delivery.ID `json:"id"` // the event's
	Webhook delivery.ID `json:"webhook"`
	Type    Type        `json:"type"`
	State   string      `json:"state"` // waiting, accepted, failed
	Created time.Time   `json:"created"`
	Due     time.Time   `json:"due,omitzero"` // of one that waits
	Tries   int         `json:"tries"`
	Word    reason.Word `json:"word,omitempty"`
	Note    string      `json:"note,omitempty"` // what the receiver said
	Event   Event       `json:"event"`
}

// Posts are the newest events of a webhook, newest first, at most limit. Those that are over
// are kept for a week.
func (s *Store) Posts(ctx context.Context, hook delivery.ID, limit int) ([]Post, error) {
	all, err := store.List(ctx, s.DB, func(r store.Row) (p Post, err error) {
		var id, webhook, created, due int64
		var body []byte
		if err = r.Scan(&id, &webhook, &p.Type, &p.State, &created, &due, &p.Tries, &p.Word, &p.Note, &body); err != nil {
			return p, err
		}
		p.ID, p.Webhook, p.Created = delivery.ID(id), delivery.ID(webhook), store.FromTime(created)
		if p.State == waiting {
			p.Due = store.FromTime(due)
		}
		return p, json.Unmarshal(body, &p.Event)
	}, `SELECT id, webhook, type, state, created, due, tries, word, note, body FROM webhook_posts WHERE webhook = ? ORDER BY id DESC LIMIT ?`, int64(hook), int64(limit))
	if err != nil {
		return nil, fmt.Errorf("posts to webhook %s: %w", hook, err)
	}
	return all, nil
}

// Prune forgets posts that have been over for a week.
func (s *Store) Prune(ctx context.Context) error {
	return s.DB.Prune(ctx, "posts to webhooks", store.Old{Query: `DELETE FROM webhook_posts WHERE state <> 'waiting' AND changed < ?`, Before: store.Time(s.Now().Add(-keep))})
}

// Listing is how webhooks are listed for people.
func Listing() text.List[Hook] {
	return text.List[Hook]{Columns: text.Columns("ID|STATE|OF|EVENTS|URL|SINCE|WHY", "SINCE", "EVENTS", "OF"), Cells: func(h *Hook) []any {
		var parts []string
		for _, p := range []string{h.Account, h.Domain} {
			if p != "" {
				parts = append(parts, p)
			}
		}
		state, since := text.Cell{Text: "ok", Tone: text.Good}, h.Created
		switch {
		case !h.Disabled.IsZero():
			state, since = text.Cell{Text: "disabled", Tone: text.Bad}, h.Disabled
		case !h.Failing.IsZero():
			state, since = text.Cell{Text: "failing", Tone: text.Waits}, h.Failing
		}
		return []any{h.ID, state, strings.Join(parts, " "), join(h.Events), h.URL, since, h.Word}
	}}
}

// PostListing is how posts are listed for people.
func PostListing() text.List[Post] {
	return text.List[Post]{Columns: text.Columns("ID|CREATED|EVENT|MESSAGE|RECIPIENT|STATE|TRIES|WHY|ANSWER", "ANSWER", "TRIES", "MESSAGE"), Cells: func(p *Post) []any {
		tone := map[string]text.Tone{accepted: text.Good, waiting: text.Waits, failed: text.Bad}[p.State]
		return []any{p.ID, p.Created, string(p.Type), p.Event.Data.Message, p.Event.Data.Recipient, text.Cell{Text: p.State, Tone: tone}, p.Tries, p.Word, p.Note}
	}}
}
