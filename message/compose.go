package message

import (
	"bytes"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"io"
	"mime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"waxwing/dns"
)

const (
	foldAt  = 78  // RFC 5322 §2.1.1: lines should not be longer
	maxLine = 998 // and must not be longer than this, without CRLF
)

// NewMessageID makes the value of a Message-ID field, with its angle brackets.
// random nil is crypto/rand.
func NewMessageID(now time.Time, random io.Reader, host dns.Name) string {
	return "<" + strconv.FormatInt(now.UnixMilli(), 36) + "." + token(random, 10) + "@" + host.ASCII() + ">"
}

// NewBoundary makes a multipart boundary. random nil is crypto/rand. It holds
// "=_", which no quoted-printable or base64 line can (RFC 2045 §6.7).
func NewBoundary(random io.Reader) string { return "=_" + token(random, 15) }

func token(random io.Reader, n int) string {
	if random == nil {
		random = rand.Reader
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(random, b); err != nil {
		// crypto/rand never fails; a short source in a test gets what crypto/rand gives.
		_, _ = rand.Read(b)
	}
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
}

// FormatDate is a Date field's value (RFC 5322 §3.3).
func FormatDate(t time.Time) string { return t.Format("Mon, 2 Jan 2006 15:04:05 -0700") }

// Fold writes one header field, folded at white space so that lines stay
// within 78 octets where they can, and with CRLF at its end. Control
// characters, CR and LF among them, become spaces: a value cannot add fields.
func Fold(name, value string) []byte {
	value = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, value))
	out := make([]byte, 0, len(name)+len(value)+16)
	out = append(out, name...)
	out = append(out, ':')
	col := len(out)
	for value != "" {
		n := wordEnd(value)
		if col+n > foldAt && col > len(name)+1 || n > maxLine-col {
			out = append(out, "\r\n"...)
			col = 0
		}
		word := value[:n]
		if word[0] != ' ' {
			out = append(out, ' ')
			col++
		}
		out = append(out, word...)
		col += n
		value = value[n:]
	}
	return append(out, "\r\n"...)
}

// wordEnd is the length of the white space and the word value starts with, at
// most what fits in one line.
func wordEnd(value string) int {
	i := 0
	for i < len(value) && value[i] == ' ' {
		i++
	}
	for i < len(value) && value[i] != ' ' {
		i++
	}
	if limit := maxLine - 100; i > limit {
		i = limit
		for i > 1 && !utf8.RuneStart(value[i]) {
			i--
		}
	}
	return i
}

// EncodeWord encodes text for an unstructured field such as Subject, as
// RFC 2047 words where it holds more than printable US-ASCII.
func EncodeWord(text string) string { return mime.QEncoding.Encode("utf-8", text) }

// EncodePhrase writes a display name: as an atom, a quoted string, or encoded
// words (RFC 5322 §3.2.5, RFC 2047 §5).
func EncodePhrase(name string) string {
	plain, special := true, false
	for i := range len(name) {
		c := name[i]
		plain = plain && (atext(c) || c == ' ') && c < 0x7f
		// RFC 2047 §5 (3): in a phrase fewer characters may stand as they are, and
		// a reader would take the others for the end of the name.
		special = special || c > ' ' && c < 0x7f && !atext(c)
	}
	switch {
	case plain && !strings.Contains(name, "=?"):
		return name
	case strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c >= 0x7f }):
		if special {
			return mime.BEncoding.Encode("utf-8", name)
		}
		return EncodeWord(name)
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

// EightBit reports whether b holds octets above 127.
func EightBit(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.LittleEndian.Uint64(b)&0x8080808080808080 != 0 {
			return true
		}
	}
	return slices.ContainsFunc(b, func(c byte) bool { return c >= 0x80 })
}

// ToCRLF writes text with CRLF line ends, whatever it had, and ends it with one.
func ToCRLF(text string) []byte {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	var b bytes.Buffer
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		b.WriteString(line)
		b.WriteString("\r\n")
	}
	return b.Bytes()
}
