package transport

import (
	"context"
	"fmt"
	"io"

	"waxwing/internal/delivery"
	"waxwing/internal/route"
	"waxwing/internal/session"
)

// Tested is what a rehearsal found.
type Tested struct {
	Transport string          `json:"transport"`
	Host      string          `json:"host"`
	Port      uint16          `json:"port"`
	TLS       string          `json:"tls"`
	Verify    string          `json:"verify"`
	Good      bool            `json:"good"` // mail would go to one address at least
	Addresses []TestedAddress `json:"addresses"`
}

// TestedAddress is what it found at one address.
type TestedAddress struct {
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

// NewTested makes it.
func NewTested(t *route.Transport, plan *delivery.Plan, found []session.Rehearsal) Tested {
	out := Tested{Transport: t.Name, Host: t.Host.String(), Port: t.PortNumber(), Verify: plan.Verify(), Addresses: []TestedAddress{},
		TLS: map[delivery.TLSLevel]string{delivery.TLSRequired: "required", delivery.TLSOpportunistic: "where it works"}[plan.TLS]}
	for i := range found {
		r := &found[i]
		v := TestedAddress{Addr: r.Addr.String(), Steps: r.Steps, Travelled: r.Travelled, RequireTLS: r.Session.RequireTLS,
			Auth: r.Auth, Mechanism: r.Mechanism, Binding: r.Binding, Advice: Advice(t, r)}
		if r.Session.TLS != nil {
			v.TLSVersion = r.Session.TLS.Version
		}
		if f := r.Failure; f != nil {
			v.Word, v.Text = string(f.Word), f.Text
			v.Meaning = f.Word.Meaning()
		}
		out.Good = out.Good || r.Failure == nil
		out.Addresses = append(out.Addresses, v)
	}
	return out
}

// Print writes it for people.
func (r *Tested) Print(w io.Writer) {
	fmt.Fprintf(w, "%s port %d, TLS %s, verification %s\n", r.Host, r.Port, r.TLS, r.Verify)
	for i := range r.Addresses {
		r.Addresses[i].print(w)
	}
}

func (v *TestedAddress) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", v.Addr)
	for _, s := range v.Steps {
		text := s.Text
		if !s.OK {
			text = "failed: " + text
		}
		fmt.Fprintf(w, "  %-12s %s\n", s.Name, text)
	}
	offered := map[bool]string{true: "offered", false: "not offered"}[v.RequireTLS]
	switch {
	case v.Word != "":
		fmt.Fprintf(w, "  mail would wait: %s\n", v.Meaning)
	case v.TLSVersion == "":
		fmt.Fprintf(w, "  mail would go, in plaintext; REQUIRETLS %s\n", offered)
	default:
		fmt.Fprintf(w, "  mail would go, over %s, %s; REQUIRETLS %s\n", v.TLSVersion, verifiedBy(v.Travelled), offered)
	}
	if v.Advice != "" {
		fmt.Fprintf(w, "  what to do: %s\n", v.Advice)
	}
}

func verifiedBy(travelled string) string {
	if travelled == "none" || travelled == "unverified" {
		return "unverified"
	}
	return "verified by " + travelled
}

// Test goes to the host of a transport as a mail would, login included, and says how far
// it came and what to do.
func (r *Router) Test(ctx context.Context, t route.Transport) (Tested, error) {
	if !t.Relays() {
		return Tested{}, fmt.Errorf("transport %s is of kind %s and has no host of its own: \"waxwing explain --connect ADDRESS\" looks at a recipient's", t.Name, t.Kind)
	}
	d, err := r.Make(t)
	if err != nil {
		return Tested{}, err
	}
	relay, ok := d.(*Relay)
	if !ok {
		return Tested{}, fmt.Errorf("transport %s cannot be tested", t.Name)
	}
	dec, found := relay.Rehearse(ctx)
	if dec.Stop != nil {
		return Tested{}, fmt.Errorf("mail would wait: %s", dec.Stop.Text)
	}
	return NewTested(&t, &dec.Plans[0], found), nil
}
