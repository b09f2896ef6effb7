package proof

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"math/bits"
	"time"

	"github.com/cloudflare/circl/sign/ed448"
	wire "github.com/miekg/dns"
)

// Algorithms verifies signatures, by the number of the algorithm. What it does not
// have makes a zone insecure (VAL-4).
type Algorithms map[uint8]func(key, data, signature []byte) bool

// Standard are the algorithms that RFC 9904 lists for validation. RSA with SHA-1 must
// not be relied on any more (RFC 9905).
func Standard() Algorithms {
	return Algorithms{
		wire.RSASHA256: func(key, data, sig []byte) bool {
			h := sha256.Sum256(data)
			return VerifyRSA(crypto.SHA256, key, h[:], sig)
		},
		wire.RSASHA512: func(key, data, sig []byte) bool {
			h := sha512.Sum512(data)
			return VerifyRSA(crypto.SHA512, key, h[:], sig)
		},
		wire.ECDSAP256SHA256: func(key, data, sig []byte) bool {
			h := sha256.Sum256(data)
			return verifyECDSA(elliptic.P256(), key, h[:], sig)
		},
		wire.ECDSAP384SHA384: func(key, data, sig []byte) bool {
			h := sha512.Sum384(data)
			return verifyECDSA(elliptic.P384(), key, h[:], sig)
		},
		wire.ED25519: func(key, data, sig []byte) bool {
			return len(key) == ed25519.PublicKeySize && len(sig) == ed25519.SignatureSize && ed25519.Verify(key, data, sig)
		},
		wire.ED448: func(key, data, sig []byte) bool { // RFC 8080: Ed448 without a context
			return len(key) == ed448.PublicKeySize && len(sig) == ed448.SignatureSize && ed448.Verify(key, data, sig, "")
		},
	}
}

// VerifyRSA verifies a PKCS #1 v1.5 signature by a key in the form of RFC 3110.
func VerifyRSA(hash crypto.Hash, key, digest, sig []byte) bool {
	n, exponent, ok := splitRSA(key)
	if !ok {
		return false
	}
	e := new(big.Int).SetBytes(exponent)
	if !e.IsInt64() || e.Int64() >= 1<<31 {
		return false
	}
	pub := &rsa.PublicKey{E: int(e.Int64()), N: new(big.Int).SetBytes(n)}
	return rsa.VerifyPKCS1v15(pub, hash, digest, sig) == nil
}

// verifyECDSA verifies by a key and a signature in the form of RFC 6605 §4.
func verifyECDSA(curve elliptic.Curve, key, digest, sig []byte) bool {
	size := (curve.Params().BitSize + 7) / 8
	if len(key) != 2*size || len(sig) != 2*size {
		return false
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(curve, append([]byte{4}, key...))
	if err != nil {
		return false
	}
	return ecdsa.Verify(pub, digest, new(big.Int).SetBytes(sig[:size]), new(big.Int).SetBytes(sig[size:]))
}

// Digests hash as DS records do, by the number of the digest.
type Digests map[uint8]func(b []byte) []byte

// StandardDigests are SHA-256 and SHA-384 (RFC 9904 §3): SHA-1 is relied on no more.
func StandardDigests() Digests {
	return Digests{
		wire.SHA256: func(b []byte) []byte { h := sha256.Sum256(b); return h[:] },
		wire.SHA384: func(b []byte) []byte { h := sha512.Sum384(b); return h[:] },
	}
}

// matches reports whether ds is of key.
func (d Digests) matches(ds *wire.DS, key *wire.DNSKEY) bool {
	digest := d[ds.DigestType]
	if digest == nil || ds.Algorithm != key.Algorithm || ds.KeyTag != key.KeyTag() {
		return false
	}
	b, err := appendName(nil, key.Hdr.Name)
	if err != nil {
		return false
	}
	data, err := rdata(key)
	if err != nil {
		return false
	}
	want, err := hex.DecodeString(ds.Digest)
	return err == nil && subtle.ConstantTimeCompare(digest(append(b, data...)), want) == 1
}

// cost is about what one verification by a key takes of a processor, so that a zone
// cannot choose the dearest keys to cost us more (VAL-7). A test holds it against what is measured.
func (k *key) cost() time.Duration {
	switch k.algorithm {
	case wire.ECDSAP384SHA384:
		return 900 * time.Microsecond
	case wire.ED448:
		return 600 * time.Microsecond
	case wire.ECDSAP256SHA256, wire.ED25519:
		return 150 * time.Microsecond
	}
	modulus, exponent := rsaSizes(k.public)
	unit := time.Duration(modulus) * time.Duration(modulus) * 60 * time.Microsecond / (2048 * 2048)
	return 20*time.Microsecond + unit*time.Duration(max(17, exponent))/17
}

// rsaSizes are the bits of a key's modulus, and the multiplications that its exponent makes necessary.
func rsaSizes(key []byte) (modulus, exponent int) {
	n, e, ok := splitRSA(key)
	if !ok {
		return 0, 0
	}
	x := uint64(0)
	for _, b := range e {
		x = x<<8 | uint64(b)
	}
	return len(n) * 8, bits.Len64(x) + bits.OnesCount64(x) - 1
}

// splitRSA reads a key in the form of RFC 3110 §2: an exponent of up to 31 bits, a
// modulus of 512 to 4096 (RFC 5702 §2).
func splitRSA(key []byte) (modulus, exponent []byte, ok bool) {
	if len(key) < 3 {
		return nil, nil, false
	}
	n, at := int(key[0]), 1
	if n == 0 {
		n, at = int(key[1])<<8|int(key[2]), 3
	}
	if n == 0 || n > 4 || len(key) < at+n+64 || len(key)-at-n > 512 {
		return nil, nil, false
	}
	return key[at+n:], key[at : at+n], true
}

func decode(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}
