package imap

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Mailbox names travel in modified UTF-7 to clients that have not enabled
// IMAP4rev2 or UTF8=ACCEPT (RFC 3501 §5.1.3).

var base64UTF7 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)

// EncodeUTF7 writes a mailbox name in modified UTF-7.
func EncodeUTF7(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		n := 0
		for n < len(s) && s[n] >= ' ' && s[n] <= '~' {
			n++
		}
		b.WriteString(strings.ReplaceAll(s[:n], "&", "&-"))
		s = s[n:]
		n = 0
		for n < len(s) && (s[n] < ' ' || s[n] > '~') {
			n++
		}
		if n == 0 {
			continue
		}
		var raw []byte
		for _, u := range utf16.Encode([]rune(s[:n])) {
			raw = append(raw, byte(u>>8), byte(u))
		}
		b.WriteString("&" + base64UTF7.EncodeToString(raw) + "-")
		s = s[n:]
	}
	return b.String()
}

// DecodeUTF7 reads a mailbox name in modified UTF-7; false for one that is none.
func DecodeUTF7(s string) (string, bool) {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '&')
		if i < 0 {
			i = len(s)
		}
		for _, c := range []byte(s[:i]) {
			if c < ' ' || c > '~' {
				return "", false
			}
		}
		b.WriteString(s[:i])
		if i == len(s) {
			return b.String(), true
		}
		coded, rest, ok := strings.Cut(s[i+1:], "-")
		if !ok {
			return "", false
		}
		s = rest
		if coded == "" {
			b.WriteByte('&')
			continue
		}
		text, ok := decodeUTF16(coded)
		if !ok {
			return "", false
		}
		b.WriteString(text)
	}
}

func decodeUTF16(coded string) (string, bool) {
	raw, err := base64UTF7.DecodeString(coded)
	if err != nil || len(raw)%2 != 0 || len(raw) == 0 {
		return "", false
	}
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = uint16(raw[2*i])<<8 | uint16(raw[2*i+1])
	}
	for _, r := range utf16.Decode(units) {
		if r == utf8.RuneError || r >= ' ' && r <= '~' { // a lone surrogate, or what must not be encoded
			return "", false
		}
	}
	return string(utf16.Decode(units)), true
}
