package api

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/reason"
	"waxwing/internal/receive"
	"waxwing/message"
	"waxwing/smtp"
)

// Options are what submission by SMTP can ask for a message, in the words of this API.
type Options struct {
	Sender     string    `json:"sender,omitempty" doc:"The envelope sender, to whom bounces go; without one, the address of from. It must be an address of the key's account."`
	TLS        string    `json:"tls,omitempty" enum:"follow-policy require-tls tls-optional" doc:"What is asked of transport security: what the receiving domain publishes (the default), verified TLS all the way (REQUIRETLS), or delivery rather than security (TLS-Required: No); RFC 8689."`
	HoldFor    int64     `json:"hold_for,omitempty" doc:"Seconds to hold the message before it is sent (RFC 4865)."`
	HoldUntil  time.Time `json:"hold_until,omitzero" doc:"When to send it, in place of hold_for."`
	Notify     []string  `json:"notify,omitempty" enum:"success failure delay never" doc:"Of what the sender is told by mail (RFC 3461); without it, of failures and delays."`
	Return     string    `json:"return,omitempty" enum:"headers full" doc:"How much of the message such mail returns."`
	EnvelopeID string    `json:"envelope_id,omitempty" doc:"A word of the program's own that such mail repeats, of up to 100 printable characters."`
}

// The words of Options.TLS.
const (
	followPolicy = "follow-policy"
	requireTLS   = "require-tls"
	tlsOptional  = string(reason.TLSOptional)
)

// queryOptions reads Options that stand in a query, by the same names.
func queryOptions(q url.Values) (o Options, err error) {
	o = Options{Sender: q.Get("sender"), TLS: q.Get("tls"), Notify: q["notify"], Return: q.Get("return"), EnvelopeID: q.Get("envelope_id")}
	if s := q.Get("hold_for"); s != "" {
		if o.HoldFor, err = strconv.ParseInt(s, 10, 64); err != nil {
			return o, fmt.Errorf("hold_for: %q is no number of seconds", s)
		}
	}
	if s := q.Get("hold_until"); s != "" {
		if o.HoldUntil, err = time.Parse(time.RFC3339, s); err != nil {
			return o, fmt.Errorf("hold_until: %q is no time such as 2026-01-31T12:00:00Z", s)
		}
	}
	return o, nil
}

// envelope is MAIL and RCPT of a message.
type envelope struct {
	mail  smtp.MailParams
	rcpts []smtp.RcptParams
}

// envelope makes it of the options, the author and the recipients, each an address with or
// without a name. It is pure; an error is of the program that calls.
func (o *Options) envelope(from string, to []string, now time.Time, l Limits) (e envelope, err error) {
	sender := o.Sender
	if sender == "" {
		sender = from
	}
	if e.mail.From, err = oneAddress(sender); err != nil {
		return e, fmt.Errorf("sender: %w", err)
	}
	if err := o.mail(&e.mail, now, l); err != nil {
		return e, err
	}
	notify, err := o.notify()
	if err != nil {
		return e, err
	}
	for _, s := range to {
		list, err := message.ParseAddressList(s)
		if err != nil {
			return e, fmt.Errorf("recipient %.200q: %w", s, err)
		}
		for _, a := range list {
			to, err := addressOf(a)
			if err != nil {
				return e, err
			}
			e.rcpts = append(e.rcpts, smtp.RcptParams{To: to, Notify: notify})
		}
		if len(e.rcpts) > l.Recipients {
			break // all others would be held in vain
		}
	}
	switch n := len(e.rcpts); {
	case n == 0:
		return e, fmt.Errorf("the message has no recipient: give to, cc or bcc")
	case n > l.Recipients:
		return e, fmt.Errorf("the message has %d recipients, %d are allowed", n, l.Recipients)
	}
	e.mail.SMTPUTF8 = !e.mail.From.ASCII() || slices.ContainsFunc(e.rcpts, func(p smtp.RcptParams) bool { return !p.To.ASCII() })
	return e, nil
}

// mail sets what the options ask of the whole message.
func (o *Options) mail(m *smtp.MailParams, now time.Time, l Limits) error {
	switch o.TLS {
	case "", followPolicy, tlsOptional: // the last one stands in the header
	case requireTLS:
		m.RequireTLS = true
	default:
		return fmt.Errorf("tls: %.100q is none of %s, %s, %s", o.TLS, followPolicy, requireTLS, tlsOptional)
	}
	switch o.Return {
	case "":
	case "headers":
		m.Ret = "HDRS"
	case "full":
		m.Ret = "FULL"
	default:
		return fmt.Errorf("return: %.100q is none of headers, full", o.Return)
	}
	if id := o.EnvelopeID; len(id) > 100 || strings.ContainsFunc(id, func(c rune) bool { return c < ' ' || c >= 0x7f }) {
		return fmt.Errorf("envelope_id: up to 100 printable characters of US-ASCII are taken")
	}
	m.EnvID = o.EnvelopeID
	return o.hold(m, now, l.Hold)
}

func (o *Options) hold(m *smtp.MailParams, now time.Time, most time.Duration) error {
	switch {
	case o.HoldFor != 0 && !o.HoldUntil.IsZero():
		return fmt.Errorf("hold_for and hold_until exclude each other")
	case o.HoldFor < 0 || o.HoldFor > int64(most/time.Second):
		return fmt.Errorf("hold_for: a number of seconds from 1 to %d is needed", int64(most/time.Second))
	case o.HoldUntil.After(now.Add(most)):
		return fmt.Errorf("hold_until: a time up to %s is needed", now.Add(most).UTC().Format(time.RFC3339))
	case o.HoldFor > 0:
		m.HoldFor, m.Hold = time.Duration(o.HoldFor)*time.Second, fmt.Sprintf("for;%d", o.HoldFor)
	case !o.HoldUntil.IsZero():
		m.HoldUntil, m.Hold = o.HoldUntil.UTC(), "until;"+o.HoldUntil.UTC().Format(time.RFC3339)
	}
	return nil
}

// notify are the words of RFC 3461 §4.1.
func (o *Options) notify() (out []string, err error) {
	for _, w := range o.Notify {
		if !slices.Contains([]string{"success", "failure", "delay", "never"}, w) {
			return nil, fmt.Errorf("notify: %.100q is none of success, failure, delay, never", w)
		}
		if word := strings.ToUpper(w); !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	if len(out) > 1 && slices.Contains(out, "NEVER") {
		return nil, fmt.Errorf("notify: never stands alone")
	}
	return out, nil
}

// oneAddress reads one address with or without a name.
func oneAddress(s string) (smtp.Address, error) {
	list, err := message.ParseAddressList(s)
	if err == nil && len(list) != 1 {
		err = fmt.Errorf("%d addresses, one is needed", len(list))
	}
	if err != nil {
		return smtp.Address{}, fmt.Errorf("%.200q: %w", s, err)
	}
	return addressOf(list[0])
}

// addressOf is an address of a header as one of an envelope, its domain in A-labels: then it
// needs no SMTPUTF8 for that.
func addressOf(a message.Address) (smtp.Address, error) {
	to, err := smtp.ParseAddress(a.Addr(), true)
	if err != nil {
		return to, fmt.Errorf("address %.200q: %w", a.Addr(), err)
	}
	if d, err := dns.ParseName(to.Domain); err == nil {
		to.Domain = d.ASCII()
	}
	return to, nil
}

// handed is a message as the door takes it.
func (e *envelope) handed(text []byte) receive.Handed {
	e.mail.Size = int64(len(text))
	return receive.Handed{Mail: e.mail, Rcpts: e.rcpts, Data: bytes.NewReader(text)}
}
