// Package received writes the trace field of mail that comes in: what is known of the connection
// it came by (RFC 5321 §4.4, INB-6).
package received

import (
	"crypto/tls"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/message"
)

// Trace is what a Received field tells (INB-6).
type Trace struct {
	HELO       string
	Addr       netip.Addr
	Name       dns.Name // that leads to Addr and back; zero: none
	Secure     bool     // by answers that were Secure
	Hostname   string
	Protocol   string // "": by none of the registered ones
	TLS        *tls.ConnectionState
	RequireTLS bool
	ID         int64
	Recipient  string // only if there is one recipient: others are not to be seen
	Now        time.Time
}

// Field is the Received field (RFC 5321 §4.4), CRLF included.
func (t Trace) Field() []byte {
	b := make([]byte, 0, 384)
	b = append(b, "Received: from "...)
	b = append(b, atomOnly(t.HELO)...)
	b = append(b, " ("...)
	if !t.Name.IsZero() {
		b = append(b, t.Name.ASCII()...)
		b = append(b, ' ')
	}
	b = append(b, literal(t.Addr)...)
	b = append(b, ')')
	if t.Secure {
		b = append(b, " (DNSSEC)"...)
	}
	b = append(b, "\r\n\tby "...)
	b = append(b, t.Hostname...)
	if t.Protocol != "" {
		b = append(b, " with "...)
		b = append(b, t.Protocol...)
	}
	if t.TLS != nil {
		b = append(b, " ("...)
		b = append(b, strings.ReplaceAll(tls.VersionName(t.TLS.Version), " ", "")...)
		if t.RequireTLS {
			b = append(b, " REQUIRETLS"...)
		}
		b = append(b, ')')
	}
	b = append(b, "\r\n\tid "...)
	b = strconv.AppendInt(b, t.ID, 36)
	if t.Recipient != "" {
		b = append(b, "\r\n\tfor <"...)
		b = append(b, t.Recipient...)
		b = append(b, '>')
	}
	if t.TLS != nil {
		// RFC 8314 §4.3: the clauses "tls" and "group", after all others.
		b = append(b, "\r\n\ttls "...)
		b = append(b, tls.CipherSuiteName(t.TLS.CipherSuite)...)
		if g := group(t.TLS.CurveID); g != "" {
			b = append(b, " group "...)
			b = append(b, g...)
		}
	}
	b = append(b, ";\r\n\t"...)
	b = append(b, message.FormatDate(t.Now)...)
	return append(b, "\r\n"...)
}

// group is the registered name of a key exchange; "" for none.
func group(id tls.CurveID) string {
	switch id {
	case 0:
		return ""
	case tls.CurveP256:
		return "secp256r1"
	case tls.CurveP384:
		return "secp384r1"
	case tls.CurveP521:
		return "secp521r1"
	case tls.X25519:
		return "x25519"
	}
	return id.String()
}

// atomOnly keeps a HELO name within what a Received field may hold; the
// server has refused white space and specials already.
func atomOnly(s string) string {
	if s == "" {
		return "unknown"
	}
	return strings.Map(func(c rune) rune {
		if c <= ' ' || c >= 0x7f {
			return '?'
		}
		return c
	}, s)
}

func literal(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "[unknown]"
	case a.Is4():
		return "[" + a.String() + "]"
	}
	return "[IPv6:" + a.WithZone("").String() + "]"
}
