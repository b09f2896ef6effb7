package delivery

import (
	"net/netip"
	"time"

	"waxwing/dane"
	"waxwing/dns"
	"waxwing/internal/reason"
	"waxwing/mtasts"
	"waxwing/smtp"
)

// Failure is what stops mail: why a domain or a host cannot be used, a plan says no, or a
// session ended. It is the one type for that.
type Failure struct {
	Word      reason.Word
	Permanent bool          // no later attempt can change it, as far as this attempt knows
	Enhanced  smtp.Enhanced // for the DSN; zero where none fits
	Text      string        // for people
	EDE       uint16        // the extended DNS error of a lookup that failed (RFC 8914); 0: none
}

func (f *Failure) Error() string { return f.Text }

// Destination is where mail for a domain goes, each fact with its DNSSEC state.
type Destination struct {
	Domain   RecipientDomain
	Expanded dns.Name // where the domain's CNAMEs lead; equal to Domain.Name without CNAMEs
	MXSecure bool     // DANE-6: the MX answer was Secure; without MX, the address answer
	HasMX    bool     // MX records exist; false: the domain itself is the host (RFC 5321 §5.1)
	Hosts    []Host   // in the order of trying
	Fail     *Failure // why Hosts is empty; nil if it is not
	Lookups  []Lookup // every lookup made, for explain
}

// Lookup is one DNS lookup as explain shows it.
type Lookup struct {
	Name     string
	Type     string
	Security dns.Security
	Result   string // the records, or "no such name", "no records", or the error
}

// Host is one candidate for delivery.
type Host struct {
	Name         MXHost // zero for an address literal
	Preference   uint16
	Addrs        []netip.Addr // in the order of trying; empty with Fail set
	AddrSecurity dns.Security
	Fail         *Failure // why there is no address
	DANE         DANE
}

// DANEState is what the TLSA lookups for a host came to (DANE-3, DANE-4).
type DANEState uint8

// The states of DANE-4.
const (
	DANENone     DANEState = iota // no Secure TLSA answer with records: DANE does not apply
	DANEUsable                    // usable records: verification is required
	DANEUnusable                  // records, none usable: TLS is required, unauthenticated
	DANEFailed                    // lookup error, Bogus or Indeterminate: the host is not used now
)

var daneWords = [...]string{"none", "usable", "unusable", "failed"}

func (s DANEState) String() string { return daneWords[s] }

// DANE is the TLSA finding of one host.
type DANE struct {
	State      DANEState
	Base       dns.Name      // TLSA base domain; set unless State is DANENone
	Records    []dane.Record // the usable ones
	Strings    []string      // all records found, presentation form, for reports (RFC 8460 §4.4)
	References []dns.Name    // reference names for DANE-TA (DANE-5), Base first
	Fail       *Failure      // for DANEFailed and DANEUnusable
}

// Finding is what is known of a domain's MTA-STS at one moment (STS-6 to STS-9).
type Finding struct {
	Looked  bool           // the domain's record was looked up for it
	Policy  *mtasts.Policy // in force; nil: none
	ID      string         // of the record the policy belongs to
	Fresh   bool           // record looked up in this attempt, not merely cached (RFC 8461 §5.1)
	Fetched time.Time      // when Policy came over HTTPS; zero without one
	// Failure is a fault of the domain's MTA-STS, to be reported; it may stand
	// beside a Policy (an old one that stays in force).
	Failure *mtasts.Error
	// Defer: the TXT lookup failed for now and no policy is cached, so that
	// nobody can say whether one applies (STS-6). Failure is set.
	Defer   bool
	BackOff bool // Failure was remembered, no new fetch was tried (STS-7)
}
