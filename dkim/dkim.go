package dkim

import (
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
	BodyRest      bool         // l= covers less than the body has; known where the signature passes
	Services      []string     // the key's s=; nil: all
	Testing       bool         // the key says t=y
	DNSSEC        dns.Security // of the key's lookup
	Err           error        // why it did not pass
	SignedHeaders []string     // h=, lower case, in order
	Signed        time.Time    // t=; zero: not given
	Expires       time.Time    // x=; zero: never
	Signature     string       // the start of b=, for header.b of RFC 6008
}

// Limits bound Verify. A zero field is its default.
type Limits struct {
	Signatures int              // looked at, from the top: 8
	Now        func() time.Time // nil: time.Now
	Keys       *KeyCache        // remembers keys from one message to the next; nil: none are
}
