package session

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"time"

	"waxwing/dane"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/sound"
	"waxwing/tlsrpt"
)

// maxChain bounds the certificates looked at; real chains hold two to five.
const maxChain = 32

// verifier makes the plan's checks on one TLS session and keeps both results.
type verifier struct {
	plan  *delivery.Plan
	small bool // a small hello
	roots *x509.CertPool
	cache *keyedCache // nil: no resumption
	now   func() time.Time
	pkix  *delivery.Verification
	dane  *delivery.Verification
	weak  bool // the session is less than sound, which the plan allows
}

// config is the TLS configuration for the plan's host. crypto/tls's own
// verification is off: it knows neither DANE nor a failure that is only
// reported. VerifyConnection runs for resumed sessions too (SES-3).
func (v *verifier) config() *tls.Config {
	config := &tls.Config{
		ServerName:         v.plan.SNI.ASCII(),
		InsecureSkipVerify: true, // replaced by VerifyConnection
		VerifyConnection:   v.verify,
		Time:               v.now,
		// Small records at a connection's start serve those who look at the first
		// octets early. Nobody looks at part of a mail.
		DynamicRecordSizingDisabled: true,
	}
	applyOffer(config, offered(v.plan), v.small)
	if v.cache != nil {
		config.ClientSessionCache = v.cache
	}
	return config
}

// verify makes every check that the plan asks for before it fails for one, so
// that both results are known (SES-3). Its error is a *delivery.TLSFailure.
func (v *verifier) verify(cs tls.ConnectionState) error {
	if v.plan.PKIX != delivery.CheckNone {
		v.pkix = v.verifyPKIX(cs.PeerCertificates)
	}
	if v.plan.DANE != delivery.CheckNone {
		v.dane = v.verifyDANE(cs.PeerCertificates)
	}
	if cs.DidResume && (failed(v.pkix) || failed(v.dane)) {
		v.cache.forget()
	}
	if f := v.unsound(&cs); f != nil {
		return f
	}
	if v.plan.DANE == delivery.CheckRequire && failed(v.dane) {
		return v.dane.Failure
	}
	if v.plan.PKIX == delivery.CheckRequire && failed(v.pkix) {
		return v.pkix.Failure
	}
	return nil
}

// unsound is why a plan that wants a sound session cannot have this one. The
// signature of the handshake is known only at its end, so it is asked twice.
func (v *verifier) unsound(cs *tls.ConnectionState) error {
	if offered(v.plan) == delivery.OfferAny {
		return nil
	}
	if f := sound.Weakness(cs); f != nil {
		v.cache.forget()
		return f
	}
	return nil
}

func failed(d *delivery.Verification) bool { return d != nil && d.Failure != nil }

func (v *verifier) verifyPKIX(chain []*x509.Certificate) *delivery.Verification {
	if len(chain) == 0 {
		return &delivery.Verification{Failure: noCertificate()}
	}
	leaf, now := chain[0], v.now()
	opts := x509.VerifyOptions{
		Roots: v.roots, Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, c := range chain[1:min(len(chain), maxChain)] {
		opts.Intermediates.AddCert(c)
	}
	paths, err := leaf.Verify(opts)
	if err == nil {
		err = sound.WeakPath(paths)
	}
	if err != nil {
		return &delivery.Verification{Failure: classifyPKIX(err, leaf, now)}
	}
	// A zero name would match nothing; x509 takes it for "any".
	name := v.plan.PKIXName
	if name.IsZero() {
		return &delivery.Verification{Failure: tlsFailure(tlsrpt.CertificateHostMismatch, reason.CertHostMismatch, "the host has no name that its certificate could carry")}
	}
	if err := leaf.VerifyHostname(name.ASCII()); err != nil {
		return &delivery.Verification{Failure: classifyPKIX(err, leaf, now)}
	}
	return &delivery.Verification{Matched: name.ASCII()}
}

func (v *verifier) verifyDANE(chain []*x509.Certificate) *delivery.Verification {
	if len(chain) == 0 {
		return &delivery.Verification{Failure: noCertificate()}
	}
	found, err := dane.Verify(v.plan.TLSA, v.plan.DANENames, chain, v.now())
	if err != nil {
		return &delivery.Verification{Failure: classifyDANE(err)}
	}
	if err := sound.WeakPath([][]*x509.Certificate{found.Path}); err != nil {
		return &delivery.Verification{Failure: classifyPKIX(err, chain[0], v.now())}
	}
	return &delivery.Verification{Matched: recordText(found.Record)}
}

func noCertificate() *delivery.TLSFailure {
	return tlsFailure(tlsrpt.ValidationFailure, reason.CertMissing, "the server presented no certificate")
}

// facts are what is kept of a TLS session with the delivery (SES-4).
func facts(cs *tls.ConnectionState) *delivery.TLSFacts {
	f := &delivery.TLSFacts{
		Version: versionName(cs.Version), Cipher: tls.CipherSuiteName(cs.CipherSuite), KeyExchange: keyExchange(cs),
		Resumed: cs.DidResume, Weak: sound.Weakness(cs),
	}
	if len(cs.PeerCertificates) > 0 {
		sum := sha256.Sum256(cs.PeerCertificates[0].Raw)
		f.Fingerprint = hex.EncodeToString(sum[:])
	}
	return f
}

func versionName(v uint16) string {
	return strings.ReplaceAll(tls.VersionName(v), " ", "")
}

// release lets go of what only the handshake needed. Later handshakes do not
// come: crypto/tls takes no renegotiation.
func (v *verifier) release() { v.plan, v.roots, v.cache = nil, nil, nil }

func passed(d *delivery.Verification) bool { return d != nil && d.Failure == nil }

// travelled is how mail over this TLS session travels, in one word: what was
// verified, whether or not that was required. Under parameters that are broken a
// certificate says nothing of who is at the other end.
func (v *verifier) travelled() string {
	switch pk, da := passed(v.pkix), passed(v.dane); {
	case v.weak:
		return "unverified"
	case pk && da:
		return "dane+pkix"
	case da:
		return "dane"
	case pk:
		return "pkix"
	}
	return "unverified"
}
