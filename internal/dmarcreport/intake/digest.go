package intake

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"waxwing/dmarcrpt"
	"waxwing/dns"
	"waxwing/internal/outbox"
	"waxwing/internal/reportbox"
	"waxwing/internal/tlsresult"
)

// Kind is what a source of mail is to us.
type Kind string

// The kinds of sources.
const (
	Own       Kind = "own"       // an address that our mail leaves from
	Forwarder Kind = "forwarder" // it passes our mail on: a signature of ours passes, or it is listed
	Other     Kind = "other"
)

// Line is what reporters say of the mail from one source in the name of one domain of ours.
type Line struct {
	Domain     string     `json:"domain"` // where the policy stands
	Source     netip.Addr `json:"source"`
	Kind       Kind       `json:"kind"`
	By         string     `json:"by,omitempty"` // domain that SPF or a signature shows, where it is not ours
	Passed     int64      `json:"passed"`
	Failed     int64      `json:"failed"`
	Hit        int64      `json:"hit"` // of Failed: put into Junk or refused
	Reporters  []string   `json:"reporters"`
	Policy     string     `json:"policy"`          // as reporters saw it last
	Unverified bool       `json:"https,omitempty"` // it came by HTTPS alone: nobody vouches for it
	last       time.Time
}

// Digest is what others reported about us.
type Digest struct {
	From      string   `json:"from"`  // first day
	Until     string   `json:"until"` // last day
	Lines     []Line   `json:"lines"` // by domain, kind and messages
	Advice    []Advice `json:"advice"`
	Truncated bool     `json:"truncated,omitempty"` // more reports or sources than are told of
}

const (
	maxDigest    = 5000   // reports read for one digest
	maxLines     = 20_000 // sources
	maxReporters = 20     // named with a source
)

// Digest sums the reports about a domain, or with "" about all of ours, over the last days
// finished UTC days and today (DMR-3).
func (s *Service) Digest(ctx context.Context, domain string, days int) (Digest, error) {
	today := tlsresult.Day(s.Now())
	first := today - int64(max(days, 1))
	d := Digest{From: tlsresult.Start(first).Format(time.DateOnly), Until: tlsresult.Start(today).Format(time.DateOnly)}
	own := s.own(ctx)
	var sum *summer
	n, err := s.Each(ctx, outbox.Filter{Domain: domain, Since: tlsresult.Start(first).Add(-12 * time.Hour), Limit: maxDigest}, func() func(reportbox.Stored) error {
		sum = &summer{forwarders: s.Forwarders, own: own, lines: map[lineKey]*Line{}}
		return func(x reportbox.Stored) error {
			r, err := dmarcrpt.Read(x.File)
			if err != nil {
				return fmt.Errorf("a stored report of %s: %w", x.Submitter, err)
			}
			if middle := r.Begin.Add(r.End.Sub(r.Begin) / 2); tlsresult.Day(middle) >= first {
				sum.add(x, r)
			}
			return nil
		}
	})
	if err != nil {
		return d, err
	}
	d.Lines, d.Truncated = sum.sorted(), n == maxDigest || sum.full
	d.Advice = Advise(d.Lines)
	return d, nil
}

type lineKey struct {
	domain     string
	source     netip.Addr
	unverified bool
}

type summer struct {
	own        []netip.Addr
	forwarders []dns.Name
	lines      map[lineKey]*Line
	full       bool
}

// own are the addresses that mail of ours leaves from, as far as can be seen: those of this
// machine, and those that DNS has for the host's name.
func (s *Service) own(ctx context.Context) (out []netip.Addr) {
	here, _ := net.InterfaceAddrs() // without them, DNS says it
	for _, a := range here {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr().Unmap())
		}
	}
	if a, err := s.DNS.LookupA(ctx, s.Hostname); err == nil {
		out = append(out, a.Records...)
	}
	if a, err := s.DNS.LookupAAAA(ctx, s.Hostname); err == nil {
		out = append(out, a.Records...)
	}
	return out
}

func (g *summer) add(x reportbox.Stored, r *dmarcrpt.Report) {
	for i := range r.Records {
		rec := &r.Records[i]
		k := lineKey{x.Domain, rec.SourceIP, x.Source != "mail"}
		l := g.lines[k]
		if l == nil {
			if len(g.lines) == maxLines {
				g.full = true
				return
			}
			l = &Line{Domain: x.Domain, Source: rec.SourceIP, Kind: Other, Unverified: k.unverified}
			g.lines[k] = l
		}
		if r.End.After(l.last) {
			l.last, l.Policy = r.End, outbox.Clip(r.Policy.P)
		}
		l.count(rec)
		kind, by := g.kind(x.Domain, rec)
		if rank(kind) < rank(l.Kind) {
			l.Kind = kind
		}
		l.By = cmp.Or(l.By, by)
		if !slices.Contains(l.Reporters, x.Submitter) && len(l.Reporters) < maxReporters {
			l.Reporters = append(l.Reporters, x.Submitter)
		}
	}
}

func (l *Line) count(r *dmarcrpt.Record) {
	if r.Passed() {
		l.Passed += r.Count
		return
	}
	l.Failed += r.Count
	if r.Disposition == "quarantine" || r.Disposition == "reject" {
		l.Hit += r.Count
	}
}

func rank(k Kind) int { return slices.Index([]Kind{Own, Forwarder, Other}, k) }

// kind says what a source is, and whom SPF or a signature shows behind it.
func (g *summer) kind(domain string, r *dmarcrpt.Record) (Kind, string) {
	if slices.Contains(g.own, r.SourceIP) {
		return Own, ""
	}
	by := ""
	for _, x := range r.SPFResults {
		if x.Result == "pass" && !within(x.Domain, domain) {
			by = outbox.Clip(x.Domain)
		}
	}
	for _, x := range r.DKIMResults {
		switch {
		case x.Result != "pass":
		case within(x.Domain, domain) && r.SPF != "pass":
			return Forwarder, by // what we have signed comes from where SPF does not allow it
		case !within(x.Domain, domain):
			by = cmp.Or(by, outbox.Clip(x.Domain))
		}
	}
	if n, err := dns.ParseLax(by); by != "" && err == nil && slices.ContainsFunc(g.forwarders, func(f dns.Name) bool { return n == f || n.Under(f) }) {
		return Forwarder, by
	}
	return Other, by
}

func within(name, domain string) bool {
	return name == domain || strings.HasSuffix(name, "."+domain)
}

func (g *summer) sorted() []Line {
	out := make([]Line, 0, len(g.lines))
	for _, l := range g.lines {
		slices.Sort(l.Reporters)
		out = append(out, *l)
	}
	slices.SortFunc(out, func(a, b Line) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(rank(a.Kind), rank(b.Kind)), cmp.Compare(b.Passed+b.Failed, a.Passed+a.Failed), a.Source.Compare(b.Source))
	})
	return out
}
