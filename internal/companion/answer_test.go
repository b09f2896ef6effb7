package companion

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/dane"
	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/policy"
	"waxwing/internal/reason"
	"waxwing/mtasts"
	"waxwing/smtp"
	"waxwing/socketmap"
	"waxwing/tlsrpt"
)

var example = dns.MustParse("example.org")

// hostKind is one kind of host that a destination may have.
type hostKind string

const (
	bare     hostKind = "no TLSA"
	usable   hostKind = "usable TLSA"
	unusable hostKind = "unusable TLSA"
	broken   hostKind = "TLSA lookup failed"
	gone     hostKind = "no address"
	unknown  hostKind = "address lookup failed"
)

var hostKinds = []hostKind{bare, usable, unusable, broken, gone, unknown}

func makeHost(i int, k hostKind) delivery.Host {
	n := dns.MustParse(fmt.Sprintf("mx%d.example.org", i+1))
	h := delivery.Host{Name: delivery.MXHost{Name: n}, Preference: uint16(10 * i), Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, AddrSecurity: dns.Secure}
	d := delivery.DANE{Base: n, Strings: []string{"3 1 1 aa"}}
	switch k {
	case usable:
		d.State = delivery.DANEUsable
		d.Records = []dane.Record{{}}
	case unusable:
		d.State, d.Fail = delivery.DANEUnusable, &delivery.Failure{Word: "tlsa-unusable", Text: "none is usable"}
	case broken:
		d.State, d.Fail = delivery.DANEFailed, &delivery.Failure{Word: "dns-servfail", Text: "whether mx has TLSA records cannot be found out"}
	case gone, unknown:
		h.Addrs, h.Fail = nil, &delivery.Failure{Word: "no-address", Permanent: k == gone, Text: "no address"}
		return h
	default:
		return h
	}
	h.DANE = d
	return h
}

func destinationOf(secure bool, kinds ...hostKind) delivery.Destination {
	d := delivery.Destination{Domain: delivery.RecipientDomain{Name: example}, Expanded: example, HasMX: true, MXSecure: secure}
	for i, k := range kinds {
		d.Hosts = append(d.Hosts, makeHost(i, k))
	}
	return d
}

func failedDestination(permanent bool) delivery.Destination {
	return delivery.Destination{Domain: delivery.RecipientDomain{Name: example},
		Fail: &delivery.Failure{Word: "dns-error", Permanent: permanent, Enhanced: smtp.Enhanced{Class: 4}, Text: "the MX lookup failed"}}
}

func policyOf(mode mtasts.Mode, mx ...string) *mtasts.Policy {
	text := "version: STSv1\nmode: " + string(mode) + "\n"
	for _, m := range mx {
		text += "mx: " + m + "\n"
	}
	p, err := mtasts.ParsePolicy([]byte(text + "max_age: 604800\n"))
	if err != nil {
		panic(err)
	}
	return p
}

func finding(p *mtasts.Policy, w reason.Word) delivery.Finding {
	f := delivery.Finding{Policy: p, Fetched: time.Unix(1, 0)}
	if w != "" {
		f.Failure = &mtasts.Error{Word: w, Detail: "detail"}
	}
	return f
}

// Question is a lookup together with what was found.
type Question struct {
	Domain      dns.Name
	TLSRPT      bool
	Destination delivery.Destination
	Finding     delivery.Finding
}

func (q Question) decide() policy.Shared {
	return policy.DecideShared(policy.Input{Domain: q.Domain, Destination: q.Destination, Finding: q.Finding})
}

func (q Question) reply() socketmap.Reply {
	asked := question{domain: q.Domain, tlsrpt: q.TLSRPT, Shared: q.decide()}
	return asked.answer()
}

