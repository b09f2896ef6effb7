package junk

import (
	"encoding/json"
	"fmt"
	"strings"

	"waxwing/internal/foreign"
	"waxwing/message"
)

// FieldName is the header field that tells an account's own copy what was decided.
const FieldName = "Waxwing-Junk"

// maxField bounds what of the evidence stands in the field, in octets.
const maxField = 2000

// Field is the decision for the header of the account's copy, with CRLF at its end; none
// where kept is no decision.
func Field(kept []byte) []byte {
	var d Decision
	if len(kept) == 0 || json.Unmarshal(kept, &d) != nil {
		return nil
	}
	parts := []string{fmt.Sprintf("%s, %d of %d", d.Action, d.Sum, d.Limit)}
	for _, e := range d.Evidence {
		parts = append(parts, e.String())
	}
	value := strings.Map(func(r rune) rune { // what filters say is theirs
		if r > '~' {
			return '?'
		}
		return r
	}, strings.Join(parts, "; "))
	return message.Fold(FieldName, foreign.Clip(value, maxField))
}

// String is the evidence on one line.
func (e Evidence) String() string {
	s := fmt.Sprintf("%s %+d", e.Word, e.Points)
	if e.Text != "" {
		s += " (" + foreign.Shown(e.Text) + ")"
	}
	return s
}

// Why is the decision for people: one line each, in the order in which the evidence counts.
func (d Decision) Why() string {
	var b strings.Builder
	fmt.Fprintf(&b, "junk: %s, %d points; %d are needed for Junk\n", d.Action, d.Sum, d.Limit)
	for _, e := range d.Evidence {
		fmt.Fprintf(&b, "  %+4d %s", e.Points, e.Word)
		if e.Text != "" {
			fmt.Fprintf(&b, " (%s)", foreign.Shown(e.Text))
		}
		fmt.Fprintf(&b, " – %s\n", e.Word.Meaning())
	}
	return b.String()
}

// Reasons are the words that count towards Junk, for a reply to the sender, who is told no more.
func (d Decision) Reasons() string {
	var words []string
	for _, e := range d.Evidence {
		if e.Points > 0 {
			words = append(words, string(e.Word))
		}
	}
	return strings.Join(words, ", ")
}
