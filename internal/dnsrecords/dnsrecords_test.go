package dnsrecords

import (
	"flag"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	wire "github.com/miekg/dns"

	"waxwing/dns"
)

var update = flag.Bool("update", false, "rewrite the golden file")

func example() (Host, []Domain) {
	h := Host{
		Name: dns.MustParse("mx.example.net"), Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.25"), netip.MustParseAddr("2001:db8::25")},
		Outgoing: []netip.Addr{netip.MustParseAddr("198.51.100.7")},
		Keys:     []Key{{SPKI: []byte{1, 2, 3}}, {SPKI: []byte{4, 5, 6}, Next: true}}, Reports: "tls-reports",
		CAA: []string{"letsencrypt.org; validationmethods=tls-alpn-01"},
	}
	long := "v=DKIM1; k=rsa; p=" + strings.Repeat("A", 392)
	return h, []Domain{
		{Name: dns.MustParse("example.org"), DKIM: []DKIMKey{{"2026a", long}, {"2026b", "v=DKIM1; k=ed25519; p=BBBB"}}, DMARC: "reject",
			DMARCTo: "dmarc-reports@example.org", TLSReports: "tls-reports@example.org", STSID: "20260101", Extra: []string{"include:_spf.example.com"},
			Services: []ServicePort{{"_submissions", 465}, {"_imaps", 993}, {"_imap", 0}}, Setup: []string{"autoconfig", "autodiscover"}},
		{Name: dns.MustParse("mx.example.net"), DMARC: "none", DMARCTo: "reports@other.example", FailuresTo: "failures@other.example"},
		{Name: dns.MustParse("bücher.example")},
	}
}