// CMP-3, example by example.
func TestAnswer(t *testing.T) {
	t.Parallel()
	enforce := policyOf(mtasts.ModeEnforce, "mx1.example.org", "*.backup.example")
	testing := policyOf(mtasts.ModeTesting, "*.example.org")
	const enforced = "OK secure match=mx1.example.org:.backup.example servername=hostname"
	const enforcedAttrs = " policy_type=sts policy_domain=example.org mx_host_pattern=mx1.example.org mx_host_pattern=*.backup.example" +
		" { policy_string = version: STSv1 } { policy_string = mode: enforce } { policy_string = mx: mx1.example.org }" +
		" { policy_string = mx: *.backup.example } { policy_string = max_age: 604800 }"
	const testingAttrs = " policy_type=sts policy_domain=example.org mx_host_pattern=*.example.org" +
		" { policy_string = version: STSv1 } { policy_string = mode: testing } { policy_string = mx: *.example.org } { policy_string = max_age: 604800 }"
	for _, tt := range []struct {
		name          string
		dest          delivery.Destination
		finding       delivery.Finding
		plain, tlsrpt string
	}{
		{"nothing published", destinationOf(false, bare), finding(nil, ""), "NOTFOUND ", "NOTFOUND "},
		{"no record is no fault", destinationOf(false, bare), finding(nil, reason.STSNoRecord), "NOTFOUND ", "NOTFOUND "},
		{"every host has usable TLSA", destinationOf(true, usable, usable), finding(nil, ""), "OK dane-only", "OK dane-only"},
		{"... and MTA-STS is enforced too", destinationOf(true, usable), finding(enforce, ""), "OK dane-only", "OK dane-only"},
		{"... and whether MTA-STS applies is not known", destinationOf(true, usable), delivery.Finding{Defer: true}, "OK dane-only", "OK dane-only"},
		{"... but for one that has no address", destinationOf(true, usable, gone, unknown), finding(nil, ""), "OK dane-only", "OK dane-only"},
		{"TLSA of an insecure domain", destinationOf(false, usable), finding(nil, ""), "NOTFOUND ", "NOTFOUND "},
		{"some hosts lack TLSA", destinationOf(true, usable, bare), finding(nil, ""), "OK dane", "OK dane"},
		{"some hosts lack TLSA, mode testing", destinationOf(true, usable, bare), finding(testing, ""), "OK dane", "OK dane"},
		{"some hosts lack TLSA, mode enforce", destinationOf(true, bare, usable), finding(enforce, ""), enforced, enforced + enforcedAttrs},
		{"unusable TLSA", destinationOf(true, unusable), finding(nil, ""), "OK dane", "OK dane"},
		{"unusable TLSA beside usable", destinationOf(true, usable, unusable), finding(nil, ""), "OK dane", "OK dane"},
		{"unusable TLSA, mode enforce", destinationOf(true, unusable), finding(enforce, ""), enforced, enforced + enforcedAttrs},
		{"a TLSA lookup failed", destinationOf(true, usable, broken), finding(nil, ""),
			"TEMP whether mx has TLSA records cannot be found out", "TEMP whether mx has TLSA records cannot be found out"},
		{"a TLSA lookup failed, mode enforce", destinationOf(true, bare, broken), finding(enforce, ""),
			"TEMP whether mx has TLSA records cannot be found out", "TEMP whether mx has TLSA records cannot be found out"},
		{"mode enforce", destinationOf(false, bare), finding(enforce, ""), enforced, enforced + enforcedAttrs},
		{"mode enforce, refresh failed", destinationOf(false, bare), finding(enforce, reason.STSWebPKI), enforced, enforced + enforcedAttrs},
		{"mode testing, refresh failed", destinationOf(false, bare), finding(testing, reason.STSWebPKI), "NOTFOUND ", "OK may" + testingAttrs + " policy_failure=sts-webpki-invalid"},
		{"mode testing", destinationOf(false, bare), finding(testing, ""), "NOTFOUND ", "OK may" + testingAttrs},
		{"mode none", destinationOf(false, bare), finding(policyOf(mtasts.ModeNone), ""), "NOTFOUND ", "NOTFOUND "},
		{"policy host's certificate invalid", destinationOf(false, bare), finding(nil, reason.STSWebPKI), "NOTFOUND ", "OK may policy_type=sts policy_domain=example.org policy_failure=sts-webpki-invalid"},
		{"policy malformed", destinationOf(false, bare), finding(nil, reason.STSPolicySyntax), "NOTFOUND ", "OK may policy_type=sts policy_domain=example.org policy_failure=sts-policy-invalid"},
		{"policy not fetched", destinationOf(false, bare), finding(nil, reason.STSFetch), "NOTFOUND ", "OK may policy_type=sts policy_domain=example.org policy_failure=sts-policy-fetch-error"},
		{"record not found out", destinationOf(false, bare), delivery.Finding{Defer: true, Failure: &mtasts.Error{Word: reason.STSLookupFailed}},
			"TEMP whether example.org has MTA-STS cannot be found out now: MTA-STS: dns-temporary", "TEMP whether example.org has MTA-STS cannot be found out now: MTA-STS: dns-temporary"},
		{"MX lookup failed", failedDestination(false), finding(enforce, ""), "TEMP the MX lookup failed", "TEMP the MX lookup failed"},
		{"no such domain: Postfix sees that itself", failedDestination(true), finding(nil, ""), "NOTFOUND ", "NOTFOUND "},
		{"no such domain, says DNS, and a policy is in the cache", failedDestination(true), finding(enforce, ""), enforced, enforced + enforcedAttrs},
	} {
		q := Question{Domain: example, Destination: tt.dest, Finding: tt.finding}
		if got := q.reply().String(); got != tt.plain {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.plain)
		}
		q.TLSRPT = true
		if got := q.reply().String(); got != tt.tlsrpt {
			t.Errorf("%s, with TLSRPT:\n got %s\nwant %s", tt.name, got, tt.tlsrpt)
		}
	}
}

