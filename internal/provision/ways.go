package provision

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"waxwing/internal/inventory"
	"waxwing/internal/route"
	"waxwing/internal/routes"
)

// builtIn reports a transport that cannot be changed and stands in no inventory.
func builtIn(name string) bool { return name == route.DirectName || name == route.LocalName }

// wayOf reads a transport. What is wrong with a field it tells fault; the rest is for
// route.Transport.Check.
func wayOf(e inventory.Transport, fault faulty) route.Transport {
	typed := routes.Typed{Kind: e.Kind, EHLO: e.EHLO, Family: e.Family, Source: strings.Join(e.Sources, ","), Host: e.Host, Security: e.Security,
		User: e.User, Mechanisms: strings.Join(e.Mechanisms, ","), Port: uint(max(e.Port, 0)), Implicit: e.Implicit, Proxy: e.Proxy, ProxyUser: e.ProxyUser,
		Public: strings.Join(e.Public, ","), Code: e.Code, Enhanced: e.Enhanced, Text: e.Text}
	tr := typed.Read(e.Name, func(flag string, err error) {
		if flag == "source" {
			flag = "sources"
		}
		fault(flag, err)
	})
	tr.Password, tr.ProxyPassword = route.Secret(e.Password), route.Secret(e.ProxyPassword)
	return tr
}

func wayEntry(t *route.Transport) inventory.Transport {
	e := inventory.Transport{Name: t.Name, Kind: string(t.Kind), EHLO: t.EHLO.ASCII(), Family: string(t.Family), Sources: addresses(t.Sources),
		Port: int(t.Port), Implicit: t.Implicit, Security: string(t.Security), User: t.User, Password: string(t.Password), Mechanisms: t.Mechanisms,
		Proxy: t.Proxy, ProxyUser: t.ProxyUser, ProxyPassword: string(t.ProxyPassword), Public: addresses(t.Public), Code: t.Code, Text: t.Text}
	if !t.Host.IsZero() {
		e.Host = t.Host.String()
	}
	if !t.Enhanced.IsZero() {
		e.Enhanced = t.Enhanced.String()
	}
	return e
}

func addresses(all []netip.Addr) (out []string) {
	for _, a := range all {
		out = append(out, a.String())
	}
	return out
}

func checkTransport(e *inventory.Transport, fault faulty) {
	if builtIn(e.Name) {
		fault("name", fmt.Errorf("the transport %s is built in and cannot be changed: take it out of the file", e.Name))
		return
	}
	good := true
	tr := wayOf(*e, func(field string, err error) {
		good = good && err == nil
		fault(field, err)
	})
	if !good {
		return
	}
	clean := wayEntry(&tr)
	// A password that the file has not is one that is stored, or inventory refuses it.
	if tr.User != "" && tr.Password == "" {
		tr.Password = "stored"
	}
	if tr.ProxyUser != "" && tr.ProxyPassword == "" {
		tr.ProxyPassword = "stored"
	}
	err := tr.Check()
	fault("", oneLine(err))
	if err == nil {
		*e = clean
	}
}

// oneLine is an error of several on one line.
func oneLine(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}

// table is all transports and routes. What of them cannot be read is an error, since who
// writes it anew would lose it.
func (in within) table() (*routes.Table, error) {
	t, err := in.Routes.Within(in.tx).Table()
	if err != nil {
		return nil, err
	}
	for _, what := range slices.Sorted(maps.Keys(t.Broken)) {
		return nil, fmt.Errorf("%s cannot be read: %w; remove it first", what, t.Broken[what])
	}
	return t, nil
}

func readTransports(in within) (out []inventory.Transport, err error) {
	t, err := in.table()
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(t.Transports)) {
		if tr := t.Transports[name]; !builtIn(name) {
			out = append(out, wayEntry(&tr))
		}
	}
	return out, nil
}

func putTransport(in within, p put[inventory.Transport]) error {
	var errs []error
	tr := wayOf(p.after, func(_ string, err error) { errs = append(errs, err) })
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if p.isNew {
		return in.Routes.Within(in.tx).AddTransport(tr)
	}
	return in.Routes.Within(in.tx).SetTransport(tr)
}

func removeTransport(in within, t inventory.Transport) error {
	return in.Routes.Within(in.tx).RemoveTransport(t.Name)
}

// ruleOf reads a route. Its error begins with the field.
func ruleOf(e inventory.Route) (route.Rule, error) {
	row := routes.Row{Scope: route.OfServer.String(), To: e.To, From: e.From, Attempts: e.Attempts, Need: e.Need, Transport: e.Transport}
	switch {
	case e.Account != "" && e.Domain != "":
		return route.Rule{}, errors.New("a route belongs to an account or to a domain, not to both (from goes with both)")
	case e.Account != "":
		row.Scope, row.Owner = route.OfAccount.String(), e.Account
	case e.Domain != "":
		if _, err := cleanName(&e.Domain); err != nil {
			return route.Rule{}, fmt.Errorf("domain: %w", err)
		}
		row.Scope, row.Owner = route.OfDomain.String(), e.Domain
	}
	rule, err := row.Rule()
	if err == nil {
		err = rule.Check()
	}
	return rule, err
}

func ruleEntry(r *route.Rule) inventory.Route {
	row := routes.RowOf(r)
	e := inventory.Route{To: row.To, From: row.From, Attempts: row.Attempts, Need: row.Need, Transport: row.Transport}
	switch r.Scope {
	case route.OfAccount:
		e.Account = r.Owner
	case route.OfDomain:
		e.Domain = r.Owner
	}
	return e
}

func checkRoute(e *inventory.Route, fault faulty) {
	rule, err := ruleOf(*e)
	fault("", oneLine(err))
	if err == nil {
		*e = ruleEntry(&rule)
	}
}

// orderRoutes gives routes the order in which they are listed, which is that in which they
// are asked: the order of one owner's stays.
func orderRoutes(inv *inventory.Inventory) {
	scope := func(r inventory.Route) int {
		switch {
		case r.Account != "":
			return int(route.OfAccount)
		case r.Domain != "":
			return int(route.OfDomain)
		}
		return int(route.OfServer)
	}
	slices.SortStableFunc(inv.Routes, func(a, b inventory.Route) int {
		return cmp.Or(cmp.Compare(scope(a), scope(b)), cmp.Compare(a.Account+a.Domain, b.Account+b.Domain))
	})
}

func readRoutes(in within) ([]inventory.Route, error) {
	t, err := in.table()
	if err != nil {
		return nil, err
	}
	inv := &inventory.Inventory{}
	for i := range t.Rules {
		inv.Routes = append(inv.Routes, ruleEntry(&t.Rules[i]))
	}
	orderRoutes(inv)
	return inv.Routes, nil
}

func setRoutes(in within, all []inventory.Route) error {
	rules := make([]route.Rule, len(all))
	for i, e := range all {
		var err error
		if rules[i], err = ruleOf(e); err != nil {
			return err
		}
	}
	return in.Routes.Within(in.tx).SetRules(rules)
}
