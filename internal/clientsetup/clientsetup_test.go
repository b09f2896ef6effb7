package clientsetup

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"waxwing/clientconfig"
	"waxwing/dns"
	"waxwing/internal/config"
)

// configuration has listeners, each written as "kind address:port".
func configuration(listeners ...string) *config.Config {
	cfg := &config.Config{Hostname: dns.MustParse("mx.example.net")}
	cfg.TLS.CertFile = "x"
	for _, l := range listeners {
		kind, address, _ := strings.Cut(l, " ")
		cfg.Listen = append(cfg.Listen, config.Listen{Kind: config.Kind(kind), Address: netip.MustParseAddrPort(address)})
	}
	return cfg
}

// shown is settings in one line.
func shown(s clientconfig.Settings) string {
	var out []string
	for _, x := range s.Servers {
		out = append(out, fmt.Sprintf("%s:%d:%s", x.Protocol, x.Port, x.Security()))
	}
	if s.Base != "" {
		out = append(out, s.Base)
	}
	if s.Local {
		out = append(out, "local")
	}
	return strings.Join(out, " ")
}

func records(s clientconfig.Settings) string {
	var out []string
	for _, x := range Services(s) {
		out = append(out, fmt.Sprintf("%s:%d", x.Label, x.Port))
	}
	return strings.Join(out, " ")
}

// TestOf: from the listeners to what programs are told, and to the SRV records (CLI-1).
func TestOf(t *testing.T) {
	t.Parallel()
	all := []string{"mx [::]:25", "submission [::]:587", "imap [::]:143", "managesieve [::]:4190", "https [::]:443", "imaps [::]:993", "submissions [::]:465"}
	for _, tt := range []struct {
		name      string
		listen    []string
		elsewhere bool
		settings  string
		services  string
		documents bool
	}{
		{"everything", all, false, "imap:993:TLS imap:143:STARTTLS submission:465:TLS submission:587:STARTTLS sieve:4190:STARTTLS https://mx.example.net",
			"_imaps:993 _imap:143 _submissions:465 _submission:587 _sieve:4190 _autodiscover:443 _pop3s:0 _pop3:0", true},
		{"mailboxes elsewhere", all, true, "submission:465:TLS submission:587:STARTTLS https://mx.example.net", "_submissions:465 _submission:587", false},
		{"TLS from the start alone", []string{"imaps [::]:993", "submissions [::]:465", "https [::]:443"}, false, "imap:993:TLS submission:465:TLS https://mx.example.net",
			"_imaps:993 _submissions:465 _autodiscover:443 _imap:0 _submission:0 _pop3s:0 _pop3:0", true},
		{"no web", []string{"imaps [::]:993", "submissions [::]:465"}, false, "imap:993:TLS submission:465:TLS", "_imaps:993 _submissions:465 _imap:0 _submission:0 _pop3s:0 _pop3:0", false},
		{"a web at another port", []string{"imaps [::]:993", "submissions [::]:465", "https [::]:8443", "https [::]:8444", "https 127.0.0.1:443"}, false,
			"imap:993:TLS submission:465:TLS https://mx.example.net:8443", "_imaps:993 _submissions:465 _imap:0 _submission:0 _pop3s:0 _pop3:0", false},
		{"the usual port wins", []string{"imaps [::]:1993", "imaps [::]:993", "imaps 0.0.0.0:993", "submissions [::]:10465", "submissions [::]:465", "https [::]:80", "https [::]:443"}, false,
			"imap:993:TLS imap:1993:TLS submission:465:TLS submission:10465:TLS https://mx.example.net",
			"_imaps:993 _imaps:1993 _submissions:465 _submissions:10465 _autodiscover:443 _imap:0 _submission:0 _pop3s:0 _pop3:0", true},
		{"only sending", []string{"submissions [::]:465", "https [::]:443"}, false, "submission:465:TLS https://mx.example.net", "_submissions:465", false},
		{"one of loopback beside", []string{"imaps [::]:993", "imap 127.0.0.1:143", "submission [::1]:587"}, false, "imap:993:TLS", "_imaps:993 _imap:0 _submissions:0 _submission:0 _pop3s:0 _pop3:0", false},
		{"tried out", []string{"imap 127.0.0.1:1143", "submission 127.0.0.1:1587", "https 127.0.0.1:1443"}, false,
			"imap:1143:STARTTLS submission:1587:STARTTLS https://mx.example.net:1443 local", "", false},
		{"tried out at the usual ports", []string{"imap 127.0.0.1:143", "submission 127.0.0.1:587", "https 127.0.0.1:443"}, false,
			"imap:143:STARTTLS submission:587:STARTTLS https://mx.example.net local", "", false},
		{"any port", []string{"imaps [::]:0", "https [::]:0"}, false, "", "", false},
		{"a relay", []string{"mx [::]:25", "https [::]:443"}, false, "https://mx.example.net", "", false},
	} {
		s := Of(configuration(tt.listen...), Domain{dns.MustParse("example.org"), tt.elsewhere})
		if got := shown(s); got != tt.settings {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.settings)
		}
		if got := records(s); got != tt.services {
			t.Errorf("%s: SRV %s, want %s", tt.name, got, tt.services)
		}
		if got := Documents(s); got != tt.documents {
			t.Errorf("%s: documents %v", tt.name, got)
		}
		if s.Domain != "example.org" || s.Host != "mx.example.net" {
			t.Errorf("%s: %s at %s", tt.name, s.Domain, s.Host)
		}
	}
}

