package lab

import (
	"strings"

	"waxwing/dns"
)

var certWords = [...]string{"self-signed", "public", "untrusted", "expired", "wrong-name"}

var tlsaWords = [...]string{"", "TLSA 3 1 1", "TLSA 2 0 1", "TLSA mismatch", "TLSA unusable", "TLSA bogus"}

var startTLSWords = [...]string{"", "no STARTTLS", "STARTTLS 554", "broken TLS"}

// words is what a domain published, in a few words.
func (p Publish) words() string {
	var w []string
	switch p.Zone {
	case dns.Secure:
		w = append(w, "signed")
	case dns.Bogus:
		w = append(w, "bogus")
	default:
		w = append(w, "unsigned")
	}
	if p.NullMX {
		w = append(w, "null MX")
	}
	for _, h := range p.Hosts {
		w = append(w, h.words())
	}
	if p.STS != nil {
		s := "MTA-STS " + string(p.STS.Mode)
		if p.STS.Down {
			s += " (host down)"
		}
		w = append(w, s)
	}
	return strings.Join(w, ", ")
}

func (h Host) words() string {
	w := []string{"MX " + certWords[h.Cert]}
	for _, s := range []string{tlsaWords[h.TLSA], startTLSWords[h.StartTLS]} {
		if s != "" {
			w = append(w, s)
		}
	}
	if h.Alias {
		w = append(w, "CNAME")
	}
	if h.RequireTLS {
		w = append(w, "REQUIRETLS")
	}
	return strings.Join(w, " ")
}
