package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/policy"
	"waxwing/internal/session"
	"waxwing/mtasts"
)

// Advice is one thing that somebody can do.
type Advice struct {
	Word  string `json:"word"`
	Fault bool   `json:"fault"`         // it keeps mail away, or will; otherwise it would be better
	For   string `json:"for,omitempty"` // whose operator: a domain or a host; "": who asks
	Text  string `json:"text"`
}

// Words of advice that are not reason words.
const (
	adviceUnprotected = "unprotected"
	adviceNoTLSA      = "no-tlsa"
	advicePartlyTLSA  = "tlsa-on-some-hosts"
	adviceExpiresSoon = "certificate-expires-soon"
	adviceSTSUnused   = "sts-mx-unused"
	adviceSTSMaxAge   = "sts-max-age-short"
	adviceSTSStale    = "sts-id-unchanged"
	adviceNoTLSRPT    = "no-tlsrpt"
	adviceTLSRPT      = "tlsrpt-record"
	adviceResolver    = "resolver"
	adviceUnreachable = "unreachable"
	adviceOurWay      = "our-way-out"
	adviceSmallHello  = "small-hello"
	adviceNotTold     = "last-seen-unreadable"
)

// Certificates are to be renewed, and policies to be kept, for as long.
const (
	expiresSoon = 14 * 24 * time.Hour
	shortMaxAge = 7 * 24 * 3600 // seconds; RFC 8461 §3.2: "weeks or greater"
)

// Advise says what should be done about what was found, faults first. It is pure.
func Advise(e Explanation) []Advice {
	a := &adviser{e: e}
	a.stop()
	if e.MTASTS.Looked {
		a.dns()
		a.sts()
	}
	for _, h := range e.Hosts {
		a.host(h)
	}
	a.ourWay()
	a.reports()
	if e.SeenFail != "" {
		a.add(Advice{Word: adviceNotTold, Text: "what deliveries have seen of the domain could not be read: " + e.SeenFail})
	}
	slices.SortStableFunc(a.all, func(x, y Advice) int {
		switch {
		case x.Fault == y.Fault:
			return 0
		case x.Fault:
			return -1
		}
		return 1
	})
	return a.all
}

// adviser collects advice, each piece once.
type adviser struct {
	e   Explanation
	all []Advice
}

func (a *adviser) add(x Advice) {
	if x.Text != "" && x.Text != "nothing to do" && !slices.Contains(a.all, x) {
		a.all = append(a.all, x)
	}
}

func (a *adviser) fault(who, word, format string, args ...any) {
	a.add(Advice{Word: word, Fault: true, For: who, Text: fmt.Sprintf(format, args...)})
}

func (a *adviser) better(who, word, format string, args ...any) {
	a.add(Advice{Word: word, For: who, Text: fmt.Sprintf(format, args...)})
}

// cure is the general advice on a word, for a domain's operator.
func cure(w delivery.Reason, domain string) string {
	meaning, text := policy.Explain(w)
	if text == "" || text == "nothing to do" {
		return ""
	}
	return meaning + ": " + strings.ReplaceAll(text, "DOMAIN", domain)
}

// stop is about what ends a delivery before any host.
func (a *adviser) stop() {
	s := a.e.Stop
	if s == nil {
		return
	}
	_, text := policy.Explain(s.Word)
	switch s.Word {
	case "no-such-domain", "null-mx", "mx-self":
		a.add(Advice{Word: string(s.Word), Fault: true, Text: text})
	case policy.DNSError, "dns-timeout", "dns-servfail", "dns-refused":
		a.add(Advice{Word: string(s.Word), Fault: true, For: a.e.Domain, Text: cure("dns-servfail", a.e.Domain)})
		a.add(Advice{Word: adviceResolver, Text: "\"waxwing dns selftest\" tells whether the resolver answers at all"})
	case "dns-indeterminate":
		a.add(Advice{Word: string(s.Word), Fault: true, Text: text})
	default:
		if len(a.e.Hosts) > 0 {
			return // told with the policy, and with each host
		}
		a.fault(a.e.Domain, string(s.Word), "%s", cure(s.Word, a.e.Domain))
	}
}

