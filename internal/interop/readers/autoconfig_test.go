package readers

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/freeport"
	"waxwing/internal/server"
)

const setupHost = "mail.example.test"

// setUp is a running server that serves documents for mail programs, and a client that knows
// its authority and finds every name on loopback.
type setUp struct {
	t      *testing.T
	server *server.Server
	roots  *x509.CertPool
	ca     string // the same, as a file
	https  string // host and port
	client *http.Client
}

func startSetup(t *testing.T) *setUp {
	t.Helper()
	text := listening(setupHost, func() string { return freeport.Addr(t) }, "imaps", "imap", "submissions", "submission", "https")
	cfg, err := config.Parse(filepath.Join(t.TempDir(), "waxwing.toml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	ca := certify(t, cfg, setupHost)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	log := slog.New(slog.DiscardHandler)
	if _, err := datadir.InitStore(ctx, cfg, log); err != nil {
		t.Fatal(err)
	}
	u := &setUp{t: t, roots: x509.NewCertPool(), ca: ca}
	if u.server, err = server.New(ctx, server.Options{Config: cfg, Log: log}); err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(u.server.Accounts.AddDomain(ctx, dns.MustParse("example.test")))
	must(u.server.Accounts.AddAccount(ctx, "joe", password))
	must(u.server.Accounts.AddAddress(ctx, "joe.smith@example.test", "joe"))
	done := make(chan error, 1)
	go func() { done <- u.server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	pem, err := os.ReadFile(ca)
	must(err)
	u.roots.AppendCertsFromPEM(pem)
	u.https = setupHost + strings.TrimPrefix(u.server.Addr(config.HTTPS).String(), "127.0.0.1")
	u.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: u.dial, TLSClientConfig: u.tls(setupHost)}}
	t.Cleanup(u.client.CloseIdleConnections)
	return u
}

// dial finds every name on loopback.
func (u *setUp) dial(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

func (u *setUp) tls(name string) *tls.Config { return &tls.Config{RootCAs: u.roots, ServerName: name} }

// fetch asks for a document.
func (u *setUp) fetch(method, path, body string) []byte {
	u.t.Helper()
	r, err := http.NewRequestWithContext(u.t.Context(), method, "https://"+u.https+path, strings.NewReader(body))
	if err != nil {
		u.t.Fatal(err)
	}
	answer, err := u.client.Do(r)
	if err != nil {
		u.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 {
		u.t.Fatalf("%s: %d, %v: %s", path, answer.StatusCode, err, text)
	}
	return text
}

// told is a server as a document tells of it.
type told struct {
	host, port, user string
	tls              bool
}

// connect connects there, with TLS from the start or with what starttls does first.
func (u *setUp) connect(s told, starttls func(net.Conn)) net.Conn {
	u.t.Helper()
	nc, err := u.dial(u.t.Context(), "tcp", net.JoinHostPort(s.host, s.port))
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(time.Minute))
	if !s.tls {
		starttls(nc)
	}
	c := tls.Client(nc, u.tls(s.host))
	if err := c.Handshake(); err != nil {
		u.t.Fatalf("%+v: %v", s, err)
	}
	return c
}

// logIn logs in to IMAP as a program would that was told of s, and returns how many messages INBOX has.
func (u *setUp) logIn(s told) string {
	u.t.Helper()
	expect := func(r *bufio.Reader, tag string) (all string) {
		u.t.Helper()
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				u.t.Fatalf("%+v: %v", s, err)
			}
			if all += line; strings.HasPrefix(line, tag) {
				if !strings.HasPrefix(line, tag+" OK") {
					u.t.Fatalf("%+v: %s", s, all)
				}
				return all
			}
		}
	}
	c := u.connect(s, func(nc net.Conn) {
		r := bufio.NewReader(nc)
		expect(r, "*")
		fmt.Fprintf(nc, "s STARTTLS\r\n")
		expect(r, "s")
	})
	r := bufio.NewReader(c)
	if s.tls {
		expect(r, "*")
	}
	fmt.Fprintf(c, "a LOGIN %s %s\r\n", s.user, password)
	expect(r, "a")
	fmt.Fprintf(c, "b STATUS INBOX (MESSAGES)\r\n")
	return expect(r, "b")
}

// send sends a message to the address itself, as a program would that was told of s.
func (u *setUp) send(s told) {
	u.t.Helper()
	var plain *smtp.Client
	try := func(err error) {
		u.t.Helper()
		if err != nil {
			u.t.Fatalf("%+v: %v", s, err)
		}
	}
	var c *smtp.Client
	if s.tls {
		client, err := smtp.NewClient(u.connect(s, nil), s.host)
		try(err)
		c = client
	} else {
		nc, err := u.dial(u.t.Context(), "tcp", net.JoinHostPort(s.host, s.port))
		try(err)
		plain, err = smtp.NewClient(nc, s.host)
		try(err)
		try(plain.StartTLS(u.tls(s.host)))
		c = plain
	}
	defer c.Close()
	try(c.Auth(smtp.PlainAuth("", s.user, password, s.host)))
	try(c.Mail(s.user))
	try(c.Rcpt(s.user))
	w, err := c.Data()
	try(err)
	fmt.Fprintf(w, "From: <%s>\r\nTo: <%s>\r\nSubject: set up\r\nDate: Mon, 30 Nov 2026 12:00:00 +0000\r\nMessage-ID: <%d@example.test>\r\n\r\nIt works.\r\n", s.user, s.user, time.Now().UnixNano())
	try(w.Close())
	try(c.Quit())
}

