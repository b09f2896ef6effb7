package delivery

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/smtp"
)

// RecipientDomain is the domain of a recipient's address as written there
// (never a CNAME target, RFC 8461 §3.1), or an address literal. Exactly one of
// the fields is set.
type RecipientDomain struct {
	Name    dns.Name
	Literal netip.Addr
}

// ParseRecipientDomain parses what stands right of the "@": a domain in
// A-label or U-label form, or a literal such as [192.0.2.1] or [IPv6:2001:db8::1].
func ParseRecipientDomain(s string) (RecipientDomain, error) {
	if lit, ok := strings.CutPrefix(s, "["); ok {
		lit, ok = strings.CutSuffix(lit, "]")
		if !ok {
			return RecipientDomain{}, fmt.Errorf("address literal %q lacks its closing bracket", s)
		}
		v6 := len(lit) > 5 && strings.EqualFold(lit[:5], "IPv6:")
		if v6 {
			lit = lit[5:]
		}
		a, err := netip.ParseAddr(lit)
		if err != nil || a.Zone() != "" || a.Is6() != v6 {
			return RecipientDomain{}, fmt.Errorf("invalid address literal %q", s)
		}
		return RecipientDomain{Literal: a}, nil
	}
	n, err := dns.ParseName(s)
	if err != nil {
		return RecipientDomain{}, err
	}
	return RecipientDomain{Name: n}, nil
}

// ParseAddress reads a mail address that somebody typed, perhaps copied from a log:
// others' addresses have dots where RFC 5321 wants quotes.
func ParseAddress(s string) (smtp.Address, RecipientDomain, error) {
	a, err := smtp.ParseReceived(s, true)
	if err != nil {
		return a, RecipientDomain{}, fmt.Errorf("%q is no address such as someone@example.org: %w", s, err)
	}
	d, err := ParseRecipientDomain(a.Domain)
	if err != nil {
		return a, d, fmt.Errorf("%q is no address such as someone@example.org: %w", s, err)
	}
	return a, d, nil
}

// IsLiteral reports an address literal.
func (d RecipientDomain) IsLiteral() bool { return d.Literal.IsValid() }

// String is the form used in addresses, rows and reports: "example.org",
// "[192.0.2.1]", "[IPv6:2001:db8::1]".
func (d RecipientDomain) String() string {
	switch {
	case !d.IsLiteral():
		return d.Name.ASCII()
	case d.Literal.Is4():
		return "[" + d.Literal.String() + "]"
	}
	return "[IPv6:" + d.Literal.String() + "]"
}

// MXHost is a host that takes mail for a domain.
type MXHost struct{ dns.Name }

// TLSNeed is what the sender asked of transport security (RFC 8689).
type TLSNeed uint8

// The needs. FollowPolicy is the zero value and the default.
const (
	FollowPolicy TLSNeed = iota // do what the receiving domain has published
	RequireTLS                  // MAIL carried REQUIRETLS (RFC 8689 §2)
	TLSOptional                 // the header said TLS-Required: No (RFC 8689 §3)
)

var needWords = [...]string{"follow-policy", "require-tls", "tls-optional"}

func (n TLSNeed) String() string { return needWords[n] }

// ParseTLSNeed is the inverse of String.
func ParseTLSNeed(s string) (TLSNeed, error) {
	for i, w := range needWords {
		if s == w {
			return TLSNeed(i), nil
		}
	}
	return 0, fmt.Errorf("unknown TLS need %q (follow-policy, require-tls, tls-optional)", s)
}

// Purpose is why a message exists. The queue carries it and the report
// services read it (design: the queue knows nothing of reports).
type Purpose uint8

// The purposes. Mail is the zero value.
const (
	Mail Purpose = iota
	DSN
	TLSReport
	DMARCReport
)

var purposeWords = [...]string{"mail", "dsn", "tls-report", "dmarc-report"}

func (p Purpose) String() string { return purposeWords[p] }

// Notify says for which outcomes the sender wants a DSN (RFC 3461 §4.1). The
// zero value is "not given": failure and delay.
type Notify uint8

// The bits of Notify. NotifyNever stands alone.
const (
	NotifySuccess Notify = 1 << iota
	NotifyFailure
	NotifyDelay
	NotifyNever
)

// Wants reports whether n asks for a DSN of the kind bit; with nothing given,
// failures and delays are told (RFC 3461 §4.1).
func (n Notify) Wants(bit Notify) bool {
	if n == 0 {
		n = NotifyFailure | NotifyDelay
	}
	return n&bit != 0 && n&NotifyNever == 0
}

// Ret says how much of the original a DSN returns (RFC 3461 §4.3).
type Ret uint8

// The values of RET. The zero value is "not given": headers.
const (
	RetDefault Ret = iota
	RetHeaders
	RetFull
)

