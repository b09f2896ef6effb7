// Package webauthn checks what browsers say for passkeys (W3C Web Authentication, Level 3): that a credential was made
// for this site (§7.1), and that its owner has signed a challenge (§7.2). Attestation is not asked for: who made
// an authenticator does not matter here. So no CBOR is read: the browser gives the public key as SubjectPublicKeyInfo (§5.2.1.1).
package webauthn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
)

// Party is this site, as browsers know it (the relying party).
type Party struct {
	ID     string // host name
	Origin string // scheme, host and port of the pages
}

// Credential is a passkey, as the site keeps it.
type Credential struct {
	ID     []byte
	Public []byte // SubjectPublicKeyInfo, DER
	Count  uint32 // of signatures; 0: its authenticator does not count
}

// Made is what a browser says of a credential that it has made.
type Made struct {
	Client        []byte // clientDataJSON
	Authenticator []byte // authenticator data
	Public        []byte // SubjectPublicKeyInfo, DER
}

// Signed is what a browser says of a challenge that was signed.
type Signed struct {
	ID            []byte
	Client        []byte
	Authenticator []byte
	Signature     []byte
}

// Bounds of what a browser may say, in octets. An id has up to 1023 (§4).
const (
	maxClient        = 8 << 10
	maxAuthenticator = 16 << 10
	maxPublic        = 2 << 10
	maxSignature     = 2 << 10
	maxID            = 1023
	minRSA           = 2048 // bits
)

// Algorithms are those that Verify knows, the preferred one first, by their numbers in COSE: ES256, EdDSA, RS256.
func Algorithms() []int { return []int{-7, -8, -257} }

// ErrWrong is all that a user is told; what it wraps is for the log.
var ErrWrong = errors.New("the passkey could not be verified")

func wrong(why string) error { return fmt.Errorf("%w: %s", ErrWrong, why) }

// The flags of authenticator data (§6.1).
const (
	userPresent = 1 << 0
	hasKey      = 1 << 6
)

// head is the length of authenticator data without what may follow: the hash of the party's id, flags, counter.
const head = sha256.Size + 1 + 4

// Register checks a credential that was made for a challenge (§7.1).
func (p Party) Register(challenge []byte, m Made) (Credential, error) {
	if len(m.Public) > maxPublic {
		return Credential{}, wrong("the key is too long")
	}
	if err := p.client(m.Client, "webauthn.create", challenge); err != nil {
		return Credential{}, err
	}
	flags, count, rest, err := p.authenticator(m.Authenticator)
	if err != nil {
		return Credential{}, err
	}
	const aaguid = 16
	if flags&hasKey == 0 || len(rest) < aaguid+2 {
		return Credential{}, wrong("there is no credential in the authenticator data")
	}
	rest = rest[aaguid:]
	size := int(binary.BigEndian.Uint16(rest))
	if rest = rest[2:]; size == 0 || size > maxID || size > len(rest) {
		return Credential{}, wrong("the credential's id is cut off or too long")
	}
	if _, err := parseKey(m.Public); err != nil {
		return Credential{}, err
	}
	return Credential{ID: append([]byte(nil), rest[:size]...), Public: m.Public, Count: count}, nil
}

// Verify checks that the owner of a credential has signed a challenge (§7.2), and returns the counter that is to be kept.
func (p Party) Verify(challenge []byte, c Credential, s Signed) (uint32, error) {
	if len(s.Signature) > maxSignature || subtle.ConstantTimeCompare(s.ID, c.ID) != 1 {
		return 0, wrong("it is another credential's")
	}
	if err := p.client(s.Client, "webauthn.get", challenge); err != nil {
		return 0, err
	}
	_, count, _, err := p.authenticator(s.Authenticator)
	if err != nil {
		return 0, err
	}
	key, err := parseKey(c.Public)
	if err != nil {
		return 0, err
	}
	sum := sha256.Sum256(s.Client)
	if !valid(key, append(append([]byte(nil), s.Authenticator...), sum[:]...), s.Signature) {
		return 0, wrong("the signature is not that of the key")
	}
	if (count != 0 || c.Count != 0) && count <= c.Count { // §6.1.1
		return 0, wrong("its counter went back: there may be a copy of it")
	}
	return count, nil
}

// client checks what the browser itself has put together (§5.8.1).
func (p Party) client(raw []byte, kind string, challenge []byte) error {
	var d struct {
		Type        string `json:"type"`
		Challenge   string `json:"challenge"`
		Origin      string `json:"origin"`
		CrossOrigin bool   `json:"crossOrigin"`
	}
	if len(raw) > maxClient || json.Unmarshal(raw, &d) != nil {
		return wrong("the client data cannot be read")
	}
	said, err := base64.RawURLEncoding.DecodeString(d.Challenge)
	switch {
	case d.Type != kind:
		return wrong("it is for something else")
	case err != nil || len(challenge) < 16 || subtle.ConstantTimeCompare(said, challenge) != 1:
		return wrong("it is for another challenge")
	case d.CrossOrigin || !sameOrigin(d.Origin, p.Origin):
		return wrong("it is for another site")
	}
	return nil
}

// sameOrigin compares origins, which a browser writes without the scheme's own port.
func sameOrigin(a, b string) bool {
	x, err := url.Parse(a)
	y, err2 := url.Parse(b)
	return err == nil && err2 == nil && x.Scheme != "" && x.Host != "" && x.Scheme == y.Scheme && x.Hostname() == y.Hostname() && port(x) == port(y)
}

func port(u *url.URL) string {
	if u.Port() == "" {
		return map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Port()
}

// authenticator reads authenticator data (§6.1). rest is what follows the counter.
func (p Party) authenticator(raw []byte) (flags byte, count uint32, rest []byte, err error) {
	if len(raw) < head || len(raw) > maxAuthenticator {
		return 0, 0, nil, wrong("the authenticator data is too short or too long")
	}
	id := sha256.Sum256([]byte(p.ID))
	flags = raw[sha256.Size]
	switch {
	case subtle.ConstantTimeCompare(raw[:sha256.Size], id[:]) != 1:
		return 0, 0, nil, wrong("it is for another host")
	case flags&userPresent == 0:
		return 0, 0, nil, wrong("nobody was present")
	}
	return flags, binary.BigEndian.Uint32(raw[sha256.Size+1:]), raw[head:], nil
}

// parseKey reads a public key of one of Algorithms.
func parseKey(der []byte) (crypto.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, wrong("the key cannot be read")
	}
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return k, nil
		}
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n >= minRSA && n <= 4096 {
			return k, nil
		}
	case ed25519.PublicKey:
		return k, nil
	}
	return nil, wrong("the key is of no sort that is taken")
}

func valid(key crypto.PublicKey, signed, signature []byte) bool {
	sum := sha256.Sum256(signed)
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, sum[:], signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], signature) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(k, signed, signature)
	}
	return false
}