// TestGolden is what is printed for a host and three domains (DNS-R).
func TestGolden(t *testing.T) {
	t.Parallel()
	h, domains := example()
	var b strings.Builder
	show := func(title string, rs []Record) {
		b.WriteString("; " + title + "\n")
		for _, r := range rs {
			b.WriteString(r.Zone() + " ; " + string(r.Purpose) + "\n")
		}
	}
	show("host", ForHost(h))
	for _, d := range domains {
		show(d.Name.ASCII(), ForDomain(d, h))
	}
	const file = "testdata/records.zone"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// TestZoneFile: a name server reads each line as the record that is meant.
func TestZoneFile(t *testing.T) {
	t.Parallel()
	h, domains := example()
	all := ForHost(h)
	for _, d := range domains {
		all = append(all, ForDomain(d, h)...)
	}
	all = append(all, Record{Name: h.Name, Type: "TXT", Value: "a \"quote\", a \\, an \xff and " + strings.Repeat("x", 600), TTL: 1})
	for _, r := range all {
		rr, err := wire.NewRR(r.Zone())
		if err != nil {
			t.Errorf("%s: %v", r.Zone(), err)
			continue
		}
		if rr.Header().Name != r.Name.ASCII()+"." || wire.TypeToString[rr.Header().Rrtype] != r.Type || int(rr.Header().Ttl) != r.TTL {
			t.Errorf("%s was read as %s", r.Zone(), rr)
		}
		txt, ok := rr.(*wire.TXT)
		if !ok {
			continue
		}
		for _, s := range txt.Txt {
			if n := len(s) - 3*strings.Count(s, `\2`) - strings.Count(s, `\"`) - strings.Count(s, `\\`); n > 255 {
				t.Errorf("a character-string of %d octets: %q", n, s)
			}
		}
		if !strings.Contains(r.Value, `\`) && strings.Join(txt.Txt, "") != r.Value {
			t.Errorf("%q was read as %q", r.Value, txt.Txt)
		}
	}
}

// TestAll: everything once and in the order of publishing (SET-6), whatever the domains.
func TestAll(t *testing.T) {
	t.Parallel()
	h, domains := example()
	all := All(h, domains...)
	seen := map[string]bool{}
	last := 0
	for _, r := range all {
		line, at := r.Zone(), slices.Index(order, r.Purpose)
		if seen[line] || at < last {
			t.Errorf("%s is there twice, or behind what should come later", line)
		}
		seen[line], last = true, at
		if row := r.Row(); row.Zone != line || row.Why == "" {
			t.Errorf("%s is shown as %+v", line, row)
		}
	}
	if len(order) != len(whys) || len(all) < 25 {
		t.Errorf("%d purposes have an order, of %d; %d records", len(order), len(whys), len(all))
	}
	if twice := All(h, domains[2], domains[2]); len(twice) != len(All(h, domains[2])) {
		t.Errorf("a domain that is named twice gets records twice")
	}
}

// TestNameServer: a name server loads what is printed as a zone (DNS-R): with
// named-checkzone where that is installed, and with the reader of our wire library.
func TestNameServer(t *testing.T) {
	t.Parallel()
	h, domains := example()
	h.Name = dns.MustParse("mx.example.org")
	zone := "$ORIGIN example.org.\n@ 3600 IN SOA ns hostmaster 1 3600 600 86400 300\n@ 3600 IN NS ns\nns 3600 IN A 192.0.2.53\n"
	snippet := Snippet(All(h, domains[0]), domains[0].Name)
	for _, elsewhere := range []string{"; elsewhere: 25.2.0.192.in-addr.arpa.\t3600\tIN\tPTR\tmx.example.org.\n", "; mx: which host takes the domain's mail\n"} {
		if !strings.Contains(snippet, elsewhere) {
			t.Errorf("%q is missing in\n%s", elsewhere, snippet)
		}
	}
	parser := wire.NewZoneParser(strings.NewReader(zone+snippet), "", "")
	n := 0
	for _, ok := parser.Next(); ok; _, ok = parser.Next() {
		n++
	}
	if err := parser.Err(); err != nil || n != 3+len(All(h, domains[0]))-2 { // the PTR records are comments
		t.Errorf("%d records were read, %v", n, err)
	}
	file := filepath.Join(t.TempDir(), "zone")
	if err := os.WriteFile(file, []byte(zone+snippet), 0o600); err != nil {
		t.Fatal(err)
	}
	tool, err := exec.LookPath("named-checkzone")
	if err != nil {
		t.Skip("named-checkzone is not installed")
	}
	out, err := exec.Command(tool, "-i", "local", "example.org", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "loaded serial 1") || strings.Contains(string(out), "ignoring") {
		t.Errorf("named-checkzone: %v\n%s", err, out)
	}
}

// Without a zone of its own, only what others set is a comment.
func TestSnippetOfAll(t *testing.T) {
	t.Parallel()
	h, domains := example()
	for line := range strings.Lines(Snippet(All(h, domains...), dns.Name{})) {
		if strings.HasPrefix(line, "; elsewhere: ") != strings.Contains(line, "\tPTR\t") {
			t.Errorf("%s", line)
		}
	}
}

// What a command prints of one key or policy is what the whole list has of it.
func TestOfOne(t *testing.T) {
	t.Parallel()
	h, domains := example()
	all := Lines(All(h, domains[0]))
	d := domains[0]
	for _, one := range [][]Record{ForKey(d.Name, d.DKIM[0]), ForKey(d.Name, d.DKIM[1]), ForPolicy(d.Name, d.STSID, h.Name)} {
		if len(one) == 0 {
			t.Error("nothing")
		}
		for _, r := range one {
			if !strings.Contains(all, Lines([]Record{r})) {
				t.Errorf("%s is not in the list", r.Zone())
			}
		}
	}
	if p := ForPolicy(d.Name, d.STSID, h.Name); len(p) != 2 || p[0].Type != "CNAME" || p[1].Type != "TXT" {
		t.Errorf("the records of a policy: %v", p)
	}
}

// TestPurposes: each has its line of explanation, and the order of publishing is
// kept: nothing makes senders strict before the rest is there.
func TestPurposes(t *testing.T) {
	t.Parallel()
	h, domains := example()
	seen := map[Purpose]bool{}
	for _, rs := range [][]Record{ForHost(h), ForDomain(domains[0], h), ForDomain(domains[1], h)} {
		for i, r := range rs {
			seen[r.Purpose] = true
			if r.Purpose.Why() == "" {
				t.Errorf("%s is not explained", r.Purpose)
			}
			if r.Purpose == STS && i != len(rs)-1 {
				t.Error("the MTA-STS record is not the last")
			}
		}
	}
	for p := range whys {
		if !seen[p] {
			t.Errorf("no record is for %s", p)
		}
	}
}

// A report address agrees to reports about another domain only where it is another's
// (RFC 9990 §4), and where it is an address.
func TestConsent(t *testing.T) {
	t.Parallel()
	domain := dns.MustParse("mail.example.org")
	for address, want := range map[string]string{
		"a@other.example":        "mail.example.org._report._dmarc.other.example",
		"a@mail.example.org":     "",
		"a@sub.mail.example.org": "",
		"a@example.org":          "",
		"a@":                     "",
		"a@-":                    "",
		"nobody":                 "",
		"@other.example":         "",
		`"a@mail"@other.example`: "mail.example.org._report._dmarc.other.example",
	} {
		got := ""
		for _, r := range consent(nil, domain, address) {
			got += r.Name.ASCII()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}

// Where a record stands, and what it is worth something with: a PTR is set by whoever
// gave out the address, and TLSA is for signed zones alone.
func TestMarks(t *testing.T) {
	t.Parallel()
	h, domains := example()
	records := ForHost(h)
	for _, d := range domains {
		records = append(records, ForDomain(d, h)...)
	}
	for _, r := range records {
		if r.Elsewhere != (r.Type == "PTR") || r.Signed != (r.Type == "TLSA") {
			t.Errorf("%s: signed %v, elsewhere %v", r.Zone(), r.Signed, r.Elsewhere)
		}
	}
}

// A host from which all mail leaves by its own addresses names no others.
func TestHostSPF(t *testing.T) {
	t.Parallel()
	got := ""
	for _, r := range ForHost(Host{Name: dns.MustParse("mx.example.net")}) {
		if r.Purpose == HostSPF {
			got += r.Value
		}
	}
	if got != "v=spf1 a -all" {
		t.Errorf("%q", got)
	}
}

// A host of the name that programs ask for is no alias of itself.
func TestNoAliasOfItself(t *testing.T) {
	t.Parallel()
	h := Host{Name: dns.MustParse("autoconfig.example.org")}
	n := 0
	for _, r := range ForDomain(Domain{Name: dns.MustParse("example.org"), Setup: []string{"autoconfig", "autodiscover"}}, h) {
		if r.Type != "CNAME" {
			continue
		}
		if n++; r.Name == h.Name {
			t.Errorf("%s", r.Zone())
		}
	}
	if n != 1 {
		t.Errorf("%d aliases, want that of autodiscover alone", n)
	}
}

// Quote writes as they are what can be read, up to the tilde, and nothing else.
func TestQuote(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": `""`, "v=spf1 ~all": `"v=spf1 ~all"`, `"\`: `"\"\\"`, "\x1f\x7f": `"\031\127"`,
		strings.Repeat("a", 256): `"` + strings.Repeat("a", 255) + `" "a"`,
	} {
		if got := Quote(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
