package explain

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/posture"
	"waxwing/internal/reason"
)

// summary is the decision in one sentence.
func summary(dec delivery.Decision) string {
	if dec.Stop != nil {
		if dec.Stop.Permanent {
			return "The mail would be returned at once: " + dec.Stop.Text
		}
		return "The mail would wait: " + dec.Stop.Text
	}
	for _, p := range dec.Plans {
		if p.Skip != nil {
			continue
		}
		name := p.Host.Name.Unicode()
		if name == "" && len(p.Host.Addrs) > 0 {
			name = p.Host.Addrs[0].String()
		}
		return fmt.Sprintf("The mail would go to %s, %s.", name, how(p))
	}
	return "No host could be used."
}

// outcome is what was found of the hosts in one sentence.
func outcome(hosts []Host) string {
	tried := 0
	for _, h := range hosts {
		for _, c := range h.Contacts {
			tried++
			if c.Refused == nil {
				return fmt.Sprintf("Connected just now, %s would take it at %s.", cmp.Or(h.Name, "the host"), c.Address)
			}
		}
	}
	if tried == 0 {
		return ""
	}
	return "Connected just now, no host could be given it: the reasons stand below."
}

func how(p delivery.Plan) string {
	switch v := p.Verify(); {
	case v != "none":
		return "over TLS that must be verified by " + strings.ReplaceAll(strings.ToUpper(v), "+", " and ") + ", or it would wait"
	case p.TLS == delivery.TLSRequired:
		return "over TLS with whatever certificate, or it would wait"
	case p.PlaintextFallback:
		return "over TLS if the host offers it, without knowing whose it is, else in plaintext"
	}
	return "over TLS if the host offers it; a broken offer makes it wait"
}

// Print writes e for people.
func (e Explanation) Print(w io.Writer) {
	fmt.Fprintf(w, "%s\n", e.Summary)
	if e.Outcome != "" {
		fmt.Fprintf(w, "%s\n", e.Outcome)
	}
	e.Failed.print(w)
	if len(e.Lookups) > 0 {
		fmt.Fprintf(w, "\nWhat DNS says of %s:\n", e.Domain)
	}
	for _, l := range e.Lookups {
		fmt.Fprintf(w, "  %-6s %-13s %s: %s\n", l.Type, l.Security, l.Name, l.Result)
	}
	if e.Source.Source == string(dns.SourceNone) {
		fmt.Fprintf(w, "  DANE is off: nobody validates DNSSEC here (waxwing dns selftest)\n")
	}
	printChains(w, e.Chains)
	e.printSTS(w)
	for _, r := range e.TLSRPT {
		switch {
		case r.Failure == "":
			fmt.Fprintf(w, "TLS reports about %s go to %s\n", r.Domain, strings.Join(r.RUA, ", "))
		case r.Failure == rptNone:
			fmt.Fprintf(w, "TLS reports about %s: not asked for\n", r.Domain)
		default:
			fmt.Fprintf(w, "TLS reports about %s: %s: %s\n", r.Domain, r.Failure, r.Detail)
		}
	}
	for i, h := range e.Hosts {
		h.print(w, i)
	}
	if e.Stop != nil {
		fmt.Fprintf(w, "\nNothing would be dialled: %s\n", Reason{Word: e.Stop.Word, Meaning: e.Stop.Meaning}.Line()) // its text is the summary
	}
	if e.Seen != nil {
		printSeen(w, *e.Seen)
	}
	if len(e.Advice) > 0 {
		fmt.Fprintln(w)
	}
	for _, a := range e.Advice {
		if a.For == "" {
			fmt.Fprintf(w, "Advice: %s\n", a.Text)
			continue
		}
		kind := "Advice"
		if a.Fault {
			kind = "Fault"
		}
		fmt.Fprintf(w, "%s, for who runs %s: %s\n", kind, a.For, a.Text)
	}
}

func (f *Failed) print(w io.Writer) {
	if f == nil {
		return
	}
	host := ""
	if f.Host != "" {
		host = " at " + f.Host
	}
	fmt.Fprintf(w, "\nThe last delivery from here that failed, %s%s: %s\n", moment(f.At), host, cmp.Or(f.Line(), "no reason was kept"))
	if f.Reply != "" {
		fmt.Fprintf(w, "  the host answered %s\n", clean(f.Reply))
	}
	what := map[string]string{"failed": "was returned to its sender", "leased": "is being tried again just now"}[f.State]
	fmt.Fprintf(w, "  message %s %s\n", f.Message, cmp.Or(what, "still waits"))
}

