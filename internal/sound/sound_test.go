package sound

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
)

// POL-10: any offer names every suite, a sound one all but RC4 and 3DES.
func TestCipherSuites(t *testing.T) {
	t.Parallel()
	anything, good := CipherSuites(delivery.OfferAny), CipherSuites(delivery.OfferSound)
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		broken := strings.Contains(s.Name, "RC4") || strings.Contains(s.Name, "3DES")
		if !slices.Contains(anything, s.ID) || slices.Contains(good, s.ID) == broken {
			t.Errorf("%s: offered %v, soundly %v", s.Name, slices.Contains(anything, s.ID), slices.Contains(good, s.ID))
		}
	}
	for _, id := range []uint16{tls.TLS_RSA_WITH_RC4_128_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA} {
		if !slices.Contains(anything, id) || slices.Contains(good, id) {
			t.Errorf("%s", tls.CipherSuiteName(id))
		}
	}
	if !slices.Contains(good, tls.TLS_RSA_WITH_AES_128_GCM_SHA256) {
		t.Error("AES with RSA key exchange is not offered")
	}
}

// withRSA is a certificate of a key that has so many bits.
func withRSA(cn string, bits uint) *x509.Certificate {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return &x509.Certificate{Subject: pkix.Name{CommonName: cn}, PublicKey: &rsa.PublicKey{N: n, E: 65537}}
}

func TestWeakKey(t *testing.T) {
	t.Parallel()
	ec := &x509.Certificate{PublicKey: &ecdsa.PublicKey{Curve: elliptic.P256()}}
	for _, c := range []struct {
		name string
		cert *x509.Certificate
		want bool
	}{{"512 bits", withRSA("a", 512), true}, {"1023", withRSA("a", 1023), true}, {"1024", withRSA("a", 1024), false}, {"no RSA", ec, false}} {
		if got := WeakKey(c.cert); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// One chain without a weak key is enough, wherever in another the weak one stands.
func TestWeakPath(t *testing.T) {
	t.Parallel()
	weak, leaf, root := withRSA("weak", 512), withRSA("leaf", 2048), withRSA("root", 2048)
	for _, c := range []struct {
		name  string
		paths [][]*x509.Certificate
		weak  bool
	}{
		{"no chain", nil, false},
		{"good", [][]*x509.Certificate{{leaf, root}}, false},
		{"weak leaf", [][]*x509.Certificate{{weak, root}}, true},
		{"weak root", [][]*x509.Certificate{{leaf, weak}}, true},
		{"one of two", [][]*x509.Certificate{{leaf, weak}, {leaf, root}}, false},
		{"both of two", [][]*x509.Certificate{{leaf, weak}, {weak, root}}, true},
	} {
		err := WeakPath(c.paths)
		var key *KeyError
		if (err != nil) != c.weak || c.weak && (!errors.As(err, &key) || key.Cert != weak || !strings.Contains(err.Error(), "CN=weak")) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// POL-10: what a session lacks, the gravest first.
func TestWeakness(t *testing.T) {
	t.Parallel()
	const aes = tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
	certs := func(bits ...uint) (list []*x509.Certificate) {
		for _, b := range bits {
			list = append(list, withRSA("a", b))
		}
		return list
	}
	for _, c := range []struct {
		name   string
		cs     tls.ConnectionState
		signed tls.SignatureScheme
		want   reason.Word
	}{
		{"TLS 1.3", tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256, PeerCertificates: certs(2048)}, tls.PSSWithSHA256, ""},
		{"TLS 1.2", tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: aes, PeerCertificates: certs(2048)}, tls.PKCS1WithSHA256, ""},
		{"TLS 1.1", tls.ConnectionState{Version: tls.VersionTLS11, CipherSuite: aes, PeerCertificates: certs(512)}, 0, reason.TLSVersion},
		{"RC4", tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: tls.TLS_RSA_WITH_RC4_128_SHA, PeerCertificates: certs(512)}, 0, reason.TLSWeakCipher},
		{"3DES", tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}, 0, reason.TLSWeakCipher},
		{"small key", tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: aes, PeerCertificates: certs(512)}, tls.PKCS1WithSHA1, reason.CertWeakKey},
		{"small key of an issuer", tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: aes, PeerCertificates: certs(2048, 512)}, 0, ""},
		{"no certificate", tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: aes}, 0, ""},
		{"SHA-1 with RSA", tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: aes, PeerCertificates: certs(2048)}, tls.PKCS1WithSHA1, reason.TLSWeakSignature},
		{"SHA-1 with ECDSA", tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: aes}, tls.ECDSAWithSHA1, reason.TLSWeakSignature},
	} {
		f := reflect.ValueOf(&c.cs).Elem().FieldByName("testingOnlyPeerSignatureAlgorithm")
		reflect.NewAt(f.Type(), f.Addr().UnsafePointer()).Elem().SetUint(uint64(c.signed))
		got := Weakness(&c.cs)
		if (got == nil) != (c.want == "") || got != nil && (got.Word != c.want || got.Text == "") {
			t.Errorf("%s: %+v, want %q", c.name, got, c.want)
		}
	}
}
