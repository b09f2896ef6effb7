// Package explain says what would happen to a mail to a domain, and why: every
// lookup with its security state, the decision with its basis, and what whoever
// runs that domain, or this server, can do about it. It makes the same plan as a
// delivery does, by the same function; on request it connects to the hosts, looks
// at what they show, and leaves without having sent mail.
//
// What was found is data (Explanation); what to advise is a pure function of it
// (Advise).
package explain

import (
	"context"
	"net/netip"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/health"
	"waxwing/internal/posture"
	"waxwing/internal/reason"
	"waxwing/internal/resolver"
	"waxwing/internal/routes"
	"waxwing/internal/session"
	"waxwing/internal/stspolicy"
	"waxwing/internal/transport"
)

// Planner makes plans; *transport.Direct is one.
type Planner interface {
	Plan(ctx context.Context, req transport.PlanRequest) (delivery.Destination, delivery.Finding, delivery.Decision)
}

// Prober looks at hosts; *session.Client is one.
type Prober interface {
	Probe(ctx context.Context, plan delivery.Plan, addr netip.Addr) session.Probe
}

// Explainer explains. Planner is needed; without the others less is told.
type Explainer struct {
	Planner Planner
	DNS     dns.Resolver // for the records of MTA-STS and TLS reporting
	Prober  Prober
	Fetcher stspolicy.Fetcher
	Routes  *routes.Store // the operator's
	// Seen is what deliveries have shown of a domain.
	Seen func(ctx context.Context, domain dns.Name) (posture.Facts, error)
	// LastFailure is the last delivery to a domain that failed; nil: none is known.
	LastFailure func(ctx context.Context, domain delivery.RecipientDomain) (*Failed, error)
	// DNSSEC is whose word on DNSSEC counts.
	DNSSEC func(ctx context.Context) health.DNSSEC
	// Chain proves an answer by DNSSEC, to be shown (VAL-14).
	Chain func(ctx context.Context, name string, qtype uint16) (resolver.Chain, error)
	Now   func() time.Time // nil: time.Now
}

// Request is the question.
type Request struct {
	Domain delivery.RecipientDomain
	Need   delivery.TLSNeed
	// Connect: look at every host, and at the MTA-STS policy as a stranger finds it.
	Connect bool
	// DNSSEC: show the chain of trust of each lookup.
	DNSSEC bool
	// Account and Sender are whose mail it is, where routes look at that.
	Account string
	Sender  dns.Name
}

// Explanation is the answer. Its fields are the JSON of "waxwing explain --json".
type Explanation struct {
	Domain   string           `json:"domain"`
	Need     string           `json:"need"`
	Summary  string           `json:"summary"`
	Outcome  string           `json:"outcome,omitempty"` // what connecting to the hosts adds
	At       time.Time        `json:"at"`
	Way      *Way             `json:"way,omitempty"` // nil: direct delivery
	Lookups  []Lookup         `json:"lookups"`
	Source   health.DNSSEC    `json:"dnssec_source,omitzero"`
	Chains   []resolver.Chain `json:"dnssec,omitempty"` // of each lookup, as own validation proves it
	Signed   bool             `json:"mx_secure"`        // DNSSEC secures the answer that names the hosts
	MTASTS   MTASTS           `json:"mta_sts"`
	TLSRPT   []TLSRPT         `json:"tlsrpt,omitempty"`
	Hosts    []Host           `json:"hosts"`
	Stop     *Reason          `json:"stop,omitempty"` // why nothing would be dialled
	Failed   *Failed          `json:"last_failure,omitempty"`
	Seen     *posture.Facts   `json:"last_seen,omitempty"`
	SeenFail string           `json:"last_seen_error,omitempty"`
	Advice   []Advice         `json:"advice,omitempty"`
}

// Failed is a delivery from here that failed.
type Failed struct {
	Reason
	At      time.Time   `json:"at"`
	Host    string      `json:"host,omitempty"`
	Reply   string      `json:"reply,omitempty"` // what the host answered
	Message delivery.ID `json:"message"`         // for "waxwing queue show"
	State   string      `json:"state"`           // waiting, leased, failed
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
	Looked  bool      `json:"looked"` // false: the answer would not have mattered, nothing was asked
	Mode    string    `json:"mode"`   // "" without a policy in force
	ID      string    `json:"id,omitempty"`
	MX      []string  `json:"mx,omitempty"`
	MaxAge  int64     `json:"max_age,omitempty"` // seconds
	Fetched time.Time `json:"fetched,omitzero"`
	Failure string    `json:"failure,omitempty"`
	Detail  string    `json:"detail,omitempty"`
	Live    *Live     `json:"live,omitempty"`
}

// Live is the policy as it stands on the policy host now.
type Live struct {
	Mode    string   `json:"mode,omitempty"`
	MX      []string `json:"mx,omitempty"`
	Same    bool     `json:"same"` // as the one in force here
	Failure string   `json:"failure,omitempty"`
	Detail  string   `json:"detail,omitempty"`
}

// TLSRPT is whether a policy domain wants TLS reports (RFC 8460 §3).
type TLSRPT struct {
	Domain  string   `json:"domain"`
	RUA     []string `json:"rua,omitempty"`
	Failure string   `json:"failure,omitempty"` // none, multiple, syntax, unsupported, or a word of DNS
	Detail  string   `json:"detail,omitempty"`
}

// Reason is a word with what it means.
type Reason struct {
	Word    reason.Word `json:"word"`
	Text    string      `json:"text,omitempty"`
	Meaning string      `json:"meaning,omitempty"`
}