// space calls fn with every question of the input space.
func space(fn func(Question)) {
	var hosts [][]hostKind
	for _, a := range hostKinds {
		hosts = append(hosts, []hostKind{a})
		for _, b := range hostKinds {
			hosts = append(hosts, []hostKind{a, b})
			for _, c := range hostKinds {
				hosts = append(hosts, []hostKind{a, b, c})
			}
		}
	}
	dests := []delivery.Destination{failedDestination(true), failedDestination(false)}
	for _, h := range hosts {
		dests = append(dests, destinationOf(true, h...), destinationOf(false, h...))
	}
	findings := []delivery.Finding{{Defer: true}, {Defer: true, Failure: &mtasts.Error{Word: reason.STSLookupFailed}}}
	for _, p := range []*mtasts.Policy{nil, policyOf(mtasts.ModeNone), policyOf(mtasts.ModeTesting, "mx1.example.org"),
		policyOf(mtasts.ModeEnforce, "mx1.example.org"), policyOf(mtasts.ModeEnforce, "*.example.org"), policyOf(mtasts.ModeEnforce, "other.example")} {
		for _, w := range []reason.Word{"", reason.STSNoRecord, reason.STSMultipleRecords, reason.STSRecordSyntax, reason.STSNoPolicy, reason.STSFetch, reason.STSWebPKI, reason.STSPolicySyntax} {
			findings = append(findings, finding(p, w))
		}
	}
	for _, d := range dests {
		for _, f := range findings {
			for _, with := range []bool{false, true} {
				fn(Question{Domain: example, TLSRPT: with, Destination: d, Finding: f})
			}
		}
	}
}

// The answer holds over the whole input space: never malformed, and never
// weaker than what policy.Decide asks of an own delivery.
func TestAnswerSpace(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	space(func(q Question) {
		text := q.reply().String()
		level, attrs, err := parseAnswer(text)
		if err != nil {
			t.Fatalf("%+v\nanswer %q: %v", q, text, err)
		}
		seen[level]++
		for a := range attrs {
			if strings.HasPrefix(a, "policy_") || a == "mx_host_pattern" {
				if !q.TLSRPT {
					t.Fatalf("%q: Postfix before 3.10 refuses %s", text, a)
				}
			}
		}
		if fault := weaker(q, level, attrs); fault != "" {
			t.Fatalf("hosts %+v\nfinding %+v\nanswer %q: %s", q.Destination.Hosts, q.Finding, text, fault)
		}
	})
	for _, level := range []string{"NOTFOUND", "TEMP", "may", "dane", "dane-only", "secure"} {
		if seen[level] == 0 {
			t.Errorf("the space holds no answer %s", level)
		}
	}
}

// weaker says in what an answer falls short of the decision on an own delivery.
func weaker(q Question, level string, attrs map[string][]string) string {
	dec := policy.Decide(policy.Input{Destination: q.Destination, Finding: q.Finding, Domain: example})
	enforced := q.Finding.Policy != nil && q.Finding.Policy.Mode == mtasts.ModeEnforce
	temporary := q.Destination.Fail != nil && !q.Destination.Fail.Permanent
	if q.Finding.Defer {
		if level != "TEMP" && level != "dane-only" {
			return "nobody knows whether MTA-STS applies"
		}
		return ""
	}
	broken := false
	for i := range dec.Plans {
		p := &dec.Plans[i]
		if p.Host.Fail != nil {
			continue
		}
		if q.Destination.MXSecure && p.Host.DANE.State == delivery.DANEFailed {
			broken = true
			continue
		}
		asks := p.TLS == delivery.TLSRequired || p.Skip != nil
		switch {
		case (level == "may" || level == "NOTFOUND") && asks:
			return "a host asks for TLS"
		case level == "dane-only" && p.DANE != delivery.CheckRequire && p.Skip == nil:
			return "a host without usable TLSA"
		case level == "dane" && enforced:
			return "an enforced MTA-STS policy is lost at hosts without TLSA"
		}
		if fault := reportedAs(q, p, level, attrs); fault != "" {
			return fault
		}
	}
	switch {
	case (level == "TEMP") != (broken || temporary):
		return "TEMP is the answer exactly to failed lookups"
	case level == "secure" && !enforced:
		return "nothing is enforced"
	case level == "secure" && len(attrs["match"]) != 1:
		return "secure without match"
	}
	return ""
}

