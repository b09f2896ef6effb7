package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Companion is what stands beside a Postfix.
type Companion struct {
	Datagrams   string   `toml:"datagrams" example:"/var/spool/postfix/run/tlsrpt/tlsrpt.sock" doc:"Socket into which Postfix 3.10 and later reports its TLS sessions (smtp_tlsrpt_socket_name names the same file, as Postfix sees it from its queue directory). Empty: none."`
	Policies    []string `toml:"policies" doc:"Where smtp_tls_policy_maps is answered: IP addresses with a port like \"127.0.0.1:8642\", or \"unix:\" and the path of a socket. Use loopback addresses: nobody is asked who they are."`
	SocketGroup string   `toml:"socket_group" example:"postfix" doc:"Group, by name or number, whose members alone may write to the sockets; who runs Waxwing must be one of them. Empty: everybody who can reach their directory."`
	ReportRelay string   `toml:"report_relay" example:"127.0.0.1:25" doc:"Who is handed the TLS reports: a mail server's \"host\" or \"host:port\", or the path of a program sendmail (then landlock is off, and a systemd unit must not say NoNewPrivileges=yes). Empty: Waxwing delivers them to the hosts of their recipients itself."`
}

// On reports whether anything is asked of the companion.
func (c Companion) On() bool { return c.Datagrams != "" || len(c.Policies) > 0 }

// Endpoint parses one of Policies.
func (Companion) Endpoint(s string) (Endpoint, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if path == "" {
			return Endpoint{}, fmt.Errorf("%q names no socket; write \"unix:/path\"", s)
		}
		return Endpoint{"unix", path}, nil
	}
	ap, err := parseAddrPort(s)
	if err != nil {
		return Endpoint{}, fmt.Errorf("%q is neither an IP address with a port, like \"127.0.0.1:8642\", nor \"unix:/path\"", s)
	}
	return TCP(ap), nil
}

// Program is the path of ReportRelay if that is a program. It runs with files and rights of
// its own (Postfix's sendmail calls one with set-group-ID), so a process that starts it must
// not be confined to its files (OPS-2): neither would be left to the program.
func (c Companion) Program() string {
	if filepath.IsAbs(c.ReportRelay) {
		return c.ReportRelay
	}
	return ""
}

// Relay is ReportRelay as a host and a port (0: not given); host is empty for a
// program, whose path ReportRelay then is.
func (c Companion) Relay() (host string, port uint16, err error) {
	s := c.ReportRelay
	if s == "" || c.Program() != "" {
		return "", 0, nil
	}
	host = s
	if h, p, serr := net.SplitHostPort(s); serr == nil {
		n, perr := strconv.ParseUint(p, 10, 16)
		if perr != nil || n == 0 {
			return "", 0, fmt.Errorf("%q is no port", p)
		}
		host, port = h, uint16(n)
	}
	if _, aerr := netip.ParseAddr(strings.Trim(host, "[]")); aerr == nil {
		return host, port, nil
	}
	if _, nerr := parseName(host); nerr != nil || host == "" {
		return "", 0, fmt.Errorf("%q is neither the path of a program nor a mail server's \"host:port\"", s)
	}
	return host, port, nil
}

// ServesMail reports a listener that takes mail.
func (c *Config) ServesMail() bool {
	return slices.ContainsFunc(c.Listen, func(l Listen) bool { return l.Kind == MX || l.Kind == Submission || l.Kind == Submissions })
}

func (c *Config) validateCompanion(d *decoder) {
	p := c.Companion
	for i, s := range p.Policies {
		if _, err := p.Endpoint(s); err != nil {
			d.fault(fmt.Sprintf("companion.policies[%d]", i), "%v", err)
		} else if slices.Index(p.Policies, s) < i {
			d.fault(fmt.Sprintf("companion.policies[%d]", i), "%s stands here twice", s)
		}
	}
	if _, _, err := p.Relay(); err != nil {
		d.fault("companion.report_relay", "%v", err)
	}
}
