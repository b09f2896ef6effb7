// Package dmarcresult counts what DMARC came to for the messages that came in, for the daily
// reports to the domains that ask for them (RFC 9990, DMR-1). Observe makes of a message's
// facts the rows of reports, Save adds them to those of the day.
package dmarcresult

import (
	"cmp"
	"slices"

	"waxwing/dkim"
	"waxwing/dmarc"
	"waxwing/dmarcrpt"
	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/disposition"
	"waxwing/internal/verify"
)

// maxSignatures is how many signatures a row tells of; RFC 9990 §3.1.3 has 100.
const maxSignatures = 10

// Observe makes the rows of reports that a message belongs into: one for each domain in From
// whose policy asks for reports. report says that the message was itself one.
func Observe(f *verify.Facts, report bool) []delivery.Evaluation {
	var out []delivery.Evaluation
	for i := range f.DMARC {
		d := &f.DMARC[i]
		if d.Record == nil || len(d.Record.RUA) == 0 || d.At.IsZero() {
			continue
		}
		out = append(out, delivery.Evaluation{Policy: published(d), Record: record(f, d), Report: report, Hours: Hours(d.Record.Interval)})
	}
	return out
}

// published is the policy with the defaults of what the record leaves out (RFC 9990 §3.1.1.5).
func published(d *verify.DMARC) dmarcrpt.Policy {
	r := d.Record
	sp := cmp.Or(r.Subdomains, r.Policy)
	return dmarcrpt.Policy{Domain: d.At.ASCII(), P: string(r.Policy), SP: string(sp), NP: string(cmp.Or(r.NonExistent, sp)),
		ADKIM: flag(r.StrictDKIM, "s", "r"), ASPF: flag(r.StrictSPF, "s", "r"), FO: r.Failure, Testing: flag(r.Testing, "y", "n"), DiscoveryMethod: "treewalk"}
}

func flag(set bool, yes, no string) string {
	if set {
		return yes
	}
	return no
}

func record(f *verify.Facts, d *verify.DMARC) dmarcrpt.Record {
	r := dmarcrpt.Record{SourceIP: f.IP, DKIM: flag(len(d.AlignedDKIM) > 0, "pass", "fail"), SPF: flag(d.AlignedSPF, "pass", "fail"),
		HeaderFrom: d.From.ASCII(), EnvelopeFrom: senderDomain(f.Sender), DKIMResults: signatures(f, d)}
	for _, s := range f.SPF {
		if s.Identity == verify.MailFrom || f.Sender == "" { // a null reverse-path stands for postmaster at the HELO name (RFC 7208 §2.4)
			r.SPFResults = []dmarcrpt.SPFResult{{Domain: s.Domain, Scope: "mfrom", Result: string(s.Result)}}
		}
	}
	r.Disposition = Disposition(f.Decision.Action, d)
	r.Reasons = reasons(f.Decision, d, r.Disposition)
	return r
}

// Disposition is what was done with a message, in the words of RFC 9990, appendix A.
func Disposition(a disposition.Action, d *verify.DMARC) string {
	switch {
	case a == disposition.Reject:
		return "reject"
	case a == disposition.Junk:
		return "quarantine"
	case d.Result == dmarc.Pass && d.Policy != dmarc.PolicyNone:
		return "pass"
	}
	return "none"
}

// reasons says why something else was done than the policy asks for: always, where the message
// is not authenticated (RFC 9990 §3.1.1.9).
func reasons(decision disposition.Decision, d *verify.DMARC, did string) []dmarcrpt.Reason {
	override := decision.Override
	switch {
	case d.Result == dmarc.Pass && (did == "pass" || did == "none"):
		return nil
	case d.Result != dmarc.Pass && did == string(cmp.Or(d.Policy, dmarc.PolicyNone)):
		return nil
	case override == "" && d.Policy != d.Apply && did == string(d.Apply):
		override = disposition.TestMode
	case override == "" || override == disposition.TestMode && did != string(d.Apply):
		override = disposition.LocalPolicy
	}
	return []dmarcrpt.Reason{{Type: string(override), Comment: string(decision.Word)}}
}

// signatures are in the order of RFC 9990 §3.1.3: those that pass and are aligned first.
func signatures(f *verify.Facts, d *verify.DMARC) []dmarcrpt.DKIMResult {
	rank := func(s verify.Signature) int {
		switch {
		case s.Result != dkim.Pass:
			return 3
		case s.Domain == d.From:
			return 0
		case slices.Contains(d.AlignedDKIM, s.Domain):
			return 1
		}
		return 2
	}
	known := slices.DeleteFunc(slices.Clone(f.DKIM), func(s verify.Signature) bool { return s.Domain.IsZero() })
	slices.SortStableFunc(known, func(a, b verify.Signature) int { return cmp.Compare(rank(a), rank(b)) })
	var out []dmarcrpt.DKIMResult
	for _, s := range known[:min(len(known), maxSignatures)] {
		out = append(out, dmarcrpt.DKIMResult{Domain: s.Domain.ASCII(), Selector: s.Selector, Result: string(s.Result)})
	}
	return out
}

// senderDomain is the domain of the reverse-path, in the form of DNS where it is one.
func senderDomain(sender string) string {
	at := len(sender)
	for at > 0 && sender[at-1] != '@' {
		at--
	}
	domain := sender[at:]
	if n, err := dns.ParseName(domain); err == nil {
		return n.ASCII()
	}
	return domain
}
