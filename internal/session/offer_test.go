package session

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/sound"
)

// selfMade is a certificate with a key of the test's choice; RSA keys under 1024 bits
// can be made because of the module's godebug settings.
func selfMade(t testing.TB, key crypto.Signer) tls.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(77), Subject: pkix.Name{CommonName: mxName}, DNSNames: []string{mxName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func rsaCert(t testing.TB, bits int) tls.Certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return selfMade(t, key)
}

// largeRSA is a key of 8676 bits, made of two Mersenne primes: to look for others takes
// minutes.
func largeRSA(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	one := big.NewInt(1)
	mersenne := func(n uint) *big.Int { return new(big.Int).Sub(new(big.Int).Lsh(one, n), one) }
	p, q := mersenne(4423), mersenne(4253)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{Primes: []*big.Int{p, q}}
	key.N, key.E = new(big.Int).Mul(p, q), 65537
	key.D = new(big.Int).ModInverse(big.NewInt(65537), phi)
	if err := key.Validate(); err != nil {
		t.Fatal(err)
	}
	key.Precompute()
	return key
}

func ecdsaCert(t testing.TB, curve elliptic.Curve) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return selfMade(t, key)
}

// negativeSerial makes the serial number of a certificate negative. Its signature is
// then wrong, which nobody looks at who is not asked to.
func negativeSerial(t testing.TB, c tls.Certificate) tls.Certificate {
	t.Helper()
	der := slices.Clone(c.Certificate[0])
	i := strings.Index(string(der), "\x02\x01\x4d") // INTEGER 77
	if i < 0 {
		t.Fatal("no serial number")
	}
	der[i+2] = 0xcd
	leaf, err := x509.ParseCertificate(der)
	if err != nil || leaf.SerialNumber.Sign() >= 0 {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: c.PrivateKey, Leaf: leaf}
}

// old is a host of another time.
type old struct {
	name   string
	cert   tls.Certificate
	config func(*tls.Config)
	// what comes of it
	version string
	key     string      // the key exchange; "": any
	weak    reason.Word // what a session that requires TLS refuses it for; "": it is taken
	refused reason.Word // the word where TLS is required; "": as weak
}

func tls12(suites ...uint16) func(*tls.Config) {
	return func(c *tls.Config) { c.MaxVersion, c.CipherSuites = tls.VersionTLS12, suites }
}

func upTo(version uint16) func(*tls.Config) {
	return func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, version }
}

func oldHosts(t testing.TB) []old {
	rsa2048, rsa1024, rsa512 := rsaCert(t, 2048), rsaCert(t, 1024), rsaCert(t, 512)
	p256 := ecdsaCert(t, elliptic.P256())
	sha1 := rsa2048
	sha1.SupportedSignatureAlgorithms = []tls.SignatureScheme{tls.PKCS1WithSHA1}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curves := func(ids ...tls.CurveID) func(*tls.Config) {
		return func(c *tls.Config) { c.CurvePreferences = ids }
	}
	const alert40 = "tls-alert-handshake-failure"
	return []old{
		{"modern", p256, nil, "TLS1.3", "X25519MLKEM768", "", ""},
		{"RSA key exchange, AES-GCM", rsa2048, tls12(tls.TLS_RSA_WITH_AES_128_GCM_SHA256), "TLS1.2", "RSA", "", ""},
		{"RSA key exchange, AES-CBC", rsa2048, tls12(tls.TLS_RSA_WITH_AES_256_CBC_SHA), "TLS1.2", "RSA", "", ""},
		{"RSA key exchange, AES-CBC-SHA256", rsa2048, tls12(tls.TLS_RSA_WITH_AES_128_CBC_SHA256), "TLS1.2", "RSA", "", ""},
		{"ECDHE, CBC only", rsa2048, tls12(tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA), "TLS1.2", "", "", ""},
		{"ECDHE, CBC-SHA256 only", p256, tls12(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256), "TLS1.2", "", "", ""},
		{"3DES", rsa2048, tls12(tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA), "TLS1.2", "RSA", reason.TLSWeakCipher, alert40},
		{"3DES with ECDHE", rsa2048, tls12(tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA), "TLS1.2", "", reason.TLSWeakCipher, alert40},
		{"RC4", rsa2048, tls12(tls.TLS_RSA_WITH_RC4_128_SHA), "TLS1.2", "RSA", reason.TLSWeakCipher, alert40},
		{"RC4 with ECDHE", p256, tls12(tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA), "TLS1.2", "", reason.TLSWeakCipher, alert40},
		{"TLS 1.1", rsa2048, upTo(tls.VersionTLS11), "TLS1.1", "", reason.TLSVersion, ""},
		{"TLS 1.0", rsa2048, upTo(tls.VersionTLS10), "TLS1.0", "", reason.TLSVersion, ""},
		{"TLS 1.0, ECDSA", p256, upTo(tls.VersionTLS10), "TLS1.0", "", reason.TLSVersion, ""},
		{"RSA 1024", rsa1024, nil, "TLS1.3", "", "", ""},
		{"RSA 8676", selfMade(t, largeRSA(t)), nil, "TLS1.3", "", "", ""},
		{"RSA 512", rsa512, tls12(), "TLS1.2", "", reason.CertWeakKey, ""},
		{"RSA 512, RSA key exchange", rsa512, tls12(tls.TLS_RSA_WITH_AES_128_CBC_SHA), "TLS1.2", "RSA", reason.CertWeakKey, ""},
		{"signed with SHA-1", sha1, tls12(), "TLS1.2", "", reason.TLSWeakSignature, ""},
		{"ECDSA P-521", ecdsaCert(t, elliptic.P521()), nil, "TLS1.3", "", "", ""},
		{"ECDSA P-384, its curve only", ecdsaCert(t, elliptic.P384()), curves(tls.CurveP384), "TLS1.3", "CurveP384", "", ""},
		{"P-521 only", p256, curves(tls.CurveP521), "TLS1.3", "CurveP521", "", ""},
		{"Ed25519", selfMade(t, ed), nil, "TLS1.3", "", "", ""},
		{"negative serial number", negativeSerial(t, p256), nil, "TLS1.3", "", "", ""},
	}
}

