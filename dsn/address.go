package dsn

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"waxwing/message"
)

// finalRecipient types an address: rfc822 where it is US-ASCII, else utf-8, in
// the plain form where the reader takes UTF-8 and in the 7-bit form otherwise
// (RFC 6533 §3).
func finalRecipient(addr string, global bool) string {
	switch {
	case !message.EightBit([]byte(addr)):
		return "rfc822; " + addr
	case global && utf8.ValidString(addr):
		return "utf-8; " + addr
	}
	return "utf-8; " + encodeUnitext(addr)
}

// originalRecipient writes an ORCPT value, whose xtext (RFC 3461 §4.2) the
// caller has decoded. The utf-8 type has an encoding of its own (RFC 6533 §3),
// which is undone here where the reader takes UTF-8.
func originalRecipient(orcpt string, global bool) string {
	typ, addr, ok := strings.Cut(orcpt, ";")
	if !ok {
		return "rfc822; " + ascii(orcpt)
	}
	if strings.EqualFold(typ, "utf-8") {
		if plain, ok := decodeUnitext(addr); ok {
			addr = plain
		}
		return finalRecipient(addr, global)
	}
	return ascii(typ) + "; " + ascii(addr)
}

// encodeUnitext is utf-8-addr-xtext of RFC 6533 §3: US-ASCII, all else as \x{HEX}.
func encodeUnitext(addr string) string {
	var b strings.Builder
	for _, c := range addr {
		if c <= ' ' || c >= 0x7f || c == '\\' || c == '+' || c == '=' {
			fmt.Fprintf(&b, `\x{%X}`, c)
			continue
		}
		b.WriteRune(c)
	}
	return b.String()
}

// decodeUnitext undoes \x{HEX}; ok is false where the text is none.
func decodeUnitext(s string) (plain string, ok bool) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, `\x{`)
		b.WriteString(before)
		if !found {
			break
		}
		hex, after, closed := strings.Cut(rest, "}")
		if !closed || len(hex) < 2 || len(hex) > 6 {
			return "", false
		}
		n, err := strconv.ParseUint(hex, 16, 32)
		if err != nil || n < ' ' || n == 0x7f || !utf8.ValidRune(rune(n)) {
			return "", false
		}
		b.WriteRune(rune(n))
		s = after
	}
	return b.String(), utf8.ValidString(b.String())
}
