package sifting

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/internal/mailbox"
	"waxwing/internal/scripts"
	"waxwing/message"
	"waxwing/sieve"
)

// situation is what counts about a message beside its script.
type situation struct {
	copy delivery.Copy // what the account gets without a script
	junk bool
	mail *mail
	now  time.Time
	box  func(use string) string // the mailbox with a special use; "": there is none
}

// decision is what is to be done.
type decision struct {
	copies    []delivery.Copy
	redirects []redirect
	vacation  *sieve.Vacation
	notices   []sieve.Notify
	memories  []delivery.Memory
	refused   string
	alone     bool   // no script has said anything of it: there is a vacation response
	stays     string // why the message is not redirected, though the script says so; "": it is, or does not
}

// redirect is one address that the message goes on to.
type redirect struct {
	to       string
	header   []byte // changed; nil: as it came
	replaced int64
}

// maxHops is how many times a message may have been delivered or passed on before it is not
// redirected any more: a script may name another address of its own each time.
const maxHops = 20

// decide says what comes of a script's actions. It chooses about all that does not depend on what
// others say: whether the account may send, and whom it has answered.
func decide(actions []sieve.Action, s situation) decision {
	var d decision
	var header []sieve.Field
	for _, a := range actions {
		switch a := a.(type) {
		case sieve.SetHeader:
			header = a.Header
		case sieve.Keep:
			c := s.copy
			if !a.Implicit { // asked for: not even into Junk
				c.Mailbox = mailbox.Inbox
			}
			d.file(s, c, a.Flags, header)
		case sieve.FileInto:
			c := s.copy
			c.Mailbox, c.Create = a.Mailbox, a.Create
			if use := s.box(a.SpecialUse); a.SpecialUse != "" && use != "" {
				c.Mailbox = use
			}
			d.file(s, c, a.Flags, header)
		case sieve.Redirect:
			r := redirect{to: a.Address}
			if header != nil && s.mail.replaced > 0 {
				r.header, r.replaced = edited(header), s.mail.replaced
			}
			d.redirects = append(d.redirects, r)
		case sieve.Reject:
			d.refused = clean(a.Reason)
		case sieve.Vacation:
			d.vacation = &a
		case sieve.Notify:
			d.notices = append(d.notices, a)
		case sieve.Seen:
			d.memories = append(d.memories, delivery.Memory{Recipient: s.copy.Recipient, Account: s.copy.Account, Key: scripts.Key(scripts.Seen, a.ID), Until: s.now.Add(a.Period)})
		}
	}
	if why := s.stays(); why != "" && len(d.redirects) > 0 {
		d.redirects, d.stays = nil, why
		d.keep(s)
	}
	return d
}

// stays is why a message is not redirected, whatever the script says; "": it may be. Junk is not passed on in the
// account's name: whoever gets it would take this server for its source, and soon refuse all of its mail (SIV-3).
func (s *situation) stays() string {
	h := s.mail.header
	switch {
	case s.junk:
		return "it is junk"
	case h.WentTo(s.copy.Address), h.Count("Delivered-To") > maxHops:
		return "it has been here before"
	}
	return ""
}

// file adds a copy; where one goes into that mailbox already, the last flags count.
func (d *decision) file(s situation, c delivery.Copy, flags []string, header []sieve.Field) {
	c.Flags = flags
	if header != nil && s.mail.replaced > 0 {
		c.Header, c.Replaced = edited(header), s.mail.replaced
	}
	for i := range d.copies {
		if d.copies[i].Mailbox == c.Mailbox {
			d.copies[i] = c
			return
		}
	}
	d.copies = append(d.copies, c)
}

// keep puts the message where it would be without a script, unless it is somewhere already.
func (d *decision) keep(s situation) {
	if len(d.copies) == 0 {
		d.copies = []delivery.Copy{s.copy}
	}
}

// words say what was decided, for the log.
func (d *decision) words() string {
	var out []string
	for _, c := range d.copies {
		out = append(out, fmt.Sprintf("filed into %s", foreign.Clip(c.Mailbox, 100)))
	}
	for _, r := range d.redirects {
		out = append(out, "redirected to "+r.to)
	}
	if d.refused != "" {
		out = append(out, "refused")
	}
	if d.stays != "" {
		out = append(out, "not redirected: "+d.stays)
	}
	if len(out) == 0 {
		return "discarded"
	}
	return strings.Join(out, ", ")
}

// clean makes one line of a reason for people.
func clean(reason string) string {
	s := strings.Join(strings.Fields(strings.ToValidUTF8(reason, "?")), " ")
	if s == "" {
		s = "the recipient refuses the message"
	}
	return foreign.Clip(s, 400)
}

// spam is what Waxwing found of the message, for the test spamtest: the limit from which mail goes
// into Junk is 100 %.
func spam(tested bool, sum, limit int) sieve.Spam {
	if !tested || limit <= 0 {
		return sieve.Spam{}
	}
	return sieve.Spam{Tested: true, Percent: min(max(100*sum/limit, 0), 100)}
}

// mailto takes the method of a notification apart (RFC 5436 §2, RFC 6068).
func mailto(method string) (to string, headers []message.Pair) {
	rest := method[len("mailto:"):]
	rest, query, _ := strings.Cut(rest, "?")
	to, _ = unescape(rest)
	for _, f := range strings.Split(query, "&") {
		name, value, ok := strings.Cut(f, "=")
		value, good := unescape(value)
		if ok && good && len(headers) < 10 {
			headers = append(headers, message.Pair{Name: strings.ToLower(name), Value: value})
		}
	}
	return to, headers
}

// allowedHeaders are those that a mailto URI may set (RFC 5436 §2.3 leaves it to us).
var allowedHeaders = []string{"subject", "body", "importance", "x-priority", "keywords", "comments"}

func allowed(name string) bool { return slices.Contains(allowedHeaders, name) }

// hasBox: the test mailboxexists (RFC 5490 §3.1).
func hasBox(boxes []Box, name string) bool {
	return slices.ContainsFunc(boxes, func(b Box) bool {
		return b.Name == name || strings.EqualFold(name, mailbox.Inbox) && strings.EqualFold(b.Name, mailbox.Inbox)
	})
}

// hasUses: the test specialuse_exists (RFC 8579 §4): all uses, of one mailbox or of any.
func hasUses(boxes []Box, name string, uses []string) bool {
	return !slices.ContainsFunc(uses, func(use string) bool {
		return !slices.ContainsFunc(boxes, func(b Box) bool { return strings.EqualFold(b.Use, use) && (name == "" || hasBox([]Box{b}, name)) })
	})
}
