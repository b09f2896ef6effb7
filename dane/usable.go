package dane

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"

	"waxwing/dns"
)

// Selectors and matching types (RFC 6698 §2.1.2, §2.1.3).
const (
	SelectorCert uint8 = 0
	SelectorSPKI uint8 = 1

	MatchingFull   uint8 = 0
	MatchingSHA256 uint8 = 1
	MatchingSHA512 uint8 = 2
)

// Usable keeps the records that SMTP can use (DANE-1) and counts those it
// cannot: usages 0 and 1 (RFC 7672 §3.1.3), unknown parameters, digests of a
// wrong length, full data that is no certificate or key. Of the usable ones it then
// drops those whose digest is weaker than the best of their usage and selector
// (RFC 7671 §9); these are in neither result. The order is kept.
func Usable(rrs []dns.TLSA) (usable []Record, unusable int) {
	type kind struct{ usage, selector uint8 }
	strong := map[kind]bool{}
	for _, rr := range rrs {
		if !wellFormed(rr) {
			unusable++
			continue
		}
		usable = append(usable, Record(rr))
		if rr.MatchingType == MatchingSHA512 {
			strong[kind{rr.Usage, rr.Selector}] = true
		}
	}
	best := usable[:0]
	for _, r := range usable {
		if r.MatchingType == MatchingSHA256 && strong[kind{r.Usage, r.Selector}] {
			continue
		}
		best = append(best, r)
	}
	return best, unusable
}

// wellFormed reports whether a record is one that SMTP can use.
func wellFormed(rr dns.TLSA) bool {
	if rr.Usage != UsageTA && rr.Usage != UsageEE || rr.Selector > SelectorSPKI {
		return false
	}
	switch rr.MatchingType {
	case MatchingSHA256:
		return len(rr.Data) == sha256.Size
	case MatchingSHA512:
		return len(rr.Data) == sha512.Size
	case MatchingFull:
		if rr.Selector == SelectorSPKI {
			return isSPKI(rr.Data)
		}
		if rr.Usage == UsageEE {
			return isCertificate(rr.Data)
		}
		_, err := x509.ParseCertificate(rr.Data) // chains are built with it
		return err == nil
	}
	return false
}

// isCertificate reports whether der has the outer form of a certificate. A DANE-EE
// record is matched octet by octet, so nothing in it need be understood: real
// certificates have negative serial numbers, and keys that this Go does not know.
func isCertificate(der []byte) bool {
	var cert struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	rest, err := asn1.Unmarshal(der, &cert)
	return err == nil && len(rest) == 0 && cert.TBS.Tag == asn1.TagSequence && cert.TBS.IsCompound
}

// isSPKI reports whether der is a SubjectPublicKeyInfo. The key itself is not
// looked into: a DANE-EE record may hold a kind of key that this Go does not know.
func isSPKI(der []byte) bool {
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	rest, err := asn1.Unmarshal(der, &spki)
	return err == nil && len(rest) == 0
}

// digests are the selected contents of one certificate, in full and hashed. A
// hash is made when a record first asks for it: chains and record sets are the
// peer's to choose, so the work is bounded by the number of certificates.
type digests struct {
	cert *x509.Certificate
	sums [2][3][]byte
}

func (d *digests) get(selector, matching uint8) []byte {
	if selector > SelectorSPKI || matching > MatchingSHA512 {
		return nil
	}
	if sum := d.sums[selector][matching]; sum != nil {
		return sum
	}
	sum := contents(d.cert, selector, matching)
	d.sums[selector][matching] = sum
	return sum
}

// matches reports whether r is a record of the certificate (RFC 6698 §2.1.3).
func (d *digests) matches(r Record) bool {
	want := d.get(r.Selector, r.MatchingType)
	return want != nil && bytes.Equal(want, r.Data)
}

// contents is the certificate association data of cert (RFC 6698 §2.1.4).
func contents(cert *x509.Certificate, selector, matching uint8) []byte {
	data := cert.Raw
	if selector == SelectorSPKI {
		data = cert.RawSubjectPublicKeyInfo
	}
	switch matching {
	case MatchingSHA256:
		sum := sha256.Sum256(data)
		return sum[:]
	case MatchingSHA512:
		sum := sha512.Sum512(data)
		return sum[:]
	}
	return data
}

// Generate makes the TLSA record that matches cert. For usages 2 and 0, cert
// is the trust anchor's. Parameters unknown to RFC 6698 give a record that
// Usable refuses. RFC 7672 §3.1 wants "3 1 1" or "2 1 1" (the latter with the
// anchor's certificate sent in the chain).
func Generate(cert *x509.Certificate, usage, selector, matching uint8) dns.TLSA {
	return dns.TLSA{
		Usage: usage, Selector: selector, MatchingType: matching,
		Data: bytes.Clone(contents(cert, selector, matching)),
	}
}
