package dnsfinding

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/dnsrecords"
	"waxwing/internal/reason"
	"waxwing/mtasts"
	"waxwing/tlsrpt"
)

// findTLSRPT is the TLSRPT record of the domain, or of the host.
func (r *report) findTLSRPT(s *Seen[string], name dns.Name, host bool) {
	subject := under("_smtp._tls", name) + " TXT"
	missing, purpose := TLSRPTMissing, dnsrecords.TLSRPT
	if host {
		missing, purpose = HostTLSRPT, dnsrecords.HostTLSRPT
	}
	mark := len(r.found)
	if failed(r, s, subject) {
		return
	}
	seen, wanted := list(s.Records, quoted), quoted(r.wanted(purpose))
	if host && wanted == `""` { // the host is the domain, and has one record
		wanted = quoted(r.wanted(dnsrecords.TLSRPT))
	}
	rec, err := tlsrpt.ParseRecord(s.Records)
	switch {
	case errors.Is(err, tlsrpt.ErrNoRecord):
		r.add(missing, subject, seen, wanted)
	case errors.Is(err, tlsrpt.ErrMultiple):
		r.add(TLSRPTMultiple, subject, seen, wanted)
	case err != nil:
		r.add(TLSRPTSyntax, subject, seen+": "+err.Error(), wanted)
	default:
		if len(rec.Faulty) > 0 || len(rec.RUA) == 0 {
			r.add(TLSRPTFaulty, subject, seen+": "+strings.Join(rec.Faulty, ", "), wanted)
		}
		ours := func(u string) bool {
			return strings.Contains(wanted, u) || strings.HasPrefix(strings.ToLower(u), "https:")
		}
		if len(rec.RUA) > 0 && wanted != `""` && !slices.ContainsFunc(rec.RUA, ours) {
			r.add(TLSRPTOther, subject, seen, wanted)
		}
		r.mailboxes(rec.RUA, subject)
	}
	r.ok(mark, subject, seen)
}

// TLSRPTAddresses are the mail addresses of a TLSRPT record, as far as one counts.
func TLSRPTAddresses(texts []string) []string {
	rec, err := tlsrpt.ParseRecord(texts)
	if err != nil {
		return nil
	}
	var out []string
	for _, u := range rec.RUA {
		if a := mailto(u); a != "" {
			out = append(out, a)
		}
	}
	return out
}

// week is the shortest lifetime of a policy that protects those who write seldom.
const week = 7 * 24 * time.Hour

// findSTS is the MTA-STS record, the policy that a stranger gets, and the one served.
func (r *report) findSTS() {
	domain := r.Wanted.Domain.Name
	subject := under("_mta-sts", domain) + " TXT"
	mark := len(r.found)
	if failed(r, &r.Texts.STS, subject) {
		return
	}
	seen := list(r.Texts.STS.Records, quoted)
	rec, err := mtasts.ParseRecord(r.Texts.STS.Records)
	wanted := r.wanted(dnsrecords.STS)
	switch {
	case err == nil:
		if id := r.Wanted.Domain.STSID; id != "" && rec.ID != id {
			r.add(STSID, subject, seen, quoted(wanted))
		}
	case err.Word == reason.STSMultipleRecords:
		r.add(STSMultiple, subject, seen, wanted)
	case err.Word == reason.STSRecordSyntax:
		r.add(STSSyntax, subject, seen+": "+err.Detail, wanted)
	case r.Wanted.Policy != "":
		r.add(STSUnpublished, subject, seen, quoted(wanted))
	default:
		r.add(STSMissing, subject, seen, "")
		return
	}
	if err == nil || r.Wanted.Policy != "" {
		r.findPolicy(under("mta-sts", domain))
	}
	r.ok(mark, subject, seen)
}

