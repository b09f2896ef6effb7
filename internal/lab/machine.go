package lab

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"waxwing/dane"
	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/account"
	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/delivery"
	"waxwing/internal/server"
	"waxwing/internal/session"
	"waxwing/internal/signing"
	"waxwing/message"
	"waxwing/mtasts"
	"waxwing/sasl"
	"waxwing/smtpclient"
)

// Machine is a Waxwing of the lab: the whole server with a store of its own,
// reached over real sockets.
type Machine struct {
	*server.Server
	Domain   dns.Name // its own signed domain
	Hostname dns.Name // mx.DOMAIN
	Account  string   // of the one user, with an address in Domain
	Password string
	Dir      string
	Config   string // path of its waxwing.toml
	Sendmail string // path of the sendmail.toml for programs that send as the user; "": this system cannot

	net  *Internet
	addr netip.Addr
	stop context.CancelFunc
	done chan error
}

// Address is the user's.
func (m *Machine) Address() string { return m.Account + "@" + m.Domain.ASCII() }

// MachineSpec says what a machine is to be.
type MachineSpec struct {
	Domain  string
	Account string
	Dir     string       // for its files; it must exist
	Hosts   []dns.Name   // further domains it hosts
	Log     *slog.Logger // nil: discard
	Extra   string       // further lines of its configuration
	// Postgres is the address of the database that it keeps its store in; "": its own files.
	Postgres string
	Retry    string // how long mail that was put off waits; "": 2h
	// Wire is how it dials and listens; nil: as everybody in the lab.
	Wire Wire
	// Commit stands around every commit of its store; nil: nothing does.
	Commit func(commit func() error) error
}

// Wire joins a machine to the lab's network.
type Wire interface {
	session.Dialer
	ListenAt(network, address string) (net.Listener, error)
}

// StartMachine sets a Waxwing up as an operator would, publishes its records in
// a signed zone, with DANE, and starts it.
func (n *Internet) StartMachine(ctx context.Context, spec MachineSpec) (*Machine, error) {
	domain, err := dns.ParseName(spec.Domain)
	if err != nil {
		return nil, err
	}
	m := &Machine{Domain: domain, Hostname: dns.MustParse("mx." + spec.Domain), Account: spec.Account, Password: "correct-horse-battery",
		Dir: spec.Dir, net: n, addr: n.Network.Addr(), done: make(chan error, 1)}
	now := n.Clock.Now()
	cert, err := n.Issuer.Leaf(now.Add(-time.Hour), now.AddDate(0, 3, 0), m.Hostname.ASCII(), "mta-sts."+domain.ASCII())
	if err != nil {
		return nil, err
	}
	cfg, err := m.configure(cert, spec)
	if err != nil {
		return nil, err
	}
	if _, err := datadir.InitStore(ctx, cfg, spec.Log); err != nil {
		return nil, err
	}
	if err := m.build(ctx, cfg, spec); err != nil {
		return nil, err
	}
	if err := m.populate(ctx, cert, spec.Hosts); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	m.run(ctx)
	return m, nil
}

// build makes the machine's server.
func (m *Machine) build(ctx context.Context, cfg *config.Config, spec MachineSpec) (err error) {
	wire := spec.Wire
	if wire == nil {
		wire = m.net.Network
	}
	m.Server, err = server.New(ctx, server.Options{Config: cfg, Log: spec.Log, Now: m.net.Clock.Now, Dialer: wire, Listen: wire.ListenAt, Commit: spec.Commit})
	return err
}

// run starts what build made.
func (m *Machine) run(ctx context.Context) {
	ctx, m.stop = context.WithCancel(ctx)
	go func() { m.done <- m.Run(ctx) }()
}

// Stop drains the machine.
func (m *Machine) Stop() error {
	m.stop()
	return <-m.done
}

