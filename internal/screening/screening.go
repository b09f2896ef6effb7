// Package screening decides what the answers of milters come to (JNK-3): whether a message goes
// on, is refused, put off, put aside or thrown away, and which of the changes that a milter asks
// for are made. It does no I/O: package milters asks, and package receive does as was decided.
package screening

import (
	"fmt"
	"slices"
	"strings"

	"waxwing/internal/config"
	"waxwing/internal/foreign"
	"waxwing/milter"
	"waxwing/smtp"
)

// Said is what a milter says at one point of the dialogue.
type Said struct {
	Silent bool // it says nothing: it cannot be reached, is too slow, or breaks the protocol
	Answer milter.Answer
}

// Rule is what the operator wants.
type Rule struct {
	OnFailure  config.OnFailure  // "": defer
	Quarantine config.Quarantine // "": junk
	Of         config.MailOf     // whose mail it is
}

// Action is what is done at that point.
type Action uint8

// The actions.
const (
	GoOn     Action = iota
	LeaveOut        // the message goes on; the milter is asked no more about it
	Discard         // the message is taken and thrown away
	Refuse          // with Decision.Reply
)

var actionWords = [...]string{"go-on", "leave-out", "discard", "refuse"}

func (a Action) String() string { return actionWords[a] }

// Decision is what an answer comes to.
type Decision struct {
	Action Action
	Reply  *smtp.Reply // of Refuse; else nil
	Junk   bool        // the message goes into Junk since the milter is silent
	Silent bool        // of Refuse: since the milter is silent, whatever the message is
}

// Bounds of a milter's reply that is passed on.
const (
	maxLines = 10
	maxLine  = 300 // octets; RFC 5321 §4.5.3.1.5 allows 512 with the codes
)

// Decide is what is done at one answer, whatever the point: at a recipient, a refusal is about
// that recipient.
func Decide(s Said, r Rule) Decision {
	if s.Silent {
		return silent(r)
	}
	switch s.Answer.Verb {
	case milter.Continue:
		return Decision{}
	case milter.Accept:
		return Decision{Action: LeaveOut}
	case milter.Discard:
		return Decision{Action: Discard}
	case milter.TempFail:
		return Decision{Action: Refuse, Reply: reply(451, "a filter asks for another try later")}
	case milter.ReplyWith:
		return Decision{Action: Refuse, Reply: passedOn(s.Answer.Reply)}
	}
	return Decision{Action: Refuse, Reply: reply(550, "a filter refuses this")}
}

func silent(r Rule) Decision {
	switch {
	case r.OnFailure == config.AcceptOnFailure:
		return Decision{Action: LeaveOut}
	case r.OnFailure == config.JunkOnFailure && r.Of == config.OfServers: // mail of accounts has no Junk
		return Decision{Action: LeaveOut, Junk: true}
	case r.OnFailure == config.RejectOnFailure:
		return Decision{Action: Refuse, Silent: true, Reply: reply(550, "a filter does not answer, without which nothing is taken here")}
	}
	return Decision{Action: Refuse, Silent: true, Reply: reply(451, "a filter does not answer, try again later")}
}

func reply(code int, text string) *smtp.Reply {
	return smtp.NewReply(code, smtp.Enhanced{Class: code / 100, Subject: 7, Detail: 1}, "%s", text)
}

// passedOn is a milter's own reply, as it may be sent. Only this server says when it closes a
// connection (421).
func passedOn(r milter.Reply) *smtp.Reply {
	out := &smtp.Reply{Code: r.Code, Enhanced: smtp.Enhanced{Class: r.Enhanced[0], Subject: r.Enhanced[1], Detail: r.Enhanced[2]}}
	switch {
	case r.Code == 421:
		out.Code = 451
	case r.Code < 400 || r.Code > 599:
		out.Code = 550
	}
	if out.Enhanced.Class != out.Code/100 {
		out.Enhanced = smtp.Enhanced{Class: out.Code / 100, Subject: 7, Detail: 1}
	}
	for _, line := range r.Lines[:min(len(r.Lines), maxLines)] {
		out.Lines = append(out.Lines, printable(line))
	}
	if len(out.Lines) == 0 || strings.TrimSpace(strings.Join(out.Lines, "")) == "" {
		out.Lines = []string{"a filter refuses this"}
	}
	return out
}

// printable is text as any client may be told it.
func printable(s string) string {
	s = strings.Map(func(c rune) rune {
		if c > '~' {
			return '?'
		}
		return c
	}, foreign.Line(s))
	return s[:min(len(s), maxLine)]
}

// Aside is what is done where a milter wants a message put aside.
func Aside(r Rule) config.Quarantine {
	if r.Of == config.OfAccounts || r.Quarantine == config.QuarantineHold {
		return config.QuarantineHold
	}
	return config.QuarantineJunk
}

// Astray says that a milter wants a message to go to somebody who cannot be added.
type Astray struct {
	Refused bool // whenever it is tried
	PutOff  bool // at this moment
}

// Refusal is the answer where the message is taken from recipients that it had, in favour of such a
// one: it must not be lost between them, and those that it had are not to get it. nil: there is nobody such.
func (a Astray) Refusal() *smtp.Reply {
	switch {
	case a.Refused:
		return reply(550, "a filter sends this message on to somebody who may not be added to its recipients")
	case a.PutOff:
		return reply(451, "a filter sends this message on to somebody who cannot be added to its recipients now, try again later")
	}
	return nil
}

// Note is what is kept of what a milter did, for people: "2 fields added, body replaced".
func Note(done []milter.Op, replaced bool) string {
	count := map[milter.Op]int{}
	for _, op := range done {
		count[op]++
	}
	var parts []string
	add := func(n int, one, more string) {
		switch {
		case n == 0:
		case n == 1:
			parts = append(parts, one)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", n, more))
		}
	}
	add(count[milter.AddField]+count[milter.InsertField], "a field added", "fields added")
	add(count[milter.ChangeField], "a field changed", "fields changed")
	add(count[milter.AddRecipient], "a recipient added", "recipients added")
	add(count[milter.RemoveRecipient], "a recipient removed", "recipients removed")
	add(count[milter.ChangeSender], "the sender changed", "changes of the sender")
	if replaced {
		parts = append(parts, "the body replaced")
	}
	return strings.Join(parts, ", ")
}

// Words are the different words of what was not done, for the log.
func Words(all []NotDone) string {
	var words []string
	for _, n := range all {
		if w := n.Op.String() + ": " + n.Word; !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return strings.Join(words, ", ")
}
