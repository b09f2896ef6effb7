package webhooks

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/internal/reason"
)

// Type is what an event tells of. The set is closed.
type Type string

// The types. All but Received are about mail that an account has handed in.
const (
	Delivered  Type = "delivered"  // the next host has taken it, or it lies in a mailbox here
	Delayed    Type = "delayed"    // an attempt failed for now; there will be another
	Failed     Type = "failed"     // it is given up
	Suppressed Type = "suppressed" // it was not tried: the recipient is on the account's list of suppressed ones
	Received   Type = "received"   // mail has come into a mailbox here
	Test       Type = "test"       // of "waxwing webhook test", to which nobody subscribes
)

// Types are those to which a webhook can be subscribed.
func Types() []Type { return []Type{Delivered, Delayed, Failed, Suppressed, Received} }

// ParseTypes reads words; none: all types.
func ParseTypes(words []string) (out []Type, err error) {
	for _, w := range words {
		if !slices.Contains(Types(), Type(w)) {
			return nil, fmt.Errorf("%q is no event: there are %s", w, join(Types()))
		}
	}
	for _, t := range Types() {
		if len(words) == 0 || slices.Contains(words, string(t)) {
			out = append(out, t)
		}
	}
	return out, nil
}

func join(types []Type) string {
	words := make([]string, len(types))
	for i, t := range types {
		words[i] = string(t)
	}
	return strings.Join(words, " ")
}

// Event is what is posted.
type Event struct {
	ID        delivery.ID `json:"id" doc:"The event's id: the same each time it is posted, and that of the header field webhook-id."`
	Type      Type        `json:"type" enum:"delivered delayed failed suppressed received test" doc:"What it tells of."`
	Timestamp time.Time   `json:"timestamp" doc:"When it happened."`
	Data      Data        `json:"data"`
}

// Data is what happened to one recipient of one message.
type Data struct {
	Message    delivery.ID `json:"message,omitzero" doc:"The message's id, as the API has given it."`
	Account    string      `json:"account,omitempty" doc:"Whose mail it is: the sender's account; of received, the recipient's."`
	Sender     string      `json:"sender" doc:"The envelope sender; empty for a bounce."`
	Recipient  string      `json:"recipient"`
	EnvelopeID string      `json:"envelope_id,omitempty" doc:"What the program gave with the message."`
	Mailbox    string      `json:"mailbox,omitempty" doc:"Of received: where it lies."`
	Reason     reason.Word `json:"reason,omitempty" doc:"Why, in one word; docs/operating/why.md has them all."`
	Text       string      `json:"text,omitempty" doc:"Why, in words."`
	Enhanced   string      `json:"enhanced,omitempty" doc:"The enhanced status code (RFC 3463)."`
	Reply      string      `json:"reply,omitempty" doc:"What the other host said."`
	Host       string      `json:"host,omitempty" doc:"The host that answered."`
	Attempts   int         `json:"attempts,omitempty" doc:"How often it was tried so far."`
	Next       time.Time   `json:"next,omitzero" doc:"Of delayed: when it is tried again."`
	TLS        *TLS        `json:"tls,omitempty" doc:"How the message travelled; absent where no connection was made."`
}

// TLS is how a connection was protected.
type TLS struct {
	Verified string `json:"verified" doc:"none (no TLS), unverified, pkix, dane or dane+pkix."`
	Version  string `json:"version,omitempty"`
	Cipher   string `json:"cipher,omitempty"`
}

// Outcome is what became of one recipient in an attempt that is being settled.
type Outcome struct {
	Address  string
	Result   delivery.RecipientResult // its Outcome is Delivered, Deferred or Failed
	Attempts int                      // this one included
	Next     time.Time                // of Deferred
	Visits   []delivery.Visit
	Copy     *delivery.Copy // in a mailbox here; nil: none
}

// told is an event before it has an id, and whom it concerns.
type told struct {
	kind            Type
	account, domain string
	data            Data
}

// maxText bounds what an event repeats of another host's text, in octets.
const maxText = 1000

// eventsOf are the events of one outcome. It is pure.
func eventsOf(env *delivery.Envelope, o *Outcome) (out []told) {
	data := Data{Message: delivery.ID(env.ID), Account: env.Account, Sender: env.Sender, Recipient: o.Address, EnvelopeID: env.EnvID}
	if env.Account != "" && env.Purpose == delivery.Mail {
		if kind := kindOf(&o.Result); kind != "" {
			out = append(out, told{kind, env.Account, domainOf(env.Sender), data.with(o)})
		}
	}
	if o.Result.Outcome == delivery.Delivered && o.Copy != nil {
		data.Account, data.Mailbox, data.EnvelopeID = o.Copy.Account, o.Copy.Mailbox, ""
		out = append(out, told{Received, o.Copy.Account, domainOf(o.Copy.Address), data})
	}
	return out
}

func kindOf(r *delivery.RecipientResult) Type {
	switch {
	case r.Outcome == delivery.Delivered:
		return Delivered
	case r.Outcome == delivery.Deferred:
		return Delayed
	case r.Outcome == delivery.Failed && r.Word == reason.Suppressed:
		return Suppressed
	case r.Outcome == delivery.Failed:
		return Failed
	}
	return ""
}

// with adds what is known of the attempt.
func (d Data) with(o *Outcome) Data {
	r := &o.Result
	d.Reason, d.Text, d.Host, d.Attempts, d.Next = r.Word, foreign.Text(r.Text, maxText), r.Host.ASCII(), o.Attempts, o.Next
	e := r.Enhanced
	if r.Reply != nil {
		d.Reply = foreign.Text(r.Reply.String(), maxText)
		if !r.Reply.Enhanced.IsZero() {
			e = r.Reply.Enhanced
		}
	}
	d.Enhanced = e.String()
	if r.TLS != "" {
		d.TLS = &TLS{Verified: r.TLS}
		if f := factsOf(o); f != nil {
			d.TLS.Version, d.TLS.Cipher = f.Version, f.Cipher
		}
	}
	return d
}

// factsOf are those of the last session with the host that answered.
func factsOf(o *Outcome) (f *delivery.TLSFacts) {
	for _, v := range o.Visits {
		if v.Plan.Host.Name != o.Result.Host {
			continue
		}
		for _, s := range v.Sessions {
			if !o.Result.Addr.IsValid() || s.Addr == o.Result.Addr {
				f = s.TLS
			}
		}
	}
	return f
}

// domainOf is an address's domain in A-labels; "" for none.
func domainOf(address string) string {
	n, err := dns.ParseName(address[strings.LastIndexByte(address, '@')+1:])
	if err != nil {
		return ""
	}
	return n.ASCII()
}