// Host is what would be done with one MX host.
type Host struct {
	Name      string    `json:"name"`
	Addresses []string  `json:"addresses,omitempty"`
	Fail      *Reason   `json:"failure,omitempty"`   // why it has no address
	DANE      string    `json:"dane"`                // none, usable, unusable, failed
	TLSAName  string    `json:"tlsa_name,omitempty"` // where its TLSA records stand, or would
	TLSA      []string  `json:"tlsa,omitempty"`      // as published
	Skip      *Reason   `json:"skip,omitempty"`
	TLS       string    `json:"tls,omitempty"`    // required, opportunistic
	Verify    string    `json:"verify,omitempty"` // none, pkix, dane, dane+pkix
	Plaintext bool      `json:"plaintext_fallback"`
	SNI       string    `json:"sni,omitempty"`
	Reported  []string  `json:"reported_under,omitempty"` // TLSRPT policies
	Basis     []Reason  `json:"basis"`
	Contacts  []Contact `json:"contacts,omitempty"`
}

// Domain answers a question.
func (x *Explainer) Domain(ctx context.Context, req Request) Explanation {
	d := req.Domain
	dest, finding, dec := x.Planner.Plan(ctx, transport.PlanRequest{Domain: d, Need: req.Need})
	e := Explanation{Domain: d.String(), Need: req.Need.String(), At: x.now(), Signed: dest.MXSecure,
		MTASTS: mtaSTS(finding, d, dest), Lookups: []Lookup{}, Hosts: []Host{}}
	for _, l := range dest.Lookups {
		e.Lookups = append(e.Lookups, Lookup{Name: l.Name, Type: l.Type, Security: l.Security.String(), Result: l.Result})
	}
	for _, plan := range dec.Plans {
		e.Hosts = append(e.Hosts, host(plan))
	}
	if dec.Stop != nil {
		r := newReason(dec.Stop.Word, dec.Stop.Text)
		e.Stop = &r
	}
	if dest.Fail == nil && !d.IsLiteral() {
		x.records(ctx, d, dec, &e)
	}
	if x.DNSSEC != nil {
		e.Source = x.DNSSEC(ctx)
	}
	if req.DNSSEC && x.Chain != nil {
		e.Chains = x.chains(ctx, e.Lookups)
	}
	if req.Connect {
		x.connect(ctx, req, dec, &e)
		e.Outcome = outcome(e.Hosts)
	}
	x.seen(ctx, d, &e)
	e.Summary = summary(dec)
	if e.Way = x.way(ctx, req); e.Way != nil {
		if e.Way.Direct() {
			e.Summary = e.Way.summary() + " " + e.Summary
		} else {
			e.Summary = e.Way.summary()
		}
	}
	e.Advice = Advise(e)
	return e
}

// seen adds what earlier deliveries from here have met.
func (x *Explainer) seen(ctx context.Context, d delivery.RecipientDomain, e *Explanation) {
	if x.LastFailure != nil {
		f, err := x.LastFailure(ctx, d)
		if err != nil {
			e.SeenFail = err.Error()
		}
		if f != nil {
			f.Meaning = f.Word.Meaning()
			e.Failed = f
		}
	}
	if x.Seen == nil || d.IsLiteral() {
		return
	}
	switch f, err := x.Seen(ctx, d.Name); {
	case err != nil:
		e.SeenFail = err.Error()
	case f.Known():
		e.Seen = &f
	}
}

// mtaSTS tells the finding; where the plan ended before MTA-STS was looked at,
// it must not read as "none".
func mtaSTS(f delivery.Finding, d delivery.RecipientDomain, dest delivery.Destination) MTASTS {
	m := MTASTS{ID: f.ID, Fetched: f.Fetched, Looked: dest.Fail == nil && !d.IsLiteral()}
	if f.Policy != nil {
		m.Mode, m.MX, m.MaxAge = string(f.Policy.Mode), f.Policy.Patterns(), int64(f.Policy.MaxAge/time.Second)
	}
	if f.Failure != nil {
		m.Failure, m.Detail = string(f.Failure.Word), f.Failure.Detail
	}
	return m
}

func host(p delivery.Plan) Host {
	h := Host{Name: p.Host.Name.Unicode(), Basis: []Reason{}, DANE: p.Host.DANE.State.String(), TLSA: p.Host.DANE.Strings}
	base := p.Host.DANE.Base
	if base.IsZero() {
		base = p.Host.Name.Name
	}
	if !base.IsZero() {
		h.TLSAName = "_25._tcp." + base.ASCII()
	}
	for _, a := range p.Host.Addrs {
		h.Addresses = append(h.Addresses, a.String())
	}
	if f := p.Host.Fail; f != nil {
		r := newReason(f.Word, f.Text)
		h.Fail = &r
	}
	for _, f := range p.Basis {
		h.Basis = append(h.Basis, newReason(f.Word, f.Text))
	}
	for _, r := range p.Reports {
		h.Reported = append(h.Reported, string(r.Type)+" "+r.Domain.ASCII())
	}
	if p.Skip != nil {
		r := newReason(p.Skip.Word, p.Skip.Text)
		h.Skip = &r
		return h
	}
	h.TLS, h.Verify, h.Plaintext, h.SNI = "opportunistic", p.Verify(), p.PlaintextFallback, p.SNI.ASCII()
	if p.TLS == delivery.TLSRequired {
		h.TLS = "required"
	}
	return h
}

func newReason(w reason.Word, text string) Reason {
	return Reason{Word: w, Text: text, Meaning: w.Meaning()}
}

func (x *Explainer) now() time.Time {
	if x.Now != nil {
		return x.Now()
	}
	return time.Now()
}
