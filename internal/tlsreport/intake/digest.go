package intake

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/internal/outbox"
	"waxwing/internal/reportbox"
	"waxwing/internal/tlsresult"
	"waxwing/tlsrpt"
)

// Line is what one reporter says of one domain of ours on one UTC day under one
// policy, all its reports together. A session that was held to two policies
// stands in two lines.
type Line struct {
	Day        string            `json:"day"`
	Domain     string            `json:"domain"`   // policy domain
	Reporter   string            `json:"reporter"` // who authenticated it: DKIM domain; by HTTPS the network it came from
	Source     string            `json:"source"`   // mail, or https: nobody vouches for it
	Policy     tlsrpt.PolicyType `json:"policy_type"`
	Mode       string            `json:"mode,omitempty"` // of an MTA-STS policy, as the reporter saw it
	OK         int64             `json:"ok"`
	Failed     int64             `json:"failed"`
	Failures   []Failure         `json:"failures,omitempty"`
	Incomplete bool              `json:"incomplete,omitempty"` // more kinds of failures than are listed
}

// Failure is one kind of failure, with what it means and what cures it.
type Failure struct {
	Type     tlsrpt.ResultType `json:"type"`
	MXHost   string            `json:"mx_host,omitempty"`
	Reason   string            `json:"reason,omitempty"`
	Sessions int64             `json:"sessions"`
	Meaning  string            `json:"meaning"`
	Cure     string            `json:"cure"`
}

// Digest is what others reported about us.
type Digest struct {
	From      string   `json:"from"`  // first day
	Until     string   `json:"until"` // last day
	Lines     []Line   `json:"lines"` // by domain, day (newest first), reporter, policy
	Advice    []Advice `json:"advice"`
	Truncated bool     `json:"truncated,omitempty"` // more reports than were read
}

const (
	maxDigest   = 5000 // reports read for one digest
	maxFailures = 20   // kinds of failures in a line
)

// Digest sums the reports about a domain, or with "" about all of ours, over the
// last days finished UTC days and today (RPT-18).
func (s *Service) Digest(ctx context.Context, domain string, days int) (Digest, error) {
	today := tlsresult.Day(s.Now())
	first := today - int64(max(days, 1))
	d := Digest{From: dayText(first), Until: dayText(today)}
	sum := digester{lines: map[lineKey]*Line{}}
	n, err := s.Each(ctx, outbox.Filter{Domain: domain, Since: tlsresult.Start(first).Add(-12 * time.Hour), Limit: maxDigest}, func() func(reportbox.Stored) error {
		sum.lines = map[lineKey]*Line{}
		return func(x reportbox.Stored) error {
			rep, err := tlsrpt.Stored(x.File)
			if err != nil {
				return fmt.Errorf("a stored report of %s: %w", x.Submitter, err)
			}
			if day := middle(rep); day >= first {
				sum.add(lineKey{day: day, domain: x.Domain, reporter: x.Submitter, source: x.Source}, rep)
			}
			return nil
		}
	})
	if err != nil {
		return d, err
	}
	d.Truncated = n == maxDigest
	d.Lines = sum.sorted()
	d.Advice = Advise(d.Lines, dayText(today))
	return d, nil
}

func dayText(day int64) string { return tlsresult.Start(day).Format(time.DateOnly) }

// middle is the UTC day of the middle of a report's range: reporters whose day
// begins elsewhere are counted where most of it lies.
func middle(r *tlsrpt.Report) int64 { return tlsresult.Day(r.Begin.Add(r.End.Sub(r.Begin) / 2)) }

type lineKey struct {
	day                      int64
	domain, reporter, source string
	policy                   tlsrpt.PolicyType
}

type digester struct{ lines map[lineKey]*Line }

func (g *digester) add(k lineKey, r *tlsrpt.Report) {
	for _, p := range r.Policies {
		k.policy = tlsrpt.PolicyType(outbox.Clip(string(p.Type)))
		l := g.lines[k]
		if l == nil {
			l = &Line{Day: dayText(k.day), Domain: k.domain, Reporter: k.reporter, Source: k.source, Policy: k.policy}
			g.lines[k] = l
		}
		l.OK += p.Success
		l.Failed += p.Failed
		if m := mode(p.Strings); m != "" {
			l.Mode = m
		}
		for _, d := range p.Details {
			l.fail(d)
		}
	}
}

// mode is the mode in the policy strings of MTA-STS.
func mode(policy []string) string {
	for _, s := range policy {
		for _, line := range strings.Split(s, "\n") { // some send the whole policy as one string
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "mode" {
				return outbox.Clip(strings.TrimSpace(value))
			}
		}
	}
	return ""
}

func (l *Line) fail(d tlsrpt.FailureDetail) {
	host, reason := strings.ToLower(strings.TrimSuffix(d.MXHostname, ".")), d.Reason
	for i := range l.Failures {
		if f := &l.Failures[i]; f.Type == d.Type && f.MXHost == host && f.Reason == reason {
			f.Sessions += d.Sessions
			return
		}
	}
	if len(l.Failures) == maxFailures {
		l.Incomplete = true
		return
	}
	f := Failure{Type: d.Type, MXHost: host, Reason: reason, Sessions: d.Sessions}
	f.Meaning, f.Cure = d.Type.Advice(l.Domain)
	l.Failures = append(l.Failures, f)
}

func (g *digester) sorted() []Line {
	out := make([]Line, 0, len(g.lines))
	for _, l := range g.lines {
		slices.SortFunc(l.Failures, func(a, b Failure) int { return cmp.Compare(b.Sessions, a.Sessions) })
		out = append(out, *l)
	}
	slices.SortFunc(out, func(a, b Line) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(b.Day, a.Day), cmp.Compare(a.Reporter, b.Reporter),
			cmp.Compare(a.Source, b.Source), cmp.Compare(a.Policy, b.Policy))
	})
	return out
}
