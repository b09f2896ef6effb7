// Package ruleform is the rules that people fill in on a page, as a Sieve script, and back (SIV-2). The script has the form in
// a comment at its top. It is read back only where it is still what the form comes to: a script that somebody has changed by hand is theirs.
package ruleform

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"waxwing/smtp"
)

// Name is that of the script.
const Name = "web-rules"

// Form is what an account wants done with its mail.
type Form struct {
	Rules    []Rule   `json:"rules,omitempty"`   // the first that fits is obeyed
	Forward  Forward  `json:"forward,omitzero"`  // what all other mail does
	Vacation Vacation `json:"vacation,omitzero"` // whom all mail but that of Rules is answered
}

// Rule is one condition and what is done with mail that meets it.
type Rule struct {
	Where Where  `json:"where"`
	Has   string `json:"has"` // text that stands there, in capitals or not
	Do    Do     `json:"do"`
	To    string `json:"to,omitempty"` // a mailbox, or an address to forward to
}

// Where is a part of a message.
type Where string

// The parts.
const (
	From    Where = "from"
	To      Where = "to" // or Cc
	Subject Where = "subject"
	List    Where = "list" // the List-Id field
)

// Do is what is done.
type Do string

// The acts.
const (
	Move     Do = "move"
	Star     Do = "star" // and keep
	Seen     Do = "read" // mark as read, and keep
	Resend   Do = "forward"
	Discard  Do = "discard"
	KeepHere Do = "keep" // without an answer, and without forwarding
)

// Wheres and Dos are all of them, as they are offered.
func Wheres() []Where { return []Where{From, To, Subject, List} }
func Dos() []Do       { return []Do{Move, Star, Seen, Resend, Discard, KeepHere} }

// Forward is where mail goes on to.
type Forward struct {
	To   []string `json:"to,omitempty"`
	Keep bool     `json:"keep,omitempty"` // a copy stays
}

// Vacation is an answer to who writes, once in a while to each.
type Vacation struct {
	On      bool   `json:"on,omitempty"`
	Subject string `json:"subject,omitempty"` // "": one that is made of the message's
	Text    string `json:"text,omitempty"`
	From    string `json:"from,omitempty"`  // the first day, such as 2027-01-31; "": at once
	Until   string `json:"until,omitempty"` // the last; "": until it is switched off
	Days    int    `json:"days,omitempty"`  // between two answers to one sender
}

// Bounds of a form. maxText leaves room in a script (scripts.MaxScript) for the form twice.
const (
	MaxRules   = 50
	MaxForward = 5
	maxLine    = 500
	maxText    = 8_000
	maxDays    = 30
)

// Check says what cannot be.
func (f *Form) Check() error {
	if len(f.Rules) > MaxRules {
		return fmt.Errorf("there may be up to %d rules", MaxRules)
	}
	for i, r := range f.Rules {
		if err := r.check(); err != nil {
			return fmt.Errorf("rule %d: %w", i+1, err)
		}
	}
	if len(f.Forward.To) > MaxForward {
		return fmt.Errorf("mail may be forwarded to up to %d addresses", MaxForward)
	}
	for _, to := range f.Forward.To {
		if err := checkAddress(to); err != nil {
			return err
		}
	}
	return f.Vacation.check()
}

func (r Rule) check() error {
	switch {
	case !slices.Contains(Wheres(), r.Where):
		return errors.New("it is about no part of a message")
	case !slices.Contains(Dos(), r.Do):
		return errors.New("there is nothing that it does")
	case r.Has == "" || !line(r.Has):
		return errors.New("the text that it looks for is one line, and not empty")
	case r.Do == Resend:
		return checkAddress(r.To)
	case r.Do == Move && (r.To == "" || !line(r.To)):
		return errors.New("name the mailbox that the mail goes to")
	case r.Do != Move && r.To != "":
		return errors.New("only moving and forwarding lead somewhere")
	}
	return nil
}

func (v Vacation) check() error {
	for _, day := range []string{v.From, v.Until} {
		if _, err := time.Parse(time.DateOnly, day); day != "" && err != nil {
			return errors.New("a day is written as 2027-01-31")
		}
	}
	switch {
	case v.From != "" && v.Until != "" && v.From > v.Until:
		return errors.New("the vacation ends before it begins")
	case v.On && strings.TrimSpace(v.Text) == "":
		return errors.New("the answer has no text")
	case len(v.Text) > maxText || strings.ContainsRune(v.Text, 0) || !utf8.ValidString(v.Text) || !line(v.Subject):
		return fmt.Errorf("the answer is text of up to %d octets, and its subject one line", maxText)
	case v.On && (v.Days < 1 || v.Days > maxDays):
		return fmt.Errorf("one sender is answered every 1 to %d days", maxDays)
	}
	return nil
}

// line reports whether a text is one line of a bounded length.
func line(s string) bool {
	return len(s) <= maxLine && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func checkAddress(s string) error {
	if _, err := smtp.ParseAddress(s, true); err != nil || !line(s) {
		return fmt.Errorf("%.100q is no address", s)
	}
	return nil
}
