// Package sound tells TLS that proves something from TLS that is merely better than
// plaintext (POL-10): versions, cipher suites, signatures and keys. It is pure.
//
// The module's godebug settings (go.mod) let through what crypto/tls would refuse
// whatever a Config says: SHA-1 signatures in TLS 1.2, RSA keys under 1024 and over
// 8192 bits, negative serial numbers. They hold for the whole process, so whoever
// rests on a TLS session asks here first.
package sound

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/tlsrpt"
)

// MinRSA is the least size of an RSA key that proves anything, in bits.
const MinRSA = 1024

// CipherSuites are those of TLS 1.2 and older that an offer names; those of TLS 1.3
// are all good and not for choosing. Of what crypto/tls calls insecure, a sound offer
// has the RSA key exchange and CBC with SHA-256: not what one would choose, and not
// broken. The order is not used: crypto/tls has its own, modern ones first.
func CipherSuites(offer delivery.TLSOffer) []uint16 {
	var ids []uint16
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if offer == delivery.OfferAny || !brokenCipher(s.ID) {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// brokenCipher: RC4 (RFC 7465) and 3DES (RFC 9325 §4.2).
func brokenCipher(suite uint16) bool {
	name := tls.CipherSuiteName(suite)
	return strings.Contains(name, "_RC4_") || strings.Contains(name, "_3DES_")
}

// Signatures are the handshake signatures that prove something, for a
// tls.Certificate: without SHA-1 (RFC 9155).
func Signatures() []tls.SignatureScheme {
	return []tls.SignatureScheme{
		tls.PSSWithSHA256, tls.PSSWithSHA384, tls.PSSWithSHA512, tls.PKCS1WithSHA256, tls.PKCS1WithSHA384, tls.PKCS1WithSHA512,
		tls.ECDSAWithP256AndSHA256, tls.ECDSAWithP384AndSHA384, tls.ECDSAWithP521AndSHA512, tls.Ed25519,
	}
}

// WeakKey reports a certificate whose RSA key is too small to prove anything.
func WeakKey(c *x509.Certificate) bool {
	key, ok := c.PublicKey.(*rsa.PublicKey)
	return ok && key.N.BitLen() < MinRSA
}

// WeakPath is nil if one of the verified chains holds no key that proves nothing.
func WeakPath(paths [][]*x509.Certificate) error {
	var weak *x509.Certificate
	for _, path := range paths {
		i := slices.IndexFunc(path, WeakKey)
		if i < 0 {
			return nil
		}
		weak = path[i]
	}
	if weak == nil {
		return nil
	}
	return &KeyError{Cert: weak}
}

// KeyError is a chain that is good but for a key in it that proves nothing.
type KeyError struct{ Cert *x509.Certificate }

func (e *KeyError) Error() string {
	return fmt.Sprintf("the certificate of %q has an RSA key under %d bits", e.Cert.Subject.String(), MinRSA)
}

// Weakness is why a TLS session is less than a sound one; nil: it is not.
func Weakness(cs *tls.ConnectionState) *delivery.TLSFailure {
	weak := func(t tlsrpt.ResultType, why reason.Word, format string, args ...any) *delivery.TLSFailure {
		return &delivery.TLSFailure{Type: t, Word: why, Text: fmt.Sprintf(format, args...)}
	}
	switch {
	case cs.Version < tls.VersionTLS12:
		return weak(tlsrpt.ValidationFailure, reason.TLSVersion, "the session is %s, and nothing under TLS 1.2 is sound (RFC 8996)", tls.VersionName(cs.Version))
	case brokenCipher(cs.CipherSuite):
		return weak(tlsrpt.ValidationFailure, reason.TLSWeakCipher, "the cipher suite %s is broken", tls.CipherSuiteName(cs.CipherSuite))
	case len(cs.PeerCertificates) > 0 && WeakKey(cs.PeerCertificates[0]):
		return weak(tlsrpt.CertificateNotTrusted, reason.CertWeakKey, "the certificate's RSA key has %d bits, and needs %d at least",
			cs.PeerCertificates[0].PublicKey.(*rsa.PublicKey).N.BitLen(), MinRSA)
	}
	if s := handshakeSignature(cs); s == tls.PKCS1WithSHA1 || s == tls.ECDSAWithSHA1 {
		return weak(tlsrpt.ValidationFailure, reason.TLSWeakSignature, "the handshake is signed with %s, which is broken (RFC 9155)", s)
	}
	return nil
}

// handshakeSignature is the algorithm of the peer's signature in the handshake; 0 where
// there is none, or crypto/tls does not say: it keeps it in a field that it does not
// export. A test of package session fails if that field is no longer there.
func handshakeSignature(cs *tls.ConnectionState) tls.SignatureScheme {
	f := reflect.ValueOf(cs).Elem().FieldByName("testingOnlyPeerSignatureAlgorithm")
	if !f.CanUint() {
		return 0 // no such field, or another kind of one
	}
	return tls.SignatureScheme(f.Uint())
}
