package explain

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"waxwing/dane"
	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/internal/guard"
	"waxwing/internal/policy"
	"waxwing/internal/reason"
	"waxwing/internal/session"
)

// Contact is what one address of a host showed.
type Contact struct {
	Address    string             `json:"address"`
	Greeting   string             `json:"greeting,omitempty"`
	Offers     []string           `json:"extensions,omitempty"` // over TLS, if TLS came about
	StartTLS   bool               `json:"starttls"`
	RequireTLS bool               `json:"requiretls"`
	SmallHello bool               `json:"small_hello,omitempty"` // TLS came about only with a small hello
	TLS        *delivery.TLSFacts `json:"tls,omitempty"`
	TLSFailure *Reason            `json:"tls_failure,omitempty"`
	Failure    *Reason            `json:"failure,omitempty"` // of the connection
	Chain      []Certificate      `json:"chain,omitempty"`
	PKIX       *Verification      `json:"pkix,omitempty"`
	DANE       *Verification      `json:"dane,omitempty"`
	// Certs are Chain unparsed, for who makes records of them.
	Certs []*x509.Certificate `json:"-"`
	// Refused: why the mail would not go to this address as planned; nil: it would.
	Refused *Reason `json:"refused,omitempty"`
}

// Verification is the result of one verification.
type Verification struct {
	OK      bool        `json:"ok"`
	Matched string      `json:"matched,omitempty"` // the name, or the TLSA record
	Word    reason.Word `json:"word,omitempty"`
	Text    string      `json:"text,omitempty"`
}

// Certificate is one certificate of the chain, as presented.
type Certificate struct {
	Subject     string    `json:"subject"`
	Issuer      string    `json:"issuer"`
	Names       []string  `json:"names,omitempty"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Key         string    `json:"key"`
	Fingerprint string    `json:"sha256"`
	TLSA        string    `json:"tlsa"` // the record to publish: 3 1 1 for the host's own, 2 1 1 for an issuer's
}

// Bounds of looking at hosts.
const (
	maxContacts    = 40
	contactsAtOnce = 8
	contactTimeout = 20 * time.Second
	maxText        = 300
	maxNames       = 20
)

// connect looks at every address of every host, and at the policy host.
func (x *Explainer) connect(ctx context.Context, req Request, dec delivery.Decision, e *Explanation) {
	var all guard.Group
	if x.Fetcher != nil && e.MTASTS.Looked && (e.MTASTS.ID != "" || e.MTASTS.Mode != "") {
		all.Go(func() { e.MTASTS.Live = x.live(ctx, req, e.MTASTS) })
	}
	slots, left := make(chan struct{}, contactsAtOnce), maxContacts
	for i, plan := range dec.Plans {
		if x.Prober == nil {
			break
		}
		addrs := plan.Host.Addrs[:min(left, len(plan.Host.Addrs))]
		left -= len(addrs)
		e.Hosts[i].Contacts = make([]Contact, len(addrs))
		for j, addr := range addrs {
			all.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				e.Hosts[i].Contacts[j] = Look(ctx, x.Prober, plan, addr)
			})
		}
	}
	all.Wait()
}

// Look connects to one address of the plan's host, and says what the plan makes of it.
func Look(ctx context.Context, p Prober, plan delivery.Plan, addr netip.Addr) Contact {
	ctx, cancel := context.WithTimeout(ctx, contactTimeout)
	defer cancel()
	return newContact(plan, p.Probe(ctx, policy.Look(plan), addr))
}

// newContact tells a probe, and what the plan makes of it. It is pure.
func newContact(plan delivery.Plan, p session.Probe) Contact {
	c := Contact{Address: p.Addr.String(), StartTLS: p.StartTLS, RequireTLS: p.RequireTLS, SmallHello: p.SmallHello, TLS: p.TLS,
		PKIX: verification(p.PKIX), DANE: verification(p.DANE), Offers: p.Plain}
	if p.Greeting != nil {
		c.Greeting = clean(p.Greeting.String())
	}
	if p.TLS != nil {
		c.Offers = p.Secured
	}
	for i, o := range c.Offers {
		c.Offers[i] = clean(o)
	}
	if p.Err != nil {
		r := newReason(p.Err.Word, clean(p.Err.Text))
		c.Failure = &r
	}
	if p.TLSFailure != nil {
		r := newReason(p.TLSFailure.Word, clean(p.TLSFailure.Text))
		c.TLSFailure = &r
	}
	c.Certs = p.Chain
	for i, cert := range p.Chain {
		c.Chain = append(c.Chain, certificate(cert, i == 0))
	}
	if f := policy.Refused(&plan, &p.Session); f != nil {
		r := newReason(f.Word, clean(f.Text))
		c.Refused = &r
	}
	return c
}

func verification(v *delivery.Verification) *Verification {
	switch {
	case v == nil:
		return nil
	case v.Failure == nil:
		return &Verification{OK: true, Matched: v.Matched}
	}
	return &Verification{Word: v.Failure.Word, Text: clean(v.Failure.Text)}
}

func certificate(c *x509.Certificate, leaf bool) Certificate {
	sum := sha256.Sum256(c.Raw)
	out := Certificate{Subject: clean(c.Subject.String()), Issuer: clean(c.Issuer.String()), NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(),
		Key: keyWords(c), Fingerprint: hex.EncodeToString(sum[:])}
	for _, n := range c.DNSNames[:min(len(c.DNSNames), maxNames)] {
		out.Names = append(out.Names, clean(n))
	}
	usage := dane.UsageTA
	if leaf {
		usage = dane.UsageEE
	}
	out.TLSA = dane.Generate(c, usage, dane.SelectorSPKI, dane.MatchingSHA256).String()
	return out
}

func keyWords(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return c.PublicKeyAlgorithm.String()
}

// live fetches the policy anew and holds it against the one in force here.
func (x *Explainer) live(ctx context.Context, req Request, m MTASTS) *Live {
	ctx, cancel := context.WithTimeout(ctx, contactTimeout)
	defer cancel()
	p, _, err := x.Fetcher.Fetch(ctx, req.Domain.Name)
	if err != nil {
		return &Live{Failure: string(err.Word), Detail: clean(err.Detail)}
	}
	l := &Live{Mode: string(p.Mode), MX: p.Patterns()}
	l.Same = l.Mode == m.Mode && slices.Equal(l.MX, m.MX)
	return l
}

// clean makes a peer's text fit for a terminal.
func clean(s string) string { return foreign.Shown(foreign.Clip(s, maxText)) }