const joeSmith = "joe.smith@example.test"

// TestAutoconfig (CLI-1): a program that does what each document says, and knows no more than an
// address and a password, sends a message and reads it.
func TestAutoconfig(t *testing.T) {
	t.Parallel()
	u := startSetup(t)
	sent := 0
	try := func(what string, in, out []told) {
		t.Helper()
		if len(in) == 0 || len(out) == 0 {
			t.Fatalf("%s: %+v, %+v", what, in, out)
		}
		for _, s := range out {
			u.send(s)
			sent++
		}
		for _, s := range in {
			if got := u.logIn(s); !strings.Contains(got, fmt.Sprintf("(MESSAGES %d)", sent)) {
				t.Errorf("%s: %s, want %d", what, got, sent)
			}
		}
	}
	in, out := u.thunderbirds()
	try("Thunderbird's file", in, out)
	in, out = u.outlooks()
	try("Autodiscover", in, out)
	in, out = u.apples()
	try("Apple's profile", in, out)
}

// thunderbirds reads what Thunderbird reads: all servers.
func (u *setUp) thunderbirds() (in, out []told) {
	type entry struct {
		Type     string `xml:"type,attr"`
		Host     string `xml:"hostname"`
		Port     string `xml:"port"`
		Socket   string `xml:"socketType"`
		Login    string `xml:"authentication"`
		Username string `xml:"username"`
	}
	var document struct {
		XMLName  xml.Name `xml:"clientConfig"`
		Incoming []entry  `xml:"emailProvider>incomingServer"`
		Outgoing []entry  `xml:"emailProvider>outgoingServer"`
	}
	if err := xml.Unmarshal(u.fetch("GET", "/mail/config-v1.1.xml?emailaddress="+joeSmith, ""), &document); err != nil {
		u.t.Fatal(err)
	}
	read := func(all []entry, kind string) (out []told) {
		for _, e := range all {
			if e.Type != kind || e.Login != "password-cleartext" || e.Socket != "SSL" && e.Socket != "STARTTLS" {
				u.t.Errorf("%+v", e)
			}
			out = append(out, told{e.Host, e.Port, strings.ReplaceAll(e.Username, "%EMAILADDRESS%", joeSmith), e.Socket == "SSL"})
		}
		return out
	}
	return read(document.Incoming, "imap"), read(document.Outgoing, "smtp")
}

// outlooks reads what Outlook reads.
func (u *setUp) outlooks() (in, out []told) {
	request := `<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request><EMailAddress>` + joeSmith +
		`</EMailAddress><AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema></Request></Autodiscover>`
	var document struct {
		XMLName  xml.Name `xml:"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006 Autodiscover"`
		Response struct {
			XMLName   xml.Name `xml:"http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a Response"`
			Protocols []struct {
				Type, Server, Port, LoginName, SSL, Encryption string
			} `xml:"Account>Protocol"`
		}
	}
	if err := xml.Unmarshal(u.fetch("POST", "/Autodiscover/Autodiscover.xml", request), &document); err != nil {
		u.t.Fatal(err)
	}
	for _, p := range document.Response.Protocols {
		s := told{p.Server, p.Port, p.LoginName, p.Encryption == "SSL"}
		switch {
		case p.SSL != "on":
			u.t.Errorf("%+v", p)
		case p.Type == "IMAP":
			in = append(in, s)
		case p.Type == "SMTP":
			out = append(out, s)
		}
	}
	return in, out
}

// apples reads what an iPhone reads, of a profile whose signature OpenSSL verifies.
func (u *setUp) apples() (in, out []told) {
	need(u.t, "openssl")
	signed := filepath.Join(u.t.TempDir(), "profile")
	if err := os.WriteFile(signed, u.fetch("GET", "/mail.mobileconfig?emailaddress="+joeSmith, ""), 0o600); err != nil {
		u.t.Fatal(err)
	}
	cmd := exec.Command("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", signed, "-CAfile", u.ca, "-purpose", "any")
	var plist, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &plist, &said
	if err := cmd.Run(); err != nil {
		u.t.Fatalf("openssl: %v: %s", err, said.String())
	}
	values, key := map[string]string{}, ""
	d := xml.NewDecoder(&plist)
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			u.t.Fatal(err)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		var text string
		switch e.Name.Local {
		case "key", "string", "integer":
			if err := d.DecodeElement(&text, &e); err != nil {
				u.t.Fatal(err)
			}
		case "true", "false":
			text = e.Name.Local
		}
		if e.Name.Local == "key" {
			key = text
		} else {
			values[key] = text
		}
	}
	server := func(of string) []told {
		if values[of+"MailServerUseSSL"] != "true" {
			u.t.Errorf("%v", values)
		}
		return []told{{values[of+"MailServerHostName"], values[of+"MailServerPortNumber"], values[of+"MailServerUsername"], true}}
	}
	return server("Incoming"), server("Outgoing")
}
