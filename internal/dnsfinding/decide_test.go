package dnsfinding

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/dnsrecords"
)

var (
	now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	mx  = dns.MustParse("mx.example.org")
)

// certificate is one for names, of a life that ends so long after now.
func certificate(t *testing.T, life, left time.Duration, names ...string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: now.Add(left - life), NotAfter: now.Add(left), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func spki(c *x509.Certificate) []byte {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return sum[:]
}

func said[T any](security dns.Security, records ...T) Seen[T] {
	return Seen[T]{Asked: true, Answer: dns.Answer[T]{Records: records, Security: security}}
}

// host is one that is well, at one address, with a certificate.
func host(t *testing.T, cert *x509.Certificate) Host {
	t.Helper()
	a := netip.MustParseAddr("192.0.2.25")
	return Host{Name: mx, Ours: true, Named: true, Alias: said[dns.Name](dns.Secure), A: said(dns.Secure, a), AAAA: said(dns.Secure, netip.MustParseAddr("2001:db8::25")),
		TLSA:     said(dns.Secure, dns.TLSA{Usage: 3, Selector: 1, MatchingType: 1, Data: spki(cert)}),
		Contacts: []Contact{{Addr: a, Asked: true, Name: "mx.example.org", StartTLS: true, Chain: []*x509.Certificate{cert}, PKIX: &delivery.Verification{}}}}
}

// of are the words of findings that are not ok, after fn has worked on facts.
func of(f *Facts, fn func(r *report)) string {
	r := &report{Facts: f}
	fn(r)
	var out []string
	for _, x := range r.found {
		if x.Level != OK {
			out = append(out, string(x.Word))
		}
	}
	return strings.Join(out, " ")
}

// A certificate that should have been renewed by now is told of, whatever its life: less
// than a sixth of it is left.
func TestEndsSoon(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, tt := range []struct {
		life, left time.Duration
		want       string
	}{
		{90 * day, 16 * day, ""},
		{90 * day, 15 * day, ""},
		{90 * day, 15*day - time.Second, "cert-expires"},
		{6 * day, day, ""},
		{6 * day, day - time.Second, "cert-expires"},
		{90 * day, 0, "cert-expires"},
		{90 * day, -time.Second, "cert-expired"},
		{90 * day, 91 * day, "cert-not-yet-valid"},
	} {
		h := host(t, certificate(t, tt.life, tt.left, "mx.example.org"))
		f := &Facts{Now: now, Hosts: []Host{h}}
		if got := of(f, func(r *report) { r.findContact(&f.Hosts[0], &f.Hosts[0].Contacts[0]) }); got != tt.want {
			t.Errorf("%v of %v left: %q, want %q", tt.left, tt.life, got, tt.want)
		}
	}
}

// Keys and records of the host: each key that is in use or comes next has its record, and
// each record is of a key (CRT-6).
func TestKeys(t *testing.T) {
	t.Parallel()
	cert := certificate(t, 90*24*time.Hour, 60*24*time.Hour, "mx.example.org")
	other, third := sha256.Sum256([]byte("other")), sha256.Sum256([]byte("third"))
	ee := func(sum []byte) dns.TLSA { return dns.TLSA{Usage: 3, Selector: 1, MatchingType: 1, Data: sum} }
	for name, tt := range map[string]struct {
		keys    []dnsrecords.Key
		records []dns.TLSA
		want    string
	}{
		"all":                                  {[]dnsrecords.Key{{SPKI: spki(cert)}, {SPKI: other[:], Next: true}}, []dns.TLSA{ee(spki(cert)), ee(other[:])}, ""},
		"the next is missing":                  {[]dnsrecords.Key{{SPKI: spki(cert)}, {SPKI: other[:], Next: true}}, []dns.TLSA{ee(spki(cert))}, "tlsa-next-missing"},
		"one in use is missing":                {[]dnsrecords.Key{{SPKI: spki(cert)}, {SPKI: other[:]}}, []dns.TLSA{ee(spki(cert))}, "tlsa-key-missing"},
		"one is nobody's":                      {[]dnsrecords.Key{{SPKI: spki(cert)}}, []dns.TLSA{ee(spki(cert)), ee(third[:])}, "tlsa-stale"},
		"the keys are not known":               {nil, []dns.TLSA{ee(spki(cert)), ee(third[:])}, ""},
		"an authority's record does for all":   {[]dnsrecords.Key{{SPKI: spki(cert)}, {SPKI: other[:]}}, []dns.TLSA{ee(spki(cert)), {Usage: 2, Selector: 1, MatchingType: 1, Data: third[:]}}, "tlsa-stale"},
		"presented, and not known as ours":     {[]dnsrecords.Key{{SPKI: other[:]}}, []dns.TLSA{ee(spki(cert)), ee(other[:])}, ""},
		"a record of the whole of certificate": {[]dnsrecords.Key{{SPKI: spki(cert)}}, []dns.TLSA{{Usage: 3, Selector: 0, MatchingType: 0, Data: cert.Raw}}, ""},
	} {
		h := host(t, cert)
		h.TLSA.Records = tt.records
		f := &Facts{Now: now, Hosts: []Host{h}, Wanted: Wanted{Host: dnsrecords.Host{Name: mx, Keys: tt.keys}}}
		if got := of(f, func(r *report) { r.findTLSA(&f.Hosts[0]) }); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		f.Hosts[0].Ours = false
		if got := of(f, func(r *report) { r.findTLSA(&f.Hosts[0]) }); got != "" {
			t.Errorf("%s, of a host of somebody else: %q", name, got)
		}
	}
}

// What is said of TLSA depends on what DNSSEC says of the host and of the records.
func TestTLSASecurity(t *testing.T) {
	t.Parallel()
	cert := certificate(t, 90*24*time.Hour, 60*24*time.Hour, "mx.example.org")
	failed := Seen[dns.TLSA]{Asked: true, Err: &dns.Error{RCode: "SERVFAIL"}}
	for name, tt := range map[string]struct {
		host dns.Security
		tlsa Seen[dns.TLSA]
		want string
	}{
		"none in a signed zone":       {dns.Secure, said[dns.TLSA](dns.Secure), "tlsa-missing"},
		"none in an insecure zone":    {dns.Insecure, said[dns.TLSA](dns.Insecure), ""},
		"none, the host insecure":     {dns.Insecure, said[dns.TLSA](dns.Secure), ""},
		"insecure records":            {dns.Insecure, said(dns.Insecure, dns.TLSA{Usage: 3, Selector: 1, MatchingType: 1, Data: spki(cert)}), "tlsa-insecure"},
		"nobody knows":                {dns.Indeterminate, said(dns.Indeterminate, dns.TLSA{Usage: 3, Selector: 1, MatchingType: 1, Data: spki(cert)}), "dnssec-unseen"},
		"failed in a signed zone":     {dns.Secure, failed, "tlsa-lookup"},
		"failed in an insecure zone":  {dns.Insecure, failed, "lookup-failed"},
		"not looked at":               {dns.Secure, Seen[dns.TLSA]{}, "not-looked"},
		"not looked at, host neither": {dns.Insecure, Seen[dns.TLSA]{}, "not-looked"},
	} {
		h := host(t, cert)
		h.A.Security, h.TLSA = tt.host, tt.tlsa
		f := &Facts{Now: now, Hosts: []Host{h}, Wanted: Wanted{Host: dnsrecords.Host{Name: mx}}}
		if got := of(f, func(r *report) { r.findTLSA(&f.Hosts[0]) }); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// A private address inside of a network is none that the world must reach.
func TestInside(t *testing.T) {
	t.Parallel()
	h := host(t, certificate(t, time.Hour, time.Minute, "mx.example.org"))
	h.A = said(dns.Secure, netip.MustParseAddr("10.0.0.1"))
	for inside, want := range map[bool]string{false: "address-private address-private", true: ""} {
		f := &Facts{Now: now, Hosts: []Host{h}, Wanted: Wanted{Inside: inside}}
		if got := of(f, func(r *report) { r.findAddresses(&f.Hosts[0]) }); got != want {
			t.Errorf("inside %v: %q, want %q", inside, got, want)
		}
	}
}

// RFC 8659 §4.2 and RFC 8657: which issue value permits which authority.
func TestPermits(t *testing.T) {
	t.Parallel()
	ca := Authority{Names: []string{"ca.example", "other.example"}, Account: "https://ca.example/1", Methods: []string{"http-01", "tls-alpn-01"}}
	for value, want := range map[string]Word{
		"ca.example": Well, "CA.example ": Well, "other.example": Well, "": CAAForbids, ";": CAAForbids, "ca.example.org": CAAForbids,
		"ca.example; accounturi=https://ca.example/1":                                   Well,
		"ca.example; accounturi=https://ca.example/11":                                  CAAAccount,
		"ca.example; validationmethods=http-01":                                         Well,
		"ca.example; validationmethods=dns-01,tls-alpn-01":                              Well,
		"ca.example; validationmethods=dns-01":                                          CAAMethod,
		"ca.example; validationmethods=dns-01; accounturi=https://ca.example/2":         CAAAccount,
		"ca.example; unknown=x":                                                         Well,
		"ca.example; AccountURI=https://ca.example/1 ; ValidationMethods=tls-alpn-01  ": Well,
	} {
		if got := permits(value, ca); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
	unknown := Authority{Names: []string{"ca.example"}}
	if got := permits("ca.example; accounturi=x; validationmethods=y", unknown); got != Well {
		t.Errorf("with account and methods unknown: %s", got)
	}
	for _, a := range []Word{CAAForbids, CAAAccount, CAAMethod, Well} {
		if better(a, Well) != Well || better(CAAForbids, a) != a {
			t.Errorf("better(%s)", a)
		}
	}
}

// What became of a key's record in DNS.
func TestKeyRecord(t *testing.T) {
	t.Parallel()
	key, err := dkim.GenerateRSA(2048)
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := dkim.Record(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	other, err := dkim.GenerateRSA(2048)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := dkim.Record(other.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		found []string
		want  Word
	}{
		"as wanted":                      {[]string{wanted}, Well},
		"written otherwise":              {[]string{strings.Replace(wanted, "; ", ";", 1) + ";"}, Well},
		"with blanks in the key":         {[]string{wanted[:200] + " " + wanted[200:]}, Well},
		"none":                           {nil, DKIMMissing},
		"cut off":                        {[]string{wanted[:255]}, DKIMSplit},
		"the end only":                   {[]string{wanted[255:]}, DKIMOther},
		"two halves":                     {[]string{wanted[:255], wanted[255:]}, DKIMSplit},
		"halves in the wrong order":      {[]string{wanted[255:], wanted[:255]}, DKIMMultiple},
		"quotes in it":                   {[]string{wanted[:200] + `" "` + wanted[200:]}, DKIMSplit},
		"semicolons escaped":             {[]string{strings.ReplaceAll(wanted, ";", `\;`)}, DKIMSplit},
		"another key":                    {[]string{theirs}, DKIMOther},
		"both":                           {[]string{wanted, theirs}, DKIMMultiple},
		"revoked":                        {[]string{"v=DKIM1; p="}, DKIMRevoked},
		"testing":                        {[]string{wanted + "; t=s:y"}, DKIMTesting},
		"of no use":                      {[]string{wanted + "; h=sha1"}, DKIMFaulty},
		"something else":                 {[]string{"hello"}, DKIMOther},
		"a short text that begins alike": {[]string{"v=DKIM1; k=rsa; p=MIIB"}, DKIMOther},
	} {
		if got := keyRecord(wanted, tt.found, true); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
	if got := keyRecord(wanted, nil, false); got != DKIMWaiting {
		t.Errorf("a key that does not sign: %s", got)
	}
}

// The way from an address to its name and back, where a part cannot be seen.
func TestReverse(t *testing.T) {
	t.Parallel()
	addr := netip.MustParseAddr("192.0.2.25")
	other := dns.MustParse("box.example.net")
	failed := Seen[netip.Addr]{Asked: true, Err: &dns.Error{}}
	for name, tt := range map[string]struct {
		names   []dns.Name
		forward []Seen[netip.Addr]
		want    string
	}{
		"well":                            {[]dns.Name{mx}, []Seen[netip.Addr]{said(dns.Secure, addr)}, ""},
		"one of two names":                {[]dns.Name{other, mx}, []Seen[netip.Addr]{said[netip.Addr](dns.Secure), said(dns.Secure, addr)}, ""},
		"ours fails, another leads back":  {[]dns.Name{other, mx}, []Seen[netip.Addr]{said(dns.Secure, addr), failed}, ""},
		"another name leads back":         {[]dns.Name{other}, []Seen[netip.Addr]{said(dns.Secure, addr)}, "ptr-name"},
		"none leads back":                 {[]dns.Name{mx}, []Seen[netip.Addr]{said(dns.Secure, netip.MustParseAddr("192.0.2.26"))}, "ptr-other"},
		"nobody knows whether":            {[]dns.Name{mx}, []Seen[netip.Addr]{failed}, "lookup-failed"},
		"the names were not looked at":    {[]dns.Name{mx}, nil, "lookup-failed"},
		"no name":                         {nil, nil, "ptr-missing"},
		"one fails, the other leads away": {[]dns.Name{mx, other}, []Seen[netip.Addr]{said[netip.Addr](dns.Secure), failed}, "lookup-failed"},
	} {
		v := Reverse{Source: Source{Addr: addr, EHLO: mx}, PTR: said(dns.Secure, tt.names...)}
		for i, f := range tt.forward {
			v.Forward = append(v.Forward, Forward{Name: tt.names[i], Addr: f})
		}
		if got := of(&Facts{Now: now}, func(r *report) { r.findReverse(&v) }); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// Addresses in records: what is gathered of them.
func TestAddresses(t *testing.T) {
	t.Parallel()
	got := Addresses([]string{"v=DMARC1; p=none; rua=mailto:a@example.org!10m,https://example.org/, MAILTO:b@example.net; ruf=mailto:a@example.org,mailto:c@example.net"})
	if want := []string{"a@example.org", "b@example.net", "c@example.net"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := Addresses([]string{"v=DMARC1; p=none; rua=mailto:a@b.example", "v=DMARC1; p=none"}); got != nil {
		t.Errorf("of two records, which count for nothing: %v", got)
	}
	if got := TLSRPTAddresses([]string{"v=TLSRPTv1; rua=mailto:a@example.org,https://example.org/"}); !slices.Equal(got, []string{"a@example.org"}) {
		t.Errorf("%v", got)
	}
	for address, want := range map[string]string{"a@example.org": "example.org", "a@b@Example.NET": "example.net", "nobody": "nobody", "a@": "", "": ""} {
		if got := At(address).ASCII(); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}

// Each word has a level, and each that is not ok a cause and a cure in words for people.
func TestWords(t *testing.T) {
	t.Parallel()
	for w, e := range Words() {
		level := Level(e[0])
		if rank(level) < 0 || (level == OK) != (w == Well) || w != Well && (e[1] == "" || e[2] == "") || strings.HasSuffix(e[1], ".") || strings.HasSuffix(e[2], ".") {
			t.Errorf("%s: %v", w, e)
		}
	}
	f := []Finding{{Level: OK}, {Level: Advice}, {Level: Unknown}, {Level: Fault}}
	for i := range f {
		if got := Worst(f[:i+1]); got != f[i].Level {
			t.Errorf("the worst of %v: %s", f[:i+1], got)
		}
	}
	if Worst(nil) != OK {
		t.Error("nothing is not well")
	}
}

// Compare over everything that one finding can come to in two checks (DNS-W).
func TestCompare(t *testing.T) {
	t.Parallel()
	bad := func(l Level) Finding { return Finding{Level: l, Word: "w", Subject: "s"} }
	hour := now.Add(-time.Hour)
	kept := func(l Level, looks int, told bool) []Kept {
		return []Kept{{Finding: bad(l), First: hour, Last: hour, Looks: looks, Told: told}}
	}
	for name, tt := range map[string]struct {
		before     []Kept
		found      []Finding
		first      bool
		keep, tell int
		soon       bool
	}{
		"nothing":                               {nil, nil, false, 0, 0, false},
		"all is well":                           {nil, []Finding{{Level: OK, Word: Well, Subject: "s"}}, false, 0, 0, false},
		"there from the start":                  {nil, []Finding{bad(Fault)}, true, 1, 0, false},
		"a fault, first seen":                   {nil, []Finding{bad(Fault)}, false, 1, 0, true},
		"advice, first seen":                    {nil, []Finding{bad(Advice)}, false, 1, 0, true},
		"not seen, once":                        {nil, []Finding{bad(Unknown)}, false, 1, 0, false},
		"a fault, seen again":                   {kept(Fault, 1, false), []Finding{bad(Fault)}, false, 1, 1, false},
		"a fault, told of":                      {kept(Fault, 2, true), []Finding{bad(Fault)}, false, 1, 0, false},
		"not seen, twice":                       {kept(Unknown, 1, false), []Finding{bad(Unknown)}, false, 1, 0, false},
		"not seen, four times":                  {kept(Unknown, 3, false), []Finding{bad(Unknown)}, false, 1, 1, false},
		"a fault that is gone":                  {kept(Fault, 5, true), nil, false, 0, 0, false},
		"a fault whose subject cannot be seen":  {kept(Fault, 5, true), []Finding{{Level: Unknown, Word: "x", Subject: "s"}}, false, 2, 0, false},
		"a fault, and another cannot be seen":   {kept(Fault, 5, true), []Finding{{Level: Unknown, Word: "x", Subject: "t"}}, false, 1, 0, false},
		"unseen before, and now for other ends": {kept(Unknown, 1, false), []Finding{{Level: Unknown, Word: "x", Subject: "s"}}, false, 1, 0, false},
		"the same twice":                        {nil, []Finding{bad(Fault), bad(Fault)}, false, 1, 0, true},
	} {
		c := Compare(tt.before, tt.found, tt.first, now)
		if len(c.Keep) != tt.keep || len(c.Tell) != tt.tell || c.Soon != tt.soon {
			t.Errorf("%s: %+v, want %+v", name, c, tt)
		}
		for _, k := range c.Keep {
			if len(tt.before) > 0 && k.Word == "w" && (!k.First.Equal(hour) || k.Looks < tt.before[0].Looks) || tt.first && !k.Told {
				t.Errorf("%s: kept %+v", name, k)
			}
		}
	}
}
