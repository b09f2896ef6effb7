package dane

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/reason"
)

var (
	now  = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	mx   = dns.MustParse("mx.example.org")
	next = dns.MustParse("example.org")
)

// signer is a certificate with its key.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

type change func(*x509.Certificate)

func expired(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = now.AddDate(-2, 0, 0), now.AddDate(-1, 0, 0)
}
func isCA(c *x509.Certificate)    { c.IsCA, c.BasicConstraintsValid = true, true }
func noNames(c *x509.Certificate) { c.DNSNames = nil }
func names(n ...string) change    { return func(c *x509.Certificate) { c.DNSNames = n } }
func subject(cn string) change    { return func(c *x509.Certificate) { c.Subject.CommonName = cn } }
func onlyClient(c *x509.Certificate) {
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
}

// issue makes a certificate; a nil issuer makes it self-signed.
func issue(t testing.TB, by *signer, cn string, changes ...change) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: cn},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), DNSNames: []string{mx.ASCII()},
	}
	for _, c := range changes {
		c(tmpl)
	}
	if by == nil {
		by = &signer{tmpl, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, by.cert, &key.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{cert, key}
}

func chainOf(s ...*signer) (chain []*x509.Certificate) {
	for _, s := range s {
		chain = append(chain, s.cert)
	}
	return chain
}

// check verifies chain against rrs and compares the reason, or the depth.
func check(t *testing.T, rrs []dns.TLSA, chain []*x509.Certificate, why reason.Word, depth int) {
	t.Helper()
	records, unusable := Usable(rrs)
	if unusable > 0 {
		t.Fatalf("unusable records in %v", rrs)
	}
	v, err := Verify(records, []dns.Name{mx, next}, chain, now)
	var de *Error
	switch {
	case err != nil && !errors.As(err, &de):
		t.Fatalf("error is %T, not *Error", err)
	case err != nil && de.Word != why:
		t.Errorf("got %s (%v), want %q depth %d", de.Word, err, why, depth)
	case err == nil && (why != "" || v.Depth != depth):
		t.Errorf("got a match at depth %d, want %q depth %d", v.Depth, why, depth)
	case err != nil && len(de.Text) > 600:
		t.Errorf("text of %d bytes", len(de.Text))
	}
}

// TestEveryParameter makes every kind of record of one chain (DANE-2).
func TestEveryParameter(t *testing.T) {
	t.Parallel()
	root := issue(t, nil, "root", isCA)
	mid := issue(t, root, "mid", isCA)
	leaf := issue(t, mid, "leaf")
	other := issue(t, nil, "root", isCA)
	chain := chainOf(leaf, mid, root)
	for selector := range uint8(2) {
		for matching := range uint8(3) {
			for _, c := range []struct {
				usage uint8
				cert  *x509.Certificate
				why   reason.Word
				depth int
			}{
				{UsageEE, leaf.cert, "", 0}, {UsageEE, mid.cert, reason.DANENoMatch, 0}, {UsageEE, other.cert, reason.DANENoMatch, 0},
				{UsageTA, mid.cert, "", 1}, {UsageTA, root.cert, "", 2}, {UsageTA, leaf.cert, reason.DANENoMatch, 0},
			} {
				check(t, []dns.TLSA{Generate(c.cert, c.usage, selector, matching)}, chain, c.why, c.depth)
			}
			// An anchor that has nothing to do with the chain: without a match, or
			// with a certificate at hand to which no chain leads.
			want := reason.DANENoMatch
			if selector == SelectorCert && matching == MatchingFull {
				want = reason.DANETAChain
			}
			check(t, []dns.TLSA{Generate(other.cert, UsageTA, selector, matching)}, chain, want, 0)
		}
	}
}

func TestEE(t *testing.T) {
	t.Parallel()
	old := issue(t, nil, "anything", expired, noNames)
	check(t, []dns.TLSA{Generate(old.cert, 3, 1, 1)}, chainOf(old), "", 0)
	renewed := issue(t, nil, "anything", noNames)
	check(t, []dns.TLSA{Generate(old.cert, 3, 1, 1), Generate(renewed.cert, 3, 1, 1)}, chainOf(renewed), "", 0)
	check(t, []dns.TLSA{Generate(old.cert, 3, 1, 1)}, chainOf(renewed, old), reason.DANENoMatch, 0)
	check(t, []dns.TLSA{Generate(old.cert, 3, 1, 1)}, nil, reason.DANENoMatch, 0)
	check(t, nil, chainOf(old), reason.DANENoMatch, 0)
}

func TestTA(t *testing.T) {
	t.Parallel()
	root := issue(t, nil, "root", isCA)
	mid := issue(t, root, "mid", isCA)
	leaf := issue(t, mid, "leaf")
	ta := []dns.TLSA{Generate(root.cert, 2, 0, 1)}
	full := []dns.TLSA{Generate(root.cert, 2, 0, 0)}
	oldMid, oldLeaf := issue(t, root, "mid", isCA, expired), issue(t, mid, "leaf", expired)
	oldRoot := issue(t, nil, "root", isCA, expired)
	noCA, oldNoCA := issue(t, root, "mid"), issue(t, root, "mid", expired)
	for _, c := range []struct {
		name  string
		rrs   []dns.TLSA
		chain []*x509.Certificate
		why   reason.Word
		depth int
	}{
		{"with intermediate", ta, chainOf(leaf, mid, root), "", 2},
		{"unordered chain with strangers", ta, chainOf(leaf, root, oldRoot, mid), "", 2},
		{"intermediate not sent", ta, chainOf(leaf, root), reason.DANETAChain, 0},
		{"anchor not sent", ta, chainOf(leaf, mid), reason.DANENoMatch, 0},
		{"anchor in the record", full, chainOf(leaf, mid), "", 2},
		{"anchor in the record, intermediate not sent", full, chainOf(leaf), reason.DANETAChain, 0},
		{"bare key of the record", []dns.TLSA{Generate(root.cert, 2, 1, 0)}, chainOf(leaf, mid), "", 1},
		{"bare key signed the leaf", []dns.TLSA{Generate(mid.cert, 2, 1, 0)}, chainOf(leaf), "", 0},
		{"bare key signed nothing", []dns.TLSA{Generate(oldRoot.cert, 2, 1, 0)}, chainOf(leaf, mid), reason.DANENoMatch, 0},
		{"bare key, expired leaf", []dns.TLSA{Generate(mid.cert, 2, 1, 0)}, chainOf(oldLeaf), reason.DANETAExpired, 0},
		{"expired leaf", ta, chainOf(oldLeaf, mid, root), reason.DANETAExpired, 0},
		{"expired intermediate", ta, chainOf(issue(t, oldMid, "leaf"), oldMid, root), reason.DANETAExpired, 0},
		{"expired anchor", []dns.TLSA{Generate(oldRoot.cert, 2, 0, 1)}, chainOf(issue(t, oldRoot, "leaf"), oldRoot), reason.DANETAExpired, 0},
		{"expired anchor in the record", []dns.TLSA{Generate(oldRoot.cert, 2, 0, 0)}, chainOf(issue(t, oldRoot, "leaf")), reason.DANETAExpired, 0},
		{"expired and no authority", []dns.TLSA{Generate(oldNoCA.cert, 2, 0, 1)}, chainOf(issue(t, oldNoCA, "leaf"), oldNoCA), reason.DANETAChain, 0},
		{"issuer is no authority", ta, chainOf(issue(t, noCA, "leaf"), noCA, root), reason.DANETAChain, 0},
		{"not for servers", ta, chainOf(issue(t, mid, "leaf", onlyClient), mid, root), reason.DANETAChain, 0},
		{"self-signed leaf as its own anchor", []dns.TLSA{Generate(root.cert, 2, 0, 1)}, chainOf(root), reason.DANENoMatch, 0},
		{"self-signed leaf sent twice", full, chainOf(root, root), reason.DANENoMatch, 0},
		{"EE before TA", []dns.TLSA{ta[0], Generate(leaf.cert, 3, 0, 1)}, chainOf(leaf, mid, root), "", 0},
		{"nearer anchor first", []dns.TLSA{ta[0], Generate(mid.cert, 2, 0, 1)}, chainOf(leaf, mid, root), "", 1},
		{"EE does not match, TA does", []dns.TLSA{Generate(mid.cert, 3, 0, 1), ta[0]}, chainOf(leaf, mid, root), "", 2},
	} {
		t.Run(c.name, func(t *testing.T) { check(t, c.rrs, c.chain, c.why, c.depth) })
	}
}

// TestNames: DANE-TA wants a reference name, DNS-IDs before the CN-ID (RFC 7672 §3.2.3).
func TestNames(t *testing.T) {
	t.Parallel()
	root := issue(t, nil, "root", isCA)
	ta := []dns.TLSA{Generate(root.cert, 2, 1, 1)}
	for _, c := range []struct {
		name string
		leaf []change
		why  reason.Word
	}{
		{"base domain", []change{names("mx.example.org")}, ""},
		{"next hop", []change{names("example.org")}, ""},
		{"wildcard", []change{names("*.example.org")}, ""},
		{"wildcard over two labels", []change{names("*.org")}, ""}, // example.org is a reference name
		{"wildcard that fits neither", []change{names("*.mx.example.org")}, reason.DANETANameMismatch},
		{"partial wildcard", []change{names("m*.example.org")}, reason.DANETANameMismatch},
		{"other", []change{names("mx.example.net")}, reason.DANETANameMismatch},
		{"CN alone", []change{noNames, subject("mx.example.org")}, ""},
		{"CN alone, other case", []change{noNames, subject("MX.Example.ORG")}, ""},
		{"CN wildcard", []change{noNames, subject("*.example.org")}, ""},
		{"CN wildcard of another domain", []change{noNames, subject("*.example.net")}, reason.DANETANameMismatch},
		{"CN other", []change{noNames, subject("mx.example.net")}, reason.DANETANameMismatch},
		{"CN empty", []change{noNames, subject("")}, reason.DANETANameMismatch},
		{"CN counts not beside a DNS-ID", []change{names("a.example.net"), subject("mx.example.org")}, reason.DANETANameMismatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			check(t, ta, chainOf(issue(t, root, "leaf", c.leaf...), root), c.why, 1)
		})
	}
	records, _ := Usable(ta)
	if _, err := Verify(records, []dns.Name{{}}, chainOf(issue(t, root, "leaf"), root), now); err == nil {
		t.Error("a zero reference name matched")
	}
}

