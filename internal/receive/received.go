package receive

import (
	"crypto/tls"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/message"
	"waxwing/smtpserver"
)

// trace is what a Received field tells (INB-6).
type trace struct {
	helo       string
	addr       netip.Addr
	name       dns.Name // that leads to addr and back; zero: none
	secure     bool     // by answers that were Secure
	hostname   string
	protocol   string // "": by none of the registered ones
	tls        *tls.ConnectionState
	requireTLS bool
	id         int64
	rcpt       string // only if there is one recipient: others are not to be seen
	now        time.Time
}

// protocol is the "with" of RFC 3848 and, with SMTPUTF8, of RFC 6531 §4.3. What was handed
// in without SMTP has none: RFC 5321 §4.4 allows registered names only.
func protocol(conn smtpserver.Conn, utf8, lmtp bool) string {
	if _, without := conn.(handedBy); without {
		return ""
	}
	p := "SMTP"
	if lmtp {
		p = "L" + p[1:]
	}
	switch {
	case utf8:
		p = "UTF8" + p
	case lmtp:
	case conn.ESMTP():
		p = "ESMTP"
	default:
		return p // RFC 3848 knows neither TLS nor AUTH without EHLO
	}
	if conn.TLS() != nil {
		p += "S"
	}
	if conn.Identity() != "" {
		p += "A"
	}
	return p
}

// field is the Received field (RFC 5321 §4.4), CRLF included.
func (t trace) field() []byte {
	b := make([]byte, 0, 384)
	b = append(b, "Received: from "...)
	b = append(b, atomOnly(t.helo)...)
	b = append(b, " ("...)
	if !t.name.IsZero() {
		b = append(b, t.name.ASCII()...)
		b = append(b, ' ')
	}
	b = append(b, literal(t.addr)...)
	b = append(b, ')')
	if t.secure {
		b = append(b, " (DNSSEC)"...)
	}
	b = append(b, "\r\n\tby "...)
	b = append(b, t.hostname...)
	if t.protocol != "" {
		b = append(b, " with "...)
		b = append(b, t.protocol...)
	}
	if t.tls != nil {
		b = append(b, " ("...)
		b = append(b, strings.ReplaceAll(tls.VersionName(t.tls.Version), " ", "")...)
		if t.requireTLS {
			b = append(b, " REQUIRETLS"...)
		}
		b = append(b, ')')
	}
	b = append(b, "\r\n\tid "...)
	b = strconv.AppendInt(b, t.id, 36)
	if t.rcpt != "" {
		b = append(b, "\r\n\tfor <"...)
		b = append(b, t.rcpt...)
		b = append(b, '>')
	}
	if t.tls != nil {
		// RFC 8314 §4.3: the clauses "tls" and "group", after all others.
		b = append(b, "\r\n\ttls "...)
		b = append(b, tls.CipherSuiteName(t.tls.CipherSuite)...)
		if g := group(t.tls.CurveID); g != "" {
			b = append(b, " group "...)
			b = append(b, g...)
		}
	}
	b = append(b, ";\r\n\t"...)
	b = append(b, message.FormatDate(t.now)...)
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