// POL-10: a host that plaintext would reach is spoken to in whatever TLS it knows, and
// what was used is told as it was. Seen: a host with TLS 1.2 and RSA key exchange got
// plaintext from us and TLS from Postfix.
func TestOldHostOpportunistic(t *testing.T) {
	t.Parallel()
	for _, h := range oldHosts(t) {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			mx := &peer{cert: &h.cert, config: h.config}
			r := newRig(t, network{addr1: mx})
			r.req.Plan.Offer, r.req.Plan.SmallHello = delivery.OfferAny, true
			rep := r.carry()
			s, res := last(rep), rep.Recipients[0]
			if res.Outcome != delivery.Delivered || s.TLS == nil || s.TLSFailure != nil || len(mx.received()) != 1 || !mx.received()[0].tls || len(rep.Visit.Sessions) != 1 {
				t.Fatalf("outcome %v, TLS %+v, failure %v, %d sessions", res.Outcome, s.TLS, s.TLSFailure, len(rep.Visit.Sessions))
			}
			if s.TLS.Version != h.version || h.key != "" && s.TLS.KeyExchange != h.key {
				t.Errorf("used %+v, want %s with %q", s.TLS, h.version, h.key)
			}
			var weak reason.Word
			if s.TLS.Weak != nil {
				weak = s.TLS.Weak.Word
			}
			if weak != h.weak {
				t.Errorf("weak: %q, want %q", weak, h.weak)
			}
		})
	}
}

// POL-10: where TLS is required, it is TLS 1.2 and up and nothing broken, and every
// suite beyond that is taken: Postfix gets a verified session from such hosts.
func TestOldHostRequired(t *testing.T) {
	t.Parallel()
	for _, h := range oldHosts(t) {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			mx := &peer{cert: &h.cert, config: h.config}
			r := newRig(t, network{addr1: mx})
			r.enforceDANE(h.cert.Leaf)
			// A plan that contradicts itself: the stricter half holds.
			r.req.Plan.Offer = delivery.OfferAny
			rep := r.carry()
			s, res := last(rep), rep.Recipients[0]
			if h.weak == "" {
				if res.Outcome != delivery.Delivered || res.TLS != "dane" || s.TLS.Version != h.version || s.TLS.Weak != nil {
					t.Fatalf("outcome %v over %q, TLS %+v, failure %v", res.Outcome, res.TLS, s.TLS, s.TLSFailure)
				}
				return
			}
			want := h.refused
			if want == "" {
				want = h.weak
			}
			if res.Outcome != delivery.Pending || res.Word != want || !res.PolicyFailure || mx.saw("MAIL") != 0 || s.TLS != nil {
				t.Errorf("outcome %v, word %q, want %q; peer saw %v", res.Outcome, res.Word, want, mx.lines())
			}
		})
	}
}

