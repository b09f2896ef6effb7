package main

import (
	"context"
	"errors"
	"fmt"

	"waxwing/internal/delivery"
	"waxwing/internal/policy"
	"waxwing/internal/route"
	"waxwing/internal/routes"
	"waxwing/internal/server"
	"waxwing/internal/session"
	"waxwing/internal/transport"
)

// testTransport goes to the host of a smarthost or submission transport as a
// mail would, login included, and says how far it came and what to fix.
func testTransport(ctx context.Context, e env, o *opened, f storeFlags, name string) error {
	t, err := (&routes.Store{DB: o.store}).Table(ctx)
	if err != nil {
		return err
	}
	tr, ok := t.Transports[name]
	if !ok {
		return hintTransport(errors.Join(fmt.Errorf("transport %s: %w", name, routes.ErrUnknown), t.Broken[name]))
	}
	if !tr.Relays() {
		return fmt.Errorf("transport %s is of kind %s and has no host of its own: \"waxwing explain -connect ADDRESS\" looks at a recipient's", name, tr.Kind)
	}
	router, err := server.Ways(o.options, o.store)
	if err != nil {
		return err
	}
	d, err := router.Make(tr)
	if err != nil {
		return err
	}
	relay, ok := d.(*transport.Relay)
	if !ok {
		return fmt.Errorf("transport %s cannot be tested", name)
	}
	dec, found := relay.Rehearse(ctx)
	if dec.Stop != nil {
		return fmt.Errorf("mail would wait: %s", dec.Stop.Text)
	}
	told := newRehearsed(&tr, &dec.Plans[0], found)
	if f.json {
		err = printJSON(e.stdout, told)
	} else {
		e, end := e.prose()
		told.print(e)
		err = end()
	}
	if err == nil && !told.Good {
		err = errors.New("no address of the host would get mail now")
	}
	return err
}

// rehearsed is what a test found, as -json prints it.
type rehearsed struct {
	Transport string           `json:"transport"`
	Host      string           `json:"host"`
	Port      uint16           `json:"port"`
	TLS       string           `json:"tls"`
	Verify    string           `json:"verify"`
	Good      bool             `json:"good"` // mail would go to one address at least
	Addresses []rehearsedVisit `json:"addresses"`
}

type rehearsedVisit struct {
	Addr       string         `json:"address"`
	Steps      []session.Step `json:"steps"`
	Travelled  string         `json:"travelled"` // none, unverified, pkix, dane, dane+pkix
	TLSVersion string         `json:"tls_version,omitempty"`
	RequireTLS bool           `json:"requiretls"`
	Auth       []string       `json:"auth_offered,omitempty"`
	Mechanism  string         `json:"auth,omitempty"`
	Binding    string         `json:"channel_binding,omitempty"`
	Word       string         `json:"word,omitempty"` // why mail would wait
	Text       string         `json:"text,omitempty"`
	Meaning    string         `json:"meaning,omitempty"`
	Advice     string         `json:"advice,omitempty"`
}

func newRehearsed(t *route.Transport, plan *delivery.Plan, found []session.Rehearsal) rehearsed {
	out := rehearsed{Transport: t.Name, Host: t.Host.String(), Port: t.PortNumber(), Verify: plan.Verify(), Addresses: []rehearsedVisit{},
		TLS: map[delivery.TLSLevel]string{delivery.TLSRequired: "required", delivery.TLSOpportunistic: "where it works"}[plan.TLS]}
	for i := range found {
		r := &found[i]
		v := rehearsedVisit{Addr: r.Addr.String(), Steps: r.Steps, Travelled: r.Travelled, RequireTLS: r.Session.RequireTLS,
			Auth: r.Auth, Mechanism: r.Mechanism, Binding: r.Binding, Advice: transport.Advice(t, r)}
		if r.Session.TLS != nil {
			v.TLSVersion = r.Session.TLS.Version
		}
		if f := r.Failure; f != nil {
			v.Word, v.Text = string(f.Word), f.Text
			v.Meaning, _ = policy.Explain(f.Word)
		}
		out.Good = out.Good || r.Failure == nil
		out.Addresses = append(out.Addresses, v)
	}
	return out
}

func (r *rehearsed) print(e env) {
	fmt.Fprintf(e.stdout, "%s port %d, TLS %s, verification %s\n", r.Host, r.Port, r.TLS, r.Verify)
	for i := range r.Addresses {
		r.Addresses[i].print(e)
	}
}

func (v *rehearsedVisit) print(e env) {
	fmt.Fprintf(e.stdout, "\n%s\n", v.Addr)
	for _, s := range v.Steps {
		text := s.Text
		if !s.OK {
			text = "failed: " + text
		}
		fmt.Fprintf(e.stdout, "  %-12s %s\n", s.Name, text)
	}
	offered := map[bool]string{true: "offered", false: "not offered"}[v.RequireTLS]
	switch {
	case v.Word != "":
		fmt.Fprintf(e.stdout, "  mail would wait: %s\n", v.Meaning)
	case v.TLSVersion == "":
		fmt.Fprintf(e.stdout, "  mail would go, in plaintext; REQUIRETLS %s\n", offered)
	default:
		fmt.Fprintf(e.stdout, "  mail would go, over %s, %s; REQUIRETLS %s\n", v.TLSVersion, verifiedBy(v.Travelled), offered)
	}
	if v.Advice != "" {
		fmt.Fprintf(e.stdout, "  what to do: %s\n", v.Advice)
	}
}

func verifiedBy(travelled string) string {
	if travelled == "none" || travelled == "unverified" {
		return "unverified"
	}
	return "verified by " + travelled
}
