package dsn

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"waxwing/internal/foreign"
	"waxwing/internal/reason"
)

const wrapAt = 72

func (r Report) subject() string {
	switch {
	case r.hasFailed():
		return "Your message could not be delivered"
	case r.has(Failed):
		return "It is not known whether your message was delivered"
	case r.has(Delayed):
		return "Your message is delayed"
	case r.has(Delivered):
		return "Your message was delivered"
	}
	return "Your message was passed on"
}

// unknown reports that nobody knows whether the recipient has the message, and
// that it is not tried again (SES-13).
func (rc Recipient) unknown() bool { return rc.Action == Failed && !rc.Unanswered.IsZero() }

// hasFailed reports a recipient who certainly does not have the message.
func (r Report) hasFailed() bool {
	return slices.ContainsFunc(r.Recipients, func(rc Recipient) bool { return rc.Action == Failed && !rc.unknown() })
}

// lead is what is said of all recipients with one action, before their names.
var lead = []struct {
	action  Action
	unknown bool
	text    string
}{
	{Failed, false, "Your message could not be delivered to the recipients below. It will not be tried again for them."},
	{Failed, true, "It is not known whether your message reached the recipients below. It was sent in full, and the server did not say whether it has taken it. It will not be tried again for them."},
	{Delayed, false, "Your message has not been delivered yet to the recipients below. It is being tried again; you need not send it again."},
	{Delivered, false, "Your message was delivered to the mailboxes of the recipients below. This does not say that anybody has read it."},
	{Relayed, false, "Your message was passed on to a server that sends no notices of success, for the recipients below. You will hear no more of it unless something goes wrong there."},
}

// words is the part for people.
func (r Report) words() string {
	var b strings.Builder
	fmt.Fprintf(&b, "This is the mail server %s.\n", r.Hostname)
	for _, l := range lead {
		some := slices.DeleteFunc(slices.Clone(r.Recipients), func(rc Recipient) bool { return rc.Action != l.action || rc.unknown() != l.unknown })
		if len(some) == 0 {
			continue
		}
		b.WriteString("\n")
		wrap(&b, "", l.text)
		for _, rc := range some {
			b.WriteString("\n")
			rc.words(&b)
		}
	}
	r.about(&b)
	return b.String()
}

func (rc Recipient) words(b *strings.Builder) {
	fmt.Fprintf(b, "<%s>\n", printable(rc.Address))
	if rc.Text != "" {
		wrap(b, "    ", "What happened: "+printable(rc.Text))
	}
	if rc.LastFail != "" {
		wrap(b, "    ", "What the last try failed by: "+printable(rc.LastFail))
	}
	rc.answer(b)
	if rc.PolicyFirstFail != "" {
		wrap(b, "    ", "First seen: "+printable(rc.PolicyFirstFail))
	}
	if !rc.Unanswered.IsZero() {
		wrap(b, "    ", "Sent in full and not answered: "+day(rc.Unanswered))
	}
	if rc.Action == Failed || rc.Action == Delayed {
		status := rc.status()
		advice := reason.Advise(reason.Cause{Unmet: rc.PolicyFirstFail != "", Subject: status.Subject, Detail: status.Detail}, nil)
		meaning, cure := advice.Meaning, advice.Cure
		if rc.unknown() {
			meaning, cure = "The recipient may have the message, once or several times, or not at all.", "Ask the recipient whether it arrived before you send it again."
		}
		wrap(b, "    ", "What it means: "+meaning)
		if rc.Action == Failed {
			wrap(b, "    ", "What you can do: "+cure)
		}
		if !rc.LastAttempt.IsZero() {
			fmt.Fprintf(b, "    Last try: %s\n", day(rc.LastAttempt))
		}
	}
	if rc.Action == Delayed && !rc.RetryUntil.IsZero() {
		fmt.Fprintf(b, "    Tried again until: %s\n", day(rc.RetryUntil))
	}
}

// answer quotes the remote server in full.
func (rc Recipient) answer(b *strings.Builder) {
	if rc.Reply == nil {
		return
	}
	who := "The receiving server"
	if rc.RemoteMTA != "" {
		who += " " + printable(rc.RemoteMTA)
	}
	if rc.RemoteAddr.IsValid() {
		who += " " + literal(rc.RemoteAddr)
	}
	wrap(b, "    ", who+" answered:")
	code := fmt.Sprint(rc.Reply.Code)
	if !rc.Reply.Enhanced.IsZero() {
		code += " " + rc.Reply.Enhanced.String()
	}
	for i, line := range rc.Reply.Lines {
		if i == 20 {
			fmt.Fprintf(b, "        (%d more lines)\n", len(rc.Reply.Lines)-i)
			return
		}
		wrap(b, "        ", code+" "+printable(line))
	}
}

// about tells the reader which message this is.
func (r Report) about(b *strings.Builder) {
	b.WriteString("\n")
	if !r.Arrival.IsZero() {
		fmt.Fprintf(b, "The message came to this server on %s.\n", day(r.Arrival))
	}
	switch {
	case r.Redact:
		wrap(b, "", "Nothing of the message is returned here: it asked for encrypted transport (REQUIRETLS), and this notice has to travel without.")
	case r.RequireTLS && len(r.Original) > 0:
		wrap(b, "", "Only the message's header is attached, because it asked for encrypted transport (REQUIRETLS).")
	}
	if len(r.Recipients) > 0 && r.Recipients[0].LogID != "" {
		fmt.Fprintf(b, "If you ask the postmaster about it, give this id: %s\n", printable(r.Recipients[0].LogID))
	}
}

// wrap writes text in lines of about 72 characters, each indented, the
// following ones by two more.
func wrap(b *strings.Builder, indent, text string) {
	col := 0
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case col == 0:
			b.WriteString(indent)
			col = len(indent)
		case col+1+n > wrapAt:
			hang := indent
			if indent != "" {
				hang += "  "
			}
			b.WriteString("\n" + hang)
			col = len(hang)
		default:
			b.WriteByte(' ')
			col++
		}
		b.WriteString(word)
		col += n
	}
	b.WriteByte('\n')
}

// printable takes control characters out of what others wrote; what is no UTF-8 does
// not make a text of ASCII need more.
func printable(s string) string { return foreign.Line(strings.ToValidUTF8(s, "?")) }
