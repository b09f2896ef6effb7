// Package clientsetup says which servers mail programs of a hosted domain are told of
// (CLI-1): the one place that chooses. Documents, DNS records and commands render what it says.
package clientsetup

import (
	"cmp"
	"fmt"
	"slices"

	"waxwing/clientconfig"
	"waxwing/dns"
	"waxwing/internal/config"
)

// Domain is what it depends on of a hosted domain.
type Domain struct {
	Name dns.Name
	// Elsewhere: another program keeps the mailboxes of the domain (INB-14), so that
	// there is nothing to be read here.
	Elsewhere bool
}

// Of are the settings for programs of a domain, as the listeners have it. A listener of a
// loopback address counts only where no other is for programs: somebody tries the server out.
func Of(cfg *config.Config, d Domain) clientconfig.Settings {
	s := clientconfig.Settings{Domain: d.Name.ASCII(), Host: cfg.Hostname.ASCII(), Servers: []clientconfig.Server{}}
	public := func(l config.Listen) bool { return !l.Address.Addr().IsLoopback() }
	if s.Servers = servers(cfg, d, public); len(s.Servers) > 0 {
		s.Base = base(cfg, public)
		return s
	}
	local := func(l config.Listen) bool { return !public(l) }
	if s.Servers = servers(cfg, d, local); len(s.Servers) > 0 {
		s.Base, s.Local = base(cfg, local), true
		return s
	}
	s.Base = base(cfg, public)
	return s
}

// spoken is what a listener is to mail programs.
func spoken(k config.Kind) (p clientconfig.Protocol, tls bool, usual uint16) {
	switch k {
	case config.IMAPS:
		return clientconfig.IMAP, true, 993
	case config.IMAP:
		return clientconfig.IMAP, false, 143
	case config.Submissions:
		return clientconfig.Submission, true, 465
	case config.Submission:
		return clientconfig.Submission, false, 587
	case config.ManageSieve:
		return clientconfig.Sieve, false, 4190
	}
	return "", false, 0
}

// reads reports a protocol with which mailboxes are read or sorted.
func reads(p clientconfig.Protocol) bool { return p != clientconfig.Submission }

// servers are those of some listeners: TLS from the start first (RFC 8314 §3), and of
// each the usual port.
func servers(cfg *config.Config, d Domain, of func(config.Listen) bool) []clientconfig.Server {
	out := []clientconfig.Server{}
	for _, l := range cfg.Listen {
		p, tls, _ := spoken(l.Kind)
		if p == "" || l.Socket != "" || l.Address.Port() == 0 || !of(l) || d.Elsewhere && reads(p) || !cfg.HasTLS() && l.CertFile == "" {
			continue
		}
		x := clientconfig.Server{Protocol: p, Host: cfg.Hostname.ASCII(), Port: l.Address.Port(), TLS: tls}
		if !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	slices.SortStableFunc(out, func(a, b clientconfig.Server) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a.Port, b.Port))
	})
	return out
}

// place orders servers.
func place(s clientconfig.Server) int {
	n := 4 * slices.Index([]clientconfig.Protocol{clientconfig.IMAP, clientconfig.Submission, clientconfig.Sieve, clientconfig.JMAP}, s.Protocol)
	if !s.TLS {
		n += 2
	}
	for _, k := range []config.Kind{config.IMAPS, config.IMAP, config.Submissions, config.Submission, config.ManageSieve} {
		if p, tls, usual := spoken(k); p == s.Protocol && tls == s.TLS && usual == s.Port {
			return n
		}
	}
	return n + 1
}

// https is the port of HTTPS.
const https = 443

// base is where documents are served: at the usual port, or the lowest other one.
func base(cfg *config.Config, of func(config.Listen) bool) string {
	var port uint16
	for _, l := range cfg.Listen {
		p := l.Address.Port()
		if l.Kind == config.HTTPS && p != 0 && of(l) && port != https && (port == 0 || p == https || p < port) {
			port = p
		}
	}
	switch port {
	case 0:
		return ""
	case https:
		return "https://" + cfg.Hostname.ASCII()
	}
	return fmt.Sprintf("https://%s:%d", cfg.Hostname.ASCII(), port)
}

// Service is what an SRV record of a domain says of one service; Port 0: there is none
// (RFC 6186 §3.4).
type Service struct {
	Label string
	Port  uint16
}

// Services are the SRV records of a domain (RFC 6186, RFC 8314 §5.1, RFC 5804 §1.8, RFC
// 8620 §2.2). Where mail is read here, a protocol that is not served is said not to be; where it is
// not, another server may serve it.
func Services(s clientconfig.Settings) (out []Service) {
	if s.Local {
		return nil
	}
	for _, kind := range []struct {
		label string
		p     clientconfig.Protocol
		tls   bool
	}{
		{"_imaps", clientconfig.IMAP, true}, {"_imap", clientconfig.IMAP, false}, {"_submissions", clientconfig.Submission, true},
		{"_submission", clientconfig.Submission, false}, {"_sieve", clientconfig.Sieve, false}, {"_jmap", clientconfig.JMAP, true},
	} {
		for _, x := range s.Of(kind.p) {
			if x.TLS == kind.tls {
				out = append(out, Service{kind.label, x.Port})
			}
		}
	}
	if Documents(s) {
		out = append(out, Service{"_autodiscover", https})
	}
	if len(s.Of(clientconfig.IMAP)) == 0 {
		return out
	}
	for _, label := range []string{"_imaps", "_imap", "_submissions", "_submission", "_pop3s", "_pop3"} {
		if !slices.ContainsFunc(out, func(x Service) bool { return x.Label == label }) {
			out = append(out, Service{label, 0})
		}
	}
	return out
}

// Documents reports that programs find the documents below names of the domain (autoconfig,
// autodiscover), where these lead here: they ask at the usual port alone, and for complete settings.
func Documents(s clientconfig.Settings) bool {
	return !s.Local && s.Complete() && s.Base == "https://"+s.Host
}

// Labels are the names below a domain at which programs ask for documents.
func Labels() []string { return []string{"autoconfig", "autodiscover"} }
