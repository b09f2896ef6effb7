package explain

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/mtasts"
)

// Advice is one thing that somebody can do.
type Advice struct {
	Word  string `json:"word"`
	Fault bool   `json:"fault"`         // it keeps mail away, or will; otherwise it would be better
	For   string `json:"for,omitempty"` // whose operator: a domain or a host; "": who asks
	Text  string `json:"text"`
}

// Words of advice that stand for several tips; else a tip or a reason is the word.
const (
	adviceUnreachable = "unreachable"
	adviceOurWay      = "our-way-out"
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
		a.add(Advice{Word: string(reason.SeenUnreadable), Text: tip(reason.SeenUnreadable, "detail", e.SeenFail)})
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
	if x.Text != "" && !slices.Contains(a.all, x) {
		a.all = append(a.all, x)
	}
}

func (a *adviser) fault(who, word, text string) {
	a.add(Advice{Word: word, Fault: true, For: who, Text: text})
}

func (a *adviser) better(who, word, text string) { a.add(Advice{Word: word, For: who, Text: text}) }

// tip is the text of a piece of advice; names are a name and its value by turns.
func tip(t reason.Tip, names ...string) string {
	all := reason.Names{}
	for i := 0; i+1 < len(names); i += 2 {
		all[names[i]] = names[i+1]
	}
	return reason.Advise(reason.Cause{Tip: t}, all).Cure
}

// with is a text and what was seen.
func with(text, detail string) string { return fmt.Sprintf("%s (%s)", text, detail) }

// cure is the general advice on a word, for a domain's operator.
func cure(w reason.Word, domain string) string {
	a := reason.Advise(reason.Cause{Word: w}, reason.Names{"domain": domain})
	if a.Cure == "" {
		return ""
	}
	return a.Meaning + ": " + a.Cure
}

// stop is about what ends a delivery before any host.
func (a *adviser) stop() {
	s := a.e.Stop
	if s == nil {
		return
	}
	text := s.Word.Cure()
	switch s.Word {
	case reason.NoSuchDomain, reason.NullMX, reason.MXSelf:
		a.add(Advice{Word: string(s.Word), Fault: true, Text: text})
	case reason.DNSError, reason.DNSTimeout, reason.DNSServfail, reason.DNSRefused:
		a.add(Advice{Word: string(s.Word), Fault: true, For: a.e.Domain, Text: cure(reason.DNSServfail, a.e.Domain)})
		a.add(Advice{Word: string(reason.AskResolver), Text: tip(reason.AskResolver)})
	case reason.DNSIndeterminate:
		a.add(Advice{Word: string(s.Word), Fault: true, Text: text})
	default:
		if len(a.e.Hosts) > 0 {
			return // told with the policy, and with each host
		}
		a.fault(a.e.Domain, string(s.Word), cure(s.Word, a.e.Domain))
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
			a.better(h.Name, string(reason.TLSAOnSomeHosts), tip(reason.TLSAOnSomeHosts, "domain", a.e.Domain, "record", publish(h)))
		}
	case a.e.Signed:
		for _, h := range without {
			a.better(h.Name, string(reason.TLSAMissing), tip(reason.TLSAMissing, "domain", a.e.Domain, "record", publish(h)))
		}
	case !sts && a.e.MTASTS.Failure == "" || a.e.MTASTS.Failure == string(reason.STSNoRecord) && !sts:
		a.better(a.e.Domain, string(reason.Unprotected), tip(reason.Unprotected))
	}
}

// publish is the record that a host should have, as far as it is known.
func publish(h Host) string {
	for _, c := range h.Contacts {
		if len(c.Chain) > 0 {
			return line(h, c)
		}
	}
	return tip(reason.TLSAOfKey, "name", h.TLSAName, "host", h.Name)
}

// line is the TLSA record for the certificate that a host presents.
func line(h Host, c Contact) string { return h.TLSAName + ". IN TLSA " + c.Chain[0].TLSA }

