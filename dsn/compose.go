package dsn

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"waxwing/message"
	"waxwing/smtp"
)

// MaxReturn is the largest original that is returned in full; of a larger one
// only the header goes back (RFC 3461 §6.2 leaves the size to us).
const MaxReturn = 1 << 20

// maxDiagnostic bounds one Diagnostic-Code in octets.
const maxDiagnostic = 4000

// Compose writes the notification with CRLF line ends. It is to be sent from
// the null sender. The error names what is missing.
func (r Report) Compose() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if r.ASCII {
		var ok bool
		if r.To, ok = smtp.ASCIIAddress(r.To); !ok {
			return nil, fmt.Errorf("delivery status notification in US-ASCII: %q cannot be written so", r.To)
		}
		r.From, _ = smtp.ASCIIAddress(r.From) // what cannot be written so is found below
	}
	parts := []message.Entity{
		{
			Type:   "text/plain",
			Params: map[string]string{"charset": "utf-8"},
			Fields: []message.Pair{{Name: "Content-Description", Value: "What happened"}},
			Body:   message.ToCRLF(r.words()),
		},
		r.status(),
	}
	if original, ok := r.returned(); ok {
		parts = append(parts, original)
	}
	body := message.Entity{
		Type:     "multipart/report",
		Params:   map[string]string{"report-type": "delivery-status"},
		Boundary: message.NewBoundary(r.Random),
		Preamble: "This is a delivery status notification in MIME format.",
		Parts:    parts,
	}
	var b bytes.Buffer
	for _, f := range r.header() {
		b.Write(message.Fold(f.Name, f.Value))
	}
	b.Write(body.Write())
	if r.ASCII && message.EightBit(b.Bytes()) {
		return nil, errors.New("delivery status notification in US-ASCII holds more than that")
	}
	return b.Bytes(), nil
}

func (r Report) check() error {
	switch {
	case r.Hostname.IsZero():
		return errors.New("delivery status notification needs the reporting server's name")
	case r.To == "":
		return errors.New("delivery status notification for the null sender: there is nobody to tell")
	case r.Date.IsZero():
		return errors.New("delivery status notification needs a date")
	case len(r.Recipients) == 0:
		return errors.New("delivery status notification needs a recipient to tell about")
	}
	for _, rc := range r.Recipients {
		switch rc.Action {
		case Failed, Delayed, Delivered, Relayed, Expanded:
		default:
			return fmt.Errorf("delivery status notification for %s: unknown action %q", rc.Address, rc.Action)
		}
	}
	return nil
}

func (r Report) header() []message.Pair {
	from := r.From
	if from == "" {
		from = "postmaster@" + r.Hostname.ASCII()
	}
	h := []message.Pair{
		{Name: "Date", Value: message.FormatDate(r.Date)},
		{Name: "From", Value: "Mail Delivery System <" + from + ">"},
		{Name: "To", Value: "<" + exact(r.To) + ">"},
		{Name: "Subject", Value: r.subject()},
		{Name: "Message-ID", Value: message.NewMessageID(r.Date, r.Random, r.Hostname)},
	}
	if id := r.originalField("Message-ID"); id != "" && len(id) < 500 && !r.Redact && (r.global() || !message.EightBit([]byte(id))) {
		h = append(h, message.Pair{Name: "In-Reply-To", Value: id}, message.Pair{Name: "References", Value: id})
	}
	if r.TLSOptional && !r.RequireTLS {
		h = append(h, message.Pair{Name: "TLS-Required", Value: "No"})
	}
	return append(h,
		// RFC 3834 §5: so that no responder answers it.
		message.Pair{Name: "Auto-Submitted", Value: "auto-replied"},
		message.Pair{Name: "MIME-Version", Value: "1.0"})
}

// exact is an address as a header field may hold it (RFC 5322 §3.4.1): senders'
// addresses come as they please.
func exact(address string) string {
	a, err := smtp.ParseReceived(address, true)
	if err != nil {
		return address
	}
	return a.String()
}

// global reports that the notification may be written with UTF-8 in its fields.
func (r Report) global() bool { return r.SMTPUTF8 && !r.ASCII }

func (r Report) originalField(name string) string {
	h, _, err := message.SplitHeader(r.Original)
	if err != nil {
		return ""
	}
	return h.Get(name)
}

// status is the part for programs (RFC 3464 §2). Everything in it but
// addresses is US-ASCII, so that it stays message/delivery-status unless an
// address needs more (RFC 6533 §4.4).
func (r Report) status() message.Entity {
	var b bytes.Buffer
	add := func(name, value string) { b.Write(message.Fold(name, value)) }
	if r.EnvID != "" {
		add("Original-Envelope-Id", ascii(r.EnvID))
	}
	add("Reporting-MTA", "dns; "+r.Hostname.ASCII())
	if r.ReceivedBy != "" {
		add("Received-From-MTA", "dns; "+ascii(r.ReceivedBy))
	}
	if !r.Arrival.IsZero() {
		add("Arrival-Date", message.FormatDate(r.Arrival))
	}
	if r.Hold != "" {
		add("Future-Release-Request", ascii(r.Hold))
	}
	for _, rc := range r.Recipients {
		b.WriteString("\r\n")
		for _, f := range rc.fields(r.global()) {
			add(f.Name, f.Value)
		}
	}
	typ := "message/delivery-status"
	if message.EightBit(b.Bytes()) {
		typ = "message/global-delivery-status"
	}
	return message.Entity{
		Type:   typ,
		Fields: []message.Pair{{Name: "Content-Description", Value: "Delivery status"}},
		Body:   b.Bytes(),
	}
}