// dns is about what the domain publishes for its hosts' security.
func (a *adviser) dns() {
	with, without := []string{}, []Host{}
	for _, h := range a.e.Hosts {
		switch h.DANE {
		case "usable":
			with = append(with, h.Name)
		case "none":
			if h.Name != "" && h.Fail == nil {
				without = append(without, h)
			}
		}
	}
	sts := a.e.MTASTS.Mode != "" && a.e.MTASTS.Mode != string(mtasts.ModeNone)
	switch {
	case len(a.e.Hosts) == 0 || len(without) == 0:
	case len(with) > 0:
		for _, h := range without {
			a.better(h.Name, advicePartlyTLSA, "other hosts of %s have TLSA records and this one has none, so whoever can keep mail from the others can have it unprotected: publish %s", a.e.Domain, publish(h))
		}
	case a.e.Signed:
		for _, h := range without {
			a.better(h.Name, adviceNoTLSA, "%s is signed, so a TLSA record is all that DANE still needs: publish %s", a.e.Domain, publish(h))
		}
	case !sts && a.e.MTASTS.Failure == "" || a.e.MTASTS.Failure == string(mtasts.NoRecord) && !sts:
		a.better(a.e.Domain, adviceUnprotected, "nothing protects mail to this domain from whoever sits on the way: sign the zones of the domain and of its hosts with DNSSEC and publish TLSA records, or publish an MTA-STS policy")
	}
}

// publish is the record that a host should have, as far as it is known.
func publish(h Host) string {
	for _, c := range h.Contacts {
		if len(c.Chain) > 0 {
			return line(h, c)
		}
	}
	return h.TLSAName + ". IN TLSA 3 1 1 with the SHA-256 of the host's public key (\"waxwing dane record " + h.Name + "\" prints it)"
}

// line is the TLSA record for the certificate that a host presents.
func line(h Host, c Contact) string { return h.TLSAName + ". IN TLSA " + c.Chain[0].TLSA }

// sts is about the domain's MTA-STS.
func (a *adviser) sts() {
	m, d := a.e.MTASTS, a.e.Domain
	if w := mtasts.Word(m.Failure); m.Failure != "" && w != mtasts.NoRecord {
		a.fault(d, m.Failure, "%s (%s)", cure(delivery.Reason(w), d), m.Detail)
	}
	if l := m.Live; l != nil {
		switch {
		case l.Failure != "" && m.Failure == "":
			a.fault(d, l.Failure, "%s (%s); senders that know the policy keep it until it expires, others do not get it", cure(delivery.Reason(l.Failure), d), l.Detail)
		case l.Failure == "" && !l.Same && m.Mode != "":
			a.fault(d, adviceSTSStale, "the policy has changed and the id %q in _mta-sts.%s has not, so that senders keep to the old one: give the record a new id whenever the policy changes", m.ID, d)
		}
	}
	if m.Mode == "" || m.Mode == string(mtasts.ModeNone) {
		return
	}
	a.listed(m)
	if m.Mode == string(mtasts.ModeTesting) {
		a.better(d, string(policy.STSTesting), "the MTA-STS policy is in mode testing, which protects nobody: once the TLS reports show no failures, set mode: enforce and a new id")
	}
	if m.MaxAge > 0 && m.MaxAge < shortMaxAge {
		a.better(d, adviceSTSMaxAge, "the MTA-STS policy is kept for %s only: set max_age to some weeks, such as 1209600, so that it cannot be got rid of by blocking one fetch",
			(time.Duration(m.MaxAge) * time.Second).String())
	}
}

// listed holds the policy's hosts against the domain's.
func (a *adviser) listed(m MTASTS) {
	p := pattern(m.MX)
	missing, names := []string{}, []string{}
	used := make([]bool, len(m.MX))
	for _, h := range a.e.Hosts {
		if h.Name == "" {
			continue
		}
		names = append(names, h.Name)
		i := p.match(h.Name)
		if i < 0 {
			missing = append(missing, h.Name)
			continue
		}
		for j := range m.MX {
			used[j] = used[j] || p[j:j+1].match(h.Name) >= 0
		}
	}
	d, add := a.e.Domain, []string{}
	for _, h := range missing {
		add = append(add, "mx: "+h)
	}
	switch {
	case len(names) == 0:
		return
	case len(missing) == len(names):
		a.fault(d, string(policy.STSMXMismatch), "the MTA-STS policy lists none of the domain's hosts: it has %s, and the MX records name %s. Add %s to the policy and give the record a new id",
			strings.Join(m.MX, ", "), strings.Join(names, ", "), quote(add))
	case len(missing) > 0:
		a.fault(d, string(policy.STSMXMismatch), "the MTA-STS policy does not list %s: add %s and give the record a new id, or remove the MX record", strings.Join(missing, ", "), quote(add))
	}
	for i, u := range used {
		if !u && len(missing) < len(names) {
			a.better(d, adviceSTSUnused, "the MTA-STS policy lists %s, which matches no host of the domain: remove it unless the host is about to come", m.MX[i])
		}
	}
}

func quote(lines []string) string { return `"` + strings.Join(lines, `", "`) + `"` }

