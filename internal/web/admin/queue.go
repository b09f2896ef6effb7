package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"waxwing/internal/delivery"
	"waxwing/internal/desk"
	"waxwing/internal/listing"
	"waxwing/internal/spool"
	"waxwing/internal/text"
	"waxwing/internal/web/deeds"
	"waxwing/internal/web/pages"
)

const (
	perPage  = 100    // rows of the queue
	lookedAt = 50_000 // recipients that are looked through for a page
)

// asked are the fields by which the queue is searched, as queue list has its flags.
func asked(q url.Values) []pages.Field {
	states := []string{"", "waiting", "leased", "held", "delivered", "failed"}
	return []pages.Field{
		{Name: "state", Label: "State", Kind: "select", Options: states, Value: q.Get("state")},
		{Name: "sender", Label: "From", Value: q.Get("sender")},
		{Name: "rcpt", Label: "To", Value: q.Get("rcpt")},
		{Name: "domain", Label: "Domain", Value: q.Get("domain")},
		{Name: "account", Label: "Account", Value: q.Get("account")},
		{Name: "word", Label: "Reason", Value: q.Get("word"), Help: "one word, such as dane-no-match"},
		{Name: "host", Label: "Host that answered last", Value: q.Get("host")},
	}
}

// filterOf reads them. The error is for whoever typed them.
func (h *Handler) filterOf(q url.Values) (spool.Filter, error) {
	query := listing.Query{State: q.Get("state"), Filter: spool.Filter{Sender: q.Get("sender"), Address: q.Get("rcpt"), Domain: q.Get("domain"), Account: q.Get("account"), Word: q.Get("word"), Host: q.Get("host")}}
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
	for _, name := range []string{"state", "sender", "rcpt", "domain", "account", "word", "host"} {
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
	if f.Scans() {
		if f.Until, err = spool.Window(r.Context(), h.Rooms.DB, f.After, lookedAt); err != nil {
			return p, err
		}
	}
	items, err := h.Rooms.Desk.List(r.Context(), f)
	if err != nil {
		return p, err
	}
	rows := listing.Recipients(items)
	t := pages.TableOf(listing.RecipientListing(), rows, func(x *listing.Recipient) string { return Path + "message/" + x.Message.String() })
	t.None = "No mail in the queue is like that."
	last := delivery.ID(f.Until) // of those that were looked at
	if len(rows) == perPage {
		last = rows[len(rows)-1].ID
	}
	if last != 0 {
		if len(rows) < perPage {
			t.None = "None among those that were looked through. Further ones are looked through on the next page."
		}
		next := url.Values{}
		for _, field := range asked(q) {
			if field.Value != "" {
				next.Set(field.Name, field.Value)
			}
		}
		next.Set("after", last.String())
		t.Next = Path + "queue?" + next.Encode()
	}
	p.Blocks = []pages.Block{form, t}
	if len(rows) > 0 || last != 0 {
		p.Blocks = append(p.Blocks, onMany(q))
	}
	return p, nil
}

// onMany are the acts on all that the page's question chooses.
func onMany(q url.Values) pages.Actions {
	a := pages.Actions{Title: "With all of these"}
	for _, v := range verbs() {
		f := pages.Form{Method: "post", Action: Path + "queue/act", Submit: v.says, Danger: v.danger, Sure: v.sure, Command: commandOf(v.usage(), q) + everything(q),
			Fields: append(v.fields, pages.Field{Name: "verb", Kind: "hidden", Value: string(v.verb)})}
		for _, field := range asked(q) {
			f.Fields = append(f.Fields, pages.Field{Name: field.Name, Kind: "hidden", Value: field.Value})
		}
		a.Forms = append(a.Forms, f)
	}
	return a
}

// everything is what a command wants that is told of no recipient: all of them.
func everything(q url.Values) string {
	if slices.ContainsFunc(asked(q), func(f pages.Field) bool { return f.Value != "" }) {
		return ""
	}
	return " --everything"
}

// verb is what can be done with recipients.
type verb struct {
	verb   desk.Verb
	says   string
	danger bool
	sure   string // what is to be ticked before it is done; "": nothing
	fields []pages.Field
}

// usage is how its command begins.
func (v *verb) usage() string {
	switch v.verb {
	case desk.SetTLS:
		return string(v.verb) + " NEED"
	case desk.SetTransport:
		return string(v.verb) + " NAME"
	}
	return string(v.verb)
}

func verbs() []verb {
	return []verb{
		{verb: desk.Retry, says: "Try now"},
		{verb: desk.Hold, says: "Hold"},
		{verb: desk.Unhold, says: "Let go"},
		{verb: desk.SetTLS, says: "Set its TLS need", fields: []pages.Field{{Name: "to_need", Label: "What it asks of TLS", Kind: "select", Options: []string{delivery.FollowPolicy.String(), delivery.RequireTLS.String(), delivery.TLSOptional.String()}}}},
		{verb: desk.SetTransport, says: "Set its transport", fields: []pages.Field{{Name: "to_transport", Label: "Its transport", Help: "empty: as the routes say", Complete: "off"}}},
		{verb: desk.Fail, says: "Return to the sender", danger: true, sure: "The sender gets it back."},
		{verb: desk.Drop, says: "Remove", danger: true, sure: "It is gone, and nobody is told."},
	}
}

// actOnQueue does something with recipients (QUE-6).
func (h *Handler) actOnQueue() deeds.Deed {
	return deeds.Deed{Path: Path + "queue/act", Do: func(ctx context.Context, q deeds.Values) (deeds.Done, error) {
		order, arguments, err := ordered(q)
		if err != nil {
			return deeds.Done{}, err
		}
		if order.Filter, err = h.filterOf(q.Values); err != nil {
			return deeds.Done{}, err
		}
		order.Filter.Limit = 0
		a := deeds.Done{Command: commandOf(arguments, q.Values) + everything(q.Values), Back: Path + "queue"}
		if id := q.Get("message"); id != "" {
			m, err := delivery.ParseID(id)
			if err != nil {
				return deeds.Done{}, err
			}
			order.Filter = spool.Filter{Message: int64(m)}
			a.Command, a.Back = "waxwing queue "+arguments+" "+m.String(), Path+"message/"+m.String()
		}
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

// ordered is what a form asks to be done, and with which words the command begins that does the same.
func ordered(q deeds.Values) (order desk.Action, command string, err error) {
	var v verb
	for _, x := range verbs() {
		if string(x.verb) == q.Get("verb") {
			v = x
		}
	}
	order = desk.Action{Verb: v.verb, Why: "on the admin pages"}
	command = string(v.verb)
	switch {
	case v.verb == "":
		err = fmt.Errorf("%q is nothing that can be done with mail in the queue", q.Get("verb"))
	case v.danger && !q.Yes("sure"):
		err = deeds.ErrNotSure
	case v.verb == desk.SetTLS:
		order.Need, err = delivery.ParseTLSNeed(q.Get("to_need"))
		command += " " + order.Need.String()
	case v.verb == desk.SetTransport:
		order.Transport = q.Text("to_transport")
		command += " " + text.ShellWord(order.Transport)
	}
	return order, command, err
}