// fields is the recipient's fields in the order of RFC 3464 §2.3.
func (rc Recipient) fields(utf8 bool) []message.Pair {
	var f []message.Pair
	add := func(name, value string) { f = append(f, message.Pair{Name: name, Value: value}) }
	if rc.Original != "" {
		add("Original-Recipient", originalRecipient(rc.Original, utf8))
	}
	add("Final-Recipient", finalRecipient(rc.Address, utf8))
	add("Action", string(rc.Action))
	add("Status", rc.status().String())
	if rc.RemoteMTA != "" || rc.RemoteAddr.IsValid() {
		add("Remote-MTA", remoteMTA(rc))
	}
	if rc.Reply != nil {
		add("Diagnostic-Code", "smtp; "+foldable(clip(ascii(rc.Reply.String()), maxDiagnostic)))
	}
	if !rc.LastAttempt.IsZero() {
		add("Last-Attempt-Date", message.FormatDate(rc.LastAttempt))
	}
	if rc.LogID != "" {
		add("Final-Log-ID", ascii(rc.LogID))
	}
	if rc.Action == Delayed && !rc.RetryUntil.IsZero() {
		add("Will-Retry-Until", message.FormatDate(rc.RetryUntil))
	}
	return f
}

// status is the enhanced code to tell. A final failure may carry a 4.x.x: it
// was the last of many (RFC 3464 §2.3.4 has no rule against it).
func (rc Recipient) status() smtp.Enhanced {
	switch {
	case !rc.Status.IsZero():
		return rc.Status
	case rc.Reply != nil && !rc.Reply.Enhanced.IsZero():
		return rc.Reply.Enhanced
	case rc.Action == Failed:
		return smtp.Enhanced{Class: 5}
	case rc.Action == Delayed:
		return smtp.Enhanced{Class: 4}
	}
	return smtp.Enhanced{Class: 2}
}

// remoteMTA is the server's name with its address as a comment, which RFC 3464
// §2.1.2 allows in structured fields.
func remoteMTA(rc Recipient) string {
	switch {
	case rc.RemoteMTA == "":
		return "dns; " + literal(rc.RemoteAddr)
	case !rc.RemoteAddr.IsValid():
		return "dns; " + ascii(rc.RemoteMTA)
	}
	return "dns; " + ascii(rc.RemoteMTA) + " (" + literal(rc.RemoteAddr) + ")"
}

func literal(a netip.Addr) string {
	if a.Unmap().Is4() {
		return "[" + a.Unmap().String() + "]"
	}
	return "[IPv6:" + a.String() + "]"
}

// returned is the third part: the original, its header, or nothing.
func (r Report) returned() (message.Entity, bool) {
	if r.Redact || len(r.Original) == 0 {
		return message.Entity{}, false
	}
	// RFC 8689 §5: RET=FULL is disregarded. RFC 3461 §6.2: in full only if
	// there is a failure to tell.
	if r.Full && !r.RequireTLS && r.has(Failed) && len(r.Original) <= MaxReturn {
		if whole, ok := r.whole(); ok {
			return whole, true
		}
	}
	header := r.Original
	if i := bytes.Index(header, []byte("\r\n\r\n")); i >= 0 {
		header = header[:i+2]
	}
	if len(header) > MaxReturn {
		return message.Entity{}, false
	}
	return r.part("text/rfc822-headers", "message/global-headers", "The message's header", header), true
}

// whole is the message as it is returned. RFC 2046 §5.2.1 has no encoding for
// message/rfc822, so what a host might not take is converted inside, where that
// can be done.
func (r Report) whole() (message.Entity, bool) {
	original := r.Original
	need := message.Need{SevenBit: r.ASCII, ShortLines: true}
	if !(r.SMTPUTF8 && message.EightBit(original)) && !need.Met(original) {
		var b bytes.Buffer
		if err := message.Convert(&b, original, need); err != nil || !need.Met(b.Bytes()) {
			return message.Entity{}, false
		}
		original = b.Bytes()
	}
	return r.part("message/rfc822", "message/global", "The message", original), true
}

// part labels what is returned; the global types are for messages that were
// SMTPUTF8 and do hold more than US-ASCII in their header (RFC 6533 §4.4). They
// may be encoded (§4.5).
func (r Report) part(typ, global, description string, body []byte) message.Entity {
	enc := message.Auto
	if r.SMTPUTF8 && message.EightBit(body) {
		typ = global
		if r.ASCII || message.LongLine(body) {
			enc = message.QuotedPrintable
		}
	}
	return message.Entity{
		Type:     typ,
		Encoding: enc,
		Fields:   []message.Pair{{Name: "Content-Description", Value: description}},
		Body:     body,
	}
}

func (r Report) has(a Action) bool {
	for _, rc := range r.Recipients {
		if rc.Action == a {
			return true
		}
	}
	return false
}

// day is a time as the words of a notification show it.
func day(t time.Time) string { return t.UTC().Format("2 January 2006 15:04") + " UTC" }

// ascii replaces what a field in US-ASCII cannot hold.
func ascii(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, s)
}

// foldable puts a blank into words that no line can hold.
func foldable(s string) string {
	const most = 900
	words := strings.Split(s, " ")
	for i, w := range words {
		for n := most; n < len(w); n += most + 1 {
			w = w[:n] + " " + w[n:]
		}
		words[i] = w
	}
	return strings.Join(words, " ")
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n-3] + "..."
	}
	return s
}
