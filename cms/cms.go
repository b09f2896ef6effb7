// Package cms signs octets with a certificate, as CMS SignedData (RFC 5652) that has the
// octets in it, the certificates of the signer, and one signature with signed attributes
// (§5.3): SHA-256, by RSA (RFC 3370 §3.2, RFC 5754 §3.2) or ECDSA (RFC 5753 §2.1). It verifies nothing.
package cms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// oid makes an object identifier.
func oid(n ...int) asn1.ObjectIdentifier { return n }

// Identifiers (RFC 5652 §12.1, RFC 5754 §2.2 and §3).
func data() asn1.ObjectIdentifier       { return oid(1, 2, 840, 113549, 1, 7, 1) }
func signedType() asn1.ObjectIdentifier { return oid(1, 2, 840, 113549, 1, 7, 2) }
func digest() pkix.AlgorithmIdentifier {
	return pkix.AlgorithmIdentifier{Algorithm: oid(2, 16, 840, 1, 101, 3, 4, 2, 1)} // id-sha256; RFC 5754 §2: parameters are absent
}

type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content signedData `asn1:"explicit,tag:0"`
}

type signedData struct {
	Version      int
	Digests      []pkix.AlgorithmIdentifier `asn1:"set"`
	Content      encapsulated
	Certificates asn1.RawValue
	Signers      []signer `asn1:"set"`
}

type encapsulated struct {
	Type    asn1.ObjectIdentifier
	Content []byte `asn1:"explicit,tag:0"`
}

type signer struct {
	Version    int
	Identifier issuerAndSerial
	Digest     pkix.AlgorithmIdentifier
	Attributes asn1.RawValue
	Algorithm  pkix.AlgorithmIdentifier
	Signature  []byte
}

type issuerAndSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}

type attribute struct {
	Type   asn1.ObjectIdentifier
	Values []any `asn1:"set"`
}

// Sign signs content with a key, at a time. chain is the key's certificate and what leads to
// its authority.
func Sign(content []byte, chain []*x509.Certificate, key crypto.Signer, at time.Time) ([]byte, error) {
	if len(chain) == 0 {
		return nil, errors.New("sign: there is no certificate")
	}
	algorithm, err := algorithmOf(key)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(content)
	attributes, err := asn1.MarshalWithParams([]attribute{
		{oid(1, 2, 840, 113549, 1, 9, 3), []any{data()}},   // contentType, RFC 5652 §11.1
		{oid(1, 2, 840, 113549, 1, 9, 4), []any{hash[:]}},  // messageDigest, §11.2
		{oid(1, 2, 840, 113549, 1, 9, 5), []any{at.UTC()}}, // signingTime, §11.3
	}, "set")
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	// §5.4: what is signed has the tag of a SET, and what is written that of the field.
	toSign := sha256.Sum256(attributes)
	signature, err := key.Sign(rand.Reader, toSign[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	attributes[0] = 0xa0
	var certificates []byte
	for _, c := range chain {
		certificates = append(certificates, c.Raw...)
	}
	out, err := asn1.Marshal(contentInfo{Type: signedType(), Content: signedData{
		Version: 1, Digests: []pkix.AlgorithmIdentifier{digest()}, Content: encapsulated{data(), content},
		Certificates: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: certificates},
		Signers: []signer{{Version: 1, Identifier: issuerAndSerial{asn1.RawValue{FullBytes: chain[0].RawIssuer}, chain[0].SerialNumber},
			Digest: digest(), Attributes: asn1.RawValue{FullBytes: attributes}, Algorithm: algorithm, Signature: signature}},
	}})
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return out, nil
}

// algorithmOf is how a key signs.
func algorithmOf(key crypto.Signer) (pkix.AlgorithmIdentifier, error) {
	switch key.Public().(type) {
	case *rsa.PublicKey:
		return pkix.AlgorithmIdentifier{Algorithm: oid(1, 2, 840, 113549, 1, 1, 1), Parameters: asn1.NullRawValue}, nil // rsaEncryption, RFC 5754 §3.2
	case *ecdsa.PublicKey:
		return pkix.AlgorithmIdentifier{Algorithm: oid(1, 2, 840, 10045, 4, 3, 2)}, nil // ecdsa-with-SHA256
	}
	return pkix.AlgorithmIdentifier{}, fmt.Errorf("sign: a key of type %T is none of RSA and ECDSA", key.Public())
}
