package dkim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"waxwing/dns"
)

// zone answers TXT questions from a map; the value "TEMPERROR" is a failed
// lookup. Any other question panics on the nil Resolver.
type zone struct {
	dns.Resolver
	txt      map[string][]string
	security dns.Security
	asked    atomic.Int32
}

func (z *zone) LookupTXT(_ context.Context, name dns.Name) (dns.Answer[string], error) {
	z.asked.Add(1)
	rrs, ok := z.txt[name.ASCII()]
	if ok && rrs[0] == "TEMPERROR" {
		return dns.Answer[string]{}, &dns.Error{Name: name, Type: "TXT", RCode: "SERVFAIL", Security: dns.Bogus}
	}
	return dns.Answer[string]{Name: name, Records: rrs, NXDomain: !ok, Security: z.security}, nil
}

var (
	domain = dns.MustParse("example.org")
	at     = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	sample = crlfs("TLS-Report-Domain: example.net\nFrom: A <a@example.org>\nTo: b@example.net\nSubject:  some   words\n folded\nDate: Sun, 22 Nov 2026 12:00:00 +0000\n\nHello  \t there \n\nline\t two\n\n\n")
)

func crlfs(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

func clock() time.Time { return at }

// keys makes one key of each kind and the zone that publishes them.
func keys(t testing.TB, services ...string) ([]Key, *zone) {
	t.Helper()
	ed, err := GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	rs, err := GenerateRSA(0)
	if err != nil {
		t.Fatal(err)
	}
	z := &zone{txt: map[string][]string{}, security: dns.Secure}
	ks := []Key{{domain, "ed", ed}, {domain, "rs.a", rs}}
	for _, k := range ks {
		txt, err := Record(k.Signer.Public(), services...)
		if err != nil {
			t.Fatal(err)
		}
		z.txt[k.Selector+"._domainkey.example.org"] = []string{txt}
	}
	return ks, z
}

func sign(t testing.TB, msg []byte, ks []Key, opts SignOptions) []byte {
	t.Helper()
	if opts.Now == nil {
		opts.Now = clock
	}
	field, err := Sign(msg, ks, opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range bytes.Split(field, crlf) {
		if len(l) > 80 {
			t.Errorf("line of %d octets: %s", len(l), l)
		}
	}
	return append(field, msg...)
}

func verify(t testing.TB, z *zone, msg []byte) []Verification {
	t.Helper()
	vs, err := Verify(t.Context(), z, msg, Limits{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	return vs
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	ks, z := keys(t, "tlsrpt")
	msg := sign(t, sample, ks, SignOptions{Headers: []string{"TLS-Report-Domain", "TLS-Report-Submitter"}, Expiration: time.Hour})
	vs := verify(t, z, msg)
	if len(vs) != 2 {
		t.Fatalf("%d signatures", len(vs))
	}
	for i, alg := range []string{Ed25519SHA256, RSASHA256} {
		v := vs[i]
		if v.Result != Pass || v.Err != nil || v.Algorithm != alg || v.Domain != domain || v.Selector != ks[i].Selector || v.Identity != "@example.org" || v.BodyLength || v.Testing {
			t.Errorf("%+v", v)
		}
		if v.DNSSEC != dns.Secure || !v.Signed.Equal(at) || !v.Expires.Equal(at.Add(time.Hour)) || len(v.Signature) != 8 {
			t.Errorf("facts %+v", v)
		}
		// AUT-4: read and weighed by use, not refused.
		if !v.Allows("tlsrpt") || v.Allows("email") || len(v.Services) != 1 {
			t.Errorf("services %v", v.Services)
		}
		// RPT-9: the report's own fields are signed, where it has them.
		h := strings.Join(v.SignedHeaders, ":")
		if !strings.Contains(h, "tls-report-domain:tls-report-domain") || strings.Contains(h, "submitter") {
			t.Errorf("h=%s", h)
		}
	}
	if vs[1].KeyBits != 2048 {
		t.Errorf("key of %d bits", vs[1].KeyBits)
	}
}

// AUT-7: fields that stand once are named twice, so that nobody can add one; fields that a list adds are not
// named where there are none. There is no expiry unless it is asked for.
func TestOversigned(t *testing.T) {
	t.Parallel()
	ks, z := keys(t)
	msg := sign(t, append([]byte("List-Id: <a.example.org>\r\nReferences: <1@x>\r\nReferences: <2@x>\r\nSender: joe@example.org\r\n"), sample...), ks, SignOptions{})
	v := verify(t, z, msg)[0]
	if v.Result != Pass || !v.Expires.IsZero() {
		t.Fatalf("%+v", v)
	}
	named := map[string]int{}
	for _, h := range v.SignedHeaders {
		named[h]++
	}
	for name, want := range map[string]int{"from": 2, "sender": 2, "reply-to": 1, "cc": 1, "list-id": 2, "references": 2, "list-post": 0, "auto-submitted": 0} {
		if named[name] != want {
			t.Errorf("%s is named %d times, want %d: %v", name, named[name], want, v.SignedHeaders)
		}
	}
	if v := verify(t, z, append([]byte("List-Id: <evil.example.org>\r\n"), msg...))[0]; v.Result == Pass {
		t.Error("a second List-Id may be added")
	}
	if v := verify(t, z, append([]byte("List-Post: <mailto:a@example.org>\r\n"), msg...))[0]; v.Result != Pass {
		t.Errorf("a list may not add its fields: %+v", v)
	}
}

// What travels unchanged in meaning verifies, what was changed does not.
func TestTampering(t *testing.T) {
	t.Parallel()
	ks, z := keys(t)
	msg := string(sign(t, sample, ks, SignOptions{}))
	for _, c := range []struct {
		name, from, to string
		want           Result
	}{
		{"nothing", "", "", Pass},
		{"header refolded", "some   words\r\n folded", "some words folded", Pass},
		{"case of the name", "Subject:", "SUBJECT:", Pass},
		{"white space in the body", "Hello  \t there ", "Hello there", Pass},
		{"empty lines at the end", "two\r\n\r\n\r\n", "two\r\n", Pass},
		{"a field nobody signed", "From: A", "X-New: x\r\nFrom: A", Pass},
		{"subject", "some ", "other ", Fail},
		{"body", "line", "lime", Fail},
		{"a second From", "From: A", "From: evil@example.com\r\nFrom: A", Fail},
		{"a second Subject", "From: A", "Subject: x\r\nFrom: A", Fail},
		{"a Reply-To", "From: A", "Reply-To: evil@example.com\r\nFrom: A", Fail},
		{"a field removed", "To: b@example.net\r\n", "", Fail},
		{"an empty line in the body", "\r\nline", "\r\n\r\nline", Fail},
	} {
		changed := strings.ReplaceAll(msg, c.from, c.to)
		if c.from == "" {
			changed = msg
		}
		for _, v := range verify(t, z, []byte(changed)) {
			if v.Result != c.want || (v.Err == nil) != (v.Result == Pass) {
				t.Errorf("%s: %s, %v", c.name, v.Result, v.Err)
			}
		}
	}
}

func TestResults(t *testing.T) {
	t.Parallel()
	ks, z := keys(t)
	ks = ks[:1]
	good := string(sign(t, sample, ks, SignOptions{Expiration: time.Hour}))
	const name = "ed._domainkey.example.org"
	key := z.txt[name][0]
	for _, c := range []struct {
		name, from, to string
		txt            []string
		want           Result
		fault          string
	}{
		{"version", "v=1", "v=2", []string{key}, PermError, "version"},
		{"no h=", "h=from", "hx=from", []string{key}, PermError, "lacks h="},
		{"From not signed", "h=from:from", "h=to", []string{key}, PermError, "From"},
		{"sha1", "ed25519-sha256", "rsa-sha1", []string{key}, PermError, "rsa-sha1"},
		{"unknown algorithm", "ed25519-sha256", "x-y", []string{key}, PermError, "algorithm"},
		{"canonicalisation", "relaxed/relaxed", "relaxed/nowsp", []string{key}, PermError, "canonical"},
		{"other domain in i=", "s=ed;", "s=ed; i=@example.com;", []string{key}, PermError, "i="},
		{"tag twice", "s=ed;", "s=ed; s=ed;", []string{key}, PermError, "twice"},
		{"bad domain", "d=example.org", "d=..", []string{key}, PermError, "domain"},
		{"bad q=", "s=ed;", "s=ed; q=http;", []string{key}, PermError, "q="},
		{"x before t", "t=", "t=9", []string{key}, PermError, "before"},
		{"no key", "", "", nil, PermError, "no key"},
		{"no lookup", "", "", []string{"TEMPERROR"}, TempError, "for now"},
		{"revoked", "", "", []string{"v=DKIM1; p="}, PermError, "revoked"},
		{"key version", "", "", []string{"v=DKIM2; " + key}, PermError, "twice"},
		{"key type", "", "", []string{strings.Replace(key, "ed25519", "x25519", 1)}, PermError, "key type"},
		{"key hash", "", "", []string{key + "; h=sha1"}, PermError, "sha256"},
		{"wrong key", "", "", []string{strings.Replace(key, "p=", "p=AAAAA", 1)}, PermError, "key"},
		{"broken base64", "", "", []string{"p=%%"}, PermError, "base64"},
		{"several keys", "", "", []string{"junk", "v=DKIM1; p=", key}, Pass, ""},
		{"testing", "", "", []string{key + "; t=y"}, Pass, ""},
		{"services", "", "", []string{key + "; s=*:x"}, Pass, ""},
	} {
		zc := &zone{txt: map[string][]string{}}
		if c.txt != nil {
			zc.txt[name] = c.txt
		}
		msg := good
		if c.from != "" {
			msg = strings.Replace(good, c.from, c.to, 1)
		}
		v := verify(t, zc, []byte(msg))[0]
		if v.Result != c.want || c.fault != "" && (v.Err == nil || !strings.Contains(v.Err.Error(), c.fault)) {
			t.Errorf("%s: %s, %v", c.name, v.Result, v.Err)
		}
		if c.want == TempError && v.DNSSEC != dns.Bogus {
			t.Errorf("DNSSEC state %v of a bogus lookup", v.DNSSEC)
		}
		if c.name == "services" && !v.Allows("tlsrpt") || c.name == "testing" && !v.Testing {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
	late, err := Verify(t.Context(), z, []byte(good), Limits{Now: func() time.Time { return at.Add(2 * time.Hour) }})
	if err != nil || late[0].Result != Policy {
		t.Errorf("expired: %+v, %v", late, err)
	}
}

// RFC 8301 §3.2: not valid under 1024 bits, not signed under 2048.
func TestWeakRSA(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	weak, err := rsa.GenerateKey(rand.Reader, 512)
	if err != nil {
		t.Skip("cannot make a weak key:", err)
	}
	der, _ := x509.MarshalPKIXPublicKey(&weak.PublicKey)
	if _, err := parseRecord("p=" + base64.StdEncoding.EncodeToString(der)); err == nil || !strings.Contains(err.Error(), "512 bits") {
		t.Errorf("key of 512 bits: %v", err)
	}
	if _, err := Sign(sample, []Key{{domain, "s", weak}}, SignOptions{}); err == nil {
		t.Error("signed with a weak key")
	}
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	ks, _ := keys(t)
	for name, call := range map[string]func() error{
		"no From":  func() error { _, err := Sign(crlfs("To: x\n\n"), ks, SignOptions{}); return err },
		"no key":   func() error { _, err := Sign(sample, nil, SignOptions{}); return err },
		"selector": func() error { _, err := Sign(sample, []Key{{domain, "a b", ks[0].Signer}}, SignOptions{}); return err },
		"header":   func() error { _, err := Sign(crlfs(" x\n\n"), ks, SignOptions{}); return err },
	} {
		if call() == nil {
			t.Errorf("%s: signed", name)
		}
	}
}

func TestSignatureLimit(t *testing.T) {
	t.Parallel()
	ks, z := keys(t)
	msg := sample
	for range 7 {
		msg = sign(t, msg, ks, SignOptions{})
	}
	if vs := verify(t, z, msg); len(vs) != defaultSignatures || z.asked.Load() != defaultSignatures {
		t.Errorf("%d results, %d lookups", len(vs), z.asked.Load())
	}
}

func TestPrivateKeys(t *testing.T) {
	t.Parallel()
	ks, _ := keys(t)
	for _, k := range ks {
		text, err := MarshalPrivate(k.Signer)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParsePrivate(text)
		if err != nil || !back.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(k.Signer.Public()) {
			t.Errorf("%s: %v", k.Selector, err)
		}
	}
	for _, bad := range []string{"", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if _, err := ParsePrivate([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// Another implementation is the second opinion, both ways.
func TestAgainstMsgauth(t *testing.T) {
	t.Parallel()
	ks, z := keys(t)
	lookup := func(name string) ([]string, error) { return z.txt[name], nil }
	for _, msg := range [][]byte{sample, crlfs("From: a@example.org\n\n"), crlfs("From: a@example.org\nSubject:\n\n\n\n a\n\tb  c\n")} {
		vs, err := dkim.VerifyWithOptions(bytes.NewReader(sign(t, msg, ks, SignOptions{})), &dkim.VerifyOptions{LookupTXT: lookup})
		if err != nil || len(vs) != 2 || vs[0].Err != nil || vs[1].Err != nil {
			t.Errorf("theirs of ours: %v, %+v", err, vs)
		}
		for _, k := range ks {
			for _, c := range []dkim.Canonicalization{dkim.CanonicalizationSimple, dkim.CanonicalizationRelaxed} {
				var b bytes.Buffer
				opts := &dkim.SignOptions{Domain: "example.org", Selector: k.Selector, Signer: k.Signer, HeaderCanonicalization: c, BodyCanonicalization: c}
				if err := dkim.Sign(&b, bytes.NewReader(msg), opts); err != nil {
					t.Fatal(err)
				}
				if v := verify(t, z, b.Bytes())[0]; v.Result != Pass {
					t.Errorf("ours of theirs, %s: %s %v\n%s", c, v.Result, v.Err, b.Bytes())
				}
			}
		}
	}
}

func TestDNSErrorIsKept(t *testing.T) {
	t.Parallel()
	ks, z := keys(t)
	z.txt["ed._domainkey.example.org"] = []string{"TEMPERROR"}
	v := verify(t, z, sign(t, sample, ks[:1], SignOptions{}))[0]
	var de *dns.Error
	if !errors.As(v.Err, &de) || de.Word() != "dns-bogus" {
		t.Errorf("cause %v", v.Err)
	}
}

func FuzzVerify(f *testing.F) {
	ks, z := keys(f)
	f.Add(sign(f, sample, ks, SignOptions{}), z.txt["ed._domainkey.example.org"][0])
	f.Add(crlfs("DKIM-Signature: v=1; a=rsa-sha256; l=3; d=a.b; s=c; h=from; b=AA; bh=AA;\nFrom: x\n\nbody"), "v=DKIM1; p=AA")
	f.Fuzz(func(t *testing.T, msg []byte, txt string) {
		z := &zone{txt: map[string][]string{"ed._domainkey.example.org": {txt}, "c._domainkey.a.b": {txt}}}
		vs, err := Verify(t.Context(), z, msg, Limits{Now: clock})
		if err != nil {
			return
		}
		for _, v := range vs {
			if v.Result == "" || (v.Result == Pass) != (v.Err == nil) {
				t.Fatalf("result %q, error %v", v.Result, v.Err)
			}
		}
	})
}

func BenchmarkSign(b *testing.B) {
	ks, _ := keys(b)
	msg := append(bytes.Clone(sample), bytes.Repeat([]byte("some text of the body\r\n"), 400)...)
	for _, k := range ks {
		b.Run(k.Selector, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Sign(msg, []Key{k}, SignOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
