package milters

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"waxwing/internal/delivery"
	"waxwing/milter"
	"waxwing/smtp"
	"waxwing/smtpserver"
)

// Client is who hands in the message.
type Client struct {
	milter.Client
	HELO   string
	Macros milter.Macros
}

// ClientOf is the client of a connection: name leads back to its address, "" where none does, and
// iprev is the result of that search (RFC 8601 §3).
func ClientOf(conn smtpserver.Conn, name, iprev string) Client {
	remote, local := conn.Remote(), conn.Local()
	literal := "[" + addr(remote.Addr()) + "]"
	shown, resolved := name, "FAIL"
	if name == "" {
		shown = literal
	}
	switch iprev {
	case "pass":
		resolved = "OK"
	case "temperror":
		resolved = "TEMP"
	}
	m := milter.Macros{
		"_": shown + " " + literal, "{client_addr}": addr(remote.Addr()), "{client_port}": strconv.Itoa(int(remote.Port())),
		"{client_name}": shown, "{client_ptr}": shown, "{client_resolve}": resolved,
		"{if_addr}": addr(local.Addr()), "{daemon_addr}": addr(local.Addr()), "{daemon_port}": strconv.Itoa(int(local.Port())),
	}
	if who := conn.Identity(); who != "" {
		// Whoever has logged in: opendkim and others look whether there is a type at all.
		m["{auth_type}"], m["{auth_authen}"] = "SASL", who
	}
	if state := conn.TLS(); state != nil {
		m["{tls_version}"] = strings.TrimSuffix(strings.Replace(tls.VersionName(state.Version), " ", "v", 1), ".0")
		m["{cipher}"], m["{cipher_bits}"] = tls.CipherSuiteName(state.CipherSuite), bits(state.CipherSuite)
	}
	return Client{Client: milter.Client{Name: name, Addr: remote}, HELO: conn.HELO(), Macros: m}
}

// addr is an address as Sendmail's macros have it.
func addr(a netip.Addr) string {
	switch a = a.Unmap().WithZone(""); {
	case !a.IsValid():
		return "unknown"
	case a.Is6():
		return "IPv6:" + a.String()
	}
	return a.String()
}

// bits is how long the keys of a cipher suite are.
func bits(suite uint16) string {
	name := tls.CipherSuiteName(suite)
	switch {
	case strings.Contains(name, "128"):
		return "128"
	case strings.Contains(name, "3DES"):
		return "112"
	}
	return "256"
}

// ofMail are the macros of MAIL.
func ofMail(p smtp.MailParams) milter.Macros {
	m := milter.Macros{"{mail_addr}": p.Sender(), "{mail_host}": p.From.Domain, "{mail_mailer}": "esmtp"}
	if p.Auth != "" {
		m["{auth_author}"] = p.Auth
	}
	return m
}

// params are the parameters of MAIL as they were given.
func params(p smtp.MailParams) (all []string) {
	if p.Size > 0 {
		all = append(all, fmt.Sprintf("SIZE=%d", p.Size))
	}
	if p.Body != "" {
		all = append(all, "BODY="+p.Body)
	}
	if p.SMTPUTF8 {
		all = append(all, "SMTPUTF8")
	}
	if p.RequireTLS {
		all = append(all, "REQUIRETLS")
	}
	if p.Ret != "" {
		all = append(all, "RET="+p.Ret)
	}
	return all
}

// ofRcpt are the macros of a recipient.
func ofRcpt(r delivery.Recipient) milter.Macros {
	mailer := "esmtp"
	if r.Local {
		mailer = "local"
	}
	return milter.Macros{"{rcpt_addr}": r.Address, "{rcpt_host}": r.Domain.String(), "{rcpt_mailer}": mailer}
}