// Envelope is a message as accepted, without its body.
type Envelope struct {
	ID         int64  // store.NewID; also the message's id in logs, in base 36
	Sender     string // MAIL FROM without brackets; "" is the null reverse-path
	Recipients []Recipient
	Need       TLSNeed
	Purpose    Purpose
	Ref        string // of Purpose: the report's row, so that its outcome finds it
	Account    string // who submitted it; "" for mail from outside and for our own
	EightBit   bool   // the message holds octets above 127
	SMTPUTF8   bool
	EnvID      string // RFC 3461 §4.4, decoded xtext
	Ret        Ret
	Size       int64 // of the whole message in octets, as it will be sent
	Accepted   time.Time
	Peer       string // for the log and the queue page: who handed it in
	Quarantine Fact   // why a milter wants it put aside: the queue holds it from the start; zero: none does
	Transport  string // the message's own, which outranks all routes (TRA-4); "": routes choose

	MessageID string // of its header, as message.CleanMessageID has it; "" before the queue has looked, and without one

	NotBefore time.Time // future release (RFC 4865): no attempt before; zero: at once
	Facts     []byte    // what was found out about who sent it (package verify), JSON; nil: nobody looked
	// Evaluations are counted for the reports of their domains in the transaction that accepts
	// the message (DMR-1); they are not kept with it.
	Evaluations []Evaluation
	Wrote       Wrote  // remembered in the transaction that accepts the message (JNK-1), and not kept with it
	Hold        string // that release as the client asked for it, "for;3600" or "until;2026-01-31T12:00:00Z"; "": it did not
}

// Wrote is to whom the account that submitted a message writes itself, beside those whom a filter
// added.
type Wrote struct {
	To    []string
	Reply bool // in answer to a message
}

// Start is when the queue's schedule begins to count: acceptance, or the
// release of a message that was to be held until then.
func (e *Envelope) Start() time.Time {
	if e.NotBefore.After(e.Accepted) {
		return e.NotBefore
	}
	return e.Accepted
}

// Recipient is one RCPT TO that goes to the queue.
type Recipient struct {
	ID      int64
	Address string // as written, without brackets
	Domain  RecipientDomain
	ORcpt   string // RFC 3461 §4.2: "addr-type;encoded"
	Notify  Notify
	Local   bool // deliver into a mailbox here; receive decides it (queue asks again where false)
	Junk    bool // into the mailbox for junk, where it is Local
	// Mailbox is where the copy of one account goes that is not Junk; "": INBOX, or what its address says.
	Mailbox string
	// Evidence is why it is Junk or not, as the account's copy tells it: JSON (package junk); "":
	// nobody looked.
	Evidence string
	// History of this recipient, filled when claimed.
	Attempts    int          // attempts begun before this one
	LastAttempt time.Time    // zero before the first
	DelayTold   bool         // its sender has heard of the delay
	FirstFail   Fact         // the first policy failure seen, for the notification (POL-6)
	FirstFailAt time.Time    // and when that was
	LastAddrs   []netip.Addr // addresses tried last time, for greylisting (DST-2)
	Unanswered  time.Time    // when it was first sent in full to a host that never answered; zero: never
}

// Job is what one attempt works on: recipients of one message that share
// domain and need (QUE-1). It is held under a lease.
type Job struct {
	Envelope // Recipients holds only those of this job
	Domain   RecipientDomain
	Local    bool  // deliver into a mailbox here
	Way      Way   // else: how it leaves
	Lease    Lease // nil in tests and dry runs
}

// Minimum is the operator's least acceptable security for a recipient domain (POL-9).
type Minimum uint8

// The minimums, in growing order.
const (
	MinAny Minimum = iota
	MinTLS
	MinVerified
	MinDANE
)

var minimumWords = [...]string{"any", "tls", "verified", "dane"}

func (m Minimum) String() string { return minimumWords[m] }

// Content is a message's bytes, header and body, CRLF line ends. It can be
// read more than once, also at the same time.
type Content interface {
	Size() int64
	Open() (io.ReadCloser, error)
}

// Bytes is a Content in memory.
type Bytes []byte

// Size is the length in octets.
func (b Bytes) Size() int64 { return int64(len(b)) }

// Open never fails.
func (b Bytes) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }

// WithHeader is a content with header fields before it.
func WithHeader(fields []byte, c Content) Content {
	if len(fields) == 0 {
		return c
	}
	return &headed{fields, c}
}

type headed struct {
	fields []byte
	rest   Content
}

func (h *headed) Size() int64 { return int64(len(h.fields)) + h.rest.Size() }

// Open reads the rest as that is read.
func (h *headed) Open() (io.ReadCloser, error) {
	r, err := h.rest.Open()
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(h.fields), r), r}, nil
}

// TwoForms is a Content that is kept in a second form of US-ASCII, for hosts that
// cannot be given the first for want of SMTPUTF8 or 8BITMIME (QUE-12).
type TwoForms struct {
	Content
	ASCII Content
}

// Lease is the hold on a Job (QUE-2). Extend makes sure that it lasts at least
// d from now; an error means that it is lost and the message must not be
// completed: another owner may be sending it.
type Lease interface {
	Extend(ctx context.Context, d time.Duration) error
}
