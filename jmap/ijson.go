package jmap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxDepth is how deep values may stand in each other.
const maxDepth = 64

// CheckIJSON says why data is no I-JSON (RFC 7493), as RFC 8620 §3.1 wants it: one value in UTF-8, no name
// twice in an object, no half of a surrogate pair. It is stricter where RFC 7493 leaves a bound to
// the reader: values stand at most 64 deep in each other.
func CheckIJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("it is no UTF-8")
	}
	if err := checkSurrogates(data); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var open []object
	for first := true; ; first = false {
		t, err := d.Token()
		if errors.Is(err, io.EOF) && !first && len(open) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("it is no JSON: %w", noEOF(err))
		}
		if !first && len(open) == 0 {
			return errors.New("something follows the value")
		}
		if open, err = step(open, t); err != nil {
			return err
		}
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// object is an object or an array that has begun.
type object struct {
	names map[string]struct{} // nil: an array
	value bool                // a name has been read, its value is next
}

// step reads one token.
func step(open []object, t json.Token) ([]object, error) {
	delim, _ := t.(json.Delim)
	if delim == '}' || delim == ']' {
		open = open[:len(open)-1]
		if n := len(open); n > 0 {
			open[n-1].value = false
		}
		return open, nil
	}
	if n := len(open); n > 0 && open[n-1].names != nil && !open[n-1].value {
		name, _ := t.(string)
		if _, twice := open[n-1].names[name]; twice {
			return nil, fmt.Errorf("the name %.100q stands twice in an object", name)
		}
		open[n-1].names[name] = struct{}{}
		open[n-1].value = true
		return open, nil
	}
	switch delim {
	case '{', '[':
		if len(open) == maxDepth {
			return nil, fmt.Errorf("values stand more than %d deep in each other", maxDepth)
		}
		o := object{}
		if delim == '{' {
			o.names = map[string]struct{}{}
		}
		return append(open, o), nil
	}
	if n := len(open); n > 0 {
		open[n-1].value = false
	}
	return open, nil
}

// checkSurrogates looks at the escapes of text: Go's decoder would take half a pair for U+FFFD.
func checkSurrogates(data []byte) error {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		u, ok := escaped(data[i:])
		if !ok {
			i++ // the character behind the backslash
			continue
		}
		i += 5
		switch {
		case u >= 0xdc00 && u <= 0xdfff:
			return errors.New("a text has half a surrogate pair")
		case u >= 0xd800 && u <= 0xdbff:
			low, ok := escaped(data[min(i+1, len(data)):])
			if !ok || low < 0xdc00 || low > 0xdfff {
				return errors.New("a text has half a surrogate pair")
			}
			i += 6
		}
	}
	return nil
}

// escaped reads an escape of four hexadecimal digits.
func escaped(b []byte) (u uint32, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			u = u<<4 | uint32(c-'0')
		case c >= 'a' && c <= 'f':
			u = u<<4 | uint32(c-'a'+10)
		case c >= 'A' && c <= 'F':
			u = u<<4 | uint32(c-'A'+10)
		default:
			return 0, false
		}
	}
	return u, true
}