// Without a certificate nobody can log in, and so nobody is told of servers.
func TestWithoutTLS(t *testing.T) {
	t.Parallel()
	cfg := configuration("imap [::]:143", "submission [::]:587")
	cfg.TLS.CertFile = ""
	if got := shown(Of(cfg, Domain{Name: dns.MustParse("example.org")})); got != "" {
		t.Errorf("%s", got)
	}
	cfg.Listen[0].CertFile = "own"
	if got := shown(Of(cfg, Domain{Name: dns.MustParse("example.org")})); got != "imap:143:STARTTLS" {
		t.Errorf("%s", got)
	}
}

// There is room for JMAP: once a server of its kind is among the settings, it has its record.
func TestJMAP(t *testing.T) {
	t.Parallel()
	s := clientconfig.Settings{Servers: []clientconfig.Server{{Protocol: clientconfig.JMAP, Host: "mx.example.net", Port: 443, TLS: true}}}
	if got := records(s); got != "_jmap:443" {
		t.Errorf("%s", got)
	}
}

// Every setting belongs to a listener, and every listener for programs to a setting, whatever
// the mix: the records offer what the settings have and nothing else.
func TestAgree(t *testing.T) {
	t.Parallel()
	kinds := []string{"imaps [::]:993", "imap [::]:143", "submissions [::]:465", "submission [::]:587", "managesieve [::]:4190", "https [::]:443"}
	for mix := range 1 << len(kinds) {
		var listen []string
		for i, k := range kinds {
			if mix&(1<<i) != 0 {
				listen = append(listen, k)
			}
		}
		for _, elsewhere := range []bool{false, true} {
			s := Of(configuration(listen...), Domain{dns.MustParse("example.org"), elsewhere})
			served := map[string]bool{}
			for _, x := range s.Servers {
				label := "_" + string(x.Protocol)
				if x.TLS {
					label += "s"
				}
				served[label] = true
				if !strings.Contains(strings.Join(listen, " "), fmt.Sprintf(":%d", x.Port)) || elsewhere && x.Protocol != clientconfig.Submission {
					t.Errorf("%v: %+v", listen, x)
				}
			}
			for _, x := range Services(s) {
				if x.Label != "_autodiscover" && (x.Port != 0) != served[x.Label] {
					t.Errorf("%v: %+v", listen, x)
				}
			}
			if Documents(s) && !s.Complete() {
				t.Errorf("%v: documents without settings", listen)
			}
		}
	}
}