func (m *Machine) configure(cert tls.Certificate, spec MachineSpec) (*config.Config, error) {
	certFile, keyFile, rootsFile := filepath.Join(m.Dir, "host.crt"), filepath.Join(m.Dir, "host.key"), filepath.Join(m.Dir, "roots.crt")
	var chain []byte
	for _, der := range cert.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return nil, err
	}
	m.Config = filepath.Join(m.Dir, "waxwing.toml")
	text := fmt.Sprintf(machineConfig, m.Hostname, m.addr, m.addr, m.addr, m.addr, certFile, keyFile, rootsFile, m.net.DNS.Addr(), selfTestSigned, selfTestBogus, selfTestLarge, cmp.Or(spec.Retry, "2h")) + m.programs() + spec.Extra
	if spec.Postgres != "" {
		text = fmt.Sprintf("postgres = %q\n", spec.Postgres) + text
	}
	files := map[string][]byte{
		rootsFile: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.net.Root.Cert.Raw}),
		certFile:  chain, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), m.Config: []byte(text),
	}
	if m.Sendmail != "" {
		files[m.Sendmail] = fmt.Appendf(nil, "socket = %q\nfrom = %q\n", filepath.Join(m.Dir, "sendmail.sock"), m.Address())
	}
	for path, data := range files {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return nil, err
		}
	}
	return config.Load(m.Config)
}

// programs is the part of the configuration that lets who runs the lab send as
// the user without a password (TRA-5), and names the file for "waxwing sendmail
// -C". It is empty where the system does not tell who is at a socket's other end, or
// the directory's path is too long for a socket.
func (m *Machine) programs() string {
	const longest = 107
	socket := filepath.Join(m.Dir, "sendmail.sock")
	if runtime.GOOS != "linux" || len(socket) > longest {
		return ""
	}
	m.Sendmail = filepath.Join(m.Dir, "sendmail.toml")
	return fmt.Sprintf("[sendmail]\nsocket = %q\n[[sendmail.user]]\nuser = \"%d\"\naccount = %q\n", socket, os.Getuid(), m.Account)
}

// Retries are far apart, so that a story sees the first attempt.
const machineConfig = `hostname = %q
data_dir = "data"
[[listen]]
address = "%s:25"
kind = "mx"
[[listen]]
address = "%s:587"
kind = "submission"
[[listen]]
address = "%s:443"
kind = "https"
[[listen]]
address = "%s:2580"
kind = "admin"
[tls]
cert_file = %q
key_file = %q
roots_file = %q
[resolver]
servers = [%q]
selftest = { signed = %q, bogus = %q, large = %q }
[tlsrpt]
report_success = "always"
[delivery]
allow_private = true
retry = [%q]
`

// populate fills the store and publishes the zone.
func (m *Machine) populate(ctx context.Context, cert tls.Certificate, hosts []dns.Name) error {
	a := m.Accounts
	for _, d := range append([]dns.Name{m.Domain}, hosts...) {
		if err := a.AddDomain(ctx, d); err != nil {
			return fmt.Errorf("host %s: %w", d, err)
		}
	}
	if err := a.AddAccount(ctx, m.Account, m.Password); err != nil {
		return err
	}
	if err := a.ChangeAccess(ctx, m.Account, func(x account.Access) account.Access { x.Admin = true; return x }); err != nil {
		return err
	}
	if err := a.AddAddress(ctx, m.Address(), m.Account); err != nil {
		return err
	}
	key, err := dkim.GenerateEd25519()
	if err != nil {
		return err
	}
	stored, err := m.Signing.AddKey(ctx, signing.NewKey{Domain: m.Domain, Selector: "lab", Signer: key, Now: true})
	if err != nil {
		return err
	}
	return m.net.DNS.Set(dnstest.Zone{Name: m.Domain.ASCII(), Security: dns.Secure, Records: []string{
		"@ MX 10 mx", "mx A " + m.addr.String(),
		fmt.Sprintf("_25._tcp.mx TLSA %s", dane.Generate(cert.Leaf, dane.UsageEE, 1, 1)),
		fmt.Sprintf("lab._domainkey TXT %q", stored.Record),
	}})
}

