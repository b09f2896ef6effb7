package bounce

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"waxwing/dns"
	"waxwing/dsn"
	"waxwing/internal/delivery"
	"waxwing/smtp"
)

// How much of an original goes into a notification: all of it where RET=FULL
// asks for it and it is not large, else its header.
const (
	maxReturned       = 1 << 20
	maxReturnedHeader = 256 << 10
)

// Notice is a notification that is to be queued. Signing it, and the identifiers and the
// size of its envelope, are left to whoever queues it.
type Notice struct {
	Envelope delivery.Envelope
	Text     []byte
	ASCII    []byte // the same in US-ASCII, for hosts that cannot be given Text; nil: Text is that, or there is none (QUE-12)
	NoASCII  error  // why there is none where Text needs one: the sender's address is not ASCII
}

// Sender is who sends notifications: this server.
type Sender struct {
	Hostname   string
	Postmaster string // the address in From
}

// full says whether a notification returns the whole original.
func full(env *delivery.Envelope) bool {
	return env.Ret == delivery.RetFull && env.Size <= maxReturned
}

// Returned is how many octets of an original a notification can use.
func Returned(env *delivery.Envelope) int64 {
	if full(env) {
		return maxReturned
	}
	return maxReturnedHeader
}

// Compose writes the one notification about those outcomes of an attempt that have
// something to Tell. Original is the message, as much of it as Returned says; nil: it
// cannot be had. Seed, random, makes Message-ID and boundary.
func Compose(a *Attempt, outcomes []Outcome, by Sender, original []byte, seed [64]byte) (Notice, error) {
	env := a.Envelope
	at := strings.LastIndexByte(env.Sender, '@')
	domain, err := delivery.ParseRecipientDomain(env.Sender[at+1:])
	if at < 1 || err != nil {
		return Notice{}, fmt.Errorf("the sender %q is no address to write to: %w", env.Sender, err)
	}
	report, err := a.report(outcomes, by, original)
	if err != nil {
		return Notice{}, err
	}
	var n Notice
	report.Random = bytes.NewReader(seed[:])
	if n.Text, err = report.Compose(); err != nil {
		return Notice{}, fmt.Errorf("compose: %w", err)
	}
	eight := eightBit(n.Text)
	if eight { // both forms are one message: whichever goes has the same Message-ID
		report.ASCII, report.Random = true, bytes.NewReader(seed[:])
		n.ASCII, n.NoASCII = report.Compose()
	}
	id := delivery.ID(env.ID).String()
	n.Envelope = delivery.Envelope{
		Purpose: delivery.DSN,
		Ref:     id,
		// RFC 8689 §5: protected as the original was.
		Need:     env.Need,
		EightBit: eight,
		// RFC 6533 §3: only what needs it asks for it, else it might not arrive.
		SMTPUTF8:   env.SMTPUTF8 && (eight || eightBit([]byte(env.Sender))),
		Accepted:   a.Now,
		Peer:       "notification about " + id,
		Recipients: []delivery.Recipient{{Address: env.Sender, Domain: domain, Notify: delivery.NotifyNever}},
	}
	return n, nil
}

func (a *Attempt) report(outcomes []Outcome, by Sender, original []byte) (dsn.Report, error) {
	host, err := dns.ParseName(by.Hostname)
	if err != nil {
		return dsn.Report{}, fmt.Errorf("the server's hostname: %w", err)
	}
	env := a.Envelope
	r := dsn.Report{
		Hostname: host, From: by.Postmaster, To: env.Sender, Date: a.Now,
		EnvID: env.EnvID, Arrival: env.Accepted, Hold: env.Hold,
		Original: original, Full: full(env),
		RequireTLS:  env.Need == delivery.RequireTLS,
		TLSOptional: env.Need == delivery.TLSOptional,
		// POL-4: the notification goes with REQUIRETLS where that is offered, and
		// without it otherwise; so it must never hold anything of the original.
		Redact:   original == nil || env.Need == delivery.RequireTLS,
		SMTPUTF8: env.SMTPUTF8,
	}
	for i := range outcomes {
		if outcomes[i].Tell != "" {
			r.Recipients = append(r.Recipients, a.recipient(&outcomes[i]))
		}
	}
	return r, nil
}

func (a *Attempt) recipient(o *Outcome) dsn.Recipient {
	rr := &o.Result
	r := dsn.Recipient{
		Address: o.Address, Original: originalRecipient(o.ORcpt), Action: o.Tell,
		Status: rr.Enhanced, Reply: rr.Reply, Text: cmp.Or(rr.Text, defaultText(o.Tell)),
		RemoteAddr: rr.Addr, RemoteMTA: rr.Host.ASCII(), LastAttempt: o.LastAttempt, LogID: delivery.ID(a.Envelope.ID).String(),
	}
	if l := rr.Last; l != (delivery.Fact{}) {
		r.LastFail = cmp.Or(l.Text, rr.Reply.String(), string(l.Word))
	}
	if o.Tell == dsn.Failed || o.Tell == dsn.Delayed {
		r.Unanswered = o.Unanswered
		if f := o.FirstFail; f != (delivery.Fact{}) {
			r.PolicyFirstFail = o.FirstFailAt.UTC().Format("2006-01-02 15:04 UTC") + ": " + cmp.Or(f.Text, string(f.Word))
		}
	}
	if o.Tell == dsn.Delayed {
		r.RetryUntil = a.end()
	}
	if r.Status.IsZero() && rr.Reply == nil {
		r.Status = defaultStatus(o.Tell)
	}
	return r
}

// originalRecipient decodes an ORCPT (RFC 3461 §4.2); what cannot be decoded
// is given back as it came.
func originalRecipient(orcpt string) string {
	kind, addr, ok := strings.Cut(orcpt, ";")
	if !ok || strings.EqualFold(kind, "utf-8") { // RFC 6533 §3 has an encoding of its own
		return orcpt
	}
	plain, err := smtp.DecodeXtext(addr)
	if err != nil {
		return orcpt
	}
	return kind + ";" + plain
}

func defaultStatus(a dsn.Action) smtp.Enhanced {
	switch a {
	case dsn.Failed:
		return smtp.Enhanced{Class: 5}
	case dsn.Delayed:
		return smtp.Enhanced{Class: 4}
	}
	return smtp.Enhanced{Class: 2}
}

func defaultText(a dsn.Action) string {
	switch a {
	case dsn.Delivered:
		return "The message was put into the mailbox."
	case dsn.Relayed:
		return "The message was passed on to a server that sends no notification of delivery."
	}
	return ""
}

func eightBit(b []byte) bool { return slices.ContainsFunc(b, func(c byte) bool { return c >= 0x80 }) }
