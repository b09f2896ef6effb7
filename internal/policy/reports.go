package policy

import (
	"errors"
	"fmt"
	"strings"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/mtasts"
	"waxwing/tlsrpt"
)

// reports are the TLSRPT policies that sessions with the host count under
// (POL-7, RFC 8460 §4.3). An address literal has no domain to report to, and a host
// of the operator's is nobody's who asked (RPT-4).
func (r *rules) reports(s subject) []delivery.Policy {
	if r.domain.IsZero() || r.in.Trust == TrustOperator {
		return nil
	}
	var list []delivery.Policy
	switch {
	case s.dane.State != delivery.DANENone:
		list = append(list, reportDANE(s))
	case r.floor == delivery.MinDANE:
		list = append(list, delivery.Policy{
			Type: tlsrpt.PolicyTLSA, Domain: s.Name.Name, Needs: delivery.NeedDANE,
			Failed: &delivery.TLSFailure{Type: tlsrpt.DANERequired, Word: reason.DANERequired, Text: daneRequiredText(s)},
		})
	}
	if r.policy != nil || r.failure != nil {
		list = append(list, r.reportSTS(s))
	}
	if len(list) == 0 {
		list = append(list, delivery.Policy{Type: tlsrpt.PolicyNone, Domain: r.domain, Needs: delivery.NeedTLS})
	}
	return list
}

func reportDANE(s subject) delivery.Policy {
	p := delivery.Policy{Type: tlsrpt.PolicyTLSA, Domain: s.dane.Base, Strings: s.dane.Strings, Needs: delivery.NeedDANE}
	if p.Domain.IsZero() {
		p.Domain = s.Name.Name
	}
	switch s.dane.State {
	case delivery.DANEUnusable:
		p.Needs = delivery.NeedTLS
		p.Failed = &delivery.TLSFailure{Type: tlsrpt.TLSAInvalid, Word: s.daneReason(), Text: s.daneText()}
	case delivery.DANEFailed:
		p.Failed = &delivery.TLSFailure{Type: tlsrpt.DNSSECInvalid, Word: s.daneReason(), Text: s.daneText()}
		if s.dane.Fail != nil {
			p.Failed.EDE = s.dane.Fail.EDE
		}
	}
	return p
}

func (r *rules) reportSTS(s subject) delivery.Policy {
	p := delivery.Policy{Type: tlsrpt.PolicySTS, Domain: r.domain, Needs: delivery.NeedTLS}
	if r.failure != nil {
		p.Failed = stsFailure(r.failure)
	}
	if r.policy != nil {
		p.Strings, p.MX, p.Needs = r.policy.Lines, r.policy.Patterns(), delivery.NeedPKIX
		if !s.matched {
			p.Failed = &delivery.TLSFailure{Type: tlsrpt.ValidationFailure, Word: reason.STSMXMismatch, Text: r.mismatch(s)}
		}
	}
	return p
}

// unknownSTS is what an attempt counts under that waits because nobody can say
// whether there is a policy (RPT-22): one session that should have been.
func (r *rules) unknownSTS() delivery.Policy {
	f := &delivery.TLSFailure{Type: tlsrpt.STSPolicyFetchError, Word: reason.DNSError}
	if r.failure != nil {
		f.Text, f.EDE = r.failure.Error(), extended(r.failure)
		if de, ok := errors.AsType[*dns.Error](r.failure); ok {
			f.Word = de.Word()
		}
	}
	return delivery.Policy{Type: tlsrpt.PolicySTS, Domain: r.domain, Needs: delivery.NeedTLS, Failed: f}
}

// extended is the extended DNS error behind a failure (RPT-23); 0: none.
func extended(err error) uint16 {
	if de, ok := errors.AsType[*dns.Error](err); ok && len(de.EDE) > 0 {
		return de.EDE[0].Code
	}
	return 0
}

func stsFailure(f *mtasts.Error) *delivery.TLSFailure {
	return &delivery.TLSFailure{Type: stsResult(f.Word), Word: f.Word, Text: f.Error(), EDE: extended(f)}
}

// stsResult maps the words of STS-4 to RFC 8460 §4.3.2.2.
func stsResult(w reason.Word) tlsrpt.ResultType {
	switch w {
	case reason.STSWebPKI:
		return tlsrpt.STSWebPKIInvalid
	case reason.STSPolicySyntax:
		return tlsrpt.STSPolicyInvalid
	}
	return tlsrpt.STSPolicyFetchError
}

// daneReason is the word of a DANE finding that failed or is unusable.
func (s subject) daneReason() reason.Word {
	switch {
	case s.dane.Fail != nil:
		return s.dane.Fail.Word
	case s.dane.State == delivery.DANEUnusable:
		return reason.TLSAUnusable
	}
	return reason.DNSError
}

func (s subject) daneText() string {
	if s.dane.Fail != nil {
		return s.dane.Fail.Text
	}
	return fmt.Sprintf("the TLSA records of %s are %s", s.Name, s.dane.State)
}

func daneRequiredText(s subject) string {
	return fmt.Sprintf("the operator's minimum is DANE, and %s has no TLSA records secured by DNSSEC", s.Name)
}

func (r *rules) mismatch(s subject) string {
	return fmt.Sprintf("host %s is not named by the MTA-STS policy of %s, which allows: %s", s.Name, r.domain, list(r.policy.Patterns()))
}

func (r *rules) untrusted(s subject) string {
	if r.domain.IsZero() {
		return "REQUIRETLS asks for a host name that can be trusted, and an address literal has none"
	}
	return fmt.Sprintf("REQUIRETLS asks for a host name that can be trusted: the DNS answer of %s that names %s is not secured by DNSSEC, and no enforced MTA-STS policy names the host", r.domain, s.Name)
}

// list joins names, and leaves out what is too much for a message to people.
func list(names []string) string {
	const most = 10
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}
