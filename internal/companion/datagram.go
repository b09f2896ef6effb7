package companion

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/tlsrpt"
)

// The bounds of one datagram. libtlsrpt itself has none but the kernel's.
const (
	maxDatagram = 256 << 10
	maxPolicies = 64
	maxDetails  = 100
	maxStrings  = 64  // of a policy's text, as tlsresult keeps them
	maxText     = 256 // octets of one string of a detail, as in tlsresult (RPT-1)
)

// datagram is what libtlsrpt sends for one delivery request. Its version member
// (dpv) is "1" or, before libtlsrpt 0.5.0, missing; a newer one would still
// have these members, so it is not looked at.
type datagram struct {
	Domain   string       `json:"d"`
	Policies []wirePolicy `json:"policies"`
}

type wirePolicy struct {
	Type    int          `json:"policy-type"`
	Domain  string       `json:"policy-domain"`
	Strings []string     `json:"policy-string"`
	MX      []string     `json:"mx-host"`
	Details []wireDetail `json:"failure-details"`
	Failed  int          `json:"f"`
}

type wireDetail struct {
	Code       int    `json:"c"`
	SendingIP  string `json:"s"`
	MXHostname string `json:"n"`
	HELO       string `json:"h"`
	ReceiverIP string `json:"r"`
	Info       string `json:"a"`
	Reason     string `json:"f"`
}

// observed is what a datagram comes to.
type observed struct {
	observations []delivery.Observation
	unverified   int // successes that nobody verified, left out
}

// observe turns a datagram into observations (CMP-2, pure). A session under
// MTA-STS with a fault failed by it, as one of our own would have (POL-7); a
// success that nobody verified is else left out. Invalid UTF-8 is replaced. The
// error says why the datagram is not one.
func observe(b []byte, faultOf func(dns.Name) *delivery.TLSFailure) (observed, error) {
	var d datagram
	if err := json.Unmarshal(b, &d); err != nil {
		return observed{}, fmt.Errorf("no TLSRPT datagram: %w", err)
	}
	domain, err := name(d.Domain)
	switch {
	case err != nil:
		return observed{}, fmt.Errorf("no TLSRPT datagram: d: %w", err)
	case len(d.Policies) == 0:
		return observed{}, errors.New("no TLSRPT datagram: it holds no policy")
	case len(d.Policies) > maxPolicies:
		return observed{}, fmt.Errorf("no TLSRPT datagram: %d policies, more than %d", len(d.Policies), maxPolicies)
	}
	var out observed
	for i := range d.Policies {
		p := &d.Policies[i]
		o, err := p.observation(domain)
		if err != nil {
			return observed{}, fmt.Errorf("no TLSRPT datagram: policy %d: %w", i+1, err)
		}
		if p.Type == wireSTS {
			blame(&o, faultOf(o.PolicyDomain))
		}
		if o.OK > 0 && p.unverified() {
			out.unverified++
			continue
		}
		out.observations = append(out.observations, o)
	}
	return out, nil
}

// blame makes a session fail by a fault, if there is one.
func blame(o *delivery.Observation, fault *delivery.TLSFailure) {
	same := func(d delivery.Detail) bool { return d.Type == fault.Type }
	if fault == nil || slices.ContainsFunc(o.Details, same) { // Postfix may have told it
		return
	}
	o.OK, o.Failed = 0, 1
	o.Details = append(o.Details, delivery.Detail{Type: fault.Type, Reason: string(fault.Word), Info: line(fault.Text), Count: 1})
}

// name parses a domain as an MTA gives it: in any case, A-labels or U-labels.
func name(s string) (dns.Name, error) {
	n, err := dns.ParseName(s)
	if err != nil {
		return dns.ParseLax(s)
	}
	return n, nil
}

// unverified: Postfix delivers under MTA-STS mode testing, and where no policy
// could be had, without looking at the certificate, and calls that a success (CMP-3).
func (p *wirePolicy) unverified() bool {
	return p.Type == wireSTS && p.Failed == 0 && (len(p.Strings) == 0 || slices.ContainsFunc(p.Strings, func(line string) bool {
		key, value, _ := strings.Cut(line, ":")
		return strings.EqualFold(strings.TrimSpace(key), "mode") && strings.EqualFold(strings.TrimSpace(value), "testing")
	}))
}

// The policy types on the wire.
const (
	wireTLSA = 1
	wireSTS  = 2
	wireNone = 9
)

