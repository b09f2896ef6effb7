package companion

import (
	"strings"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/policy"
	"waxwing/mtasts"
	"waxwing/socketmap"
	"waxwing/tlsrpt"
)

// Question is a lookup in smtp_tls_policy_maps together with what was found.
type Question struct {
	Domain      dns.Name // the next hop that Postfix asks for
	TLSRPT      bool     // Postfix 3.10 asks: the TLSRPT attributes are welcome
	Destination delivery.Destination
	Finding     delivery.Finding
	DANEOff     bool // the operator has set the domain's DANE aside (STS-13)
}

// Answer says what Postfix is to do with mail for the domain (CMP-3, pure). It
// is never weaker than what policy.Decide asks of an ordinary message, with two
// limits that lie in Postfix: it verifies by DANE or by MTA-STS, never both, and
// it takes one level for all hosts of a domain.
func Answer(q Question) socketmap.Reply {
	if f := q.Destination.Fail; f != nil && !f.Permanent {
		return socketmap.Temp(f.Text)
	}
	hosts := judgeHosts(q)
	switch enforced := q.Finding.Policy != nil && q.Finding.Policy.Mode == mtasts.ModeEnforce; {
	case hosts.failed != nil:
		// RFC 7672 §2.1.2. Postfix would pass over this host alone, but by what it
		// finds at the others it could lose an enforced MTA-STS policy.
		return socketmap.Temp(hosts.failed.Text)
	case hosts.usable > 0 && hosts.lacking == 0 && hosts.unusable == 0:
		return socketmap.Found("dane-only")
	case enforced:
		return q.secure()
	case q.Finding.Defer:
		return socketmap.Temp(deferText(q))
	case hosts.usable+hosts.unusable > 0:
		// Postfix's level dane does the rest host by host: it verifies where there
		// are usable records, demands TLS where there are none usable, and takes
		// what it gets where there are none.
		return socketmap.Found("dane")
	case q.TLSRPT:
		return q.unverified()
	case q.DANEOff: // Postfix's own level may be dane
		return socketmap.Found("may")
	}
	return socketmap.NotFound()
}

func deferText(q Question) string {
	text := "whether " + q.Domain.ASCII() + " has MTA-STS cannot be found out now"
	if q.Finding.Failure != nil {
		text += ": " + q.Finding.Failure.Error()
	}
	return text
}

// hosts counts a destination's hosts by their TLSA records. Those without an
// address are in none of the numbers: Postfix cannot connect to them either.
type hosts struct {
	usable, unusable, lacking int
	failed                    *delivery.PolicyFailure // of the first whose lookup failed
}

// judgeHosts reads the DANE part of the decision that an own delivery would
// make: a host counts under a tlsa policy exactly if DANE applies to it.
func judgeHosts(q Question) hosts {
	var hs hosts
	dec := policy.Decide(policy.Input{Destination: q.Destination, Domain: q.Domain})
	for i := range dec.Plans {
		p := &dec.Plans[i]
		if p.Host.Fail != nil {
			continue
		}
		switch tlsa := tlsaPolicy(p); {
		case tlsa == nil:
			hs.lacking++
		case tlsa.Failed == nil:
			hs.usable++
		case tlsa.Failed.Type == tlsrpt.TLSAInvalid:
			hs.unusable++
		case hs.failed == nil:
			hs.failed = tlsa.Failed
		}
	}
	return hs
}

func tlsaPolicy(p *delivery.Plan) *delivery.Policy {
	for i := range p.Reports {
		if p.Reports[i].Type == tlsrpt.PolicyTLSA {
			return &p.Reports[i]
		}
	}
	return nil
}

// secure enforces the MTA-STS policy: RFC 8461 §4.2 as Postfix can do it. With
// the TLSRPT attributes, Postfix 3.10.5 and later also connects to no host but
// those of the policy (smtp_tls_enforce_sts_mx_patterns).
func (q Question) secure() socketmap.Reply {
	var match []string
	for _, mx := range q.Finding.Policy.MX {
		if !hostname(mx.Name.ASCII()) {
			continue
		}
		name := mx.Name.ASCII()
		if mx.Wildcard {
			name = "." + name
		}
		match = append(match, name)
	}
	if len(match) == 0 {
		return socketmap.Temp("the MTA-STS policy of " + q.Domain.ASCII() + " names no host that Postfix can be told")
	}
	// Never with policy_failure: Postfix would fail the verification by it (see
	// Faults), while RFC 8461 §5.1 has the old policy go on.
	plain := "secure match=" + strings.Join(match, ":") + " servername=hostname"
	if full := plain + q.attributes(); q.TLSRPT && fits(full) {
		return socketmap.Found(full)
	}
	return socketmap.Found(plain)
}

// unverified asks for nothing beyond what the server does by itself, and says
// what the session is to be reported under.
func (q Question) unverified() socketmap.Reply {
	p, f := q.Finding.Policy, q.fault()
	if f == nil && (p == nil || p.Mode == mtasts.ModeNone) {
		return socketmap.NotFound()
	}
	attrs := q.attributes()
	if attrs != "" && f != nil {
		attrs += " policy_failure=" + string(f.Type)
	}
	if attrs != "" && fits("may"+attrs) {
		return socketmap.Found("may" + attrs)
	}
	return socketmap.NotFound()
}

func fits(value string) bool { return len(socketmap.StatusOK)+1+len(value) <= socketmap.MaxReply }

// attributes are the TLSRPT attributes of Postfix 3.10, each with a space
// before it; "" where they cannot be told. Postfix refuses a whole answer for
// one attribute that it does not like.
func (q Question) attributes() string {
	if !hostname(q.Domain.ASCII()) {
		return ""
	}
	var b strings.Builder
	b.WriteString(" policy_type=sts policy_domain=" + q.Domain.ASCII())
	if p := q.Finding.Policy; p != nil && p.Mode != mtasts.ModeNone {
		for _, mx := range p.MX {
			if hostname(mx.Name.ASCII()) {
				b.WriteString(" mx_host_pattern=" + mx.String())
			}
		}
		for _, line := range p.Lines {
			if quotable(line) {
				b.WriteString(" { policy_string = " + line + " }")
			}
		}
	}
	return b.String()
}

// fault is the finding's failure as policy.Decide reports it (RFC 8460
// §4.3.2.2); nil where there is none to report.
func (q Question) fault() *delivery.PolicyFailure {
	f := q.Finding.Failure
	if f == nil || f.Word.AsNone() {
		return nil
	}
	pf := &delivery.PolicyFailure{Type: tlsrpt.STSPolicyFetchError, Reason: delivery.Reason(f.Word), Text: f.Error()}
	switch f.Word {
	case mtasts.WebPKI:
		pf.Type = tlsrpt.STSWebPKIInvalid
	case mtasts.PolicySyntax:
		pf.Type = tlsrpt.STSPolicyInvalid
	}
	return pf
}

// hostname reports whether Postfix takes s for a host name: letters, digits,
// underscores, and hyphens within a label. A dns.Name may be less than that.
func hostname(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

// quotable reports whether a policy line can stand in { policy_string = … }:
// printable ASCII without braces, which Postfix would count. Lines of
// extensions and repeated keys may be otherwise; they are left out.
func quotable(line string) bool {
	if strings.TrimSpace(line) == "" {
		return false
	}
	for i := range len(line) {
		c := line[i]
		if c != '\t' && (c < ' ' || c > '~') || c == '{' || c == '}' {
			return false
		}
	}
	return true
}