// findPolicy is what came of fetching the policy.
func (r *report) findPolicy(host string) {
	at := "https://" + host + "/.well-known/mta-sts.txt"
	p := &r.Policy
	switch {
	case !p.Asked:
		r.add(NotLooked, at, "", "")
		return
	case p.Err == nil:
		r.policyText(at)
		return
	}
	switch seen := string(p.Err.Word) + ": " + p.Err.Detail; {
	case p.A.Asked && p.A.Err == nil && len(p.A.Records) == 0:
		r.add(STSHost, host, seen, r.wanted(dnsrecords.STSHost))
	case failed(r, &p.A, host+" A, AAAA"):
	case p.Err.Word == reason.STSNoPolicy:
		r.add(STSNoPolicy, at, seen, "")
	case p.Err.Word == reason.STSWebPKI:
		r.add(STSCertificate, at, seen, host)
	case p.Err.Word == reason.STSPolicySyntax:
		r.add(STSPolicySyntax, at, seen, "")
	default:
		r.add(STSUnreachable, at, seen, "")
	}
}

// policyText is a policy that was fetched.
func (r *report) policyText(at string) {
	p := r.Policy.Policy
	switch {
	case r.Wanted.Policy != "" && r.Wanted.Policy != r.Policy.Text:
		r.add(STSPolicyOther, at, oneLine(r.Policy.Text), oneLine(r.Wanted.Policy))
	case r.Wanted.Policy == "":
		r.add(STSOrphan, at, oneLine(r.Policy.Text), "")
	}
	if p.Mode == mtasts.ModeNone {
		r.add(STSNone, at, oneLine(r.Policy.Text), "")
		return
	}
	if p.Mode == mtasts.ModeTesting {
		r.add(STSTesting, at, oneLine(r.Policy.Text), "mode: enforce")
	}
	if p.MaxAge < week {
		r.add(STSShort, at, fmt.Sprintf("max_age: %d", int(p.MaxAge/time.Second)), fmt.Sprintf("max_age: %d or more", int(week/time.Second)))
	}
	for _, m := range r.MX.Records {
		if !m.Null && !m.Host.IsZero() && !p.Matches(m.Host) {
			r.add(STSMX, at, "mx: "+strings.Join(p.Patterns(), ", mx: "), "mx: "+m.Host.ASCII())
		}
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// findCAA is whether our authority may issue for a name.
func (r *report) findCAA(c *Climb) {
	subject := c.Name.ASCII() + " CAA"
	mark := len(r.found)
	var set []dns.CAA
	for i := range c.Lookups {
		if failed(r, &c.Lookups[i], subject) {
			return
		}
		if set = c.Lookups[i].Records; len(set) > 0 {
			break
		}
	}
	if len(c.Lookups) == 0 {
		r.add(NotLooked, subject, "", "")
		return
	}
	seen, wanted := list(set, dns.CAA.String), r.wanted(dnsrecords.CAA)
	if len(set) == 0 {
		if wanted != "" {
			r.add(CAAMissing, subject, "", wanted)
		}
		return
	}
	issue := false
	for _, x := range set {
		issue = issue || x.Tag == "issue"
		if x.Critical && !slices.Contains([]string{"issue", "issuewild", "iodef", "issuemail", "issuevmc", "contactemail", "contactphone"}, x.Tag) {
			r.add(CAACritical, subject, x.String(), "")
		}
	}
	if issue {
		r.issuers(set, subject, seen, wanted)
	}
	r.ok(mark, subject, seen)
}

// issuers holds the issue records against each authority that we ask.
func (r *report) issuers(set []dns.CAA, subject, seen, wanted string) {
	for _, ca := range r.Wanted.CAs {
		best := CAAForbids
		for _, x := range set {
			if x.Tag == "issue" {
				best = better(best, permits(x.Value, ca))
			}
		}
		if best != Well {
			if wanted == "" {
				wanted = "0 issue " + quoted(strings.Join(ca.Names, " or "))
			}
			r.add(best, subject, seen, wanted)
		}
	}
}

// better is the one of two findings that comes nearer to permission.
func better(a, b Word) Word {
	order := []Word{CAAForbids, CAAAccount, CAAMethod, Well}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

// permits decides about one issue value (RFC 8659 §4.2, RFC 8657).
func permits(value string, ca Authority) Word {
	name, rest, _ := strings.Cut(value, ";")
	if !slices.ContainsFunc(ca.Names, func(n string) bool { return strings.EqualFold(n, strings.TrimSpace(name)) }) {
		return CAAForbids
	}
	w := Well
	for part := range strings.SplitSeq(rest, ";") {
		tag, v, _ := strings.Cut(part, "=")
		v = strings.TrimSpace(v)
		switch strings.ToLower(strings.TrimSpace(tag)) {
		case "accounturi":
			if ca.Account != "" && v != ca.Account {
				return CAAAccount
			}
		case "validationmethods":
			has := slices.ContainsFunc(strings.Split(v, ","), func(m string) bool { return slices.Contains(ca.Methods, strings.TrimSpace(m)) })
			if len(ca.Methods) > 0 && !has {
				w = CAAMethod
			}
		}
	}
	return w
}

// findService is where mail programs are sent.
func (r *report) findService(s *Service) {
	subject := under(s.Wanted.Label+"._tcp", r.Wanted.Domain.Name) + " SRV"
	mark := len(r.found)
	if failed(r, &s.SRV, subject) {
		return
	}
	wanted := fmt.Sprintf("0 1 %d %s.", s.Wanted.Port, r.Wanted.Host.Name)
	if s.Wanted.Port == 0 {
		wanted = "0 0 0 ."
	}
	seen := list(s.SRV.Records, func(v dns.SRV) string {
		return fmt.Sprintf("%d %d %d %s.", v.Priority, v.Weight, v.Port, v.Target)
	})
	ours := func(v dns.SRV) bool { return v.Port == s.Wanted.Port && v.Target == r.Wanted.Host.Name }
	offers := func(v dns.SRV) bool { return !v.Target.IsZero() }
	switch {
	case s.Wanted.Port == 0: // a record that says so is good, and none does no harm
		if slices.ContainsFunc(s.SRV.Records, offers) {
			r.add(SRVUnserved, subject, seen, wanted)
		}
	case len(s.SRV.Records) == 0:
		r.add(SRVMissing, subject, "", wanted)
	case !slices.ContainsFunc(s.SRV.Records, ours):
		r.add(SRVOther, subject, seen, wanted)
	}
	r.ok(mark, subject, seen)
}

// findSetup is where mail programs ask for their settings.
func (r *report) findSetup(s *Setup) {
	subject := s.Name.ASCII()
	mark := len(r.found)
	if failed(r, &s.A, subject) {
		return
	}
	wanted := "CNAME " + r.Wanted.Host.Name.ASCII() + "."
	seen := list(s.A.Records, netip.Addr.String)
	addressed := func(h Host) bool { return h.Ours && len(h.A.Records)+len(h.AAAA.Records) > 0 }
	switch {
	case len(s.A.Records) == 0:
		if slices.ContainsFunc(r.Hosts, addressed) { // else an alias of the host has none either
			r.add(SetupMissing, subject, "", wanted)
		}
	case !r.leadsHere(s):
		r.add(SetupOther, subject, seen, wanted)
	}
	r.ok(mark, subject, seen)
}

// leadsHere reports that a name has an address of the host.
func (r *report) leadsHere(s *Setup) bool {
	return slices.ContainsFunc(s.A.Records, func(a netip.Addr) bool {
		is := func(h Host) bool {
			return h.Ours && (slices.Contains(h.A.Records, a) || slices.Contains(h.AAAA.Records, a))
		}
		return slices.Contains(r.Wanted.Host.Addrs, a) || slices.ContainsFunc(r.Hosts, is)
	})
}

// uncertified reports a name for settings that does not lead here: no certificate is asked for.
func (r *report) uncertified(name dns.Name) bool {
	return slices.ContainsFunc(r.Setup, func(s Setup) bool { return s.Name == name && !r.leadsHere(&s) })
}
