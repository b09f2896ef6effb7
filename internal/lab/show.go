package lab

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"waxwing/internal/text"
)

// Introduction is what is said before the stories run.
const Introduction = `A small internet on loopback: DNS with signed, unsigned and bogus zones, mail
hosts good and bad, MTA-STS policy hosts, and two Waxwings. One sends a mail to
every domain below; the other receives the next day's TLS reports, DKIM-signed,
about what happened. Strangers write to that other one: who sent a mail is found
out by SPF, DKIM and DMARC, and decides where it goes. Domains that ask for it are
told by DMARC reports, and by failure reports, what came in their name; those of
others are taken in.
Everything runs over real sockets and real TLS.

`

// Listing is how stories are listed for people. In a narrow terminal what was published
// gives way first, then the report, then the decision.
func Listing() text.List[Row] {
	return text.List[Row]{Columns: []text.Column{{Head: "DOMAIN"}, {Head: "PUBLISHED", Rank: 3, Wrap: 24}, {Head: "DECIDED", Rank: 1, Wrap: 20},
		{Head: "MAIL", Wrap: 10}, {Head: "REPORTED NEXT DAY", Rank: 2, Wrap: 25}, {Head: ""}}, Cells: func(r *Row) []any {
		mark := text.Cell{Text: "WRONG", Tone: text.Bad}
		if r.OK {
			mark = text.Cell{Text: "ok", Tone: text.Good}
		}
		return []any{r.Domain, r.Published, r.Decision, r.outcome(), r.reported(), mark}
	}}
}

// Sum says what went wrong in the stories, and how many there were.
func (l *Lab) Sum() string {
	var b strings.Builder
	good := 0
	for _, r := range l.Rows {
		for _, x := range r.Problems {
			fmt.Fprintf(&b, "%s: %s\n", r.Story, x)
		}
		if r.OK {
			good++
		}
	}
	fmt.Fprintf(&b, "\n%d stories, %d went as they should.\n", len(l.Rows), good)
	return b.String()
}

// outcome is what became of the mail, and by what it was protected.
func (r *Row) outcome() text.Cell {
	tone := map[string]text.Tone{"delivered": text.Good, "waiting": text.Waits, junk: text.Waits, deferred: text.Waits}[r.Outcome]
	mail := text.Words(r.Outcome, r.Status)
	switch r.TLS {
	case "":
	case "none":
		mail += ", plaintext"
	default:
		mail += ", " + r.TLS
	}
	return text.Cell{Text: mail, Tone: tone}
}

// reported is what the next day's report said, without what it counted nothing of.
func (r *Row) reported() string {
	var parts []string
	for _, c := range r.Report {
		s := fmt.Sprintf("%s: ", c.PolicyType)
		switch {
		case c.Failed == 0:
			s += fmt.Sprintf("%d ok", c.Successful)
		case c.Successful == 0:
			s += fmt.Sprintf("%d failed", c.Failed)
		default:
			s += fmt.Sprintf("%d ok, %d failed", c.Successful, c.Failed)
		}
		types := []string{}
		for t := range c.Failures {
			types = append(types, string(t))
		}
		slices.Sort(types)
		parts = append(parts, text.Words(append([]string{s}, types...)...))
	}
	return cmp.Or(strings.Join(parts, "; "), "-")
}

// Hint is what can be typed in another terminal while the lab stays up, each line as it
// stands; program is how the program is called.
func (l *Lab) Hint(program string) string {
	sender, receiver := text.ShellWord(l.Sender.Config), text.ShellWord(l.Receiver.Config)
	s := fmt.Sprintf(`
The lab stays up until interrupted (Ctrl-C). See in a browser how each mail travelled, and what was reported:

  %[4]s            the machine that sends, where %[6]s logs in: each story's mail as a timeline
  %[5]s            one that it sends to, where %[7]s logs in: what was reported to it, and drawn
  %[4]smail/       the mail of %[6]s: write to you@sts-enforce.test, and see how it will travel and how it did
  %[5]smail/       the mail of %[7]s: what proves who sent it
  %[4]saccount/    what %[6]s can set up for the own account
  %[5]saccount/    the same of %[7]s

The password is %[8]s.

In another terminal, ask it why:

  %[1]s explain --config %[2]s dane-mismatch.test
  %[1]s explain --connect --config %[2]s dane-mismatch.test
  %[1]s dane verify --config %[2]s dane-ee.test
  %[1]s queue list --config %[2]s

what was reported, on both sides:

  %[1]s tlsrpt sent --config %[2]s
  %[1]s tlsrpt summary --config %[3]s
  %[1]s dmarc sent --config %[3]s
  %[1]s dmarc summary --config %[2]s
`, program, sender, receiver, l.Sender.Pages(), l.Receiver.Pages(), l.Sender.Account, l.Receiver.Account, l.Sender.Password)
	if l.Sender.Sendmail != "" {
		s += fmt.Sprintf("\nor send a mail of your own:\n\n  printf 'Subject: hello\\n\\nhello\\n' | %s sendmail -C %s you@sts-enforce.test\n", program, text.ShellWord(l.Sender.Sendmail))
	}
	return s
}