func (p *wirePolicy) observation(domain dns.Name) (delivery.Observation, error) {
	o := delivery.Observation{RecipientDomain: domain, PolicyDomain: domain, Strings: few(p.Strings), MX: few(p.MX)}
	switch p.Type {
	case wireTLSA:
		o.Type = tlsrpt.PolicyTLSA
		// The data of a TLSA record is written in upper case by Postfix, in lower
		// case by us; a machine that has both must not count two policies.
		for i, s := range o.Strings {
			o.Strings[i] = strings.ToLower(s)
		}
	case wireSTS:
		o.Type = tlsrpt.PolicySTS
	case wireNone:
		o.Type = tlsrpt.PolicyNone
	default:
		return o, fmt.Errorf("unknown policy-type %d", p.Type)
	}
	if p.Domain != "" { // Postfix left it out before October 2025 where no policy was found
		var err error
		if o.PolicyDomain, err = name(p.Domain); err != nil {
			return o, fmt.Errorf("policy-domain: %w", err)
		}
	}
	switch p.Failed {
	case 0:
		// Details may stand here too, of a failure that a later try made good: no
		// failed session (RPT-2).
		o.OK = 1
	case 1:
		o.Failed = 1
		o.Details = p.details()
	default:
		return o, fmt.Errorf("the final result is %d, neither 0 nor 1", p.Failed)
	}
	return o, nil
}

// few are those of a policy's text that will be kept, long enough for tlsresult to
// cut: a batch of datagrams waits for the store, and each could hold a hundred
// thousand empty strings.
func few(ss []string) []string {
	var out []string
	for _, s := range ss[:min(len(ss), maxStrings)] {
		if len(s) > 4*maxText {
			s = strings.Clone(s[:4*maxText])
		}
		out = append(out, s)
	}
	return out
}

// details are the failures of one session, none twice, so that no detail counts
// more sessions than failed, and at least one (RPT-2). What differs in words
// alone is one to tlsresult.
func (p *wirePolicy) details() []delivery.Detail {
	var out []delivery.Detail
	for _, w := range p.Details[:min(len(p.Details), maxDetails)] {
		d := w.detail()
		same := func(have delivery.Detail) bool {
			have.Info = d.Info
			return have == d
		}
		if !slices.ContainsFunc(out, same) {
			out = append(out, d)
		}
	}
	if len(out) == 0 {
		out = append(out, delivery.Detail{Type: tlsrpt.ValidationFailure, Reason: "no-detail-given", Count: 1})
	}
	return out
}

func (w wireDetail) detail() delivery.Detail {
	d := delivery.Detail{
		SendingIP: address(w.SendingIP), ReceiverIP: address(w.ReceiverIP), HELO: heloName(w.HELO),
		Reason: line(w.Reason), Info: line(w.Info), Count: 1,
	}
	if n, err := name(w.MXHostname); err == nil {
		d.MXHostname = n.ASCII()
	}
	var known bool
	if d.Type, known = resultType(w.Code); !known {
		d.Reason = line(fmt.Sprintf("libtlsrpt code %d %s", w.Code, d.Reason))
	}
	if d.Reason == "" {
		d.Reason, d.Info = d.Info, "" // what is said in words follows the reason
	}
	return d
}

// resultType maps libtlsrpt's codes to RFC 8460 §4.3; known is false for one
// that it does not have, which is told as the most general failure.
func resultType(code int) (t tlsrpt.ResultType, known bool) {
	switch code {
	case 201:
		return tlsrpt.StartTLSNotSupported, true
	case 202:
		return tlsrpt.CertificateHostMismatch, true
	case 203:
		return tlsrpt.CertificateNotTrusted, true
	case 204:
		return tlsrpt.CertificateExpired, true
	case 205:
		return tlsrpt.ValidationFailure, true
	case 301:
		return tlsrpt.STSPolicyFetchError, true
	case 302:
		return tlsrpt.STSPolicyInvalid, true
	case 303:
		return tlsrpt.STSWebPKIInvalid, true
	case 304:
		return tlsrpt.TLSAInvalid, true
	case 305:
		return tlsrpt.DNSSECInvalid, true
	case 306:
		return tlsrpt.DANERequired, true
	}
	return tlsrpt.ValidationFailure, false
}

func address(s string) string {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return ""
	}
	return a.Unmap().WithZone("").String()
}

// heloName is the name in an EHLO answer, of which Postfix gives all lines.
func heloName(s string) string {
	s, _, _ = strings.Cut(s, "\r")
	s, _, _ = strings.Cut(s, "\n")
	if len(s) > 3 && (s[3] == '-' || s[3] == ' ') && strings.Trim(s[:3], "0123456789") == "" {
		s = s[4:]
	}
	words := strings.Fields(line(s))
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// line makes foreign text one line of at most maxText octets.
func line(s string) string {
	s = strings.TrimSpace(strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, s))
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}
