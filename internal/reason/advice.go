package reason

import (
	"regexp"
	"strings"
)

// Cause is what somebody wants advice about. The first field that is set counts.
type Cause struct {
	Tip    Tip    // what a room has found by looking closer than a word says
	Word   Word   // a reason of ours
	Result string // the result type of a TLS report (RFC 8460 §4.3)
	Unmet  bool   // a domain has published a policy and does not meet it (POL-6)
	// Subject and Detail are those of an enhanced status code (RFC 3463).
	Subject, Detail int
}

// Names are the values that stand in a piece of advice for {domain}, {host} and others.
type Names map[string]string

// Advice is what a cause means, what is to be done about it, and who can.
type Advice struct {
	Who     Who
	Meaning string
	Cure    string // "" where nothing is to be done
}

// Advise is the one giver of advice: explain, notifications, TLS reports and what is told of
// them, alerts, and tests of transports have theirs from here. It is pure. A name that is
// not given stands in capitals.
func Advise(c Cause, names Names) Advice {
	var a Advice
	switch {
	case c.Tip != "":
		a = Advice{Cure: tips[c.Tip]}
	case c.Word != "":
		e, _ := Of(c.Word)
		a = Advice{e.Who, e.Meaning, c.Word.Cure()}
	case c.Result != "":
		a = result(c.Result)
	case c.Unmet:
		a = unmet()
	default:
		a = status(c.Subject, c.Detail)
	}
	a.Meaning, a.Cure = fill(a.Meaning, names), fill(a.Cure, names)
	return a
}

var blank = regexp.MustCompile(`\{[a-z]+\}`)

// fill puts values into a text. What stands in a value is not looked at again.
func fill(text string, names Names) string {
	return blank.ReplaceAllStringFunc(text, func(s string) string {
		name := s[1 : len(s)-1]
		if v, ok := names[name]; ok {
			return v
		}
		return strings.ToUpper(name)
	})
}
