package lab

import (
	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/mtasts"
	"waxwing/tlsrpt"
)

// Story is one mail to one domain: what the domain published, and what must
// become of the mail and stand in the next day's report.
type Story struct {
	Name    string // one word, also the label of the domain: NAME.test
	Title   string // for people
	Publish Publish
	Need    delivery.TLSNeed
	To      string // local part; "" is "you"
	// Twice sends a mail before Between is done and the mail that counts after
	// it. The first one stands in the report too.
	Twice   bool
	Between func(d *Domain) error
	Want    Want
}

// Publish is what a domain has in DNS and on its hosts.
type Publish struct {
	Zone   dns.Security // zero counts as Insecure
	Hosts  []Host
	NullMX bool
	STS    *STS
}

// Host is one MX host of a domain, preference 10, 20, … in order.
type Host struct {
	Cert       CertKind
	TLSA       TLSAKind
	StartTLS   StartTLS
	RequireTLS bool
	Alias      bool // the MX record names a CNAME that leads to the host
	Silent     bool // nobody listens
}

// CertKind is the certificate a host shows.
type CertKind uint8

// The certificates.
const (
	SelfSignedCert CertKind = iota
	GoodCert                // from the lab's public authority, with an intermediate
	UntrustedCert           // from an authority nobody knows
	ExpiredCert             // from the public authority, ended yesterday
	WrongNameCert           // from the public authority, for another name
)

// TLSAKind is what stands at _25._tcp.HOST.
type TLSAKind uint8

// The records.
const (
	NoTLSA       TLSAKind = iota
	EEMatch               // 3 1 1 of the host's key
	TAMatch               // 2 0 1 of the intermediate that signed
	EEMismatch            // 3 1 1 of another key
	UnusableTLSA          // usages 0 and 1 only
	BogusTLSA             // the lookup fails validation
)

// StartTLS is how a host treats STARTTLS.
type StartTLS uint8

// The ways.
const (
	Offered StartTLS = iota
	NotOffered
	Refused // offered, then answered 554
	Broken  // answered 220, then garbage
)

// STS is a domain's MTA-STS.
type STS struct {
	Mode mtasts.Mode
	MX   []int // the hosts that the policy lists, by index; nil: all
	Down bool  // nobody listens on the policy host
}

// Want is what must come out.
type Want struct {
	Outcome string // delivered, waiting, bounced
	TLS     string // none, unverified, dane, pkix, dane+pkix; "" where nothing was delivered
	Status  string // of the bounce, such as 5.7.30
	Report  []Counts
}

// Counts is what a report says under one policy, as the receiving side stored it.
type Counts struct {
	PolicyType   tlsrpt.PolicyType         `json:"policy_type"`
	PolicyDomain string                    `json:"policy_domain"`
	Successful   int                       `json:"successful"`
	Failed       int                       `json:"failed"`
	Failures     map[tlsrpt.ResultType]int `json:"failures,omitempty"`
}

// ok, bad are the counts of one clean and one failed session.
func ok(t tlsrpt.PolicyType) Counts { return Counts{PolicyType: t, Successful: 1} }

func bad(t tlsrpt.PolicyType, r tlsrpt.ResultType) Counts {
	return Counts{PolicyType: t, Failed: 1, Failures: map[tlsrpt.ResultType]int{r: 1}}
}

const (
	delivered = "delivered"
	waiting   = "waiting"
	bounced   = "bounced"
)
