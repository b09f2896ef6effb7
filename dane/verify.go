package dane

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/foreign"
	"waxwing/internal/reason"
)

// Error is a chain that does not meet the TLSA records.
type Error struct {
	Word reason.Word // dane-no-match, dane-ta-expired, dane-ta-name-mismatch or dane-ta-chain
	Text string      // for people, bounded
	Err  error       // the cause, may be nil
}

func (e *Error) Error() string { return e.Text }

func (e *Error) Unwrap() error { return e.Err }

// Verification is a chain that meets the records.
type Verification struct {
	Record Record // the record that matched
	// Depth of the certificate it matched: 0 the leaf, 1 its issuer, and so on.
	// For a bare public key (2 1 0) it is the depth of the certificate that the key signed.
	Depth int
	// Path leads from the leaf to the trust anchor. Nil where the leaf itself matched:
	// nothing was signed that matters.
	Path []*x509.Certificate
}

// maxChain bounds the certificates looked at; the rest of a longer chain is
// ignored. Real chains hold two to five.
const maxChain = 32

// Verify checks the presented chain, leaf first, against usable records (see
// Usable). A DANE-EE match is tried first and looks at nothing but the match
// (RFC 7671 §5.1); else a DANE-TA match needs a valid chain at now and one of
// names in the leaf (DANE-2). The error is always an *Error. It is safe for
// concurrent use.
func Verify(records []Record, names []dns.Name, chain []*x509.Certificate, now time.Time) (*Verification, error) {
	if len(chain) == 0 {
		return nil, &Error{Word: reason.DANENoMatch, Text: "the server presented no certificate to match its TLSA records"}
	}
	chain = chain[:min(len(chain), maxChain)]
	leaf := &digests{cert: chain[0]}
	for _, r := range records {
		if r.Usage == UsageEE && leaf.matches(r) {
			return &Verification{Record: r, Depth: 0}, nil
		}
	}
	a := findAnchors(records, chain)
	if a.empty() {
		return nil, &Error{Word: reason.DANENoMatch, Text: fmt.Sprintf("none of %d usable TLSA records matches the server's certificate or a trust anchor in its chain", len(records))}
	}
	v, err := a.verify(now)
	if err != nil {
		return nil, a.classify(now, err)
	}
	if err := checkNames(chain[0], names); err != nil {
		return nil, err
	}
	return v, nil
}

// checkNames wants one of the reference names in the leaf (RFC 7672 §3.2.3).
func checkNames(leaf *x509.Certificate, names []dns.Name) error {
	for _, n := range names {
		if !n.IsZero() && hasName(leaf, n) {
			return nil
		}
	}
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = n.String()
	}
	return &Error{Word: reason.DANETANameMismatch, Text: foreign.Text(fmt.Sprintf("the certificate is for %s, not for any of: %s", presented(leaf), strings.Join(list, ", ")), 500)}
}

// hasName matches the DNS-IDs, and the CN-ID where there are none (RFC 7672 §3.2.3).
func hasName(leaf *x509.Certificate, n dns.Name) bool {
	if len(leaf.DNSNames) > 0 {
		return leaf.VerifyHostname(n.ASCII()) == nil
	}
	cn, err := dns.ParseLax(strings.TrimPrefix(leaf.Subject.CommonName, "*."))
	if err != nil {
		return false
	}
	if strings.HasPrefix(leaf.Subject.CommonName, "*.") {
		return n.Parent() == cn
	}
	return n == cn
}

func presented(leaf *x509.Certificate) string {
	if len(leaf.DNSNames) > 0 {
		return fmt.Sprintf("%q", leaf.DNSNames)
	}
	return fmt.Sprintf("%q", leaf.Subject.CommonName)
}

// anchors are the trust anchors that the records name and the chain, or a
// record itself, provides.
type anchors struct {
	chain   []*x509.Certificate
	records []Record            // DANE-TA records that found or are an anchor
	certs   []*x509.Certificate // by the same index; for a bare key the certificate that it signed
	keys    int                 // bare keys tried
}

func (a *anchors) empty() bool { return len(a.records) == 0 }