// TestLoop: two authorities that certify each other must not hold us up, nor
// hide the way to the anchor.
func TestLoop(t *testing.T) {
	t.Parallel()
	a := issue(t, nil, "a", isCA)
	b := issue(t, a, "b", isCA)
	aByB := &signer{key: a.key}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, b.cert, &a.key.PublicKey, b.key)
	if err != nil {
		t.Fatal(err)
	}
	if aByB.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	leaf := issue(t, b, "leaf")
	stranger := issue(t, nil, "stranger", isCA)
	check(t, []dns.TLSA{Generate(stranger.cert, 2, 0, 0)}, chainOf(leaf, b, aByB), reason.DANETAChain, 0)
	check(t, []dns.TLSA{Generate(b.cert, 2, 0, 1)}, chainOf(leaf, aByB, b), "", 1)
	check(t, []dns.TLSA{Generate(a.cert, 2, 0, 0)}, chainOf(leaf, aByB, b), "", 2)
	long := chainOf(leaf)
	for range 1000 {
		long = append(long, b.cert, aByB.cert)
	}
	start := time.Now()
	check(t, []dns.TLSA{Generate(stranger.cert, 2, 0, 0)}, long, reason.DANETAChain, 0)
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("a looping chain took %v", d)
	}
}

// TestUsable: DANE-1, RFC 7671 §9.
func TestUsable(t *testing.T) {
	t.Parallel()
	cert := issue(t, nil, "leaf").cert
	rr := func(usage, selector, matching uint8) dns.TLSA { return Generate(cert, usage, selector, matching) }
	broken := rr(3, 0, 0)
	broken.Data = broken.Data[:len(broken.Data)-1]
	trailing := rr(2, 1, 0)
	trailing.Data = append(trailing.Data, 0)
	trailingCert := rr(3, 0, 0)
	trailingCert.Data = append(trailingCert.Data, 0)
	// A sequence that begins as a certificate does, and holds no signature.
	unsigned := dns.TLSA{Usage: 3, Data: []byte{0x30, 0x06, 0x30, 0x00, 0x30, 0x00, 0x05, 0x00}}
	short := rr(3, 1, 1)
	short.Data = short.Data[:31]
	// A certificate that crypto/x509 does not parse: a curve that it does not know.
	odd, oddTA := rr(3, 0, 0), rr(2, 0, 0)
	for _, r := range []*dns.TLSA{&odd, &oddTA} {
		i := bytes.Index(r.Data, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07})
		r.Data[i+7] = 9
	}
	swapped := dns.TLSA{Usage: 3, Selector: 1, MatchingType: 2, Data: rr(3, 1, 1).Data}
	for _, c := range []struct {
		name     string
		rrs      []dns.TLSA
		usable   []dns.TLSA
		unusable int
	}{
		{"none", nil, nil, 0},
		{"usages 0 and 1", []dns.TLSA{rr(0, 0, 1), rr(1, 1, 1), rr(3, 1, 1)}, []dns.TLSA{rr(3, 1, 1)}, 2},
		{"unknown parameters", []dns.TLSA{rr(4, 1, 1), rr(255, 1, 1), rr(3, 2, 1), rr(3, 1, 3)}, nil, 4},
		{"full, no certificate", []dns.TLSA{trailingCert, unsigned}, nil, 2},
		{"malformed", []dns.TLSA{broken, trailing, short, swapped, {Usage: 3}, {Usage: 3, Selector: 1, MatchingType: 1}}, nil, 6},
		// POL-10: matched octet by octet, so that nobody need read it; an anchor must be read.
		{"full, not to be read", []dns.TLSA{odd, oddTA}, []dns.TLSA{odd}, 1},
		{"full", []dns.TLSA{rr(3, 0, 0), rr(2, 1, 0)}, []dns.TLSA{rr(3, 0, 0), rr(2, 1, 0)}, 0},
		{"best digest of the pair", []dns.TLSA{rr(3, 1, 1), rr(3, 1, 2), rr(3, 1, 0)}, []dns.TLSA{rr(3, 1, 2), rr(3, 1, 0)}, 0},
		{"other selector stays", []dns.TLSA{rr(3, 1, 1), rr(3, 0, 2)}, []dns.TLSA{rr(3, 1, 1), rr(3, 0, 2)}, 0},
		{"other usage stays", []dns.TLSA{rr(3, 1, 2), rr(2, 1, 1)}, []dns.TLSA{rr(3, 1, 2), rr(2, 1, 1)}, 0},
		{"a malformed SHA2-512 hides nothing", []dns.TLSA{rr(3, 1, 1), swapped}, []dns.TLSA{rr(3, 1, 1)}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, unusable := Usable(c.rrs)
			same := slices.EqualFunc(got, c.usable, func(r Record, w dns.TLSA) bool {
				return r.Usage == w.Usage && r.Selector == w.Selector && r.MatchingType == w.MatchingType && bytes.Equal(r.Data, w.Data)
			})
			if !same || unusable != c.unusable {
				t.Errorf("got %v and %d unusable, want %v and %d", got, unusable, c.usable, c.unusable)
			}
		})
	}
}

