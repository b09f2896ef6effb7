package smtp

import (
	"errors"
	"strings"
)

const upperHex = "0123456789ABCDEF"

// EncodeXtext encodes s as xtext (RFC 3461 §4).
func EncodeXtext(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= '!' && c <= '~' && c != '+' && c != '=' {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('+')
		b.WriteByte(upperHex[c>>4])
		b.WriteByte(upperHex[c&15])
	}
	return b.String()
}

var errXtext = errors.New("invalid xtext")

// DecodeXtext undoes EncodeXtext; it is strict about what may stand unencoded,
// and takes lower-case hexadecimal digits too.
func DecodeXtext(s string) (string, error) {
	if !strings.ContainsRune(s, '+') {
		return s, checkXchars(s)
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '+' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", errXtext
		}
		hi, lo := unhex(s[i+1]), unhex(s[i+2])
		if hi < 0 || lo < 0 {
			return "", errXtext
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	return b.String(), checkXchars(s)
}

func checkXchars(s string) error {
	for i := range len(s) {
		if s[i] < '!' || s[i] > '~' || s[i] == '=' {
			return errXtext
		}
	}
	return nil
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
