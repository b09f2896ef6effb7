package mbox

import (
	"bytes"
	"strconv"
	"strings"
)

// status is what the fields of a header say of flags.
type status struct{ flags []string }

// letters are the flags of the letters in Status and X-Status.
var letters = map[rune]string{'R': `\Seen`, 'A': `\Answered`, 'F': `\Flagged`, 'D': `\Deleted`, 'T': `\Draft`}

// ours are the fields that Writer puts behind a header, in this order.
var ours = []string{"Status", "X-Status", "X-Keywords"}

// takeStatus takes the fields of flags off the end of a header, which holds whole lines and not the
// empty one behind them. Where there are none, those elsewhere in the header count.
func takeStatus(header []byte) (rest []byte, flags []string) {
	var s status
	rest = header
	for taken := map[string]bool{}; ; {
		begin := bytes.LastIndexByte(bytes.TrimSuffix(rest, []byte("\n")), '\n') + 1
		name, value, ok := field(rest[begin:])
		if !ok || taken[name] || !s.read(name, value) {
			break
		}
		taken[name], rest = true, rest[:begin]
		if taken["status"] && taken["x-status"] && taken["x-keywords"] { // what stands before is not Writer's
			break
		}
	}
	for line := range bytes.Lines(rest) {
		if name, value, ok := field(line); ok && (len(rest) == len(header) && name != "x-uid" || name == "x-mozilla-status") {
			s.read(name, value)
		}
	}
	return rest, s.flags
}

// field parts a line; its name is in small letters. One that continues the field before it is none.
func field(line []byte) (name, value string, ok bool) {
	n, v, ok := bytes.Cut(line, []byte(":"))
	if !ok || len(n) > 20 {
		return "", "", false
	}
	return strings.ToLower(string(n)), strings.TrimSpace(string(v)), true
}

// read takes the flags of a field; false for one that has none.
func (s *status) read(name, value string) bool {
	switch name {
	case "status", "x-status":
		for _, c := range value {
			if w, ok := letters[c]; ok {
				s.flags = append(s.flags, w)
			}
		}
	case "x-keywords":
		s.flags = append(s.flags, strings.Fields(value)...)
	case "x-uid": // UW-IMAP's number of it
	case "x-mozilla-status":
		n, err := strconv.ParseUint(value, 16, 16)
		for bit, w := range map[uint64]string{1: `\Seen`, 2: `\Answered`, 4: `\Flagged`, 8: `\Deleted`} {
			if err == nil && n&bit != 0 {
				s.flags = append(s.flags, w)
			}
		}
	default:
		return false
	}
	return true
}

// appendStatus appends the fields that say which flags a message has.
func appendStatus(b []byte, flags []string, end string) []byte {
	has := [2]string{"O", ""}
	var words []string
	for _, f := range flags {
		switch {
		case strings.EqualFold(f, `\Seen`):
			has[0] = "RO"
		case !strings.HasPrefix(f, `\`):
			words = append(words, f)
		}
	}
	for _, c := range "AFTD" {
		for _, f := range flags {
			if strings.EqualFold(f, letters[c]) {
				has[1] += string(c)
				break
			}
		}
	}
	for i, v := range []string{has[0], has[1], strings.Join(words, " ")} {
		b = append(b, ours[i]+": "+v+end...)
	}
	return b
}
