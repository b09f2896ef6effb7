package session

import (
	"fmt"
	"strings"

	"waxwing/message"
)

// downgradeORcpt is an ORCPT for a host without SMTPUTF8: addresses of the type
// utf-8 have a form in ASCII (RFC 6533 §3).
func downgradeORcpt(s string) string {
	if ascii(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if r < 0x80 {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\x{%X}`, r)
		}
	}
	return b.String()
}

// needsUTF8 reports that a message that came with SMTPUTF8 needs it: the header of
// the message or of a part holds more than US-ASCII (RFC 6531 §3.2). What a body
// holds is for 8BITMIME.
func (s *session) needsUTF8() bool {
	r, err := s.content.Open()
	if err != nil {
		return true
	}
	defer r.Close()
	needs, err := message.HeadersNeedUTF8(r)
	return needs || err != nil
}
