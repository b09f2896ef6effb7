package validate_test

import (
	"slices"
	"strings"

	wire "github.com/miekg/dns"

	"waxwing/dns/validate/proof"
)

// cached is what a resolver that has a cache answers where no server of the scenario is asked any more: records that came
// with other answers, the CNAME that a known DNAME makes, and denials that cover the name (RFC 8198). Nil: it has nothing.
func (r *replay) cached(at int, q proof.Question) *replayed {
	for i := range r.entries {
		e := &r.entries[i]
		if e.from > at || e.failed() {
			continue
		}
		for _, rr := range e.answer {
			owner := wire.CanonicalName(rr.Header().Name)
			if owner == q.Name && rr.Header().Rrtype == q.Type {
				return &replayed{question: q, answer: e.answer}
			}
			if d, ok := rr.(*wire.DNAME); ok && owner != q.Name && wire.IsSubDomain(owner, q.Name) {
				target := strings.TrimSuffix(q.Name, owner) + d.Target
				cname := &wire.CNAME{Hdr: wire.RR_Header{Name: q.Name, Rrtype: wire.TypeCNAME, Class: wire.ClassINET, Ttl: d.Hdr.Ttl}, Target: target}
				return &replayed{question: q, answer: append(slices.DeleteFunc(slices.Clone(e.answer), func(rr wire.RR) bool { return rr.Header().Rrtype == wire.TypeCNAME }), cname)}
			}
		}
		if e := e.denies(q); e != nil {
			return e
		}
	}
	return nil
}

// denies is an entry's denial as an answer to another question.
func (e *replayed) denies(q proof.Question) *replayed {
	for _, rr := range e.ns {
		n, ok := rr.(*wire.NSEC)
		if !ok || len(e.answer) > 0 {
			continue
		}
		owner, next := wire.CanonicalName(n.Hdr.Name), wire.CanonicalName(n.NextDomain)
		switch {
		case owner == q.Name && !slices.Contains(n.TypeBitMap, q.Type), between(owner, q.Name, next) && wire.IsSubDomain(q.Name, next):
			return &replayed{question: q, ns: e.ns}
		case between(owner, q.Name, next):
			return &replayed{question: q, flags: []string{"NXDOMAIN"}, ns: e.ns}
		}
	}
	return nil
}

// between is canonical order (RFC 4034 §6.1), of names that are plain.
func between(owner, name, next string) bool {
	order := func(a, b string) int {
		x, y := wire.SplitDomainName(a), wire.SplitDomainName(b)
		slices.Reverse(x)
		slices.Reverse(y)
		return slices.Compare(x, y)
	}
	return order(owner, name) < 0 && order(name, next) < 0
}
