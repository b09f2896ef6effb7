package ways

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"waxwing/internal/listing"
	"waxwing/internal/route"
	"waxwing/internal/routes"
	"waxwing/internal/web/deeds"
	"waxwing/internal/web/pages"
)

// transports lists the ways that mail can take out of here.
func (r *Room) transports(q *http.Request) (pages.Page, error) {
	t, err := r.Routes.Table(q.Context())
	if err != nil {
		return pages.Page{}, err
	}
	all, err := r.Routes.Transports(q.Context())
	if err != nil {
		return pages.Page{}, err
	}
	add, set := r.addTransport().Form(), r.setTransport().Form()
	add.Folded, set.Folded = true, true
	var own, relays []string
	for i := range all {
		if n := all[i].Name; n != route.DirectName && n != route.LocalName {
			own = append(own, n)
		}
		if all[i].Relays() {
			relays = append(relays, all[i].Name)
		}
	}
	p := pages.Page{Title: "Transports", Lead: "The ways that mail can take out of here. Without one it goes directly.", Command: "waxwing transport list", Blocks: append(broken(t), pages.TableOf(routes.TransportListing(), all, nil), add)}
	if len(own) > 0 {
		p.Blocks = append(p.Blocks, set)
	}
	p.Blocks = append(p.Blocks, r.testTransport().OneOf("Try one: go to its host as a mail would, and send nothing", "name", "Transport", relays)...)
	p.Blocks = append(p.Blocks, r.removeTransport().OneOf("Forget one", "name", "Transport", own)...)
	return p, nil
}

func (r *Room) addTransport() deeds.Deed {
	return deeds.Deed{Path: r.Path + "transports/add", Title: "Add a transport", Says: "Add", Command: "transport add NAME --kind KIND --host HOST --port PORT --security HOW --user USER", Fields: transportFields(),
		Do: r.putTransport("add", "is there; a route leads mail to it", r.Routes.AddTransport)}
}

func (r *Room) setTransport() deeds.Deed {
	return deeds.Deed{Path: r.Path + "transports/set", Title: "Change a transport as a whole, its password too", Says: "Change", Command: "transport set NAME --kind KIND --host HOST --port PORT --security HOW --user USER", Fields: transportFields(),
		Do: r.putTransport("set", "is changed", r.Routes.SetTransport)}
}

func transportFields() []pages.Field {
	return []pages.Field{{Name: "name", Label: "Name", Required: true, Complete: "off"},
		{Name: "kind", Label: "Kind", Kind: "select", Options: []string{"submission", "smarthost", "lmtp", "fail", "direct", "socks5"}},
		{Name: "host", Label: "Host", Help: "smarthost, submission, lmtp: that takes the mail; of lmtp also the path of a socket"}, {Name: "port", Label: "Port", Kind: "number", Help: "empty: as usual for the kind"},
		{Name: "security", Label: "TLS must be secured", Kind: "select", Options: []string{"", "verified", "dane", "tls", "any"}, Help: "empty: verified"},
		{Name: "user", Label: "Log in as", Complete: "off"}, {Name: "password", Label: "With the password", Kind: "password", Complete: "new-password"},
		{Name: "proxy", Label: "socks5: host:port of the proxy"}, {Name: "code", Label: "fail: code", Kind: "number", Help: "4xx lets mail wait, 5xx returns it"}, {Name: "text", Label: "fail: why"}}
}

// putTransport makes a transport of what was typed.
func (r *Room) putTransport(verb, came string, put func(context.Context, route.Transport) error) func(context.Context, deeds.Values) (deeds.Done, error) {
	return func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
		port, err := number(v.Text("port"))
		if err != nil {
			return deeds.Done{}, err
		}
		code, err := number(v.Text("code"))
		if err != nil {
			return deeds.Done{}, err
		}
		typed := routes.Typed{Kind: v.Get("kind"), Host: v.Text("host"), Port: uint(port), Security: v.Get("security"), User: v.Text("user"), Proxy: v.Text("proxy"), Code: code, Text: v.Text("text")}
		t, err := typed.Transport(v.Text("name"))
		if err != nil {
			return deeds.Done{}, err
		}
		t.Password = route.Secret(v.Get("password"))
		if err := t.Check(); err != nil {
			return deeds.Done{}, err
		}
		d := deeds.Done{Outcome: "transport " + t.Name + " " + came, Back: r.Path + "transports", Command: deeds.Command("transport "+verb, t.Name, deeds.Flag("kind", typed.Kind), deeds.Flag("host", typed.Host),
			deeds.Flag("port", v.Text("port")), deeds.Flag("security", typed.Security), deeds.Flag("user", typed.User), deeds.Flag("proxy", typed.Proxy), deeds.Flag("code", v.Text("code")), deeds.Flag("text", typed.Text))}
		return d, put(ctx, t)
	}
}

func (r *Room) removeTransport() deeds.Deed {
	return deeds.Deed{Path: r.Path + "transports/remove", Says: "Forget", Command: "transport remove NAME", Fields: hidden("name"), Sure: "Its password is forgotten too.",
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			name := v.Text("name")
			err := r.Routes.RemoveTransport(ctx, name)
			if errors.Is(err, routes.ErrInUse) {
				err = fmt.Errorf("%w: routes or waiting mail still name it", err)
			}
			return deeds.Done{Command: deeds.Command("transport remove", name), Outcome: "transport " + name + " is forgotten", Back: r.Path + "transports"}, err
		}}
}

// testTransport goes to the host of a transport as a mail would, and says how far it came.
func (r *Room) testTransport() deeds.Deed {
	return deeds.Deed{Path: r.Path + "transports/test", Says: "Try", Command: "transport test NAME", Fields: hidden("name"),
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			name := v.Text("name")
			t, err := r.Routes.Table(ctx)
			if err != nil {
				return deeds.Done{}, err
			}
			tr, err := t.Transport(name)
			if err != nil {
				return deeds.Done{}, err
			}
			told, err := r.Router.Test(ctx, tr)
			if err != nil {
				return deeds.Done{Command: deeds.Command("transport test", name)}, err
			}
			n := pages.Notice{Tone: pages.Good, What: "It would take mail"}
			if !told.Good {
				n = pages.Notice{Tone: pages.Bad, What: "No address of the host would get mail now"}
			}
			var b strings.Builder
			told.Print(&b)
			return deeds.Done{Command: deeds.Command("transport test", name), Outcome: "Transport " + name, Blocks: []pages.Block{n, pages.Text{Body: b.String()}, pages.Prose{Link: r.Path + "transports", Says: "Back to the transports."}}}, nil
		}}
}

// config is what the server has read, without its secrets.
func (r *Room) config(*http.Request) (pages.Page, error) {
	t := pages.TableOf(listing.SettingListing(), r.Config().Settings(), nil)
	return pages.Page{Title: "Configuration", Lead: "As this server has read it, with what stands for keys that it does not name. Secrets are not shown. The file is changed on the machine.", Command: "waxwing config show", Blocks: []pages.Block{t}}, nil
}
