package queue

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"waxwing/dns"
	"waxwing/dsn"
	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/store"
	"waxwing/smtp"
)

// How much of an original goes into a notification: all of it where RET=FULL
// asks for it and it is not large, else its header.
const (
	maxReturned       = 1 << 20
	maxReturnedHeader = 256 << 10
)

// notification is one that is to be queued.
type notification struct {
	env   *delivery.Envelope
	text  delivery.Bytes
	ascii delivery.Bytes // the same in US-ASCII, where text is not; nil: there is none (QUE-12)
}

// compose makes the one notification about what an attempt came to. It is made
// of what strangers wrote: whatever it does, the outcome will be settled.
func (q *Queue) compose(ctx context.Context, j *job, told []verdict, c circumstances) (n notification, err error) {
	err = q.Guard.Try(guard.Notice, func() (err error) {
		n, err = q.notify(ctx, j, told, c)
		return err
	}, j.attrs()...)
	return n, err
}

func (q *Queue) notify(ctx context.Context, j *job, told []verdict, c circumstances) (n notification, err error) {
	at := strings.LastIndexByte(j.Sender, '@')
	domain, err := delivery.ParseRecipientDomain(j.Sender[at+1:])
	if at < 1 || err != nil {
		return n, fmt.Errorf("the sender %q is no address to write to: %w", j.Sender, err)
	}
	report, err := q.report(ctx, j, told, c)
	if err != nil {
		return n, err
	}
	if n.text, n.ascii, err = q.write(ctx, j, report); err != nil {
		return n, err
	}
	n.env = &delivery.Envelope{
		ID:      store.NewID(),
		Purpose: delivery.DSN,
		Ref:     LogID(j.ID),
		// RFC 8689 §5: protected as the original was.
		Need:     j.Need,
		EightBit: eightBit(n.text),
		// RFC 6533 §3: only what needs it asks for it, else it might not arrive.
		SMTPUTF8: j.SMTPUTF8 && (eightBit(n.text) || eightBit([]byte(j.Sender))),
		Accepted: c.now,
		Size:     int64(len(n.text)),
		Peer:     "notification about " + LogID(j.ID),
		Recipients: []delivery.Recipient{{
			ID: store.NewID(), Address: j.Sender, Domain: domain, Notify: delivery.NotifyNever,
			Local: q.senderIsLocal(ctx, domain),
		}},
	}
	return n, nil
}

// write writes a notification as it is best read, and, where that is not US-ASCII,
// a second time for hosts that cannot be given it. Both are one message: whichever
// goes has the same Message-ID.
func (q *Queue) write(ctx context.Context, j *job, r dsn.Report) (text, ascii delivery.Bytes, err error) {
	var seed [64]byte
	rand.Read(seed[:])
	r.Random = bytes.NewReader(seed[:])
	plain, err := r.Compose()
	if err != nil {
		return nil, nil, fmt.Errorf("compose: %w", err)
	}
	text = q.signed(ctx, j, plain)
	if !eightBit(text) {
		return text, nil, nil
	}
	r.ASCII, r.Random = true, bytes.NewReader(seed[:])
	plain, err = r.Compose()
	if err != nil { // the sender's address needs SMTPUTF8
		q.Log.Info("notification can only go to a host with SMTPUTF8", "message", LogID(j.ID), "sender", j.Sender, "why", err)
		return text, nil, nil
	}
	return text, q.signed(ctx, j, plain), nil
}

// signed is a notification with its signature, or without if it cannot be made.
func (q *Queue) signed(ctx context.Context, j *job, text []byte) delivery.Bytes {
	if q.Sign == nil {
		return text
	}
	fields, err := q.Sign(ctx, text)
	if err != nil {
		q.Log.Warn("notification goes unsigned", "message", LogID(j.ID), "error", err)
		return text
	}
	return append(fields, text...)
}

// senderIsLocal may say no where it cannot tell: the first attempt asks again.
func (q *Queue) senderIsLocal(ctx context.Context, d delivery.RecipientDomain) bool {
	if q.IsLocal == nil {
		return false
	}
	local, err := q.IsLocal(ctx, d)
	return err == nil && local
}

func (q *Queue) report(ctx context.Context, j *job, told []verdict, c circumstances) (dsn.Report, error) {
	host, err := dns.ParseName(q.Hostname)
	if err != nil {
		return dsn.Report{}, fmt.Errorf("the server's hostname: %w", err)
	}
	r := dsn.Report{
		Hostname: host, From: q.Postmaster, To: j.Sender, Date: c.now,
		EnvID: j.EnvID, Arrival: j.Accepted, Hold: j.Hold,
		Full:        j.Ret == delivery.RetFull && j.Size <= maxReturned,
		RequireTLS:  j.Need == delivery.RequireTLS,
		TLSOptional: j.Need == delivery.TLSOptional,
		// POL-4: the notification goes with REQUIRETLS where that is offered, and
		// without it otherwise; so it must never hold anything of the original.
		Redact:   j.Need == delivery.RequireTLS,
		SMTPUTF8: j.SMTPUTF8,
	}
	limit := int64(maxReturnedHeader)
	if r.Full {
		limit = maxReturned
	}
	if r.Original, err = q.original(ctx, j, limit); err != nil {
		q.Log.Error("notification goes without the original", "message", LogID(j.ID), "error", err)
		r.Redact = true
	}
	for i := range told {
		r.Recipients = append(r.Recipients, dsnRecipient(j, &told[i], c))
	}
	return r, nil
}

func (q *Queue) original(ctx context.Context, j *job, limit int64) ([]byte, error) {
	content := j.content
	if content == nil {
		var err error
		if content, err = q.body(ctx, j.ID, j.Size); err != nil {
			return nil, err
		}
	}
	r, err := content.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, limit))
	if err == nil && len(b) == 0 {
		err = errors.New("it is empty")
	}
	return b, err
}

func dsnRecipient(j *job, v *verdict, c circumstances) dsn.Recipient {
	rr := v.result
	r := dsn.Recipient{
		Address: v.Address, Original: originalRecipient(v.ORcpt), Action: v.tell,
		Status: rr.Enhanced, Reply: rr.Reply, Text: or(rr.Text, defaultText(v.tell)),
		RemoteAddr: rr.Addr, RemoteMTA: rr.Host.ASCII(), LastAttempt: v.LastAttempt, LogID: LogID(j.ID),
	}
	if v.tell == dsn.Failed || v.tell == dsn.Delayed {
		r.PolicyFirstFail, r.Unanswered = v.FirstFail, v.unanswered
	}
	if v.tell == dsn.Delayed {
		r.RetryUntil = j.Start().Add(c.schedule.Expire)
	}
	if r.Status.IsZero() && rr.Reply == nil {
		r.Status = defaultStatus(v.tell)
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

func eightBit(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