// sts is about the domain's MTA-STS.
func (a *adviser) sts() {
	m, d := a.e.MTASTS, a.e.Domain
	if w := reason.Word(m.Failure); m.Failure != "" && w != reason.STSNoRecord {
		a.fault(d, m.Failure, with(cure(w, d), m.Detail))
	}
	if l := m.Live; l != nil {
		switch {
		case l.Failure != "" && m.Failure == "":
			a.fault(d, l.Failure, tip(reason.STSLiveBroken, "cure", cure(reason.Word(l.Failure), d), "detail", l.Detail))
		case l.Failure == "" && !l.Same && m.Mode != "":
			a.fault(d, string(reason.STSStale), tip(reason.STSStale, "id", strconv.Quote(m.ID), "domain", d))
		}
	}
	if m.Mode == "" || m.Mode == string(mtasts.ModeNone) {
		return
	}
	a.listed(m)
	if m.Mode == string(mtasts.ModeTesting) {
		a.better(d, string(reason.STSTesting), tip(reason.STSTestingOnly))
	}
	if m.MaxAge > 0 && m.MaxAge < shortMaxAge {
		a.better(d, string(reason.STSShort), tip(reason.STSShort, "time", (time.Duration(m.MaxAge)*time.Second).String()))
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
		a.fault(d, string(reason.STSMXMismatch), tip(reason.STSListsNone,
			"listed", strings.Join(m.MX, ", "), "hosts", strings.Join(names, ", "), "lines", quote(add)))
	case len(missing) > 0:
		a.fault(d, string(reason.STSMXMismatch), tip(reason.STSListsSome, "hosts", strings.Join(missing, ", "), "lines", quote(add)))
	}
	for i, u := range used {
		if !u && len(missing) < len(names) {
			a.better(d, string(reason.STSListsUnused), tip(reason.STSListsUnused, "listed", m.MX[i]))
		}
	}
}

func quote(lines []string) string { return `"` + strings.Join(lines, `", "`) + `"` }

// host is about one host.
func (a *adviser) host(h Host) {
	if f := h.Fail; f != nil {
		a.fault(a.e.Domain, string(f.Word), f.Text+": "+reason.Advise(reason.Cause{Word: f.Word}, reason.Names{"domain": a.e.Domain}).Cure)
	}
	switch h.DANE {
	case "unusable":
		a.fault(h.Name, string(reason.TLSAUnusable), tip(reason.TLSAUseless, "records", strings.Join(h.TLSA, ", "), "record", publish(h)))
	case "failed":
		a.unanswered(h)
	}
	if s := h.Skip; s != nil && h.Fail == nil && (s.Word == reason.DANERequired || s.Word == reason.RequireTLSUntrustedName || s.Word == reason.NoName) {
		text := s.Word.Cure()
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
	case h.Skip.Word == reason.DNSBogus:
		a.fault(h.Name, string(h.Skip.Word), tip(reason.TLSABogus, "name", h.TLSAName))
	default:
		a.fault(h.Name, string(h.Skip.Word), tip(reason.TLSAUnanswered, "name", h.TLSAName))
	}
}

// contact is about one address of a host. What two addresses share is told once.
func (a *adviser) contact(h Host, c Contact) {
	tls := h.Verify != "" && (h.TLS == "required" || h.Verify != "none")
	switch {
	case c.Failure != nil:
		a.unreachable(h, c)
		return
	case c.TLSFailure != nil && c.TLSFailure.Word == reason.StartTLSNotOffered:
		a.add(Advice{Word: string(c.TLSFailure.Word), Fault: tls, For: h.Name, Text: tip(reason.NoStartTLS)})
		return
	case c.TLSFailure != nil:
		a.fault(h.Name, string(c.TLSFailure.Word), with(cure(c.TLSFailure.Word, h.Name), c.TLSFailure.Text))
	}
	a.weak(h, c, tls)
	if c.DANE != nil && !c.DANE.OK {
		a.mismatch(h, c)
	}
	a.certificate(h, c)
	if a.e.Need == delivery.RequireTLS.String() && c.TLS != nil && !c.RequireTLS {
		a.fault(h.Name, string(reason.RequireTLSNotOffered), tip(reason.NoRequireTLS))
	}
}