// host is about one host.
func (a *adviser) host(h Host) {
	if f := h.Fail; f != nil {
		a.fault(a.e.Domain, string(f.Word), "%s: %s", f.Text, strings.TrimPrefix(cure(f.Word, a.e.Domain), f.Meaning+": "))
	}
	switch h.DANE {
	case "unusable":
		a.fault(h.Name, string(policy.TLSAUnusable), "none of its TLSA records (%s) can be used for SMTP: publish %s instead", strings.Join(h.TLSA, ", "), publish(h))
	case "failed":
		a.unanswered(h)
	}
	if s := h.Skip; s != nil && h.Fail == nil && (s.Word == policy.DANERequired || s.Word == policy.RequireTLSUntrustedName || s.Word == policy.NoName) {
		_, text := policy.Explain(s.Word)
		if a.e.Stop != nil && a.e.Stop.Word != s.Word { // not of all hosts
			text = h.Name + ": " + text
		}
		a.add(Advice{Word: string(s.Word), Fault: true, Text: text})
	}
	for _, c := range h.Contacts {
		a.contact(h, c)
	}
}

// unanswered is about TLSA records that cannot be looked up (RFC 7672 §2.1.2).
func (a *adviser) unanswered(h Host) {
	switch {
	case h.Skip == nil: // who asks does not mind
	case h.Skip.Word == "dns-bogus":
		a.fault(h.Name, string(h.Skip.Word), "DNSSEC validation fails for %s, so that nobody who honours DANE delivers to it: repair the zone's signatures", h.TLSAName)
	default:
		a.fault(h.Name, string(h.Skip.Word), "%s cannot be looked up, so that nobody who honours DANE delivers to it: the name servers must answer, if only with \"no such name\"", h.TLSAName)
	}
}

// contact is about one address of a host. What two addresses share is told once.
func (a *adviser) contact(h Host, c Contact) {
	tls := h.Verify != "" && (h.TLS == "required" || h.Verify != "none")
	switch {
	case c.Failure != nil:
		a.unreachable(h, c)
		return
	case c.TLSFailure != nil && c.TLSFailure.Word == session.StartTLSNotOffered:
		a.add(Advice{Word: string(c.TLSFailure.Word), Fault: tls, For: h.Name, Text: "it does not offer STARTTLS, so mail to it can be read on the way: configure a certificate and switch TLS on"})
		return
	case c.TLSFailure != nil:
		a.fault(h.Name, string(c.TLSFailure.Word), "%s (%s)", cure(c.TLSFailure.Word, h.Name), c.TLSFailure.Text)
	}
	a.weak(h, c, tls)
	if c.DANE != nil && !c.DANE.OK {
		a.mismatch(h, c)
	}
	a.certificate(h, c)
	if a.e.Need == delivery.RequireTLS.String() && c.TLS != nil && !c.RequireTLS {
		a.fault(h.Name, string(policy.RequireTLSNotOffered), "it does not offer REQUIRETLS (RFC 8689): switch it on, or let the sender do without")
	}
}

// unreachable is about a connection that came to nothing, by its cause (SES-16).
func (a *adviser) unreachable(h Host, c Contact) {
	f := c.Failure
	switch f.Word {
	case session.ConnectTimeout, session.ConnectUnreachable:
		if a.e.cutOff(c.Address) {
			return // told once, of ourselves
		}
		a.fault(h.Name, adviceUnreachable, "%s at %s (%s): see that it answers on port 25, or take it out of the MX and address records", f.Meaning, c.Address, f.Text)
	case session.ConnectRefused, session.ConnectFailed:
		a.fault(h.Name, adviceUnreachable, "%s at %s (%s): see that its mail server runs and listens there, or take it out of the MX and address records", f.Meaning, c.Address, f.Text)
	case session.GreetingReply, session.HelloReply:
		a.fault(h.Name, string(f.Word), "%s at %s (%s): it answers, and turns this server away: the answer says why, often for the address that we come from", f.Meaning, c.Address, f.Text)
	default:
		a.fault(h.Name, string(f.Word), "%s at %s (%s): something listens there that does not speak SMTP with us: see its log, and what stands before it", f.Meaning, c.Address, f.Text)
	}
}

// cutOff: no address of that kind could be reached at any host, while more than one
// was tried: the fault lies rather on our side of the way.
func (e *Explanation) cutOff(address string) bool {
	v6, tried := strings.Contains(address, ":"), 0
	for _, h := range e.Hosts {
		for _, c := range h.Contacts {
			if strings.Contains(c.Address, ":") != v6 {
				continue
			}
			if c.Failure == nil || c.Failure.Word != session.ConnectTimeout && c.Failure.Word != session.ConnectUnreachable {
				return false
			}
			tried++
		}
	}
	return tried > 1
}