func (a *anchors) add(r Record, cert *x509.Certificate) {
	a.records = append(a.records, r)
	a.certs = append(a.certs, cert)
}

// Bounds on what the records of one host can make us do.
const (
	maxAnchors = 64 // trust anchors taken
	maxKeys    = 8  // bare keys tried against each certificate
)

// findAnchors collects what the DANE-TA records match. The leaf is never its
// own trust anchor: that would be a DANE-EE record with another number, and
// no other implementation takes it.
func findAnchors(records []Record, chain []*x509.Certificate) *anchors {
	a := &anchors{chain: chain}
	issuers := make([]*digests, 0, len(chain))
	for _, c := range chain[1:] {
		if !c.Equal(chain[0]) {
			issuers = append(issuers, &digests{cert: c})
		}
	}
	for _, r := range records {
		if r.Usage != UsageTA || len(a.records) >= maxAnchors {
			continue
		}
		found := false
		for _, d := range issuers {
			if d.matches(r) {
				a.add(r, d.cert)
				found = true
			}
		}
		if !found && r.MatchingType == MatchingFull {
			a.fromRecord(r)
		}
	}
	return a
}

// fromRecord takes an anchor that the record holds in full though the chain
// does not: a certificate (2 0 0), or a bare key (2 1 0), which is an anchor
// if it signed a certificate of the chain (RFC 7671 §5.2.3).
func (a *anchors) fromRecord(r Record) {
	if r.Selector == SelectorCert {
		cert, err := x509.ParseCertificate(r.Data)
		if err == nil && !cert.Equal(a.chain[0]) {
			a.add(r, cert)
		}
		return
	}
	key, err := x509.ParsePKIXPublicKey(r.Data)
	if a.keys++; err != nil || a.keys > maxKeys {
		return
	}
	holder := &x509.Certificate{PublicKey: key, PublicKeyAlgorithm: algorithm(key)}
	for _, c := range a.chain {
		if holder.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil {
			a.add(r, c)
			return
		}
	}
}

func algorithm(key any) x509.PublicKeyAlgorithm {
	switch key.(type) {
	case *rsa.PublicKey:
		return x509.RSA
	case *ecdsa.PublicKey:
		return x509.ECDSA
	case ed25519.PublicKey:
		return x509.Ed25519
	}
	return x509.UnknownPublicKeyAlgorithm
}

// verify builds chains from the leaf to the anchors and returns the shortest.
func (a *anchors) verify(now time.Time) (*Verification, error) {
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now}
	for _, c := range a.certs {
		opts.Roots.AddCert(c)
	}
	for _, c := range a.chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	paths, err := a.chain[0].Verify(opts)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(paths, func(p, q []*x509.Certificate) int { return len(p) - len(q) })
	for _, p := range paths {
		depth := len(p) - 1
		for i, c := range a.certs {
			if c.Equal(p[depth]) {
				return &Verification{Record: a.records[i], Depth: depth, Path: p}, nil
			}
		}
	}
	return nil, errors.New("no chain ends in a trust anchor")
}

// classify finds out whether dates alone are at fault. The standard library
// tells expiry of an issuer from no other fault, so the chain is tried again
// with certificates that are good for ever.
func (a *anchors) classify(now time.Time, err error) *Error {
	undated := &anchors{records: a.records, certs: withoutDates(a.certs, now), chain: withoutDates(a.chain, now)}
	_, again := undated.verify(now)
	expired := again == nil
	if expired {
		return &Error{Word: reason.DANETAExpired, Text: foreign.Text("a certificate between the server and its DANE trust anchor is expired or not yet valid: "+err.Error(), 500), Err: err}
	}
	return &Error{Word: reason.DANETAChain, Text: foreign.Text("no valid certificate chain leads to the DANE trust anchor: "+err.Error(), 500), Err: err}
}

func withoutDates(certs []*x509.Certificate, now time.Time) []*x509.Certificate {
	copies := make([]*x509.Certificate, len(certs))
	for i, cert := range certs {
		c := *cert
		c.NotBefore, c.NotAfter = now.Add(-time.Hour), now.Add(time.Hour)
		copies[i] = &c
	}
	return copies
}