// Pages is where a browser finds the machine's admin pages.
func (m *Machine) Pages() string {
	return "http://" + m.net.Network.listeners()[netip.AddrPortFrom(m.addr, 2580)] + "/"
}

// PublishSTS publishes an MTA-STS policy of mode enforce for the machine's own
// domain, which it serves itself (STS-11).
func (m *Machine) PublishSTS(ctx context.Context) error {
	p, err := m.STSPublish.Set(ctx, m.Domain, &mtasts.Policy{Mode: mtasts.ModeEnforce, MaxAge: 7 * 24 * time.Hour, MX: []mtasts.Pattern{{Name: m.Hostname}}})
	if err != nil {
		return err
	}
	return m.net.DNS.Add(m.Domain.ASCII(), stsLine(p.Record()), "mta-sts A "+m.addr.String())
}

// Mail is what a user or a stranger hands in.
type Mail struct {
	From, To string
	Need     delivery.TLSNeed
	Header   []string // whole lines without CRLF; From, To and Subject are added if empty
	Body     string
}

func (m Mail) text() string {
	h := m.Header
	if len(h) == 0 {
		h = []string{"From: <" + m.From + ">", "To: <" + m.To + ">", "Subject: a story of the lab"}
	}
	if m.Need == delivery.TLSOptional {
		h = append(h, "TLS-Required: No")
	}
	return strings.Join(h, "\r\n") + "\r\n\r\n" + m.Body + "\r\n"
}

// Submit logs in over STARTTLS, the certificate verified, and hands mail in as
// the user.
func (m *Machine) Submit(ctx context.Context, mail Mail) error {
	return m.hand(ctx, 587, mail, func(c *smtpclient.Conn) error {
		cs, _ := c.TLSState()
		login, err := sasl.Choose(c.Extensions().Auth, &cs, sasl.Account{User: m.Account, Password: m.Password})
		if err != nil {
			return err
		}
		return c.Auth(ctx, login)
	})
}

// Hand gives mail to the MX port, as a stranger.
func (m *Machine) Hand(ctx context.Context, mail Mail) error {
	return m.hand(ctx, 25, mail, func(*smtpclient.Conn) error { return nil })
}

func (m *Machine) hand(ctx context.Context, port uint16, mail Mail, login func(*smtpclient.Conn) error) error {
	nc, err := m.net.Network.DialContext(ctx, "tcp", netip.AddrPortFrom(m.addr, port).String())
	if err != nil {
		return err
	}
	c := smtpclient.New(nc, smtpclient.Options{HELO: "client.test"})
	defer c.Close()
	if _, err := c.Greeting(ctx); err != nil {
		return err
	}
	if err := c.Hello(ctx); err != nil {
		return err
	}
	if err := c.StartTLS(ctx, &tls.Config{ServerName: m.Hostname.ASCII(), RootCAs: m.net.Root.Pool(), Time: m.net.Clock.Now}); err != nil {
		return err
	}
	if err := c.Hello(ctx); err != nil {
		return err
	}
	if err := login(c); err != nil {
		return err
	}
	res, err := c.Transaction(ctx, smtpclient.Transaction{
		Mail: smtpclient.MailOptions{From: mail.From, RequireTLS: mail.Need == delivery.RequireTLS,
			SMTPUTF8: message.EightBit([]byte(mail.From + mail.To + strings.Join(mail.Header, "")))},
		Rcpts: []smtpclient.RcptOptions{{To: mail.To}}, Body: strings.NewReader(mail.text()),
	})
	if err != nil {
		return err
	}
	if res.Data != nil && !res.Data.Positive() {
		return &refusal{mail.To, res.Data}
	}
	if !res.Accepted(0) {
		return fmt.Errorf("%s refused the mail to %s: MAIL %v, RCPT %v, DATA %v", m.Hostname, mail.To, res.Mail, res.Rcpts[0], res.Data)
	}
	return c.Quit(ctx)
}
