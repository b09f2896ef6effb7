// Package dnsfinding decides what is right and what is wrong with what stands in DNS for
// a hosted domain, and with what answers where it leads: facts go in, findings come out,
// each with its cause and its cure (DNS-C). It is pure; package dnscheck gathers the
// facts. What was not seen is never found to be well: the zero value of every fact is
// "not looked at".
package dnsfinding

import (
	"crypto/x509"
	"net/netip"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/dnsrecords"
	"waxwing/mtasts"
	"waxwing/spf"
)

// Wanted is what should stand in DNS, and what this server does that DNS must agree with.
type Wanted struct {
	Host   dnsrecords.Host
	Domain dnsrecords.Domain
	// Sources are the addresses that mail of the domain may come from (DNS-C2).
	Sources []Source
	// EHLO is how the machine greets from its own addresses.
	EHLO dns.Name
	// Relayed: all mail leaves by the transports that the sources and smarthosts are of,
	// and none from the machine's own addresses.
	Relayed bool
	// Inside: mail goes to private addresses as well, so that they may stand in DNS.
	Inside bool
	// Smarthosts are the relays that it may leave by, whose addresses nobody knows here.
	Smarthosts []string
	// Signing are the selectors that sign now; the other keys of the domain wait.
	Signing map[string]bool
	// Policy is the text of the MTA-STS policy that this server serves; "": none.
	Policy string
	// CAs are the authorities that certificates of this host are asked of; none: unknown.
	CAs []Authority
}

// Source is an address that mail leaves from.
type Source struct {
	Addr      netip.Addr
	EHLO      dns.Name // how the machine greets from there
	Transport string   // the way out, "" for the machine's own
}

// Authority is a certificate authority as CAA knows it.
type Authority struct {
	Names   []string // its CAA identities, such as letsencrypt.org
	Account string   // URI of the account, "": unknown
	Methods []string // of validation, such as tls-alpn-01, one of which must be allowed; none: unknown
}

// Seen is one lookup.
type Seen[T any] struct {
	dns.Answer[T]
	Asked bool
	Err   error // why there is no answer
}

// Failed reports a lookup that was not made, or got no answer.
func (s *Seen[T]) Failed() bool { return !s.Asked || s.Err != nil }

// Facts is all that was seen.
type Facts struct {
	Now    time.Time
	Wanted Wanted

	NS      Servers
	MX      Seen[dns.MX]
	Hosts   []Host    // those that MX records name, and the wanted one
	Sources []Reverse // one of each source
	SPF     []SPF     // of each source, as the domain and as the host
	Texts   Texts
	DKIM    map[string]Seen[string] // by selector
	Consent []Consent               // of DMARC report addresses elsewhere
	// Mailboxes are report addresses at domains that are hosted here, and whether
	// somebody has them.
	Mailboxes map[string]bool
	Policy    Policy
	CAA       []Climb
	Services  []Service
	Setup     []Setup
}

// Servers are the name servers of the zone that a domain is in.
type Servers struct {
	Zone dns.Name
	NS   Seen[dns.Name]
	AAAA []Forward // one of each
}

// Texts are TXT answers.
type Texts struct {
	SPF, HostSPF, DMARC, TLSRPT, HostTLSRPT, STS Seen[string]
}

// Host is one name that mail is sent to.
type Host struct {
	Name     dns.Name
	Ours     bool // the wanted one
	Named    bool // MX records name it
	Alias    Seen[dns.Name]
	A, AAAA  Seen[netip.Addr]
	TLSA     Seen[dns.TLSA]
	Contacts []Contact // one of each address
}

// Contact is one connection to port 25.
type Contact struct {
	Addr     netip.Addr
	Asked    bool
	Err      *delivery.Failure // why it came to nothing
	Name     string            // first word of the greeting
	StartTLS bool
	TLS      *delivery.TLSFailure // why TLS did not come about
	Chain    []*x509.Certificate  // as presented
	PKIX     *delivery.Verification
}

// Reverse is the way from an address to its name and back (iprev, RFC 8601 §3).
type Reverse struct {
	Source  Source
	PTR     Seen[dns.Name]
	Forward []Forward // one of each name
}

// Forward are the addresses of a name that a PTR record gives.
type Forward struct {
	Name dns.Name
	Addr Seen[netip.Addr] // of the family that is asked about
}

// SPF is one evaluation of check_host.
type SPF struct {
	Source  Source
	Helo    bool // as the host; else as the domain
	Asked   bool
	Outcome spf.Outcome
}

// Consent is the record with which a report address elsewhere agrees (RFC 9990 §4).
type Consent struct {
	Address string
	Name    dns.Name // where it should stand
	Text    Seen[string]
	// Organization is the organizational domain of the address's domain, Own that of
	// the domain; where they are the same no consent is needed. Zero: unknown.
	Organization, Own dns.Name
}

// Policy is the MTA-STS policy as a stranger gets it.
type Policy struct {
	Asked  bool
	A      Seen[netip.Addr] // of the policy host, both families
	Policy *mtasts.Policy
	Text   string
	Err    *mtasts.Error
}

// Climb is the way up the tree to the CAA records that hold for a name (RFC 8659 §3):
// the lookups made, the last of which found some, or none did.
type Climb struct {
	Name    dns.Name
	Lookups []Seen[dns.CAA]
}

// Service is where mail programs are sent.
type Service struct {
	Wanted dnsrecords.ServicePort
	SRV    Seen[dns.SRV]
}

// Setup is a name below the domain at which mail programs ask for their settings.
type Setup struct {
	Name dns.Name
	A    Seen[netip.Addr] // of both families
}
