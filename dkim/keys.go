package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"waxwing/internal/foreign"
)

// The algorithms, as a= names them.
const (
	RSASHA256     = "rsa-sha256"
	Ed25519SHA256 = "ed25519-sha256"
)

// minRSA is the smallest RSA key that verifies, and minSignRSA the smallest we
// sign with (RFC 8301 §3.2). maxRSA bounds what a stranger's key may cost us.
const (
	minRSA     = 1024
	minSignRSA = 2048
	maxRSA     = 8192
)

// record is a published key (RFC 6376 §3.6.1).
type record struct {
	public   crypto.PublicKey
	kind     string   // "rsa", "ed25519"
	bits     int      // of an RSA key
	hashes   []string // h=; nil: all
	services []string // s=; nil: all
	strict   bool     // t=s
	testing  bool     // t=y
}

var errRevoked = errors.New("the key has been revoked")

func parseRecord(txt string) (record, error) {
	ts, err := parseTags([]byte(txt))
	if err != nil {
		return record{}, fmt.Errorf("key record: %w", err)
	}
	if v, ok := ts.get("v"); ok && (v != "DKIM1" || ts[0].name != "v") {
		return record{}, errors.New("key record: v= must come first and be DKIM1")
	}
	p, ok := ts.get("p")
	if !ok {
		return record{}, errors.New("key record without p=")
	}
	if unspace(p) == "" {
		return record{}, errRevoked
	}
	der, err := decode64(p)
	if err != nil {
		return record{}, fmt.Errorf("key record: p=: %w", err)
	}
	r := record{kind: strings.ToLower(ts.compact("k")), hashes: ts.list("h"), services: ts.list("s")}
	if slices.Contains(r.services, "*") {
		r.services = nil
	}
	flags := ts.list("t")
	r.strict, r.testing = slices.Contains(flags, "s"), slices.Contains(flags, "y")
	return r, r.parsePublic(der)
}

func (r *record) parsePublic(der []byte) error {
	switch r.kind {
	case "", "rsa":
		r.kind = "rsa"
		key, err := parseRSA(der)
		if err != nil {
			return err
		}
		r.public, r.bits = key, key.N.BitLen()
		if r.bits < minRSA || r.bits > maxRSA {
			return fmt.Errorf("key record: an RSA key of %d bits is not accepted (%d to %d are)", r.bits, minRSA, maxRSA)
		}
		return nil
	case "ed25519":
		if len(der) != ed25519.PublicKeySize {
			return fmt.Errorf("key record: an Ed25519 key has %d octets, not %d", ed25519.PublicKeySize, len(der))
		}
		r.public = ed25519.PublicKey(der)
		return nil
	}
	return fmt.Errorf("key record: unknown key type %q", foreign.Clip(r.kind, 60))
}

// parseRSA takes both forms that are published (RFC 6376 erratum 3017).
func parseRSA(der []byte) (*rsa.PublicKey, error) {
	if k, err := x509.ParsePKIXPublicKey(der); err == nil {
		if key, ok := k.(*rsa.PublicKey); ok {
			return key, nil
		}
		return nil, errors.New("key record: p= is not an RSA key")
	}
	key, err := x509.ParsePKCS1PublicKey(der)
	if err != nil {
		return nil, errors.New("key record: p= is not an RSA key")
	}
	return key, nil
}

// Algorithm is the a= that a key signs with.
func Algorithm(pub crypto.PublicKey) (string, error) {
	switch k := pub.(type) {
	case ed25519.PublicKey:
		return Ed25519SHA256, nil
	case *rsa.PublicKey:
		if b := k.N.BitLen(); b < minSignRSA {
			return "", fmt.Errorf("an RSA key of %d bits is too weak to sign with; use %d (RFC 8301 §3.2)", b, minSignRSA)
		}
		return RSASHA256, nil
	}
	return "", fmt.Errorf("DKIM knows RSA and Ed25519 keys, not %T", pub)
}

// Record is the text of the TXT record to publish at
// selector._domainkey.domain; no services means all.
func Record(pub crypto.PublicKey, services ...string) (string, error) {
	if _, err := Algorithm(pub); err != nil {
		return "", err
	}
	text := "v=DKIM1; k=ed25519"
	der, _ := pub.(ed25519.PublicKey)
	if _, ok := pub.(*rsa.PublicKey); ok {
		text = "v=DKIM1; k=rsa"
		var err error
		if der, err = x509.MarshalPKIXPublicKey(pub); err != nil {
			return "", err
		}
	}
	if len(services) > 0 {
		text += "; s=" + strings.Join(services, ":")
	}
	return text + "; p=" + base64.StdEncoding.EncodeToString(der), nil
}

// GenerateEd25519 makes a new Ed25519 key.
func GenerateEd25519() (crypto.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

// GenerateRSA makes a new RSA key; bits 0 is 2048.
func GenerateRSA(bits int) (crypto.Signer, error) {
	if bits == 0 {
		bits = minSignRSA
	}
	return rsa.GenerateKey(rand.Reader, bits)
}

// MarshalPrivate writes a key as PKCS #8 PEM. It is a secret.
func MarshalPrivate(key crypto.Signer) ([]byte, error) {
	if _, err := Algorithm(key.Public()); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ParsePrivate reads a PEM key, PKCS #8 or PKCS #1. The errors do not hold the key.
func ParsePrivate(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("private key is not PEM: it starts with -----BEGIN PRIVATE KEY-----")
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("PEM block %q is no private key that DKIM can use", foreign.Clip(block.Type, 60))
	}
	if err != nil {
		return nil, errors.New("private key is damaged")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("DKIM cannot sign with a key of type %T", key)
	}
	_, err = Algorithm(signer.Public())
	return signer, err
}
