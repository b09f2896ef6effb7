package explain

import (
	"crypto/x509"
	"errors"
	"fmt"

	"waxwing/dane"
	"waxwing/dns"
)

// TLSARecord is a record to publish.
type TLSARecord struct {
	Name   string `json:"name"`
	Record string `json:"record"`
	Line   string `json:"line"` // both, as a zone file has them
}

// TLSAChoice says what record is to be made (RFC 6698 §2.1).
type TLSAChoice struct {
	Usage, Selector, Matching uint8
	Port                      uint16
	Host                      string // that the record is for; "": the certificate's first name
}

// NewTLSA makes the record for the certificates that a host presents, its own first, or
// without any for its public key in SubjectPublicKeyInfo form.
func NewTLSA(chain []*x509.Certificate, key []byte, c TLSAChoice) (TLSARecord, error) {
	if len(chain) == 0 {
		if c.Usage != dane.UsageEE || c.Selector != dane.SelectorSPKI {
			return TLSARecord{}, errors.New("a key alone makes records of usage 3 and selector 1: for others name the certificate")
		}
		chain = []*x509.Certificate{{RawSubjectPublicKeyInfo: key}}
	}
	cert, err := pick(chain, c.Usage)
	if err != nil {
		return TLSARecord{}, err
	}
	if c.Host == "" && len(chain[0].DNSNames) > 0 {
		c.Host = chain[0].DNSNames[0]
	}
	name, err := dns.ParseName(c.Host)
	if err != nil {
		return TLSARecord{}, errors.New("it names no host that the record could be for: say it with --host")
	}
	rr := dane.Generate(cert, c.Usage, c.Selector, c.Matching)
	r := TLSARecord{Name: fmt.Sprintf("_%d._tcp.%s", c.Port, name.ASCII()), Record: rr.String()}
	r.Line = r.Name + ". IN TLSA " + r.Record
	return r, nil
}

// pick is the certificate that a usage speaks of.
func pick(chain []*x509.Certificate, usage uint8) (*x509.Certificate, error) {
	if usage == dane.UsageEE || usage == dane.UsagePKIXEE {
		return chain[0], nil
	}
	for _, cert := range chain {
		if cert.IsCA {
			return cert, nil
		}
	}
	return nil, errors.New("no certificate of an authority is in it: usage 2 needs the one that the host sends in its chain")
}
