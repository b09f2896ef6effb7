// Package ways is the admin pages about the ways that mail takes: transports and routes, the rules by which it is
// held back, the MTA-STS policies of others as they are cached, and the configuration that is in force (ADM-2). It
// calls what "waxwing transport", "route", "hold", "mtasts" and "config show" call.
package ways

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/config"
	"waxwing/internal/delivery"
	"waxwing/internal/explain"
	"waxwing/internal/holds"
	"waxwing/internal/routes"
	"waxwing/internal/stspolicy"
	"waxwing/internal/transport"
	"waxwing/internal/web/deeds"
	"waxwing/internal/web/pages"
)

// Room is the pages. Its fields are set before its first use.
type Room struct {
	Path     string // of all pages, such as /admin/
	Config   func() *config.Config
	Accounts *accounts.Store
	Routes   *routes.Store
	Router   *transport.Router
	Holds    *holds.Store
	STS      *stspolicy.Cache
}

// The groups of pages.
const (
	mail   = "Mail"
	others = "What others publish"
	out    = "Ways out"
	server = "Server"
)

// Subject is what there is to see and to do.
func (r *Room) Subject() deeds.Subject {
	return deeds.Subject{
		Places: []deeds.Place{
			{Group: mail, Name: "Hold rules", Path: r.Path + "holds", Show: r.holds},
			{Group: others, Name: "MTA-STS cache", Path: r.Path + "mtasts", Show: r.cache},
			{Group: out, Name: "Routes", Path: r.Path + "routes", Show: r.routes},
			{Group: out, Name: "Transports", Path: r.Path + "transports", Show: r.transports},
			{Group: server, Name: "Configuration", Path: r.Path + "config", Show: r.config},
		},
		Deeds: []deeds.Deed{r.addHold(), r.removeHold(), r.refresh(), r.forget(), r.addRoute(), r.removeRoute(), r.testRoute(), r.addTransport(), r.setTransport(), r.removeTransport(), r.testTransport()},
	}
}

// holds lists the rules by which new mail is held back.
func (r *Room) holds(q *http.Request) (pages.Page, error) {
	all, err := r.Holds.List(q.Context())
	if err != nil {
		return pages.Page{}, err
	}
	add := r.addHold().Form()
	add.Folded = len(all) > 0
	var ids []string
	for _, x := range all {
		ids = append(ids, x.ID.String())
	}
	p := pages.Page{Title: "Hold rules", Lead: "Mail that meets one waits until somebody lets it go.", Command: "waxwing hold list", Blocks: []pages.Block{pages.TableOf(holds.Listing(), all, nil), add}}
	p.Blocks = append(p.Blocks, r.removeHold().OneOf("Forget a rule", "id", "Rule", ids)...)
	return p, nil
}

func (r *Room) addHold() deeds.Deed {
	return deeds.Deed{Path: r.Path + "holds/add", Title: "Hold mail back", Says: "Hold", Command: "hold add --account NAME --sender-domain DOMAIN --domain DOMAIN",
		Fields: []pages.Field{{Name: "account", Label: "That this account submits"}, {Name: "sender_domain", Label: "From addresses of this domain"}, {Name: "domain", Label: "To this domain"}, {Name: "note", Label: "Why", Help: "shown with what is held"}},
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			x := holds.Rule{Account: v.Text("account"), SenderDomain: v.Text("sender_domain"), RecipientDomain: v.Text("domain"), Note: v.Text("note")}
			d := deeds.Done{Back: r.Path + "holds", Command: deeds.Command("hold add", deeds.Flag("account", x.Account), deeds.Flag("sender-domain", x.SenderDomain), deeds.Flag("domain", x.RecipientDomain), deeds.Flag("note", x.Note))}
			x, err := r.Holds.Add(ctx, x)
			d.Outcome = x.String()
			return d, err
		}}
}

func (r *Room) removeHold() deeds.Deed {
	return deeds.Deed{Path: r.Path + "holds/remove", Says: "Forget", Command: "hold remove ID", Fields: hidden("id"),
		Do: r.onID("hold remove", "rule %s is forgotten; what it held waits on", "holds", r.Holds.Remove)}
}

