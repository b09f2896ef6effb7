package ruleform

import (
	"encoding/json"
	"fmt"
	"strings"
)

const (
	intro = "# Made on the page \"Rules and vacation\". What is changed here by hand is kept, and can be changed on the page no more.\r\n"
	mark  = "# waxwing-rules-1 "
)

// Script is what a form that was checked comes to.
func (f Form) Script() string {
	form, _ := json.Marshal(f) // text and numbers; what JSON escapes is no end of a line
	var b strings.Builder
	b.WriteString(intro + mark + string(form) + "\r\n")
	b.WriteString(`require ["copy", "date", "fileinto", "imap4flags", "mailbox", "relational", "vacation"];` + "\r\n")
	for _, r := range f.Rules {
		fmt.Fprintf(&b, "if %s {\r\n", r.test())
		for _, act := range r.acts() {
			b.WriteString("\t" + act + "\r\n")
		}
		b.WriteString("\tstop;\r\n}\r\n")
	}
	b.WriteString(f.Vacation.script())
	for i, to := range f.Forward.To {
		// Only the last may take the message along: the others leave it for the next.
		copied := ":copy "
		if i == len(f.Forward.To)-1 && !f.Forward.Keep {
			copied = ""
		}
		fmt.Fprintf(&b, "redirect %s%s;\r\n", copied, quoted(to))
	}
	return b.String()
}

func (r Rule) test() string {
	switch r.Where {
	case To:
		return `address :contains ["to", "cc"] ` + quoted(r.Has)
	case Subject:
		return `header :contains "subject" ` + quoted(r.Has)
	case List:
		return `header :contains "list-id" ` + quoted(r.Has)
	}
	return `header :contains "from" ` + quoted(r.Has)
}

func (r Rule) acts() []string {
	switch r.Do {
	case Move:
		return []string{"fileinto :create " + quoted(r.To) + ";"}
	case Star:
		return []string{`addflag "\\Flagged";`, "keep;"}
	case Seen:
		return []string{`addflag "\\Seen";`, "keep;"}
	case Resend:
		return []string{"redirect " + quoted(r.To) + ";"}
	case Discard:
		return []string{"discard;"}
	}
	return []string{"keep;"}
}

// script is the answer, within its days as they are in UTC.
func (v Vacation) script() string {
	if !v.On {
		return ""
	}
	var tests []string
	if v.From != "" {
		tests = append(tests, `currentdate :zone "+0000" :value "ge" "date" `+quoted(v.From))
	}
	if v.Until != "" {
		tests = append(tests, `currentdate :zone "+0000" :value "le" "date" `+quoted(v.Until))
	}
	subject := ""
	if v.Subject != "" {
		subject = " :subject " + quoted(v.Subject)
	}
	answer := fmt.Sprintf("vacation :days %d%s %s;\r\n", v.Days, subject, quoted(v.Text))
	if len(tests) == 0 {
		return answer
	}
	return "if allof (" + strings.Join(tests, ", ") + ") {\r\n\t" + answer + "}\r\n"
}

// quoted is a text as a script has it (RFC 5228 §2.4.2). Lines in it end with CRLF.
func quoted(s string) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// Read is the form that a script was made of; false for one that was not, or that was changed since.
func Read(script string) (Form, bool) {
	rest, ok := strings.CutPrefix(script, intro+mark)
	if !ok {
		return Form{}, false
	}
	text, _, ok := strings.Cut(rest, "\r\n")
	var f Form
	if !ok || json.Unmarshal([]byte(text), &f) != nil || f.Check() != nil || f.Script() != script {
		return Form{}, false
	}
	return f, true
}
