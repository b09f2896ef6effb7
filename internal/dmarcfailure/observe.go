// Package dmarcfailure reports single messages that fail DMARC to the domains that ask for it
// (RFC 9991, DMR-4), where the operator wants that. Observe says of a message whether, and how
// (it is pure); a Recorder sums up messages that are alike, in memory and then in the store; a
// Service has an outbox send what a period of time has brought. Everything that could name a
// person is made unreadable before it is kept.
package dmarcfailure

import (
	"slices"
	"strings"

	"waxwing/arf"
	"waxwing/dkim"
	"waxwing/dmarc"
	"waxwing/dns"
	"waxwing/internal/disposition"
	"waxwing/internal/verify"
	"waxwing/spf"
)

// Failure is one message that its author domain may hear of.
type Failure struct {
	Policy dns.Name // where the policy stands that asks for reports
	SPF    dns.Name // whose SPF record failed though the name is aligned; zero: none
	Report arf.Report
}

// Observe makes a Failure for each domain in From whose policy asks to be told of such a message.
func Observe(f *verify.Facts) []Failure {
	var out []Failure
	for i := range f.DMARC {
		d := &f.DMARC[i]
		// RFC 9991 §2: not by the records of public suffixes.
		if d.Record == nil || len(d.Record.RUF) == 0 || d.Record.PSD == dmarc.PSDYes || d.At.IsZero() {
			continue
		}
		if kind := wanted(d.Record.Failure, d, f); kind != "" {
			out = append(out, failure(kind, d, f))
		}
	}
	return out
}

// wanted is the type of failure of which the options of a record (fo, RFC 9989 §4.7) ask to be
// told; "": of none. Where a lookup failed, nothing is known to have failed.
func wanted(options string, d *verify.DMARC, f *verify.Facts) string {
	has := func(o string) bool { return strings.Contains(options, o) }
	signed, sent := len(d.AlignedDKIM) > 0, d.AlignedSPF
	switch {
	case d.Result != dmarc.Fail && d.Result != dmarc.Pass:
		return ""
	case has("0") && !signed && !sent, has("1") && (!signed || !sent):
		return "dmarc"
	case has("d") && slices.ContainsFunc(f.DKIM, func(s verify.Signature) bool { return s.Result == dkim.Fail }):
		return "signature"
	case has("s") && slices.ContainsFunc(f.SPF, func(s verify.SPF) bool { return s.Identity == verify.MailFrom && failed(s.Result) }):
		return "spf"
	}
	return ""
}

func failed(r spf.Result) bool { return r == spf.Fail || r == spf.SoftFail }

// became is Delivery-Result of RFC 6591 §3.2.2.
var became = map[disposition.Action]string{disposition.Deliver: "delivered", disposition.Junk: "spam", disposition.Reject: "reject"}

func failure(kind string, d *verify.DMARC, f *verify.Facts) Failure {
	out := Failure{Policy: d.At, Report: arf.Report{UserAgent: "Waxwing", Failure: kind, Domain: d.From.ASCII(), Delivery: became[f.Decision.Action], Source: f.IP, MailFrom: f.Sender}}
	if len(d.AlignedDKIM) == 0 {
		out.Report.Alignment = append(out.Report.Alignment, "dkim")
	}
	if !d.AlignedSPF {
		out.Report.Alignment = append(out.Report.Alignment, "spf")
	}
	for _, s := range f.DKIM {
		if s.Result != dkim.Pass && (aligned(s.Domain, d) || kind == "signature") {
			out.Report.Signature = arf.Signature{Domain: s.Domain.ASCII(), Identity: "@" + s.Domain.ASCII(), Selector: s.Selector}
			break
		}
	}
	for _, s := range f.SPF {
		n, err := dns.ParseName(s.Domain)
		if err == nil && s.Identity == verify.MailFrom && s.Result != spf.Pass && s.Result != spf.None && (aligned(n, d) || kind == "spf") {
			out.SPF = n
		}
	}
	return out
}

// aligned: the name belongs to the author's policy domain.
func aligned(n dns.Name, d *verify.DMARC) bool {
	return !n.IsZero() && (n == d.From || n == d.At || n.Under(d.At))
}