// POL-10: a DANE-EE record is held against the octets that were presented; nothing in
// them is looked at.
func TestEERaw(t *testing.T) {
	t.Parallel()
	cert := &x509.Certificate{Raw: []byte("any certificate"), RawSubjectPublicKeyInfo: []byte("any key")}
	for selector := range uint8(2) {
		for matching := range uint8(3) {
			record := Record(Generate(cert, UsageEE, selector, matching))
			if v, err := Verify([]Record{record}, nil, []*x509.Certificate{cert}, now); err != nil || v.Depth != 0 || v.Path != nil {
				t.Errorf("3 %d %d: %+v, %v", selector, matching, v, err)
			}
		}
	}
}

// Records that never went through Usable match nothing, and break nothing.
func TestUnknownParameters(t *testing.T) {
	t.Parallel()
	root := issue(t, nil, "root", isCA)
	leaf := issue(t, root, "leaf")
	for _, r := range []Record{{Usage: 3, Selector: 2, MatchingType: 1}, {Usage: 3, Selector: 1, MatchingType: 3}, {Usage: 2, Selector: 2, MatchingType: 1}, {Usage: 2, Selector: 0, MatchingType: 3}} {
		var de *Error
		if _, err := Verify([]Record{r}, []dns.Name{mx}, chainOf(leaf, root), now); !errors.As(err, &de) || de.Word != reason.DANENoMatch {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// The records of one host are its own to choose: the anchors and the bare keys that are
// tried are bounded.
func TestBounds(t *testing.T) {
	t.Parallel()
	root := issue(t, nil, "root", isCA)
	leaf := issue(t, root, "leaf")
	anchor := Record(Generate(root.cert, 2, 1, 1))
	if a := findAnchors(slices.Repeat([]Record{anchor}, 100), chainOf(leaf, root)); len(a.records) != maxAnchors {
		t.Errorf("%d anchors of 100 records", len(a.records))
	}
	strange := Generate(issue(t, nil, "stranger", isCA).cert, 2, 1, 0)
	key := Generate(root.cert, 2, 1, 0)
	check(t, append(slices.Repeat([]dns.TLSA{strange}, maxKeys-1), key), chainOf(leaf), "", 0)
	check(t, append(slices.Repeat([]dns.TLSA{strange}, maxKeys), key), chainOf(leaf), reason.DANENoMatch, 0)
}

// The error says for whom the certificate is: its DNS-IDs, or its common name where it
// has none.
func TestMismatchNames(t *testing.T) {
	t.Parallel()
	root := issue(t, nil, "root", isCA)
	records, _ := Usable([]dns.TLSA{Generate(root.cert, 2, 1, 1)})
	for want, changes := range map[string][]change{
		`is for ["a.example.net" "b.example.net"], not for any of: mx.example.org`: {names("a.example.net", "b.example.net"), subject("c.example.net")},
		`is for "c.example.net", not for any of: mx.example.org`:                   {noNames, subject("c.example.net")},
	} {
		_, err := Verify(records, []dns.Name{mx}, chainOf(issue(t, root, "leaf", changes...), root), now)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// FuzzVerify feeds arbitrary records: no panic, no match of foreign data, and
// what Usable keeps is what it was given.
func FuzzVerify(f *testing.F) {
	root := issue(f, nil, "root", isCA)
	leaf := issue(f, root, "leaf")
	for usage := range uint8(4) {
		for selector := range uint8(2) {
			for matching := range uint8(3) {
				f.Add(usage, selector, matching, Generate(root.cert, usage, selector, matching).Data)
				f.Add(usage, selector, matching, Generate(leaf.cert, usage, selector, matching).Data)
			}
		}
	}
	good := map[string]bool{}
	for _, c := range chainOf(leaf, root) {
		for selector := range uint8(2) {
			for matching := range uint8(3) {
				good[string(contents(c, selector, matching))] = true
			}
		}
	}
	f.Fuzz(func(t *testing.T, usage, selector, matching uint8, data []byte) {
		rr := dns.TLSA{Usage: usage, Selector: selector, MatchingType: matching, Data: data}
		records, unusable := Usable([]dns.TLSA{rr, rr})
		if len(records)+unusable != 2 {
			t.Fatalf("%d usable and %d unusable of 2", len(records), unusable)
		}
		v, err := Verify(records, []dns.Name{mx}, chainOf(leaf, root), now)
		if err == nil && !good[string(v.Record.Data)] {
			t.Fatalf("foreign record %v matched", v.Record)
		}
	})
}

// FuzzChain feeds arbitrary certificates as the peer's chain and as the
// anchor. Its seeds come from a file: keys made anew in each process would
// make the same input take another way in each.
func FuzzChain(f *testing.F) {
	chain := readCorpus(f, "testdata/openssl/danetest.in")[14].chain
	leaf, mid, root := chain[0], chain[1], chain[2]
	f.Add(leaf.Raw, mid.Raw)
	f.Add(mid.Raw, root.Raw)
	f.Add(root.Raw, root.RawSubjectPublicKeyInfo)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		chain := []*x509.Certificate{leaf}
		for _, der := range [][]byte{a, b} {
			if c, err := x509.ParseCertificate(der); err == nil {
				chain = append(chain, c)
			}
		}
		slices.Reverse(chain)
		records, _ := Usable([]dns.TLSA{
			{Usage: 2, Data: a}, {Usage: 2, Selector: 1, Data: b}, Generate(root, 2, 1, 0),
			Generate(chain[0], 2, 0, 2), Generate(chain[len(chain)-1], 2, 1, 1),
		})
		if _, err := Verify(records, []dns.Name{mx}, chain, now); err != nil {
			var de *Error
			if !errors.As(err, &de) || de.Word == "" || de.Text == "" {
				t.Fatalf("error without a reason: %v", err)
			}
		}
	})
}