// reportedAs: the failure that Postfix is told is the one that an own delivery
// would report.
func reportedAs(q Question, p *delivery.Plan, level string, attrs map[string][]string) string {
	switch {
	case level == "secure" && len(attrs["policy_failure"]) > 0:
		return "Postfix would not deliver while the old policy is in force"
	case level != "may":
		return ""
	}
	i := slices.IndexFunc(p.Reports, func(r delivery.Policy) bool { return r.Type == tlsrpt.PolicySTS })
	if i < 0 {
		return "a policy that an own delivery does not report"
	}
	want := ""
	if f := p.Reports[i].Failed; f != nil && f.Word != reason.STSMXMismatch {
		want = string(f.Type)
	} else if f != nil {
		return "" // the mismatch hides it in an own report
	}
	if got := strings.Join(attrs["policy_failure"], " "); got != want {
		return "policy_failure is " + got + ", want " + want
	}
	if f := q.decide().Fault; want != "" && (f == nil || *f != *p.Reports[i].Failed) {
		return fmt.Sprintf("the fault noted is %+v, that of an own delivery %+v", f, p.Reports[i].Failed)
	}
	return ""
}

// parseAnswer reads an answer as Postfix 3.10 does (smtp_tls_policy_maps) and
// refuses what it refuses.
func parseAnswer(text string) (level string, attrs map[string][]string, err error) {
	status, value, ok := strings.Cut(text, " ")
	switch {
	case !ok:
		return "", nil, fmt.Errorf("no space behind the status")
	case status == "TEMP" && value != "" || status == "NOTFOUND" && value == "":
		return status, nil, nil
	case status != "OK" || len(text) > socketmap.MaxReply:
		return "", nil, fmt.Errorf("status or length")
	}
	words, err := splitBraces(value)
	if err != nil || len(words) == 0 {
		return "", nil, fmt.Errorf("braces: %v", err)
	}
	if !slices.Contains([]string{"may", "dane", "dane-only", "secure"}, words[0]) {
		return "", nil, fmt.Errorf("level %q", words[0])
	}
	attrs = map[string][]string{}
	for _, w := range words[1:] {
		name, v, ok := strings.Cut(w, "=")
		name, v = strings.TrimSpace(name), strings.TrimSpace(v)
		if !ok || v == "" {
			return "", nil, fmt.Errorf("attribute %q", w)
		}
		if err := checkAttribute(name, v); err != nil {
			return "", nil, err
		}
		attrs[name] = append(attrs[name], v)
	}
	if len(attrs["policy_type"]) == 0 && len(attrs["policy_domain"])+len(attrs["policy_string"])+len(attrs["mx_host_pattern"])+len(attrs["policy_failure"]) > 0 {
		return "", nil, fmt.Errorf("TLSRPT attributes without policy_type")
	}
	return words[0], attrs, nil
}

func checkAttribute(name, v string) error {
	host := func(s string) bool {
		_, err := dns.ParseLax(s)
		return err == nil && hostname(s)
	}
	ok := false
	switch name {
	case "match":
		ok = true
		for m := range strings.SplitSeq(v, ":") {
			ok = ok && host(strings.TrimPrefix(m, "."))
		}
	case "servername":
		ok = v == "hostname"
	case "policy_type":
		ok = v == "sts"
	case "policy_domain":
		ok = host(v)
	case "mx_host_pattern":
		ok = host(strings.TrimPrefix(v, "*."))
	case "policy_string":
		ok = !strings.ContainsFunc(v, func(c rune) bool { return c < ' ' && c != '\t' || c > '~' })
	case "policy_failure":
		ok = slices.Contains([]string{"sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid", "validation-failure"}, v)
	}
	if !ok {
		return fmt.Errorf("attribute %s=%q", name, v)
	}
	return nil
}