func hidden(names ...string) (all []pages.Field) {
	for _, n := range names {
		all = append(all, pages.Field{Name: n, Kind: "hidden"})
	}
	return all
}

// onID is what a deed on one thing with an identifier does.
func (r *Room) onID(verb, came, path string, do func(context.Context, delivery.ID) error) func(context.Context, deeds.Values) (deeds.Done, error) {
	return func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
		id, err := delivery.ParseID(v.Text("id"))
		if err != nil {
			return deeds.Done{}, err
		}
		return deeds.Done{Command: deeds.Command(verb, id.String()), Outcome: fmt.Sprintf(came, id), Back: r.Path + path}, do(ctx, id)
	}
}

// cache lists the MTA-STS policies of others.
func (r *Room) cache(q *http.Request) (pages.Page, error) {
	rows, err := r.STS.Rows(q.Context())
	if err != nil {
		return pages.Page{}, err
	}
	refresh, forget := r.refresh().Form(), r.forget().Form()
	refresh.Folded, forget.Folded = true, true
	return pages.Page{Title: "MTA-STS policies of others", Lead: "As they are cached here.", Command: "waxwing mtasts list", Blocks: []pages.Block{pages.TableOf(stspolicy.Listing(), rows, nil), refresh, forget}}, nil
}

func (r *Room) refresh() deeds.Deed {
	return deeds.Deed{Path: r.Path + "mtasts/refresh", Title: "Fetch a policy anew", Says: "Fetch", Command: "mtasts refresh DOMAIN", Fields: []pages.Field{{Name: "domain", Label: "Domain", Required: true}},
		Do: r.onDomain("mtasts refresh", func(ctx context.Context, d dns.Name) (string, error) {
			row, err := r.STS.Refreshed(ctx, d)
			return row.String(), err
		})}
}

func (r *Room) forget() deeds.Deed {
	return deeds.Deed{Path: r.Path + "mtasts/forget", Title: "Take a policy out of the cache", Says: "Forget", Command: "mtasts forget DOMAIN", Fields: []pages.Field{{Name: "domain", Label: "Domain", Required: true}},
		Sure: "Until it is fetched again, mail to the domain goes without it.",
		Do: r.onDomain("mtasts forget", func(ctx context.Context, d dns.Name) (string, error) {
			there, err := r.STS.Forget(ctx, d)
			if err == nil && !there {
				err = fmt.Errorf("no policy of %s is cached", d)
			}
			return "the policy of " + d.Unicode() + " is forgotten", err
		})}
}

func (r *Room) onDomain(verb string, do func(context.Context, dns.Name) (string, error)) func(context.Context, deeds.Values) (deeds.Done, error) {
	return func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
		d, err := dns.ParseName(v.Text("domain"))
		if err != nil {
			return deeds.Done{}, err
		}
		came, err := do(ctx, d)
		return deeds.Done{Command: deeds.Command(verb, d.ASCII()), Outcome: came, Back: r.Path + "mtasts"}, err
	}
}

// routes lists the rules by which mail takes its way.
func (r *Room) routes(q *http.Request) (pages.Page, error) {
	t, err := r.Routes.Table(q.Context())
	if err != nil {
		return pages.Page{}, err
	}
	rows := t.Rows()
	add, test := r.addRoute().Form(), r.testRoute().Form()
	add.Folded, test.Folded = true, true
	var ids []string
	for _, x := range rows {
		ids = append(ids, x.ID.String())
	}
	p := pages.Page{Title: "Routes", Lead: "Which mail takes which way, in the order in which they are asked.", Command: "waxwing route list", Blocks: append(broken(t), pages.TableOf(routes.RuleListing(), rows, nil), add, test)}
	p.Blocks = append(p.Blocks, r.removeRoute().OneOf("Forget a route", "id", "Route", ids)...)
	return p, nil
}

// broken is what cannot be used.
func broken(t *routes.Table) (all []pages.Block) {
	for what, err := range t.Broken {
		all = append(all, pages.Notice{Tone: pages.Bad, What: what + " cannot be used, and mail waits", Cure: err.Error()})
	}
	return all
}

