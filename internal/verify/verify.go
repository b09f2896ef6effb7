// Package verify finds out who sent a message that comes from outside: SPF (RFC 7208), DKIM
// (RFC 6376), ARC (RFC 8617) and DMARC (RFC 9989), each with whether DNSSEC vouches for every
// answer it rests on (AUT-1). What follows is decided by package disposition.
package verify

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"waxwing/dkim"
	"waxwing/dmarc"
	"waxwing/dns"
	"waxwing/internal/foreign"
	"waxwing/internal/guard"
	"waxwing/message"
	"waxwing/spf"
)

// budget is for all that is looked up after the data (AUT-6); what is late is a temperror.
const budget = 20 * time.Second

// reserve is what of the budget is kept for DMARC and ARC. SPF and signatures ask servers of the
// sender's choice: slow ones must not use up the time in which the author's policy is found.
const reserve = 8 * time.Second

// Bounds of what is told of a message.
const (
	maxAuthors = 5   // domains in From
	maxProblem = 200 // octets
	maxDomain  = 255 // octets; a name that DNS can hold is not cut, for DMARC goes by it
)

// The identities of SPF.
const (
	helo     = "helo"
	MailFrom = "mailfrom" // the reverse-path
)

// Verifier finds facts. Its fields are not changed once it is in use; it is safe for
// concurrent use.
type Verifier struct {
	DNS      dns.Resolver
	Hostname string           // this server's, for SPF's macros
	Now      func() time.Time // nil: time.Now
	Guard    *guard.Guard
	Keys     *dkim.KeyCache // nil: keys are read anew for each message
}

// Client is who hands a message in.
type Client struct {
	IP     netip.Addr
	HELO   string
	Sender string // the reverse-path without brackets; "" is the null one
}

// Run is the verification of one message, from MAIL on.
type Run struct {
	v      *Verifier
	client Client
	cancel context.CancelFunc
	done   chan struct{} // closed when spf is set
	spf    []SPF
}

// Begin starts SPF, which runs beside the dialogue (AUT-6) and ends with ctx. The caller ends
// the run with Finish or Stop.
func (v *Verifier) Begin(ctx context.Context, c Client) *Run {
	ctx, cancel := context.WithTimeout(ctx, budget)
	r := &Run{v: v, client: c, cancel: cancel, done: make(chan struct{})}
	v.Guard.Go(guard.Verify, func() {
		defer close(r.done)
		r.spf = v.spf(ctx, c)
	}, "remote", c.IP.String())
	return r
}

// SPFPassed waits for SPF, and says whether it passed for the reverse-path, or for the HELO name
// where that is null.
func (r *Run) SPFPassed(ctx context.Context) bool {
	select {
	case <-r.done:
		return len(r.spf) > 0 && r.spf[len(r.spf)-1].Result == spf.Pass
	case <-ctx.Done():
		return false
	}
}

// Stop ends a run of which nobody wants to know any more.
func (r *Run) Stop() { r.cancel() }

// Finish verifies the whole message, of which h is the header, and
// returns all facts but who is trusted, the client's name, and the decision. A nil msg is one whose
// header cannot be read: its signatures count for nothing.
func (r *Run) Finish(ctx context.Context, h message.Header, msg *dkim.Message) *Facts {
	defer r.cancel()
	early, stop := context.WithTimeout(ctx, budget-reserve)
	defer stop()
	f := &Facts{IP: r.client.IP.Unmap(), HELO: clip(r.client.HELO), Sender: clip(r.client.Sender)}
	limits := dkim.Limits{Now: r.v.Now, Keys: r.v.Keys}
	if msg != nil {
		f.Signatures = msg.Verify(early, r.v.DNS, limits)
		for _, s := range f.Signatures {
			f.DKIM = append(f.DKIM, signature(s))
		}
	}
	select {
	case <-r.done:
		f.SPF = r.spf
	case <-early.Done():
	}
	if f.SPF == nil { // late, or it panicked
		f.SPF = []SPF{{Identity: MailFrom, Domain: domainOf(r.client), Result: spf.TempError, Problem: "no answer in time"}}
	}
	late := early.Err() != nil
	// From now on: reading a long message for its signatures uses up none of it either.
	ctx, cancel := context.WithTimeout(ctx, reserve)
	defer cancel()
	f.authors(ctx, r.v.DNS, h)
	if msg != nil { // last, since it decides nothing
		f.ARC = arc(msg.VerifyARC(ctx, r.v.DNS, limits))
	}
	f.Late = late || ctx.Err() != nil
	return f
}

func clip(s string) string { return foreign.Clip(s, maxProblem) }

