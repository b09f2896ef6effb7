package dns

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/internal/foreign"
)

// reply is what a server's message says about a question.
type reply struct {
	records  []wire.RR
	nxdomain bool
	security Security
	ttl      time.Duration
	chain    []Name
	server   string
	// incomplete: the chain ends in a name of which the server said nothing.
	incomplete bool
}

var errTooManyAliases = fmt.Errorf("CNAME loop, or more than %d CNAMEs", maxChain)

// join puts what was found at the end of r's chain behind it. The whole is as
// secure as its weakest part.
func (r *reply) join(next *reply) *reply {
	out := *next
	out.chain = slices.Concat(r.chain, next.chain)
	out.ttl = min(r.ttl, next.ttl)
	switch {
	case r.security == Indeterminate || next.security == Indeterminate:
		out.security = Indeterminate
	case r.security == Insecure:
		out.security = Insecure
	}
	return &out
}

const (
	// maxChain bounds the CNAMEs that are followed (DST-1).
	maxChain = 16
	// maxTTL and maxNegativeTTL bound how long an answer counts (RFC 2308 §5:
	// one to three hours for a negative one).
	maxTTL         = 24 * time.Hour
	maxNegativeTTL = 3 * time.Hour
)

// interpret reads a server's message (pure). trusted says whether its AD bit
// counts.
func interpret(m *wire.Msg, q question, trusted bool) (*reply, *Error) {
	if m.Rcode != wire.RcodeSuccess && m.Rcode != wire.RcodeNameError {
		return nil, refused(m, q)
	}
	r := &reply{nxdomain: m.Rcode == wire.RcodeNameError, security: securityOf(m, trusted), ttl: maxTTL}
	if err := r.follow(m.Answer, q); err != nil {
		return nil, &Error{Name: q.name, Type: q.typeName(), Err: err}
	}
	if len(r.records) > 0 {
		// NXDOMAIN beside records of the type asked for is nonsense; records are a fact.
		r.nxdomain = false
		return r, nil
	}
	ttl, ok := negativeTTL(m.Ns)
	if !ok && !r.nxdomain && referral(m) {
		return nil, &Error{Name: q.name, Type: q.typeName(), Err: errors.New("the server does not resolve recursively: it sent a referral")}
	}
	if !ok && !r.nxdomain && len(r.chain) > 0 {
		r.incomplete = true
		return r, nil
	}
	r.ttl = min(r.ttl, ttl)
	return r, nil
}

// securityOf is DNS-3: the AD bit of a trusted resolver decides.
func securityOf(m *wire.Msg, trusted bool) Security {
	switch {
	case !trusted:
		return Indeterminate
	case m.AuthenticatedData:
		return Secure
	}
	return Insecure
}

// refused is the error of a reply that holds no answer (DNS-4).
func refused(m *wire.Msg, q question) *Error {
	rcode, ok := wire.RcodeToString[m.Rcode]
	if !ok {
		rcode = fmt.Sprintf("RCODE%d", m.Rcode)
	}
	e := &Error{Name: q.name, Type: q.typeName(), RCode: rcode}
	opt := m.IsEdns0()
	if opt == nil {
		return e
	}
	for _, o := range opt.Option {
		ede, ok := o.(*wire.EDNS0_EDE)
		if !ok || len(e.EDE) == maxEDE {
			continue
		}
		e.EDE = append(e.EDE, EDE{Code: ede.InfoCode, Text: foreign.Clip(foreign.Line(ede.ExtraText), 100)})
		if m.Rcode == wire.RcodeServerFailure && bogusCode(ede.InfoCode) {
			e.Security = Bogus
		}
	}
	return e
}

// maxEDE bounds the extended errors kept of one reply.
const maxEDE = 8

// bogusCode reports the extended errors that mean a DNSSEC failure: unsupported
// algorithm and digest, DNSSEC indeterminate to NSEC missing (RFC 8914 §4).
func bogusCode(code uint16) bool { return code == 1 || code == 2 || code >= 5 && code <= 12 }

// follow walks the CNAMEs of an answer section from the name asked for to the
// records of the type asked for. Records beside that path are left out.
func (r *reply) follow(answer []wire.RR, q question) error {
	at := q.name
	for {
		var cname *wire.CNAME
		for _, rr := range answer {
			h := rr.Header()
			if h.Class != wire.ClassINET || !strings.EqualFold(strings.TrimSuffix(unescape(h.Name), "."), at.ascii) {
				continue
			}
			if h.Rrtype == q.qtype {
				r.records = append(r.records, rr)
				r.ttl = min(r.ttl, ttlOf(h.Ttl))
			} else if c, ok := rr.(*wire.CNAME); ok && cname == nil {
				cname = c
			}
		}
		if len(r.records) > 0 || cname == nil {
			return nil
		}
		if len(r.chain) == maxChain {
			return errTooManyAliases
		}
		target, err := ParseLax(cname.Target)
		if err != nil {
			return fmt.Errorf("CNAME of %s: %w", at, err)
		}
		r.ttl = min(r.ttl, ttlOf(cname.Hdr.Ttl))
		r.chain = append(r.chain, target)
		at = target
	}
}

