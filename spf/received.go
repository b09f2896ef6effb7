package spf

import (
	"net/netip"
	"strings"
)

// Received is what the Received-SPF field of one identity tells (RFC 7208 §9.1).
type Received struct {
	Result    Result
	Identity  string // helo or mailfrom
	Receiver  string // the host that has checked
	ClientIP  netip.Addr
	Sender    string // the reverse-path; "" is the null one
	HELO      string
	Mechanism string // that matched; "": none
	Problem   string // of an error
}

// Value is the field's value, in ASCII, on one line.
func (r Received) Value() string {
	var b strings.Builder
	b.WriteString(string(r.Result))
	pair := func(key, value string) {
		if value != "" {
			b.WriteString(" " + key + "=" + wordOf(value) + ";")
		}
	}
	pair("receiver", r.Receiver)
	pair("client-ip", r.ClientIP.String())
	b.WriteString(" envelope-from=" + quote(r.Sender) + ";")
	pair("helo", r.HELO)
	pair("identity", r.Identity)
	pair("mechanism", r.Mechanism)
	if r.Result == TempError || r.Result == PermError {
		pair("problem", r.Problem)
	}
	return strings.TrimSuffix(b.String(), ";")
}

// wordOf is a dot-atom where s is one, else a quoted string.
func wordOf(s string) string {
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || strings.ContainsFunc(part, func(c rune) bool {
			return c <= ' ' || c >= 0x7f || strings.ContainsRune(`()<>[]:;@\,"`, c)
		}) {
			return quote(s)
		}
	}
	return s
}

// quote is a quoted string; what is no printable ASCII is a question mark in it.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c < ' ' || c >= 0x7f:
			c = '?'
		case c == '"' || c == '\\':
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	b.WriteByte('"')
	return b.String()
}