func (e Explanation) printSTS(w io.Writer) {
	m := e.MTASTS
	switch {
	case !m.Looked:
		fmt.Fprintf(w, "\nMTA-STS: not looked at\n")
	case m.Mode != "":
		fmt.Fprintf(w, "\nMTA-STS: mode %s, id %s, mx %s\n", m.Mode, m.ID, strings.Join(m.MX, " "))
	case m.Failure == "" || m.Failure == string(reason.STSNoRecord):
		fmt.Fprintf(w, "\nMTA-STS: none\n")
	default:
		fmt.Fprintf(w, "\nMTA-STS: no policy in force\n")
	}
	if m.Mode != "" && !m.Fetched.IsZero() {
		fmt.Fprintf(w, "  fetched %s from https://mta-sts.%s/.well-known/mta-sts.txt\n", moment(m.Fetched), e.Domain)
	}
	if m.Failure != "" && m.Failure != string(reason.STSNoRecord) {
		fmt.Fprintf(w, "  %s: %s\n", m.Failure, m.Detail)
	}
	if l := m.Live; l != nil {
		switch {
		case l.Failure != "":
			fmt.Fprintf(w, "  fetching it just now failed: %s: %s\n", l.Failure, l.Detail)
		case l.Same:
			fmt.Fprintf(w, "  it was fetched just now and is the same\n")
		default:
			fmt.Fprintf(w, "  fetched just now it is another: mode %s, mx %s\n", l.Mode, strings.Join(l.MX, " "))
		}
	}
}

func (h Host) print(w io.Writer, i int) {
	fmt.Fprintf(w, "\nHost %d, %s\n", i+1, strings.TrimSpace(h.Name+" "+strings.Join(h.Addresses, " ")))
	if h.Skip != nil {
		fmt.Fprintf(w, "  not used: %s\n", h.Skip.Line())
	} else {
		fmt.Fprintf(w, "  TLS %s, verification %s, plaintext after a failure: %s\n", h.TLS, h.Verify, map[bool]string{true: "allowed", false: "never"}[h.Plaintext])
	}
	for _, b := range h.Basis {
		if h.Skip == nil || b.Word != h.Skip.Word && b.Word != reason.Skipped { // told above
			fmt.Fprintf(w, "  because %s\n", b.Line())
		}
	}
	if len(h.Reported) > 0 {
		fmt.Fprintf(w, "  counted in TLS reports under %s\n", strings.Join(h.Reported, ", "))
	}
	for _, c := range h.Contacts {
		c.Print(w)
	}
}

// Print writes c for people.
func (c Contact) Print(w io.Writer) {
	fmt.Fprintf(w, "  Connected to %s:\n", c.Address)
	if c.Failure != nil {
		fmt.Fprintf(w, "    failed: %s\n", c.Failure.Line())
	}
	if c.Greeting != "" {
		fmt.Fprintf(w, "    greeting %s\n", c.Greeting)
	}
	if len(c.Offers) > 0 {
		fmt.Fprintf(w, "    offers %s\n", strings.Join(c.Offers, ", "))
	}
	if c.TLSFailure != nil {
		fmt.Fprintf(w, "    TLS failed: %s\n", c.TLSFailure.Line())
	}
	if c.TLS != nil {
		fmt.Fprintf(w, "    %s, %s, %s\n", c.TLS.Version, c.TLS.Cipher, c.TLS.KeyExchange)
		if c.SmallHello {
			fmt.Fprintf(w, "    only with a small TLS hello: the host closed or refused the first, which offers post-quantum key exchange\n")
		}
		if f := c.TLS.Weak; f != nil {
			fmt.Fprintf(w, "    weak: %s: %s\n", f.Word, clean(f.Text))
		}
	}
	for i, x := range c.Chain {
		fmt.Fprintf(w, "    certificate %d: %s, %s, issued by %s, valid from %s to %s\n", i, x.Subject, x.Key, x.Issuer, day(x.NotBefore), day(x.NotAfter))
		if len(x.Names) > 0 {
			fmt.Fprintf(w, "      names %s\n", strings.Join(x.Names, " "))
		}
		fmt.Fprintf(w, "      TLSA %s\n", x.TLSA)
	}
	c.PKIX.print(w, "public authorities")
	c.DANE.print(w, "TLSA records")
	switch {
	case c.Refused != nil:
		fmt.Fprintf(w, "    the mail would not go here: %s\n", c.Refused.Word)
	case c.TLS == nil:
		fmt.Fprintf(w, "    the mail would go here, in plaintext\n")
	default:
		fmt.Fprintf(w, "    the mail would go here\n")
	}
}

func (v *Verification) print(w io.Writer, by string) {
	switch {
	case v == nil:
	case v.OK:
		fmt.Fprintf(w, "    by %s: verified (%s)\n", by, v.Matched)
	default:
		fmt.Fprintf(w, "    by %s: %s: %s\n", by, v.Word, v.Text)
	}
}

// printSeen tells what earlier deliveries showed (SES-10).
func printSeen(w io.Writer, f posture.Facts) {
	fmt.Fprintf(w, "\nLast seen by deliveries from here:\n")
	for _, x := range []struct {
		name string
		fact posture.Fact
	}{{"STARTTLS", f.StartTLS}, {"MTA-STS", f.MTASTS}, {"DNSSEC", f.DNSSEC}, {"DANE", f.DANE}, {"REQUIRETLS", f.RequireTLS}} {
		if x.fact.Word != posture.Unknown {
			fmt.Fprintf(w, "  %-10s %-8s %s\n", x.name, x.fact.Word, moment(x.fact.At))
		}
	}
}

// Line is the word, what it is about, and what it means.
func (r Reason) Line() string {
	s := string(r.Word)
	if r.Text != "" {
		s += " (" + r.Text + ")"
	}
	if r.Meaning != "" {
		s += ": " + r.Meaning
	}
	return s
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