// domainOf is the domain that SPF asks about: the reverse-path's, or the HELO name.
func domainOf(c Client) string {
	if i := len(c.Sender); i > 0 {
		for i > 0 && c.Sender[i-1] != '@' {
			i--
		}
		return foreign.Clip(c.Sender[i:], maxDomain)
	}
	return foreign.Clip(c.HELO, maxDomain)
}

// spf checks the HELO name, and the reverse-path (RFC 7208 §2.3, §2.4).
func (v *Verifier) spf(ctx context.Context, c Client) []SPF {
	checker := spf.Checker{Resolver: v.DNS, Receiver: v.Hostname, Now: v.Now}
	queries := []struct {
		identity string
		query    spf.Query
	}{{helo, spf.Query{IP: c.IP.Unmap(), Helo: c.HELO}}, {MailFrom, spf.Query{IP: c.IP.Unmap(), Helo: c.HELO, MailFrom: c.Sender}}}
	if c.Sender == "" {
		queries = queries[:1] // the null reverse-path stands for postmaster at the HELO name
	}
	var out []SPF
	for _, q := range queries {
		o := checker.Check(ctx, q.query)
		out = append(out, SPF{q.identity, foreign.Clip(o.Domain, maxDomain), o.Result, clip(o.Mechanism), clip(o.Problem), o.Secure})
	}
	return out
}

func signature(s dkim.Verification) Signature {
	out := Signature{Domain: s.Domain, Selector: clip(s.Selector), Algorithm: clip(s.Algorithm), Bits: s.KeyBits, Result: s.Result,
		BodyLength: s.BodyLength, Testing: s.Testing, Expires: s.Expires, Start: foreign.Clip(s.Signature, 8), Secure: s.DNSSEC == dns.Secure}
	switch {
	case s.Err != nil:
		out.Problem = clip(s.Err.Error())
	case s.Result == dkim.Pass && !s.Allows("email"): // AUT-4
		out.Result, out.Problem = dkim.PermError, "the key is not for mail"
	case s.Result == dkim.Pass && s.BodyRest: // RFC 6376 §8.2: anybody may have written the rest
		out.Result, out.Problem = dkim.Policy, "the body goes on behind what the signature covers (l=)"
	}
	return out
}

func arc(chain dkim.ARC) *ARC {
	if chain.Result == dkim.ARCNone {
		return nil
	}
	out := &ARC{Result: chain.Result, Sets: len(chain.Sets), Secure: len(chain.Sets) > 0}
	for _, s := range chain.Sets {
		out.Sealer, out.Secure = s.Domain, out.Secure && s.DNSSEC == dns.Secure
	}
	if chain.Err != nil {
		out.Problem = clip(chain.Err.Error())
	}
	return out
}

// authors reads From, and evaluates DMARC for each domain in it (AUT-5), all at once: a slow
// one must not use up the time of the others.
func (f *Facts) authors(ctx context.Context, r dns.Resolver, h message.Header) {
	domains, err := message.FromDomains(h)
	if err == nil && len(domains) > maxAuthors {
		err = fmt.Errorf("the From field names %d domains", len(domains))
	}
	if err != nil {
		f.Author = clip(err.Error())
		return
	}
	ids := f.identifiers()
	f.DMARC = make([]DMARC, len(domains))
	var wg guard.Group
	for i, d := range domains {
		run := wg.Go
		if i == len(domains)-1 {
			run = wg.Do // one goroutine fewer
		}
		run(func() {
			mine := ids
			mine.From = d
			o := dmarc.Check(ctx, r, mine)
			f.DMARC[i] = DMARC{From: d, Result: o.Result, At: o.Domain, Policy: o.Policy, Apply: o.Apply, AlignedSPF: o.AlignedSPF,
				AlignedDKIM: o.AlignedDKIM, Record: o.Record, Problem: clip(o.Problem), Secure: o.Secure}
		})
	}
	wg.Wait()
}

// identifiers are what DMARC goes by. SPF counts for the reverse-path's domain, and with a
// null one for the HELO name (RFC 9989 §4.4.2).
func (f *Facts) identifiers() dmarc.Identifiers {
	var ids dmarc.Identifiers
	for _, s := range f.SPF {
		n, err := dns.ParseName(s.Domain)
		if err != nil || s.Identity == helo && f.Sender != "" {
			continue
		}
		switch s.Result {
		case spf.Pass:
			ids.SPF = n
		case spf.TempError:
			ids.UnknownSPF = n
		}
	}
	for _, s := range f.DKIM {
		switch s.Result {
		case dkim.Pass:
			ids.DKIM = append(ids.DKIM, s.Domain)
		case dkim.TempError:
			ids.UnknownDKIM = append(ids.UnknownDKIM, s.Domain)
		}
	}
	return ids
}
