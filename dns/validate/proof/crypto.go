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

	wire "github.com/miekg/dns"
)

// Algorithms verifies signatures, by the number of the algorithm. What it does not
// have makes a zone insecure (VAL-4).
type Algorithms map[uint8]func(key, data, signature []byte) bool

// Standard are the algorithms that RFC 9904 lists for validation and the standard
// library has. RSA with SHA-1 must not be relied on any more (RFC 9905); Ed448 is
// not there.
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
	}
}

// VerifyRSA verifies a PKCS #1 v1.5 signature by a key in the form of RFC 3110.
func VerifyRSA(hash crypto.Hash, key, digest, sig []byte) bool {
	if len(key) < 3 {
		return false
	}
	n, at := int(key[0]), 1
	if n == 0 {
		n, at = int(key[1])<<8|int(key[2]), 3
	}
	// An exponent of up to 31 bits, a modulus of 512 to 4096 (RFC 3110 §2, RFC 5702 §2).
	if n == 0 || n > 4 || len(key) < at+n+64 || len(key)-at-n > 512 {
		return false
	}
	e := new(big.Int).SetBytes(key[at : at+n])
	if !e.IsInt64() || e.Int64() >= 1<<31 {
		return false
	}
	pub := &rsa.PublicKey{E: int(e.Int64()), N: new(big.Int).SetBytes(key[at+n:])}
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

// digestOf hashes as a DS record of that type does; nil: such are not relied on
// (RFC 9904 §3: SHA-256 and SHA-384; SHA-1 is out).
func digestOf(digestType uint8, b []byte) []byte {
	switch digestType {
	case wire.SHA256:
		h := sha256.Sum256(b)
		return h[:]
	case wire.SHA384:
		h := sha512.Sum384(b)
		return h[:]
	}
	return nil
}

// matches reports whether ds is of key.
func matches(ds *wire.DS, key *wire.DNSKEY) bool {
	if ds.Algorithm != key.Algorithm || ds.KeyTag != key.KeyTag() {
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
	sum := digestOf(ds.DigestType, append(b, data...))
	want, err := hex.DecodeString(ds.Digest)
	return err == nil && sum != nil && subtle.ConstantTimeCompare(sum, want) == 1
}

func decode(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}
