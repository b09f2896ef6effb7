// Package explain says what would happen to a mail to a domain, and why: every
// lookup with its security state, the decision with its basis, and what whoever
// runs that domain, or this server, can do about it. It makes the same plan as a
// delivery does, by the same function, and dials no mail host.
package explain

import (
	"context"
	"fmt"
	"io"
	"strings"

	"waxwing/internal/delivery"
	"waxwing/internal/policy"
	"waxwing/internal/transport"
)

// Planner makes plans; *transport.Direct is one.
type Planner interface {
	Plan(ctx context.Context, req transport.PlanRequest) (delivery.Destination, delivery.Finding, delivery.Decision)
}

// Explanation is the answer. Its fields are the JSON of "waxwing explain -json".
type Explanation struct {
	Domain  string   `json:"domain"`
	Need    string   `json:"need"`
	Summary string   `json:"summary"`
	Lookups []Lookup `json:"lookups"`
	MTASTS  MTASTS   `json:"mta_sts"`
	Hosts   []Host   `json:"hosts"`
	Stop    *Reason  `json:"stop,omitempty"` // why nothing would be dialled
	Advice  []string `json:"advice,omitempty"`
}

// Lookup is one DNS lookup.
type Lookup struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Security string `json:"security"`
	Result   string `json:"result"`
}

// MTASTS is what was found of MTA-STS (RFC 8461).
type MTASTS struct {
	Looked  bool     `json:"looked"` // false: the answer would not have mattered, nothing was asked
	Mode    string   `json:"mode"`   // "" without a policy in force
	ID      string   `json:"id,omitempty"`
	MX      []string `json:"mx,omitempty"`
	Failure string   `json:"failure,omitempty"`
	Detail  string   `json:"detail,omitempty"`
}

// Reason is a word with what it means.
type Reason struct {
	Word    delivery.Reason `json:"word"`
	Text    string          `json:"text,omitempty"`
	Meaning string          `json:"meaning,omitempty"`
}

// Host is what would be done with one MX host.
type Host struct {
	Name      string   `json:"name"`
	Addresses []string `json:"addresses,omitempty"`
	Skip      *Reason  `json:"skip,omitempty"`
	TLS       string   `json:"tls,omitempty"`    // required, opportunistic
	Verify    string   `json:"verify,omitempty"` // none, pkix, dane, dane+pkix
	Plaintext bool     `json:"plaintext_fallback"`
	SNI       string   `json:"sni,omitempty"`
	Reported  []string `json:"reported_under,omitempty"` // TLSRPT policies
	Basis     []Reason `json:"basis"`
}

// Domain explains a mail to d under need.
func Domain(ctx context.Context, p Planner, d delivery.RecipientDomain, need delivery.TLSNeed) Explanation {
	dest, finding, dec := p.Plan(ctx, transport.PlanRequest{Domain: d, Need: need})
	e := Explanation{Domain: d.String(), Need: need.String(), MTASTS: mtaSTS(finding, d, dest), Lookups: []Lookup{}, Hosts: []Host{}}
	for _, l := range dest.Lookups {
		e.Lookups = append(e.Lookups, Lookup{Name: l.Name, Type: l.Type, Security: l.Security.String(), Result: l.Result})
	}
	advice := adviser{}
	for _, plan := range dec.Plans {
		e.Hosts = append(e.Hosts, host(plan, &advice))
	}
	if dec.Stop != nil {
		r := reason(dec.Stop.Word, dec.Stop.Text, &advice)
		e.Stop = &r
	}
	if dec.Stop != nil && (dec.Stop.Word == policy.DNSError || dec.Stop.Word == "dns-timeout") {
		advice.add("\"waxwing dns selftest\" tells whether the resolver answers at all")
	}
	e.Advice = advice.all
	e.Summary = summary(dec)
	return e
}

// mtaSTS tells the finding; where the plan ended before MTA-STS was looked at,
// it must not read as "none".
func mtaSTS(f delivery.Finding, d delivery.RecipientDomain, dest delivery.Destination) MTASTS {
	m := MTASTS{ID: f.ID, Looked: dest.Fail == nil && !d.IsLiteral()}
	if f.Policy != nil {
		m.Mode, m.MX = string(f.Policy.Mode), f.Policy.Patterns()
	}
	if f.Failure != nil {
		m.Failure, m.Detail = string(f.Failure.Word), f.Failure.Detail
	}
	return m
}

func host(p delivery.Plan, advice *adviser) Host {
	h := Host{Name: p.Host.Name.Unicode(), Basis: []Reason{}}
	for _, a := range p.Host.Addrs {
		h.Addresses = append(h.Addresses, a.String())
	}
	for _, f := range p.Basis {
		cure := advice
		if f.Word == policy.Skipped || f.Word == policy.Opportunistic || f.Word == policy.PlaintextFallback {
			cure = &adviser{} // what they follow from is to be cured, not they
		}
		h.Basis = append(h.Basis, reason(f.Word, f.Text, cure))
	}
	for _, r := range p.Reports {
		h.Reported = append(h.Reported, string(r.Type)+" "+r.Domain.ASCII())
	}
	if p.Skip != nil {
		r := reason(p.Skip.Cause, p.Skip.Text, advice)
		h.Skip = &r
		return h
	}
	advice.add(unverified(p))
	h.TLS, h.Verify, h.Plaintext, h.SNI = "opportunistic", p.Verify(), p.PlaintextFallback, p.SNI.ASCII()
	if p.TLS == delivery.TLSRequired {
		h.TLS = "required"
	}
	return h
}