// ourWay is about our own way out.
func (a *adviser) ourWay() {
	for _, kind := range []struct{ address, name, advice string }{
		{"0.0.0.0", "IPv4", "see whether this machine's network lets connections to port 25 out: many do not"},
		{"::", "IPv6", "see whether this machine has IPv6 at all and lets connections to port 25 out by it; hosts are tried over IPv4 too"},
	} {
		if a.e.cutOff(kind.address) {
			a.add(Advice{Word: adviceOurWay, Fault: true, Text: "no " + kind.name + " address of any host could be reached, which points to our own way out: " + kind.advice})
		}
	}
}

// weak is about TLS that is better than none and proves nothing (POL-10).
func (a *adviser) weak(h Host, c Contact, required bool) {
	if c.TLS != nil && c.TLS.Weak != nil {
		f := c.TLS.Weak
		a.add(Advice{Word: string(f.Reason), Fault: required || h.DANE == "usable" || a.e.MTASTS.Mode == string(mtasts.ModeTesting), For: h.Name,
			Text: fmt.Sprintf("%s (%s); mail goes there only because nothing better is asked for", cure(f.Reason, h.Name), clean(f.Text))})
	}
	if c.SmallHello {
		a.better(h.Name, adviceSmallHello, "it, or something on the way, cannot take a TLS hello that offers post-quantum key exchange: update its TLS, or the firewall before it; each mail costs two connections")
	}
}

// mismatch is about TLSA records that the presented certificate does not meet.
func (a *adviser) mismatch(h Host, c Contact) {
	if c.DANE.Word != "dane-no-match" || len(c.Chain) == 0 {
		a.fault(h.Name, string(c.DANE.Word), "%s (%s)", cure(c.DANE.Word, h.Name), c.DANE.Text)
		return
	}
	a.fault(h.Name, string(c.DANE.Word), "its certificate matches none of its TLSA records (%s), so that nobody who honours DANE delivers to it: publish %s now; next time publish the new record before the certificate changes, and wait for the old TTL",
		strings.Join(h.TLSA, ", "), line(h, c))
}

// certificate is about the public validity of a certificate and its end.
func (a *adviser) certificate(h Host, c Contact) {
	if c.PKIX == nil || len(c.Chain) == 0 {
		return
	}
	asked := a.e.MTASTS.Mode == string(mtasts.ModeEnforce) || a.e.MTASTS.Mode == string(mtasts.ModeTesting) || strings.Contains(h.Verify, "pkix")
	if !c.PKIX.OK && asked {
		text := cure(c.PKIX.Word, h.Name)
		a.fault(h.Name, string(c.PKIX.Word), "%s (%s)", text, c.PKIX.Text)
		return
	}
	// RFC 7671 §5.1: DANE-EE does not look at the dates.
	if end := c.Chain[0].NotAfter; (c.PKIX.OK || asked) && end.Sub(a.e.At) < expiresSoon {
		a.add(Advice{Word: adviceExpiresSoon, Fault: asked, For: h.Name, Text: fmt.Sprintf("its certificate expires in %s, on %s: renew it, and see why that did not happen by itself",
			days(end.Sub(a.e.At)), end.UTC().Format(time.DateOnly))})
	}
}

func days(d time.Duration) string {
	n := int(d / (24 * time.Hour))
	switch {
	case n < 1:
		return "less than a day"
	case n == 1:
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}

// reports is about TLS reporting (RFC 8460).
func (a *adviser) reports() {
	for i, r := range a.e.TLSRPT {
		name := "_smtp._tls." + r.Domain
		switch r.Failure {
		case "":
		case rptNone:
			if i > 0 {
				continue // who runs the domain gets reports; the host's own record is a nicety
			}
			a.better(r.Domain, adviceNoTLSRPT, "nobody can report failures of TLS, so that its operator is the last to learn of them: publish %s. IN TXT \"v=TLSRPTv1; rua=mailto:tls-reports@%s\"", name, r.Domain)
		case rptMultiple, rptSyntax, rptUnsupported:
			a.fault(r.Domain, adviceTLSRPT, "the TLS reporting record at %s cannot be used (%s), so that no reports are sent: write it as \"v=TLSRPTv1; rua=mailto:tls-reports@%s\", once", name, r.Detail, r.Domain)
		default:
			a.fault(r.Domain, r.Failure, "the TLS reporting record at %s cannot be looked up (%s)", name, r.Detail)
		}
	}
}

// pattern is an MTA-STS policy's mx values.
type pattern []string

// match is the index of the first that stands for host, -1 for none (RFC 8461 §4.1).
func (p pattern) match(host string) int {
	name, err := dns.ParseName(host)
	if err != nil {
		return -1
	}
	for i, s := range p {
		parent, wild := strings.CutPrefix(s, "*.")
		n, err := dns.ParseName(parent)
		if err != nil {
			continue
		}
		if (&mtasts.Policy{MX: []mtasts.Pattern{{Wildcard: wild, Name: n}}}).Matches(name) {
			return i
		}
	}
	return -1
}