// unreachable is about a connection that came to nothing, by its cause (SES-16).
func (a *adviser) unreachable(h Host, c Contact) {
	f := c.Failure
	switch f.Word {
	case reason.ConnectTimeout, reason.ConnectUnreachable:
		if a.e.cutOff(c.Address) {
			return // told once, of ourselves
		}
		a.fault(h.Name, adviceUnreachable, tip(reason.HostSilent, "meaning", f.Meaning, "address", c.Address, "detail", f.Text))
	case reason.ConnectRefused, reason.ConnectFailed:
		a.fault(h.Name, adviceUnreachable, tip(reason.HostShut, "meaning", f.Meaning, "address", c.Address, "detail", f.Text))
	case reason.GreetingReply, reason.HelloReply:
		a.fault(h.Name, string(f.Word), tip(reason.HostTurnsAway, "meaning", f.Meaning, "address", c.Address, "detail", f.Text))
	default:
		a.fault(h.Name, string(f.Word), tip(reason.HostNoSMTP, "meaning", f.Meaning, "address", c.Address, "detail", f.Text))
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
			if c.Failure == nil || c.Failure.Word != reason.ConnectTimeout && c.Failure.Word != reason.ConnectUnreachable {
				return false
			}
			tried++
		}
	}
	return tried > 1
}

// ourWay is about our own way out.
func (a *adviser) ourWay() {
	for _, kind := range []struct {
		address string
		tip     reason.Tip
	}{{"0.0.0.0", reason.OurWayIPv4}, {"::", reason.OurWayIPv6}} {
		if a.e.cutOff(kind.address) {
			a.add(Advice{Word: adviceOurWay, Fault: true, Text: tip(kind.tip)})
		}
	}
}

// weak is about TLS that is better than none and proves nothing (POL-10).
func (a *adviser) weak(h Host, c Contact, required bool) {
	if c.TLS != nil && c.TLS.Weak != nil {
		f := c.TLS.Weak
		a.add(Advice{Word: string(f.Word), Fault: required || h.DANE == "usable" || a.e.MTASTS.Mode == string(mtasts.ModeTesting), For: h.Name,
			Text: tip(reason.WeakTaken, "cure", cure(f.Word, h.Name), "detail", clean(f.Text))})
	}
	if c.SmallHello {
		a.better(h.Name, string(reason.SmallHello), tip(reason.SmallHello))
	}
}

// mismatch is about TLSA records that the presented certificate does not meet.
func (a *adviser) mismatch(h Host, c Contact) {
	if c.DANE.Word != reason.DANENoMatch || len(c.Chain) == 0 {
		a.fault(h.Name, string(c.DANE.Word), with(cure(c.DANE.Word, h.Name), c.DANE.Text))
		return
	}
	a.fault(h.Name, string(c.DANE.Word), tip(reason.TLSAOld, "records", strings.Join(h.TLSA, ", "), "record", line(h, c)))
}

// certificate is about the public validity of a certificate and its end.
func (a *adviser) certificate(h Host, c Contact) {
	if c.PKIX == nil || len(c.Chain) == 0 {
		return
	}
	asked := a.e.MTASTS.Mode == string(mtasts.ModeEnforce) || a.e.MTASTS.Mode == string(mtasts.ModeTesting) || strings.Contains(h.Verify, "pkix")
	if !c.PKIX.OK && asked {
		a.fault(h.Name, string(c.PKIX.Word), with(cure(c.PKIX.Word, h.Name), c.PKIX.Text))
		return
	}
	// RFC 7671 §5.1: DANE-EE does not look at the dates.
	if end := c.Chain[0].NotAfter; (c.PKIX.OK || asked) && end.Sub(a.e.At) < expiresSoon {
		a.add(Advice{Word: string(reason.ExpiresSoon), Fault: asked, For: h.Name,
			Text: tip(reason.ExpiresSoon, "time", days(end.Sub(a.e.At)), "day", end.UTC().Format(time.DateOnly))})
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
			a.better(r.Domain, string(reason.TLSRPTNone), tip(reason.TLSRPTNone, "name", name, "domain", r.Domain))
		case rptMultiple, rptSyntax, rptUnsupported:
			a.fault(r.Domain, string(reason.TLSRPTBroken), tip(reason.TLSRPTBroken, "name", name, "detail", r.Detail, "domain", r.Domain))
		default:
			a.fault(r.Domain, r.Failure, tip(reason.TLSRPTUnanswered, "name", name, "detail", r.Detail))
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
