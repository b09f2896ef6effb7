package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"waxwing/internal/delivery"
	"waxwing/internal/desk"
	"waxwing/internal/listing"
	"waxwing/internal/spool"
	"waxwing/internal/text"
	"waxwing/internal/web/deeds"
	"waxwing/internal/web/pages"
)

// perPage is how many rows of the queue a page has.
const perPage = 100

// asked are the fields by which the queue is searched, as queue list has its flags.
func asked(q url.Values) []pages.Field {
	states := []string{"", "waiting", "leased", "held", "delivered", "failed"}
	return []pages.Field{
		{Name: "state", Label: "State", Kind: "select", Options: states, Value: q.Get("state")},
		{Name: "sender", Label: "From", Value: q.Get("sender")},
		{Name: "rcpt", Label: "To", Value: q.Get("rcpt")},
		{Name: "domain", Label: "Domain", Value: q.Get("domain")},
		{Name: "account", Label: "Account", Value: q.Get("account")},
	}
}

// filterOf reads them. The error is for whoever typed them.
func (h *Handler) filterOf(q url.Values) (spool.Filter, error) {
	query := listing.Query{State: q.Get("state"), Filter: spool.Filter{Sender: q.Get("sender"), Address: q.Get("rcpt"), Domain: q.Get("domain"), Account: q.Get("account")}}
	if after := q.Get("after"); after != "" {
		id, err := delivery.ParseID(after)
		if err != nil {
			return spool.Filter{}, err
		}
		query.After = id
	}
	f, err := query.Read(h.Now())
	f.Limit = perPage
	return f, err
}

// commandOf is how the same is asked on the command line.
func commandOf(verb string, q url.Values) string {
	out := []string{"waxwing queue " + verb}
	for _, name := range []string{"state", "sender", "rcpt", "domain", "account"} {
		if v := q.Get(name); v != "" {
			out = append(out, "--"+name+" "+text.ShellWord(v))
		}
	}
	return strings.Join(out, " ")
}

// queuePage lists recipients, and offers to act on those that are chosen.
func (h *Handler) queuePage(r *http.Request) (pages.Page, error) {
	q := r.URL.Query()
	p := pages.Page{Title: "Queue", Command: commandOf("list", q)}
	form := pages.Form{Method: "get", Action: Path + "queue", Submit: "Show", Fields: asked(q)}
	f, err := h.filterOf(q)
	if err != nil {
		p.Blocks = []pages.Block{pages.Notice{Tone: pages.Bad, What: err.Error(), Cure: "Change what you asked for."}, form}
		return p, nil
	}
	items, err := h.Rooms.Desk.List(r.Context(), f)
	if err != nil {
		return p, err
	}
	rows := listing.Recipients(items)
	t := pages.TableOf(listing.RecipientListing(), rows, func(x *listing.Recipient) string { return Path + "message/" + x.Message.String() })
	t.None = "No mail in the queue is like that."
	if len(rows) == perPage {
		next := url.Values{}
		for _, field := range asked(q) {
			if field.Value != "" {
				next.Set(field.Name, field.Value)
			}
		}
		next.Set("after", rows[len(rows)-1].ID.String())
		t.Next = Path + "queue?" + next.Encode()
	}
	p.Blocks = []pages.Block{form, t}
	if len(rows) > 0 {
		p.Blocks = append(p.Blocks, onMany(q))
	}
	return p, nil
}

// onMany are the acts on all that the page's question chooses.
func onMany(q url.Values) pages.Actions {
	a := pages.Actions{Title: "With all of these"}
	for _, v := range verbs() {
		f := pages.Form{Method: "post", Action: Path + "queue/act", Submit: v.says, Danger: v.danger, Sure: v.sure,
			Fields: []pages.Field{{Name: "verb", Kind: "hidden", Value: string(v.verb)}}}
		for _, field := range asked(q) {
			f.Fields = append(f.Fields, pages.Field{Name: field.Name, Kind: "hidden", Value: field.Value})
		}
		a.Forms = append(a.Forms, f)
	}
	return a
}

// verb is what can be done with recipients.
type verb struct {
	verb   desk.Verb
	says   string
	danger bool
	sure   string // what is to be ticked before it is done; "": nothing
}

func verbs() []verb {
	return []verb{
		{desk.Retry, "Try now", false, ""},
		{desk.Hold, "Hold", false, ""},
		{desk.Unhold, "Let go", false, ""},
		{desk.Fail, "Return to the sender", true, "The sender gets it back."},
		{desk.Drop, "Remove", true, "It is gone, and nobody is told."},
	}
}

// actOnQueue does something with recipients (QUE-6).
func (h *Handler) actOnQueue() deeds.Deed {
	return deeds.Deed{Path: Path + "queue/act", Do: func(ctx context.Context, q deeds.Values) (deeds.Done, error) {
		var v verb
		for _, x := range verbs() {
			if string(x.verb) == q.Get("verb") {
				v = x
			}
		}
		switch {
		case v.verb == "":
			return deeds.Done{}, fmt.Errorf("%q is nothing that can be done with mail in the queue", q.Get("verb"))
		case v.danger && !q.Yes("sure"):
			return deeds.Done{}, deeds.ErrNotSure
		}
		a := deeds.Done{Command: commandOf(string(v.verb), q.Values), Back: Path + "queue"}
		f, err := h.filterOf(q.Values)
		if err != nil {
			return deeds.Done{}, err
		}
		if id := q.Get("message"); id != "" {
			m, err := delivery.ParseID(id)
			if err != nil {
				return deeds.Done{}, err
			}
			f = spool.Filter{Message: int64(m)}
			a.Command, a.Back = "waxwing queue "+string(v.verb)+" "+m.String(), Path+"message/"+m.String()
		}
		f.Limit = 0
		order := desk.Action{Verb: v.verb, Filter: f, Why: "on the admin pages"}
		c, err := h.Rooms.Desk.Act(ctx, order)
		if err != nil {
			return a, err
		}
		said, ok := order.Came(c)
		if !ok {
			return a, errors.New(said)
		}
		a.Outcome = said
		return a, nil
	}}
}

func (h *Handler) revokeSession() deeds.Deed {
	return deeds.Deed{Path: Path + "sessions/revoke", Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
		id, err := delivery.ParseID(v.Get("id"))
		if err != nil {
			return deeds.Done{}, err
		}
		return deeds.Done{Command: "end the session " + id.String(), Outcome: "the session has ended", Back: Path + "sessions"}, h.Sessions.Revoke(ctx, v.Get("account"), id)
	}}
}
