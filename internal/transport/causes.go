package transport

import (
	"cmp"
	"strings"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
)

// cause is why one host did not settle a recipient.
type cause struct {
	host delivery.MXHost
	word reason.Word
	text string
}

// maxCauses bounds the hosts that a recipient's text names.
const maxCauses = 5

// withOthers is the text of the reason that was chosen, with those of other hosts
// that failed for another cause behind it: a sender who is told of one alone would
// mend the wrong thing (SES-16). It is pure.
func withOthers(rr delivery.RecipientResult, all []cause) string {
	told := []cause{{rr.Host, rr.Word, rr.Text}}
	var b strings.Builder
	b.WriteString(cmp.Or(rr.Text, string(rr.Word)))
	for _, c := range all {
		if len(told) > maxCauses {
			break
		}
		if c.host.IsZero() || c.text == "" || c.host == rr.Host || contains(told, c) {
			continue
		}
		if len(told) == 1 {
			b.WriteString("; other hosts: ")
		} else {
			b.WriteString("; ")
		}
		b.WriteString(c.host.ASCII() + ": " + c.text)
		told = append(told, c)
	}
	return b.String()
}

// contains: the cause was told already, of this host or of another that answered in
// the same words.
func contains(told []cause, c cause) bool {
	for _, t := range told {
		if t.host == c.host || t.word == c.word && t.text == c.text {
			return true
		}
	}
	return false
}
