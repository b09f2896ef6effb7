package companion

import (
	"strings"

	"waxwing/dns"
	"waxwing/internal/policy"
	"waxwing/socketmap"
)

// question is a lookup in smtp_tls_policy_maps with what was decided.
type question struct {
	domain dns.Name // the next hop that Postfix asks for
	tlsrpt bool     // Postfix 3.10 asks: the TLSRPT attributes are welcome
	policy.Shared
}

// answer puts the decision in Postfix's words (CMP-3, pure).
func (q *question) answer() socketmap.Reply {
	switch q.Level {
	case policy.LevelWait:
		return socketmap.Temp(q.Text)
	case policy.LevelSecure:
		return q.secure()
	case policy.LevelDANEOnly, policy.LevelDANE:
		return socketmap.Found(q.Level.String())
	}
	if attrs := q.attributes(); q.tlsrpt && (q.Policy != nil || q.Fault != nil) && attrs != "" {
		// Nothing beyond what Postfix does by itself, and what to report under.
		if q.Fault != nil {
			attrs += " policy_failure=" + string(q.Fault.Type)
		}
		if fits("may" + attrs) {
			return socketmap.Found("may" + attrs)
		}
	}
	if q.Level == policy.LevelMay {
		return socketmap.Found("may")
	}
	return socketmap.NotFound()
}

// secure enforces the MTA-STS policy: RFC 8461 §4.2 as Postfix can do it. With
// the TLSRPT attributes, Postfix 3.10.5 and later also connects to no host but
// those of the policy (smtp_tls_enforce_sts_mx_patterns).
func (q *question) secure() socketmap.Reply {
	var match []string
	for _, mx := range q.Policy.MX {
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
		return socketmap.Temp("the MTA-STS policy of " + q.domain.ASCII() + " names no host that Postfix can be told")
	}
	// Never with policy_failure: Postfix would fail the verification by it (see
	// Faults), while RFC 8461 §5.1 has the old policy go on.
	plain := "secure match=" + strings.Join(match, ":") + " servername=hostname"
	if full := plain + q.attributes(); q.tlsrpt && fits(full) {
		return socketmap.Found(full)
	}
	return socketmap.Found(plain)
}

func fits(value string) bool { return len(socketmap.StatusOK)+1+len(value) <= socketmap.MaxReply }

// attributes are the TLSRPT attributes of Postfix 3.10, each with a space
// before it; "" where they cannot be told. Postfix refuses a whole answer for
// one attribute that it does not like.
func (q *question) attributes() string {
	if !hostname(q.domain.ASCII()) {
		return ""
	}
	var b strings.Builder
	b.WriteString(" policy_type=sts policy_domain=" + q.domain.ASCII())
	if p := q.Policy; p != nil {
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