// splitBraces splits at blanks and commas outside of braces.
func splitBraces(s string) ([]string, error) {
	var words []string
	depth, word := 0, ""
	flush := func() {
		if word != "" {
			words = append(words, word)
		}
		word = ""
	}
	for _, c := range s {
		switch {
		case c == '{':
			if depth++; depth > 1 || word != "" {
				return nil, fmt.Errorf("a brace within")
			}
		case c == '}':
			if depth--; depth < 0 {
				return nil, fmt.Errorf("a brace too many")
			}
			flush()
		case depth == 0 && strings.ContainsRune(", \t\r\n", c):
			flush()
		default:
			word += string(c)
		}
	}
	flush()
	if depth != 0 {
		return nil, fmt.Errorf("a brace too few")
	}
	return words, nil
}

// Policies that Postfix cannot be told in full: what it would refuse is left
// out, what is too long goes without attributes, and enforce is never lost.
func TestAnswerOddPolicies(t *testing.T) {
	t.Parallel()
	long := "version: STSv1\nmode: %s\nmax_age: 604800\n"
	for i := range 3000 {
		long += fmt.Sprintf("mx: mx%d.ex.org\n", i)
	}
	for _, tt := range []struct {
		name, text string
		check      func(level string, attrs map[string][]string) bool
	}{
		{"braces in an extension", "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 1\nx: {{ y\nz: }\n", func(l string, a map[string][]string) bool {
			return l == "secure" && len(a["policy_string"]) == 4
		}},
		{"a repeated key may hold anything", "version: STSv1\nversion: \x01\xff{\nmode: enforce\nmx: a.example\nmax_age: 1\nx: é\n", func(l string, a map[string][]string) bool {
			return l == "secure" && len(a["policy_string"]) == 4
		}},
		{"a name that Postfix refuses", "version: STSv1\nmode: enforce\nmx: -a.example\nmx: b.example\nmax_age: 1\n", func(l string, a map[string][]string) bool {
			return l == "secure" && a["match"][0] == "b.example" && len(a["mx_host_pattern"]) == 1
		}},
		{"no name that Postfix takes", "version: STSv1\nmode: enforce\nmx: -a.example\nmax_age: 1\n", func(l string, _ map[string][]string) bool { return l == "TEMP" }},
		{"too long", fmt.Sprintf(long, "enforce"), func(l string, a map[string][]string) bool {
			return l == "secure" && len(a["policy_type"]) == 0 && strings.Count(a["match"][0], ":") == 2999
		}},
		{"too long, testing", fmt.Sprintf(long, "testing"), func(l string, _ map[string][]string) bool { return l == "NOTFOUND" }},
	} {
		p, perr := mtasts.ParsePolicy([]byte(tt.text))
		if perr != nil {
			t.Fatal(tt.name, perr)
		}
		text := Question{Domain: example, TLSRPT: true, Destination: destinationOf(false, bare), Finding: finding(p, "")}.reply().String()
		level, attrs, err := parseAnswer(text)
		if err != nil || !tt.check(level, attrs) {
			t.Errorf("%s: %.300q, %v", tt.name, text, err)
		}
	}
}

// FuzzAnswer: whatever policy a domain publishes, the answer is one that Postfix takes.
func FuzzAnswer(f *testing.F) {
	f.Add("example.org", []byte("version: STSv1\nmode: enforce\nmx: *.example.org\nmax_age: 604800\n"))
	f.Add("xn--bcher-kva.test", []byte("version: STSv1\r\nmode: testing\r\nmx: a\r\nmax_age: 1\r\nx: {,}=\r\nmode: \x00\r\n"))
	f.Fuzz(func(t *testing.T, domain string, text []byte) {
		d, ok := nextHop(domain)
		p, perr := mtasts.ParsePolicy(text)
		if !ok || perr != nil {
			t.Skip()
		}
		q := Question{Domain: d, TLSRPT: true, Destination: destinationOf(false, bare), Finding: finding(p, reason.STSWebPKI)}
		answer := q.reply().String()
		level, _, err := parseAnswer(answer)
		if err != nil {
			t.Fatalf("answer %q: %v", answer, err)
		}
		if p.Mode == mtasts.ModeEnforce && level != "secure" && level != "TEMP" {
			t.Fatalf("mode enforce was answered %q", answer)
		}
	})
}