// What crypto/tls cannot be brought to read (docs/rfc-notes.md): a certificate with a key
// that it does not know, or with an encoding that it does not take, decides after all.
// Where nothing is required the mail then goes in plaintext; where DANE-EE is, it waits
// although the record would match.
func TestUnreadableCertificate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, from, to string
		want           reason.Word
	}{
		{"unknown curve", "\x2a\x86\x48\xce\x3d\x03\x01\x07", "\x2a\x86\x48\xce\x3d\x03\x01\x09", reason.CertUnknownKey},
		{"unknown kind of key", "\x2a\x86\x48\xce\x3d\x02\x01", "\x2a\x86\x48\xce\x3d\x02\x09", reason.CertUnknownKey},
		{"bad encoding", "\x13\x07" + mxName, "\x13\x07mx@test", reason.CertMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cert := ecdsaCert(t, elliptic.P256())
			der := []byte(strings.ReplaceAll(string(cert.Certificate[0]), tt.from, tt.to))
			if string(der) == string(cert.Certificate[0]) {
				t.Fatal("the certificate was not changed")
			}
			cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: cert.PrivateKey}
			mx := &peer{cert: &cert}
			r := newRig(t, network{addr1: mx})
			r.req.Plan.Offer, r.req.Plan.SmallHello = delivery.OfferAny, true
			rep := r.carry()
			if f := rep.Visit.Sessions[0].TLSFailure; f == nil || f.Word != tt.want || len(rep.Visit.Sessions) != 2 || !last(rep).Plaintext || rep.Recipients[0].Outcome != delivery.Delivered {
				t.Errorf("%+v: %+v", f, rep.Recipients[0])
			}
			r.enforceDANE(&x509.Certificate{Raw: der, RawSubjectPublicKeyInfo: der})
			if res := r.carry().Recipients[0]; res.Outcome != delivery.Pending || res.Word != tt.want {
				t.Errorf("with DANE-EE: %v, %s", res.Outcome, res.Word)
			}
		})
	}
}

// The field of crypto/tls that tells a SHA-1 signature is not exported; if it is gone,
// another way to tell must be found (sound.Weakness).
func TestSoundSessionRefusesSHA1(t *testing.T) {
	t.Parallel()
	cert := rsaCert(t, 2048)
	cert.SupportedSignatureAlgorithms = []tls.SignatureScheme{tls.PKCS1WithSHA1}
	mx := &peer{cert: &cert, config: func(c *tls.Config) { c.MaxVersion, c.SessionTicketsDisabled = tls.VersionTLS12, false }}
	r := newRig(t, network{addr1: mx})
	r.enforceDANE(cert.Leaf)
	r.client.Resume = tls.NewLRUClientSessionCache(8)
	for range 3 { // a resumed session carries no signature that could be looked at
		if res := r.carry().Recipients[0]; res.Outcome != delivery.Pending || res.Word != reason.TLSWeakSignature {
			t.Fatalf("outcome %v, word %q", res.Outcome, res.Word)
		}
	}
}

// Mode testing and TLS-Required: No deliver over weak TLS and call it unverified.
func TestWeakSessionProvesNothing(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	r := newRig(t, network{addr1: {cert: &p.good, config: upTo(tls.VersionTLS10)}})
	r.enforceDANE(p.good.Leaf)
	r.req.Plan.TLS, r.req.Plan.DANE, r.req.Plan.PKIX, r.req.Plan.Offer = delivery.TLSOpportunistic, delivery.CheckReport, delivery.CheckReport, delivery.OfferAny
	rep := r.carry()
	s, res := last(rep), rep.Recipients[0]
	if res.Outcome != delivery.Delivered || res.TLS != "unverified" || !passed(s.PKIX) || !passed(s.DANE) || s.TLS.Weak == nil || s.TLS.Weak.Word != reason.TLSVersion {
		t.Fatalf("outcome %v over %q, TLS %+v", res.Outcome, res.TLS, s.TLS)
	}
}

// picky refuses hellos with a post-quantum key share, as hosts do that read one TCP
// segment of it and no more: by an alert, or by closing.
func picky(closing bool) func(*tls.Config) {
	return func(c *tls.Config) {
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if !slices.Contains(hello.SupportedCurves, tls.X25519MLKEM768) {
				return nil, nil
			}
			if closing {
				hello.Conn.Close()
			}
			return nil, errors.New("too large")
		}
	}
}

