package sifting

import (
	"context"
	"fmt"
	"strings"

	"waxwing/internal/autoreply"
	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/sieve"
)

// Trial is a script that is tried on a message: nothing is sent, stored or counted.
type Trial struct {
	Account string
	Script  string // its text
	From    string // of the envelope; "" is the null reverse-path
	To      string
	Junk    bool // the message would go into Junk
	Content delivery.Content
}

// Report says what a script would do, rule by rule (SIV-2).
type Report struct {
	Steps  []Step   `json:"steps"`
	Does   []string `json:"does"`
	Fault  string   `json:"fault,omitempty"` // the script fails: the message would be kept, the account told
	Reason string   `json:"refusal,omitempty"`
}

// Step is a command or test that was evaluated.
type Step struct {
	Line   int      `json:"line"`
	What   string   `json:"what"`
	Result string   `json:"result,omitempty"` // of a test: true or false
	Seen   []string `json:"seen,omitempty"`   // what a test has looked at
	depth  int
}

// maxSteps is how many steps of a script a report tells.
const maxSteps = 2000

// Try runs a script on a message and says what would come of it.
func (r *Room) Try(ctx context.Context, t Trial) (*Report, error) {
	lib, err := r.Scripts.Trial(ctx, t.Account, t.Script)
	if err != nil {
		return nil, err
	}
	to, domain, err := delivery.ParseAddress(t.To)
	if err != nil {
		return nil, err
	}
	job := &delivery.Job{Envelope: delivery.Envelope{Sender: t.From, Size: t.Content.Size(),
		Recipients: []delivery.Recipient{{ID: 1, Address: to.String(), Domain: domain, Local: true, Junk: t.Junk}}}}
	c := delivery.Copy{Recipient: 1, Address: to.String(), Account: t.Account, Mailbox: "INBOX"}
	if t.Junk {
		c.Mailbox = "Junk"
	}
	p, err := r.pass(job, c, t.Content)
	if err != nil {
		return nil, err
	}
	out := &Report{}
	p.trace = func(s sieve.Step) { out.add(s) }
	actions, err := p.run(ctx, lib)
	if err != nil {
		out.Fault = err.Error()
		out.Does = []string{"keep the message in " + c.Mailbox}
		return out, p.err
	}
	return out, p.tell(ctx, out, decide(actions, p.situation(ctx)))
}

func (r *Report) add(s sieve.Step) {
	if len(r.Steps) >= maxSteps {
		return
	}
	step := Step{Line: s.Line, What: s.Name, depth: s.Depth}
	if s.Test {
		step.Result = map[bool]string{true: "true", false: "false"}[s.True]
		for _, v := range s.Seen[:min(len(s.Seen), 5)] {
			step.Seen = append(step.Seen, foreign.Clip(v, 60))
		}
	}
	r.Steps = append(r.Steps, step)
}

// tell says in words what a decision comes to.
func (p *pass) tell(ctx context.Context, out *Report, d decision) error {
	does := func(format string, args ...any) { out.Does = append(out.Does, fmt.Sprintf(format, args...)) }
	if d.refused != "" {
		does("refuse the message: %s", d.refused)
	}
	if d.stays != "" {
		does("not send it on: %s", d.stays)
	}
	s, err := p.obey(ctx, decision{copies: d.copies, redirects: d.redirects, notices: d.notices})
	if err != nil {
		return err
	}
	for _, c := range s.Copies {
		text := "file it into " + c.Mailbox
		if len(c.Flags) > 0 {
			text += " with the flags " + strings.Join(c.Flags, " ")
		}
		if c.Header != nil {
			text += ", with another header"
		}
		if c.Create {
			text += "; the mailbox is made if it is missing"
		} else if !hasBox(p.mailboxes(ctx), c.Mailbox) {
			text += "; there is no such mailbox now: then it goes to INBOX"
		}
		does("%s", text)
	}
	for _, f := range s.Forwards {
		if f.Text != nil {
			does("tell %s of it by mail", strings.Join(f.To, ", "))
		} else {
			does("send it on to %s, with the sender <%s>", strings.Join(f.To, ", "), f.Sender)
		}
	}
	if len(s.Forwards) == 0 && len(s.Copies) == 0 && d.refused == "" {
		does("throw the message away")
	}
	if d.vacation != nil {
		var answer delivery.Sifted
		if why := p.vacation(ctx, &answer, d.vacation); why != autoreply.Answer {
			does("not answer it: %s", why)
		} else {
			does("answer it: %s", p.job.Sender)
			does("remember for %s that %s was answered", d.vacation.Period, p.job.Sender)
		}
	}
	return p.err
}

// String is the report for people.
func (r *Report) String() string {
	var b strings.Builder
	for _, s := range r.Steps {
		fmt.Fprintf(&b, "line %-4d%s%s", s.Line, strings.Repeat("  ", max(s.depth-1, 0)), s.What)
		if s.Result != "" {
			fmt.Fprintf(&b, ": %s", s.Result)
		}
		for i, v := range s.Seen {
			if i == 0 {
				b.WriteString(", of")
			}
			fmt.Fprintf(&b, " %q", v)
		}
		b.WriteByte('\n')
	}
	if r.Fault != "" {
		fmt.Fprintf(&b, "The script fails: %s\n", r.Fault)
	}
	b.WriteString("It would\n")
	for _, d := range r.Does {
		fmt.Fprintf(&b, "  %s\n", d)
	}
	return b.String()
}
