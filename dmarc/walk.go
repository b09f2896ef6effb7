package dmarc

import (
	"context"
	"slices"
	"strings"

	"waxwing/dns"
)

// maxQueries bounds the questions of one tree walk (RFC 9989 §4.10).
const maxQueries = 8

// Targets are the domains whose records a tree walk asks for, in order: the
// domain itself, then those above it; of long names the middle is left out.
func Targets(domain dns.Name) []dns.Name {
	out := []dns.Name{domain}
	at := domain.Parent()
	for labels(at) >= maxQueries {
		at = at.Parent()
	}
	for ; !at.IsZero(); at = at.Parent() {
		out = append(out, at)
	}
	return out
}

func labels(n dns.Name) int {
	if n.IsZero() {
		return 0
	}
	return strings.Count(n.ASCII(), ".") + 1
}

// Found is a record and where it stands.
type Found struct {
	Domain dns.Name
	Record *Record
}

// Walk is what a tree walk found for Start, from the longest name to the shortest.
type Walk struct {
	Start  dns.Name
	Found  []Found
	Secure bool // every answer was Secure
}

// WalkTree walks the DNS tree from domain upward. The error is that of the first lookup
// that failed: nothing can then be said for certain, and Walk has what else was found.
func WalkTree(ctx context.Context, r dns.Resolver, domain dns.Name) (Walk, error) {
	w := Walk{Start: domain, Secure: true}
	var failed error
	for _, target := range Targets(domain) {
		name, err := target.Prefix("_dmarc")
		if err != nil {
			continue // too long a name: nobody can have put a record there
		}
		a, err := r.LookupTXT(ctx, name)
		if err != nil {
			if failed == nil {
				failed = err
			}
			if ctx.Err() != nil {
				break
			}
			continue
		}
		if a.Security != dns.Secure {
			w.Secure = false
		}
		record := Single(a.Records)
		if record == nil {
			continue
		}
		w.Found = append(w.Found, Found{target, record})
		if record.PSD != PSDUnknown {
			break
		}
	}
	return w, failed
}

// Single is the one DMARC record among texts; nil for none or several (RFC 9989 §4.10).
func Single(texts []string) *Record {
	var out *Record
	for _, text := range texts {
		r, err := Parse(text)
		if err != nil {
			continue
		}
		if out != nil {
			return nil
		}
		out = r
	}
	return out
}

// Organizational is the organizational domain of the walk's start (RFC 9989 §4.10.2).
func (w Walk) Organizational() dns.Name {
	for _, f := range w.Found {
		switch {
		case f.Record.PSD == PSDNo:
			return f.Domain
		case f.Record.PSD == PSDYes && f.Domain != w.Start:
			return below(w.Start, f.Domain)
		}
	}
	if n := len(w.Found); n > 0 {
		return w.Found[n-1].Domain
	}
	return w.Start
}

// below is the name one label below parent on the way to n.
func below(n, parent dns.Name) dns.Name {
	for !n.IsZero() && n.Parent() != parent {
		n = n.Parent()
	}
	return n
}

// Policy is the record that applies to the walk's start, the author domain: its
// own, that of its organizational domain, or that of the public suffix above
// (RFC 9989 §4.10.1).
func (w Walk) Policy() (Found, bool) {
	for _, domain := range []dns.Name{w.Start, w.Organizational()} {
		if i := slices.IndexFunc(w.Found, func(f Found) bool { return f.Domain == domain }); i >= 0 {
			return w.Found[i], true
		}
	}
	if n := len(w.Found); n > 0 && w.Found[n-1].Record.PSD == PSDYes {
		return w.Found[n-1], true
	}
	return Found{}, false
}
