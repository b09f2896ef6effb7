package arf

import (
	"bytes"
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"strconv"
	"strings"

	"waxwing/internal/foreign"
	"waxwing/message"
)

// Bounds of what is read.
const (
	maxFields   = 64 << 10 // octets of the fields
	maxOriginal = 64 << 10 // octets of the message that are kept: its header
	maxText     = 1000     // octets of one value
	maxNotes    = 10
)

// ErrNoReport: the mail is no report of this kind.
var ErrNoReport = errors.New("no failure report")

// Parse reads a mail that holds a failure report. The error is ErrNoReport where it holds none,
// or says why the report cannot be used. Of a message that is enclosed whole, the header is kept.
func Parse(msg []byte) (*Report, error) {
	var r *Report
	var fault error
	var original []byte
	msg = msg[message.MboxLines(msg):]
	err := message.Walk(msg, message.Limits{}, func(p message.Part) error {
		switch p.MediaType {
		case "message/feedback-report":
			body, err := p.Body()
			if r == nil && fault == nil && err == nil {
				r, fault = ParseFields(body)
			}
		case "message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global", "message/global-headers":
			if body, err := p.Body(); err == nil && original == nil {
				original = headerOf(body)
			}
		}
		return nil
	})
	switch {
	case fault != nil:
		return nil, fault
	case r != nil:
		r.Original = original
		return r, nil
	case err != nil:
		return nil, fmt.Errorf("%w: unreadable mail: %w", ErrNoReport, err)
	}
	return nil, ErrNoReport
}

// ReadFile reads what File wrote.
func ReadFile(b []byte) (*Report, error) {
	fields, original, _ := bytes.Cut(b, []byte("\r\n\r\n"))
	r, err := ParseFields(fields)
	if err == nil {
		r.Original = original
	}
	return r, err
}

// headerOf is the header of a message, or what stands in its place, within bounds.
func headerOf(msg []byte) []byte {
	if i := bytes.Index(msg, []byte("\r\n\r\n")); i >= 0 {
		msg = msg[:i+2]
	} else if i := bytes.Index(msg, []byte("\n\n")); i >= 0 {
		msg = msg[:i+1]
	}
	return bytes.Clone(msg[:min(len(msg), maxOriginal)])
}

// ParseFields reads the machine-readable part. A field that cannot be read is passed over and
// noted; without a type of failure, or without a domain, there is no report.
func ParseFields(b []byte) (*Report, error) {
	if len(b) > maxFields {
		return nil, fmt.Errorf("the feedback report has %d octets, %d are read", len(b), maxFields)
	}
	h, _, err := message.SplitHeader(append(bytes.TrimRight(bytes.TrimLeft(b, "\r\n"), "\r\n"), "\r\n\r\n"...))
	if err != nil {
		return nil, fmt.Errorf("the feedback report cannot be read: %w", err)
	}
	if t := value(h, "Feedback-Type"); !strings.EqualFold(t, "auth-failure") {
		return nil, fmt.Errorf("%w: the feedback is of the type %q", ErrNoReport, foreign.Line(foreign.Clip(t, 60)))
	}
	r := &Report{UserAgent: value(h, "User-Agent"), Failure: strings.ToLower(value(h, "Auth-Failure")), Domain: strings.ToLower(value(h, "Reported-Domain")),
		Results: value(h, "Authentication-Results"), Delivery: strings.ToLower(value(h, "Delivery-Result")),
		Signature: Signature{Domain: value(h, "DKIM-Domain"), Identity: value(h, "DKIM-Identity"), Selector: value(h, "DKIM-Selector")},
		SPFRecord: value(h, "SPF-DNS"), MailFrom: value(h, "Original-Mail-From"), RcptTo: value(h, "Original-Rcpt-To"), MTA: mta(value(h, "Reporting-MTA")), Incidents: 1}
	r.alignment(value(h, "Identity-Alignment"))
	if r.Failure == "" && len(r.Alignment) > 0 { // seen in use: this field is of DMARC alone
		r.Failure = "dmarc"
		r.note("no Auth-Failure")
	}
	if r.Failure == "" {
		return nil, errors.New("the feedback report does not say what failed (Auth-Failure)")
	}
	r.facts(h)
	if r.Domain == "" {
		return nil, errors.New("the feedback report names no domain (Reported-Domain)")
	}
	return r, nil
}

// value is that of a field, on one line and within bounds.
func value(h message.Header, name string) string {
	return foreign.Text(strings.TrimSpace(foreign.Line(h.Get(name))), maxText)
}

// mta is the name of a host: what stands behind "dns;".
func mta(s string) string {
	if kind, name, ok := strings.Cut(s, ";"); ok && strings.EqualFold(strings.TrimSpace(kind), "dns") {
		return strings.TrimSpace(name)
	}
	return s
}

// alignment reads Identity-Alignment (RFC 9991 §4).
func (r *Report) alignment(s string) {
	for m := range strings.SplitSeq(s, ",") {
		switch m = strings.ToLower(strings.TrimSpace(m)); m {
		case "dkim", "spf":
			if len(r.Alignment) < 2 {
				r.Alignment = append(r.Alignment, m)
			}
		case "none", "":
		default:
			r.note("Identity-Alignment: " + m)
		}
	}
}

// facts reads what is more than text.
func (r *Report) facts(h message.Header) {
	if s := value(h, "Source-IP"); s != "" {
		a, err := netip.ParseAddr(strings.TrimPrefix(strings.Trim(s, "[]"), "IPv6:"))
		if err != nil || a.Zone() != "" {
			r.note("Source-IP: " + s)
		} else {
			r.Source = a.Unmap()
		}
	}
	s := value(h, "Arrival-Date")
	if s == "" {
		s = value(h, "Received-Date") // of RFC 5965's drafts
	}
	if s != "" {
		t, err := mail.ParseDate(s)
		if err != nil {
			r.note("Arrival-Date: " + s)
		}
		r.Arrival = t
	}
	if s := value(h, "Incidents"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 1 || n > 1e12 {
			r.note("Incidents: " + s)
		} else {
			r.Incidents = n
		}
	}
}

func (r *Report) note(s string) {
	if len(r.Notes) < maxNotes {
		r.Notes = append(r.Notes, foreign.Clip(s, 100))
	}
}