// unverified is what would have a host verified that is not: once, and only
// where it is for the domain's owner to do.
func unverified(p delivery.Plan) string {
	if p.TLS == delivery.TLSRequired || p.Verify() != "none" {
		return ""
	}
	testing := false
	for _, f := range p.Basis {
		switch f.Word {
		case policy.TLSOptional, policy.Literal: // the sender's wish; nothing can be published
			return ""
		case policy.STSTesting:
			testing = true
		}
	}
	if testing {
		return "set the MTA-STS policy to mode enforce once the TLS reports show no failures"
	}
	_, cure := policy.Explain(policy.Opportunistic)
	return cure
}

// adviser collects each piece of advice once.
type adviser struct {
	seen map[string]bool
	all  []string
}

func (a *adviser) add(s string) {
	if s == "" || s == "nothing to do" || a.seen[s] {
		return
	}
	if a.seen == nil {
		a.seen = map[string]bool{}
	}
	a.seen[s] = true
	a.all = append(a.all, s)
}

func reason(w delivery.Reason, text string, advice *adviser) Reason {
	meaning, cure := policy.Explain(w)
	advice.add(cure)
	return Reason{Word: w, Text: text, Meaning: meaning}
}

// summary is the decision in one sentence.
func summary(dec delivery.Decision) string {
	if dec.Stop != nil {
		if dec.Stop.Permanent {
			return "The mail would be returned at once: " + dec.Stop.Text
		}
		return "The mail would wait: " + dec.Stop.Text
	}
	for _, p := range dec.Plans {
		if p.Skip != nil {
			continue
		}
		name := p.Host.Name.Unicode()
		if name == "" && len(p.Host.Addrs) > 0 {
			name = p.Host.Addrs[0].String()
		}
		return fmt.Sprintf("The mail would go to %s, %s.", name, how(p))
	}
	return "No host could be used."
}

func how(p delivery.Plan) string {
	switch v := p.Verify(); {
	case v != "none":
		return "over TLS that must be verified by " + strings.ReplaceAll(strings.ToUpper(v), "+", " and ") + ", or it would wait"
	case p.TLS == delivery.TLSRequired:
		return "over TLS with whatever certificate, or it would wait"
	case p.PlaintextFallback:
		return "over TLS if the host offers it, without knowing whose it is, else in plaintext"
	}
	return "over TLS if the host offers it; a broken offer makes it wait"
}

// Print writes e for people.
func (e Explanation) Print(w io.Writer) {
	fmt.Fprintf(w, "%s\n", e.Summary)
	if len(e.Lookups) > 0 {
		fmt.Fprintf(w, "\nWhat DNS says of %s:\n", e.Domain)
	}
	for _, l := range e.Lookups {
		fmt.Fprintf(w, "  %-6s %-13s %s: %s\n", l.Type, l.Security, l.Name, l.Result)
	}
	switch {
	case !e.MTASTS.Looked:
		fmt.Fprintf(w, "\nMTA-STS: not looked at\n")
	case e.MTASTS.Mode != "":
		fmt.Fprintf(w, "\nMTA-STS: mode %s, id %s, mx %s\n", e.MTASTS.Mode, e.MTASTS.ID, strings.Join(e.MTASTS.MX, " "))
	case e.MTASTS.Failure == "":
		fmt.Fprintf(w, "\nMTA-STS: none\n")
	}
	if e.MTASTS.Failure != "" {
		fmt.Fprintf(w, "\nMTA-STS: %s: %s\n", e.MTASTS.Failure, e.MTASTS.Detail)
	}
	for i, h := range e.Hosts {
		fmt.Fprintf(w, "\nHost %d, %s\n", i+1, strings.TrimSpace(h.Name+" "+strings.Join(h.Addresses, " ")))
		if h.Skip != nil {
			fmt.Fprintf(w, "  not used: %s\n", h.Skip.line())
		} else {
			fmt.Fprintf(w, "  TLS %s, verification %s, plaintext after a failure: %s\n", h.TLS, h.Verify, map[bool]string{true: "allowed", false: "never"}[h.Plaintext])
		}
		for _, b := range h.Basis {
			if h.Skip == nil || b.Word != h.Skip.Word && b.Word != policy.Skipped { // told above
				fmt.Fprintf(w, "  because %s\n", b.line())
			}
		}
		if len(h.Reported) > 0 {
			fmt.Fprintf(w, "  counted in TLS reports under %s\n", strings.Join(h.Reported, ", "))
		}
	}
	if e.Stop != nil {
		fmt.Fprintf(w, "\nNothing would be dialled: %s\n", Reason{Word: e.Stop.Word, Meaning: e.Stop.Meaning}.line()) // its text is the summary
	}
	for _, a := range e.Advice {
		fmt.Fprintf(w, "\nAdvice: %s\n", a)
	}
}

func (r Reason) line() string {
	s := string(r.Word)
	if r.Text != "" {
		s += " (" + r.Text + ")"
	}
	if r.Meaning != "" {
		s += ": " + r.Meaning
	}
	return s
}