// POL-10: a hello that a host cannot take is followed by a small one, before plaintext
// and where TLS is required as well.
func TestSmallHello(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	for name, closing := range map[string]bool{"alert": false, "close": true} {
		for _, required := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, network{addr1: {cert: &p.good, config: picky(closing)}})
				r.req.Plan.Offer, r.req.Plan.SmallHello = delivery.OfferAny, true
				version, travelled := "TLS1.2", "unverified"
				if required {
					r.enforcePKIX()
					r.req.Plan.Offer, version, travelled = delivery.OfferSound, "TLS1.3", "pkix"
				}
				rep := r.carry()
				if len(rep.Visit.Sessions) != 2 {
					t.Fatalf("%d sessions: %+v", len(rep.Visit.Sessions), rep.Visit.Sessions)
				}
				first, second := rep.Visit.Sessions[0], rep.Visit.Sessions[1]
				if first.TLSFailure == nil || !first.Again || first.SmallHello || second.Again || !second.SmallHello || second.Plaintext {
					t.Errorf("first %+v, second %+v", first, second)
				}
				if res := rep.Recipients[0]; res.Outcome != delivery.Delivered || res.TLS != travelled || second.TLS == nil || second.TLS.Version != version {
					t.Errorf("outcome %v over %q, TLS %+v, failure %v", res.Outcome, res.TLS, second.TLS, second.TLSFailure)
				}
				// Without the plan's word there is none.
				r.req.Plan.SmallHello = false
				if rep := r.carry(); rep.Visit.Sessions[0].Again || required && rep.Recipients[0].Outcome != delivery.Pending {
					t.Errorf("not asked for: %+v", rep.Visit.Sessions)
				}
			})
		}
	}
}

// Where no hello helps, plaintext follows as before; three connections in all.
func TestSmallHelloThenPlaintext(t *testing.T) {
	t.Parallel()
	mx := &peer{cert: &tls.Certificate{}} // none: internal error
	r := newRig(t, network{addr1: mx})
	r.req.Plan.Offer, r.req.Plan.SmallHello = delivery.OfferAny, true
	rep := r.carry()
	var kinds []string
	for _, s := range rep.Visit.Sessions {
		switch {
		case s.Plaintext:
			kinds = append(kinds, "plaintext")
		case s.SmallHello:
			kinds = append(kinds, "small")
		default:
			kinds = append(kinds, "full")
		}
	}
	if rep.Recipients[0].Outcome != delivery.Delivered || !slices.Equal(kinds, []string{"full", "small", "plaintext"}) {
		t.Errorf("%v by %v", rep.Recipients[0].Outcome, kinds)
	}
}

// What a hello cannot change is not tried twice.
func TestSmallMayHelp(t *testing.T) {
	t.Parallel()
	for _, w := range []reason.Word{reason.TLSTimeout, reason.TLSClosed, reason.TLSVersion, reason.TLSHandshake, "tls-alert-handshake-failure", "tls-alert-decode-error", "tls-alert-internal-error", "tls-alert-illegal-parameter"} {
		if !smallMayHelp(w) {
			t.Errorf("%s: no", w)
		}
	}
	for _, w := range []reason.Word{reason.StartTLSNotOffered, "starttls-reply-454", reason.StartTLSLost, reason.StartTLSInjection, reason.TLSNotTLS, reason.CertExpired, reason.CertMalformed, reason.CertUnknownKey, reason.CertWeakKey,
		reason.TLSWeakCipher, reason.TLSWeakSignature, "dane-no-match", "tls-alert-unrecognized-name", "tls-alert-certificate-required", "tls-alert-bad-certificate", "tls-alert-unknown-ca", ""} {
		if smallMayHelp(w) {
			t.Errorf("%s: yes", w)
		}
	}
}

// The suites of an offer: all of crypto/tls's, less what is broken.
func TestOfferedSuites(t *testing.T) {
	t.Parallel()
	any, strict := sound.CipherSuites(delivery.OfferAny), sound.CipherSuites(delivery.OfferSound)
	if want := len(tls.CipherSuites()) + len(tls.InsecureCipherSuites()); len(any) != want {
		t.Errorf("%d suites of %d", len(any), want)
	}
	for _, id := range any {
		name := tls.CipherSuiteName(id)
		broken := strings.Contains(name, "RC4") || strings.Contains(name, "3DES")
		if slices.Contains(strict, id) == broken {
			t.Errorf("%s: offered where TLS is required: %v", name, !broken)
		}
	}
}

// A probe looks as a mail would, and finds the small hello that helps.
func TestProbeSmallHello(t *testing.T) {
	t.Parallel()
	p, _ := makePKI()
	r := newRig(t, network{addr1: {cert: &p.good, config: picky(true)}})
	r.req.Plan.Offer, r.req.Plan.SmallHello = delivery.OfferAny, true
	if found := r.client.Probe(t.Context(), look(r.req.Plan), r.req.Plan.Host.Addrs[0]); found.TLS == nil || !found.SmallHello || found.TLSFailure != nil {
		t.Errorf("%+v", found)
	}
}
