package arf

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"waxwing/internal/foreign"
	"waxwing/message"
)

// Report is a report about one message that was not authenticated, or about several alike.
type Report struct {
	UserAgent string     `json:"user_agent,omitempty"`
	Failure   string     `json:"auth_failure"`                     // Auth-Failure: dmarc, signature, bodyhash, revoked, spf, adsp
	Domain    string     `json:"reported_domain"`                  // whose mail it claims to be
	Results   string     `json:"authentication_results,omitempty"` // as in the field of RFC 8601
	Alignment []string   `json:"identity_alignment,omitempty"`     // the methods that did not authenticate an aligned identity (RFC 9991 §4); none: all did, or nothing is said
	Delivery  string     `json:"delivery_result,omitempty"`        // delivered, spam, policy, reject, other
	Signature Signature  `json:"signature,omitzero"`
	SPFRecord string     `json:"spf_dns,omitempty"` // SPF-DNS: the record that was used
	MailFrom  string     `json:"original_mail_from,omitempty"`
	RcptTo    string     `json:"original_rcpt_to,omitempty"`
	Arrival   time.Time  `json:"arrival_date,omitzero"`
	Source    netip.Addr `json:"source_ip,omitzero"`
	MTA       string     `json:"reporting_mta,omitempty"` // a host name
	Incidents int64      `json:"incidents"`               // messages alike; 1 at least
	// Original is the message, or its header alone.
	Original []byte   `json:"-"`
	Notes    []string `json:"notes,omitempty"` // what was passed over while it was read
}

// Signature is the DKIM signature that failed.
type Signature struct {
	Domain   string `json:"domain,omitempty"`
	Identity string `json:"identity,omitempty"`
	Selector string `json:"selector,omitempty"`
}

// Fields is the machine-readable part: message/feedback-report.
func (r *Report) Fields() []byte {
	var b bytes.Buffer
	add := func(name, value string) {
		if value != "" {
			b.Write(message.Fold(name, foreign.Line(value)))
		}
	}
	add("Feedback-Type", "auth-failure")
	add("Version", "1")
	add("User-Agent", r.UserAgent)
	add("Auth-Failure", r.Failure)
	add("Authentication-Results", r.Results)
	if r.Failure == "dmarc" { // required of a DMARC failure report
		alignment := strings.Join(r.Alignment, ", ")
		if alignment == "" {
			alignment = "none"
		}
		add("Identity-Alignment", alignment)
	}
	add("Delivery-Result", r.Delivery)
	add("DKIM-Domain", r.Signature.Domain)
	add("DKIM-Identity", r.Signature.Identity)
	add("DKIM-Selector", r.Signature.Selector)
	add("SPF-DNS", r.SPFRecord)
	if r.MailFrom != "" {
		add("Original-Mail-From", r.MailFrom)
	}
	add("Original-Rcpt-To", r.RcptTo)
	if !r.Arrival.IsZero() {
		add("Arrival-Date", message.FormatDate(r.Arrival))
	}
	if r.Source.IsValid() {
		add("Source-IP", r.Source.String())
	}
	add("Reported-Domain", r.Domain)
	if r.MTA != "" {
		add("Reporting-MTA", "dns; "+r.MTA)
	}
	if r.Incidents > 1 {
		add("Incidents", strconv.FormatInt(r.Incidents, 10))
	}
	return b.Bytes()
}

// Entity is the body of the mail: text for people, the fields, and the header of the message.
func (r *Report) Entity(text string) message.Entity {
	original := r.Original
	if len(original) == 0 {
		original = []byte("\r\n")
	}
	return message.Entity{Type: "multipart/report", Params: map[string]string{"report-type": "feedback-report"}, Parts: []message.Entity{
		{Type: "text/plain", Params: map[string]string{"charset": "utf-8"}, Body: message.ToCRLF(text)},
		{Type: "message/feedback-report", Encoding: message.SevenBit, Body: r.Fields()},
		{Type: "text/rfc822-headers", Body: original},
	}}
}

// File is the report as it is kept: the fields, an empty line, and the message's header.
func (r *Report) File() []byte {
	return append(append(r.Fields(), "\r\n"...), r.Original...)
}

// Text is the report for people.
func (r *Report) Text() string {
	var b strings.Builder
	line := func(what, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-14s %s\n", what+":", foreign.Shown(value))
		}
	}
	line("about", r.Domain)
	line("failed", r.Failure)
	line("not aligned", strings.Join(r.Alignment, ", "))
	if r.Source.IsValid() {
		line("from", r.Source.String())
	}
	line("envelope", r.MailFrom)
	if !r.Arrival.IsZero() {
		line("arrived", r.Arrival.UTC().Format(time.RFC3339))
	}
	line("became of it", r.Delivery)
	if r.Incidents > 1 {
		line("messages", strconv.FormatInt(r.Incidents, 10))
	}
	line("results", r.Results)
	if s := r.Signature; s.Domain != "" {
		line("signature", strings.TrimSpace("d="+s.Domain+" s="+s.Selector+" i="+s.Identity))
	}
	line("SPF record", r.SPFRecord)
	line("reported by", r.MTA)
	for _, n := range r.Notes {
		line("note", n)
	}
	if len(r.Original) > 0 {
		b.WriteString("\n")
		for l := range strings.Lines(strings.ReplaceAll(string(r.Original), "\r\n", "\n")) {
			b.WriteString("  " + foreign.Shown(strings.TrimRight(l, "\n")) + "\n")
		}
	}
	return b.String()
}
