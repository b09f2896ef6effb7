// Package people answers Correspondent/query: to whom an account may want to write, from the beginning of a name or an
// address (JMP-4). It knows those to whom the account has written (package correspondents), and the names that stand in
// the account's mail; nothing is stored for it.
package people

import (
	"context"
	"slices"
	"sync"
	"time"

	"waxwing/internal/correspondents"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/catalog"
	"waxwing/jmap"
)

// Capability is our own.
const Capability = "urn:waxwing:params:jmap:people"

// Room answers the method. Its fields are set before its first use.
type Room struct {
	Catalog        *catalog.Store
	Correspondents interface {
		List(ctx context.Context, account string, limit int) ([]correspondents.Correspondent, error)
	}
	Now func() time.Time

	mu     sync.Mutex
	byName map[string]*circle
	recent []string // accounts, the one that was asked about last at the end
}

// Bounds of what is asked, of what is answered, and of what is kept in memory.
const (
	maxText     = 200 // octets
	fewPeople   = 10  // are answered where the client names no limit
	manyPeople  = 50  // are answered at most
	maxCircles  = 100 // accounts
	maxPeople   = 5000
	maxMails    = 3000 // are looked at for names: the newest
	maxPerMail  = 100  // addresses
	maxName     = 200  // octets
	maxWords    = 20   // of a name and an address
	listingTime = 30 * time.Second
)

// Served is the capability with what it does.
func (r *Room) Served() call.Capability {
	return call.Capability{URI: Capability, Session: map[string]any{}, Account: map[string]any{"maxPeople": manyPeople},
		Methods: map[string]call.Method{"Correspondent/query": r.query}}
}

// shown is a person as clients are told.
type shown struct {
	Name     *string       `json:"name"`
	Email    string        `json:"email"`
	Written  *jmap.UTCDate `json:"written"`  // when the account has written to them last; nil: it has not
	Received int64         `json:"received"` // mails of them
}

// query is Correspondent/query.
func (r *Room) query(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a struct {
		AccountID jmap.ID `json:"accountId"`
		Text      string  `json:"text"`
		Limit     *int    `json:"limit"`
	}
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	most := fewPeople
	if a.Limit != nil && *a.Limit != 0 {
		most = *a.Limit
	}
	if most < 1 || len(a.Text) > maxText {
		return nil, jmap.Errorf(jmap.InvalidArguments, "limit is 1 or more, and text has %d octets at most", maxText)
	}
	circle := r.circle(c.Name)
	circle.mu.Lock()
	defer circle.mu.Unlock()
	if err := r.refresh(c.Ctx, c.Name, circle); err != nil {
		return nil, c.Failed(err)
	}
	list := []shown{}
	for _, p := range pick(circle.people, a.Text, min(most, manyPeople), r.Now().UnixNano()) {
		s := shown{Email: p.email, Received: p.received}
		if !p.writtenAt.IsZero() {
			s.Written = &jmap.UTCDate{Time: p.writtenAt.UTC().Truncate(time.Second)}
		}
		if p.name != "" {
			s.Name = &p.name
		}
		list = append(list, s)
	}
	return map[string]any{"accountId": c.ID, "list": list}, nil
}

// circle is the people of an account. Where too many accounts are kept, the one that nobody has asked about for longest is forgotten.
func (r *Room) circle(account string) *circle {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byName == nil {
		r.byName = map[string]*circle{}
	}
	if i := slices.Index(r.recent, account); i >= 0 {
		r.recent = slices.Delete(r.recent, i, i+1)
	} else if len(r.recent) >= maxCircles {
		delete(r.byName, r.recent[0])
		r.recent = slices.Delete(r.recent, 0, 1)
	}
	r.recent = append(r.recent, account)
	if r.byName[account] == nil {
		r.byName[account] = &circle{people: map[string]*person{}}
	}
	return r.byName[account]
}
