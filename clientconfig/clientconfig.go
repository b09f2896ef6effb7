// Package clientconfig writes the documents from which mail programs learn which servers
// a domain has (CLI-1): Thunderbird's configuration file (draft-ietf-mailmaint-autoconfig),
// the answer of Autodiscover in plain XML ([MS-OXDSCLI]), and Apple's configuration profile.
// All of them are renderings of one value, Settings. It also reads what programs ask with.
//
// What the documents say of a login is the same for every address of a domain: the address
// is the name, and the password goes over TLS. So none of them tells whether there is such
// an address.
package clientconfig

import "slices"

// Protocol is what a server speaks, by the word that SRV records have for it (RFC 6186
// §3, RFC 5804 §1.8, RFC 8620 §2.2).
type Protocol string

// The protocols.
const (
	IMAP       Protocol = "imap"
	Submission Protocol = "submission"
	Sieve      Protocol = "sieve"
	JMAP       Protocol = "jmap"
)

// Use is what a protocol is for, for people.
func Use(p Protocol) string {
	return map[Protocol]string{IMAP: "reading (IMAP)", Submission: "sending (SMTP)", Sieve: "sorting (ManageSieve)", JMAP: "JMAP"}[p]
}

// Server is one server of a domain.
type Server struct {
	Protocol Protocol `json:"protocol"`
	Host     string   `json:"host"` // its name, in ASCII
	Port     uint16   `json:"port"`
	// TLS from the first octet (RFC 8314 §3); else STARTTLS, without which nobody logs in.
	TLS bool `json:"tls"`
}

// Security is how TLS begins there, in words.
func (s Server) Security() string {
	if s.TLS {
		return "TLS"
	}
	return "STARTTLS"
}

// Settings are all servers of a domain for mail programs.
type Settings struct {
	Domain  string   `json:"domain"` // in ASCII
	Host    string   `json:"host"`   // of the server, in ASCII; people are shown it as who keeps the mail
	Servers []Server `json:"servers"`
	// Base is where the documents are to be had, such as "https://mx.example.org"; "": nowhere.
	Base string `json:"base,omitempty"`
	// Local: the servers are reached from their own machine alone.
	Local bool `json:"local"`
}

// Of are the servers of one protocol, the best first.
func (s *Settings) Of(p Protocol) []Server {
	return slices.DeleteFunc(slices.Clone(s.Servers), func(x Server) bool { return x.Protocol != p })
}

// Complete reports that a program can be set up: it can read mail and send it.
func (s *Settings) Complete() bool { return len(s.Of(IMAP)) > 0 && len(s.Of(Submission)) > 0 }
