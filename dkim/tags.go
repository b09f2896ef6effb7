package dkim

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"waxwing/internal/foreign"
)

// maxTags bounds the tags of one list.
const maxTags = 64

// tag is one "name=value" of RFC 6376 §3.2, with where its value stands.
type tag struct {
	name       string
	value      string // as written, white space at the ends taken off
	compact    string // without any white space
	start, end int    // of the value with all white space
}

type tags []tag

func (ts tags) get(name string) (string, bool) {
	for _, t := range ts {
		if t.name == name {
			return t.value, true
		}
	}
	return "", false
}

// compact is a tag's value without any white space.
func (ts tags) compact(name string) string {
	for _, t := range ts {
		if t.name == name {
			return t.compact
		}
	}
	return ""
}

// list is a tag's value split at colons, in lower case; nil without the tag.
func (ts tags) list(name string) []string {
	if _, ok := ts.get(name); !ok {
		return nil
	}
	return strings.Split(strings.ToLower(ts.compact(name)), ":")
}

func unspace(s string) string { return spaces.Replace(s) }

var spaces = strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "")

// parseTags reads a tag list; a name that stands twice makes it invalid.
func parseTags(b []byte) (tags, error) {
	ts := make(tags, 0, 12) // most signatures have no more
	for pos := 0; pos < len(b); {
		end := len(b)
		if i := bytes.IndexByte(b[pos:], ';'); i >= 0 {
			end = pos + i
		}
		spec := b[pos:end]
		eq := bytes.IndexByte(spec, '=')
		switch {
		case len(bytes.TrimSpace(spec)) == 0:
		case eq < 0:
			return nil, fmt.Errorf("%q is no tag", foreign.Clip(string(bytes.TrimSpace(spec)), 60))
		case len(ts) == maxTags:
			return nil, fmt.Errorf("more than %d tags", maxTags)
		default:
			name := string(bytes.TrimSpace(spec[:eq]))
			if _, twice := ts.get(name); twice {
				return nil, fmt.Errorf("tag %q stands twice", foreign.Clip(name, 60))
			}
			value := string(bytes.TrimSpace(spec[eq+1:]))
			ts = append(ts, tag{name, value, unspace(value), pos + eq + 1, end})
		}
		pos = end + 1
	}
	return ts, nil
}

// decode64 reads base64string of RFC 6376 §3.5, in which the padding may be
// missing and white space may stand anywhere.
func decode64(s string) ([]byte, error) {
	s = unspace(s)
	padding := len(s) - len(strings.TrimRight(s, "="))
	b, err := base64.RawStdEncoding.DecodeString(s[:len(s)-padding])
	if err != nil || padding > 2 || padding > 0 && len(s)%4 != 0 {
		return nil, errors.New("broken base64")
	}
	return b, nil
}

// decodeQP reads dkim-quoted-printable (RFC 6376 §2.11): white space does not
// count. An "=" without two hexadecimal digits in upper case behind it stays: it
// stands unencoded in addresses such as "bounce+joe=example.com".
func decodeQP(s string) string {
	s = unspace(s)
	if !strings.Contains(s, "=") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '=' && i+2 < len(s) && upperHex(s[i+1]) && upperHex(s[i+2]) {
			n, _ := strconv.ParseUint(s[i+1:i+3], 16, 8) // two digits: no error
			b.WriteByte(byte(n))
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func upperHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' }

// number reads a decimal of up to 12 digits (RFC 6376 §3.5, t=).
func number(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || len(s) > 76 || n > math.MaxInt64 {
		return 0, fmt.Errorf("%q is no number", foreign.Clip(s, 60))
	}
	return int64(n), nil
}