// ttlOf is a TTL field as time; RFC 2181 §8: with the highest bit set it is zero.
func ttlOf(v uint32) time.Duration {
	if v > 1<<31-1 {
		return 0
	}
	return time.Duration(v) * time.Second
}

// negativeTTL is RFC 2308 §5: the lesser of the SOA's TTL and its minimum. A
// negative answer without SOA is not to be kept.
func negativeTTL(ns []wire.RR) (time.Duration, bool) {
	for _, rr := range ns {
		if soa, ok := rr.(*wire.SOA); ok {
			return min(ttlOf(soa.Hdr.Ttl), ttlOf(soa.Minttl), maxNegativeTTL), true
		}
	}
	return 0, false
}

// referral is RFC 2308 §2.2.1: no answer, no SOA, but name servers, from a
// server that offers no recursion.
func referral(m *wire.Msg) bool {
	if m.RecursionAvailable {
		return false
	}
	for _, rr := range m.Ns {
		if _, ok := rr.(*wire.NS); ok {
			return true
		}
	}
	return false
}

func addrOf(rr wire.RR) (netip.Addr, bool) {
	switch rr := rr.(type) {
	case *wire.A:
		a, ok := netip.AddrFromSlice(rr.A.To4())
		return a, ok
	case *wire.AAAA:
		a, ok := netip.AddrFromSlice(rr.AAAA.To16())
		return a, ok
	}
	return netip.Addr{}, false
}

// mxOf keeps an MX whose target is no name: that the record exists matters
// even if its host cannot be used (DST-1).
func mxOf(rr wire.RR) (MX, bool) {
	mx, ok := rr.(*wire.MX)
	if !ok {
		return MX{}, false
	}
	if mx.Mx == "." {
		return MX{Pref: mx.Preference, Null: true}, true
	}
	host, err := ParseLax(mx.Mx)
	if err != nil {
		host = Name{}
	}
	return MX{Pref: mx.Preference, Host: host}, true
}

func txtOf(rr wire.RR) (string, bool) {
	txt, ok := rr.(*wire.TXT)
	if !ok {
		return "", false
	}
	return unescape(strings.Join(txt.Txt, "")), true
}

func targetOf(rr wire.RR) (Name, bool) {
	var s string
	switch rr := rr.(type) {
	case *wire.CNAME:
		s = rr.Target
	case *wire.PTR:
		s = rr.Ptr
	case *wire.NS:
		s = rr.Ns
	}
	n, err := ParseLax(s)
	return n, err == nil
}

// srvOf keeps a record with the target "." as the zero Name: the service is
// decidedly not offered (RFC 2782).
func srvOf(rr wire.RR) (SRV, bool) {
	srv, ok := rr.(*wire.SRV)
	if !ok {
		return SRV{}, false
	}
	out := SRV{Priority: srv.Priority, Weight: srv.Weight, Port: srv.Port}
	if srv.Target == "." {
		return out, true
	}
	var err error
	out.Target, err = ParseLax(srv.Target)
	return out, err == nil
}

func tlsaOf(rr wire.RR) (TLSA, bool) {
	t, ok := rr.(*wire.TLSA)
	if !ok {
		return TLSA{}, false
	}
	data, err := hex.DecodeString(t.Certificate)
	return TLSA{Usage: t.Usage, Selector: t.Selector, MatchingType: t.MatchingType, Data: data}, err == nil
}

func caaOf(rr wire.RR) (CAA, bool) {
	c, ok := rr.(*wire.CAA)
	if !ok {
		return CAA{}, false
	}
	return CAA{Critical: c.Flag&128 != 0, Tag: strings.ToLower(c.Tag), Value: unescape(c.Value)}, true
}

// unescape undoes the presentation form (\" \\ \DDD) in which the wire library
// gives the strings of a TXT record.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		if i+3 < len(s) && digit(s[i+1]) && digit(s[i+2]) && digit(s[i+3]) {
			b.WriteByte((s[i+1]-'0')*100 + (s[i+2]-'0')*10 + (s[i+3] - '0'))
			i += 3
			continue
		}
		i++
		b.WriteByte(s[i])
	}
	return b.String()
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
