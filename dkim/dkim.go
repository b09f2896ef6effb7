package dkim

import (
	"context"
	"crypto"
	"time"

	"waxwing/dns"
)

// Key is a private key with the name its public half is published under.
type Key struct {
	Domain   dns.Name
	Selector string
	Signer   crypto.Signer // *rsa.PrivateKey or ed25519.PrivateKey
}

// SignOptions say how Sign does its work. The zero value is good for mail.
type SignOptions struct {
	// Headers are further fields to sign where the message has them, beside the
	// usual ones: "TLS-Report-Domain", …
	Headers    []string
	Now        func() time.Time // nil: time.Now
	Expiration time.Duration    // x= this long after now; 0: none
}

// Result is the outcome of one signature, in the words of RFC 8601 §2.7.1.
type Result string

// The results. Policy is a signature that fits and that we still do not take.
const (
	Pass      Result = "pass"
	Fail      Result = "fail"
	Policy    Result = "policy"
	PermError Result = "permerror"
	TempError Result = "temperror"
)

// Verification is what became of one signature.
type Verification struct {
	Domain        dns.Name // d=; zero where the signature could not be read so far
	Selector      string
	Identity      string // i=, or "@" and the domain
	Algorithm     string // a=: "rsa-sha256", "ed25519-sha256"
	KeyBits       int    // size of an RSA key; 0 where none was read
	Result        Result
	BodyLength    bool         // l= is there: the end of the body may be anybody's
	Services      []string     // the key's s=; nil: all
	Testing       bool         // the key says t=y
	DNSSEC        dns.Security // of the key's lookup
	Err           error        // why it did not pass
	SignedHeaders []string     // h=, lower case, in order
	Signed        time.Time    // t=; zero: not given
	Expires       time.Time    // x=; zero: never
	Signature     string       // the start of b=, for header.b of RFC 6008
}

// Allows reports whether the key may be used for a service: "email" or
// "tlsrpt" (RFC 6376 §3.6.1, RFC 8460 §3). A key without s=, or with "*", may.
func (v Verification) Allows(service string) bool { return false }

// Limits bound Verify. A zero field is its default.
type Limits struct {
	Signatures int              // looked at, from the top: 8
	Now        func() time.Time // nil: time.Now
}

// Sign returns one DKIM-Signature field for each key, ready to be put before
// msg, which has CRLF line ends. The signed fields are named once more than
// they occur where adding one would deceive the reader.
func Sign(msg []byte, keys []Key, opts SignOptions) ([]byte, error) { return nil, nil }

// Verify checks the signatures of msg. The error is one of the message; what
// is wrong with a signature stands in its Verification. A key whose service
// types leave out e-mail may pass: ask Allows.
func Verify(ctx context.Context, r dns.Resolver, msg []byte, limits Limits) ([]Verification, error) {
	return nil, nil
}

// Record is the TXT record to publish at selector._domainkey.domain; services
// nil means all.
func Record(pub crypto.PublicKey, services ...string) (string, error) { return "", nil }

// GenerateEd25519 makes a new Ed25519 key.
func GenerateEd25519() (crypto.Signer, error) { return nil, nil }

// GenerateRSA makes a new RSA key; bits 0 is 2048.
func GenerateRSA(bits int) (crypto.Signer, error) { return nil, nil }

// MarshalPrivate writes a key as PKCS #8 PEM. It is a secret.
func MarshalPrivate(key crypto.Signer) ([]byte, error) { return nil, nil }

// ParsePrivate reads a PEM key, PKCS #8 or PKCS #1.
func ParsePrivate(pem []byte) (crypto.Signer, error) { return nil, nil }