func needField() pages.Field {
	return pages.Field{Name: "need", Label: "With this TLS need", Kind: "select", Options: []string{"", delivery.FollowPolicy.String(), delivery.RequireTLS.String(), delivery.TLSOptional.String()}}
}

func (r *Room) addRoute() deeds.Deed {
	return deeds.Deed{Path: r.Path + "routes/add", Title: "Add a route", Says: "Add", Command: "route add TRANSPORT --account NAME --domain DOMAIN --to DOMAIN --from DOMAIN --attempts N --need NEED --first",
		Fields: []pages.Field{{Name: "transport", Label: "Transport", Required: true, Help: "direct, local, or one of yours"}, {Name: "account", Label: "Of mail that this account submits"}, {Name: "domain", Label: "Or of mail from this hosted domain"},
			{Name: "to", Label: "To this domain", Help: ".example.org is it with all below"}, {Name: "from", Label: "From this domain"}, {Name: "attempts", Label: "After so many failed attempts", Kind: "number"}, needField(),
			{Name: "first", Label: "Before the others of its sort", Kind: "select", Options: []string{"no", "yes"}}},
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			attempts, err := number(v.Text("attempts"))
			if err != nil {
				return deeds.Done{}, err
			}
			typed := routes.TypedRule{Account: v.Text("account"), Domain: v.Text("domain"), To: v.Text("to"), From: v.Text("from"), Attempts: attempts, Need: v.Get("need")}
			rule, err := typed.Rule(v.Text("transport"))
			if err != nil {
				return deeds.Done{}, err
			}
			d := deeds.Done{Back: r.Path + "routes", Command: deeds.Command("route add", rule.Transport, deeds.Flag("account", typed.Account), deeds.Flag("domain", typed.Domain), deeds.Flag("to", typed.To), deeds.Flag("from", typed.From),
				deeds.Flag("attempts", v.Text("attempts")), deeds.Flag("need", typed.Need), map[bool]string{true: "--first"}[v.Yes("first")])}
			rule, err = r.Routes.AddRule(ctx, rule, v.Yes("first"))
			if errors.Is(err, routes.ErrUnknown) {
				err = fmt.Errorf("%w: add it first", err)
			}
			d.Outcome = "route " + delivery.ID(rule.ID).String() + ": " + rule.String()
			return d, err
		}}
}

func number(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no number", s)
	}
	return n, nil
}

func (r *Room) removeRoute() deeds.Deed {
	return deeds.Deed{Path: r.Path + "routes/remove", Says: "Forget", Command: "route remove ID", Fields: hidden("id"), Sure: "Mail takes the next route that fits, or goes directly.",
		Do: r.onID("route remove", "route %s is forgotten", "routes", func(ctx context.Context, id delivery.ID) error { return r.Routes.RemoveRule(ctx, int64(id)) })}
}

// testRoute says which way a mail would take, and why no other.
func (r *Room) testRoute() deeds.Deed {
	return deeds.Deed{Path: r.Path + "routes/test", Title: "Try which way a mail would take", Says: "Try", Command: "route test ADDRESS --account NAME --from ADDRESS --need NEED",
		Fields: []pages.Field{{Name: "address", Label: "To", Required: true}, {Name: "account", Label: "Submitted by this account"}, {Name: "from", Label: "From"}, needField()},
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			address, tried := v.Text("address"), routes.Tried{Account: v.Text("account"), From: v.Text("from"), Need: v.Get("need")}
			s, err := tried.Subject(address)
			if err != nil {
				return deeds.Done{}, err
			}
			hosted, err := explain.AskHosted(ctx, r.Accounts, s.Recipient, "", address)
			if err != nil {
				return deeds.Done{}, err
			}
			t, err := r.Routes.Table(ctx)
			if err != nil {
				return deeds.Done{}, err
			}
			test := t.Test(s, hosted.Hosted)
			var b strings.Builder
			test.Print(&b)
			return deeds.Done{Outcome: "The way of a mail to " + address, Blocks: []pages.Block{pages.Text{Body: b.String()}, pages.Prose{Link: r.Path + "routes", Says: "Back to the routes."}}}, nil
		}}
}
