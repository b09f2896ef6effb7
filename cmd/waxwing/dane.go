package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"waxwing/dane"
	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/explain"
	"waxwing/internal/policy"
	"waxwing/internal/server"
)

// daneTimeout bounds all lookups and connections of one call.
const daneTimeout = 2 * time.Minute

// daneCall is a call of "waxwing dane".
type daneCall struct {
	storeFlags
	usage, selector, matching uint
	port                      uint
	host                      string
	arg                       string
}

func daneActions() []action {
	return []action{
		{"lookup", "HOST|DOMAIN", "the TLSA records of a host, or of a domain's hosts"},
		{"verify", "HOST[:PORT]|DOMAIN", "connect, and hold certificates against the records"},
		{"record", "FILE|HOST", "the record to publish for a certificate"},
	}
}

// runDANE looks TLSA records up, verifies hosts against them, and makes them
// (RFC 6698, RFC 7672).
func runDANE(ctx context.Context, e env, args []string) error {
	what, args, err := verb(e, "dane", args)
	if err != nil {
		return err
	}
	var c daneCall
	fs := flags(e, "dane", what)
	c.addJSON(fs, what)
	if what == "record" {
		fs.UintVar(&c.usage, "usage", 3, "certificate `usage`: 3 (the host's own key) or 2 (an authority's)")
		fs.UintVar(&c.selector, "selector", 1, "`selector`: 1 (the public key) or 0 (the whole certificate)")
		fs.UintVar(&c.matching, "matching", 1, "matching `type`: 1 (SHA-256), 2 (SHA-512) or 0 (in full)")
		fs.UintVar(&c.port, "port", 25, "TCP `port` of the service")
		fs.StringVar(&c.host, "host", "", "`name` that the record is for, if it is not the certificate's first")
	}
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if err := wants(what, rest, map[string]string{"lookup": "host or domain", "verify": "HOST[:PORT]", "record": "certificate file or host"}[what]); err != nil {
		return err
	}
	c.arg = rest[0]
	ctx, cancel := context.WithTimeout(ctx, daneTimeout)
	defer cancel()
	switch what {
	case "lookup":
		return c.lookup(ctx, e)
	case "verify":
		return c.verify(ctx, e)
	}
	return c.record(ctx, e)
}

// daneHost is what -json prints of a host.
type daneHost struct {
	Host       string            `json:"host"`
	Addresses  []string          `json:"addresses,omitempty"`
	State      string            `json:"state"` // none, usable, unusable, failed
	Name       string            `json:"tlsa_name,omitempty"`
	Records    []string          `json:"records,omitempty"`
	References []string          `json:"reference_names,omitempty"` // for records of usage 2
	Failure    string            `json:"failure,omitempty"`
	Word       string            `json:"word,omitempty"`
	Contacts   []explain.Contact `json:"contacts,omitempty"`
	OK         bool              `json:"ok"`
}

// daneAnswer is what -json prints of lookup and verify.
type daneAnswer struct {
	Name    string           `json:"name"`
	Secure  bool             `json:"mx_secure"`
	Lookups []explain.Lookup `json:"lookups"`
	Hosts   []daneHost       `json:"hosts"`
	Failure string           `json:"failure,omitempty"`
	OK      bool             `json:"ok"`
}

// find looks up the hosts of c.arg, or c.arg itself where it has no MX records.
func (c *daneCall) find(ctx context.Context, name string, port uint16) (*server.Look, delivery.Destination, *daneAnswer, error) {
	d, err := parseDomain(name)
	if err != nil {
		return nil, delivery.Destination{}, nil, err
	}
	o, err := loadOptions(c.config)
	if err != nil {
		return nil, delivery.Destination{}, nil, err
	}
	look, err := server.Looking(o, port)
	if err != nil {
		return nil, delivery.Destination{}, nil, err
	}
	dest := look.Finder.Find(ctx, delivery.RecipientDomain{Name: d})
	a := &daneAnswer{Name: d.ASCII(), Secure: dest.MXSecure, Lookups: []explain.Lookup{}, Hosts: []daneHost{}}
	for _, l := range dest.Lookups {
		a.Lookups = append(a.Lookups, explain.Lookup{Name: l.Name, Type: l.Type, Security: l.Security.String(), Result: l.Result})
	}
	if dest.Fail != nil {
		a.Failure = dest.Fail.Text
	}
	for _, h := range dest.Hosts {
		a.Hosts = append(a.Hosts, newDANEHost(h))
	}
	return look, dest, a, nil
}

func newDANEHost(h delivery.Host) daneHost {
	out := daneHost{Host: h.Name.ASCII(), State: h.DANE.State.String(), Records: h.DANE.Strings, OK: h.DANE.State == delivery.DANEUsable}
	for _, a := range h.Addrs {
		out.Addresses = append(out.Addresses, a.String())
	}
	if h.DANE.State == delivery.DANENone && h.AddrSecurity != dns.Secure && h.Fail == nil {
		out.Word, out.Failure = "addresses-insecure", "DNSSEC does not secure its addresses, so that TLSA records would not count"
	}
	if !h.DANE.Base.IsZero() {
		out.Name = h.DANE.Base.ASCII()
	}
	for _, n := range h.DANE.References {
		out.References = append(out.References, n.ASCII())
	}
	for _, f := range []*delivery.Failure{h.DANE.Fail, h.Fail} {
		if f != nil {
			out.Word, out.Failure = string(f.Word), f.Text
		}
	}
	return out
}

func (c *daneCall) lookup(ctx context.Context, e env) error {
	_, _, a, err := c.find(ctx, c.arg, 0)
	if err != nil {
		return err
	}
	a.settle()
	return a.tell(e, c.json, "every host has usable TLSA records", "not every host has usable TLSA records")
}

// settle is whether all hosts are well.
func (a *daneAnswer) settle() {
	a.OK = a.Failure == "" && len(a.Hosts) > 0
	for _, h := range a.Hosts {
		a.OK = a.OK && h.OK
	}
}

func (a *daneAnswer) tell(e env, asJSON bool, good, bad string) error {
	if asJSON {
		if err := printJSON(e.stdout, a); err != nil {
			return err
		}
	} else {
		e, end := e.prose()
		a.print(e.stdout)
		if err := end(); err != nil {
			return err
		}
	}
	if !a.OK {
		return fmt.Errorf("%s: %s", a.Name, bad)
	}
	if !asJSON {
		fmt.Fprintf(e.stdout, "\n%s: %s\n", a.Name, good)
	}
	return nil
}

func (a *daneAnswer) print(w io.Writer) {
	for _, l := range a.Lookups {
		fmt.Fprintf(w, "%-6s %-13s %s: %s\n", l.Type, l.Security, l.Name, l.Result)
	}
	if a.Failure != "" {
		fmt.Fprintf(w, "\n%s\n", a.Failure)
	}
	for _, h := range a.Hosts {
		fmt.Fprintf(w, "\n%s: TLSA records: %s\n", h.Host, h.State)
		for _, r := range h.Records {
			fmt.Fprintf(w, "  %s\n", r)
		}
		if h.Failure != "" {
			fmt.Fprintf(w, "  %s: %s\n", h.Word, h.Failure)
		}
		for _, x := range h.Contacts {
			x.Print(w)
		}
	}
}

// verify connects to every address and holds what is presented against the records.
func (c *daneCall) verify(ctx context.Context, e env) error {
	name, port, err := splitPort(c.arg)
	if err != nil {
		return err
	}
	look, dest, a, err := c.find(ctx, name, port)
	if err != nil {
		return err
	}
	plans := danePlans(dest)
	for i, h := range dest.Hosts {
		out := &a.Hosts[i]
		out.OK = h.DANE.State == delivery.DANEUsable && len(h.Addrs) > 0
		for _, addr := range h.Addrs {
			x := explain.Look(ctx, look.Probe, plans[i], addr)
			out.Contacts = append(out.Contacts, x)
			out.OK = out.OK && x.Refused == nil
		}
	}
	a.settle()
	return a.tell(e, c.json, "verified by DANE", "not verified by DANE")
}

// danePlans are the plans of mail that DANE alone can be sent by.
func danePlans(dest delivery.Destination) []delivery.Plan {
	return policy.Decide(policy.Input{Destination: dest, Domain: dest.Domain.Name, Minimum: delivery.MinDANE}).Plans
}

// splitPort parts HOST[:PORT]; 0 without a port.
func splitPort(s string) (host string, port uint16, err error) {
	host, text, there := strings.Cut(s, ":")
	if !there {
		return host, 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return "", 0, usagef("%q is no TCP port", text)
	}
	return host, uint16(n), nil
}

// madeRecord is what -json prints of record.
type madeRecord struct {
	Name   string `json:"name"`
	Record string `json:"record"`
	Line   string `json:"line"`
}

// record prints the TLSA record to publish for a certificate.
func (c *daneCall) record(ctx context.Context, e env) error {
	if c.usage > 3 || c.selector > 1 || c.matching > 2 || c.port == 0 || c.port > 65535 {
		return usagef("-usage is 0 to 3, -selector 0 or 1, -matching 0 to 2, -port 1 to 65535")
	}
	chain, err := c.chain(ctx)
	if err != nil {
		return err
	}
	cert, err := pick(chain, uint8(c.usage))
	if err != nil {
		return fmt.Errorf("%s: %w", c.arg, err)
	}
	host := c.host
	if host == "" && len(chain[0].DNSNames) > 0 {
		host = chain[0].DNSNames[0]
	}
	name, err := dns.ParseName(host)
	if err != nil {
		return fmt.Errorf("the certificate names no host that the record could be for: say it with -host")
	}
	rr := dane.Generate(cert, uint8(c.usage), uint8(c.selector), uint8(c.matching))
	if _, unusable := dane.Usable([]dns.TLSA{rr}); unusable > 0 {
		fmt.Fprintf(e.stderr, "waxwing dane: SMTP does not use records of usage %d (RFC 7672 §3.1.3): publish usage 3\n", c.usage)
	}
	m := madeRecord{Name: fmt.Sprintf("_%d._tcp.%s", c.port, name.ASCII()), Record: rr.String()}
	m.Line = m.Name + ". IN TLSA " + m.Record
	if c.json {
		return printJSON(e.stdout, m)
	}
	_, err = fmt.Fprintln(e.stdout, m.Line)
	return err
}

// maxCertFile bounds what is read of a certificate file.
const maxCertFile = 1 << 20

// chain is the certificates of a file, or those that a host presents.
func (c *daneCall) chain(ctx context.Context) ([]*x509.Certificate, error) {
	f, err := os.Open(c.arg)
	if errors.Is(err, os.ErrNotExist) && !strings.ContainsAny(c.arg, "/") {
		return c.presented(ctx)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCertFile))
	if err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.arg, err)
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", c.arg)
	}
	return chain, nil
}

// presented asks the host itself. Nobody vouches for what it presents: whoever
// publishes the record compares it with the host's own files.
func (c *daneCall) presented(ctx context.Context) ([]*x509.Certificate, error) {
	port := uint16(c.port)
	if port == 25 {
		port = 0
	}
	look, dest, a, err := c.find(ctx, c.arg, port)
	if err != nil {
		return nil, err
	}
	if a.Failure != "" {
		return nil, fmt.Errorf("%s is no file, and as a host: %s", c.arg, a.Failure)
	}
	why := "it has no address"
	plans := danePlans(dest)
	for i, h := range dest.Hosts {
		for _, addr := range h.Addrs {
			x := explain.Look(ctx, look.Probe, plans[i], addr)
			if len(x.Certs) > 0 {
				if c.host == "" {
					c.host = h.Name.ASCII()
				}
				return x.Certs, nil
			}
			why = contactTrouble(x, addr)
		}
	}
	return nil, fmt.Errorf("%s showed no certificate: %s", c.arg, why)
}

func contactTrouble(x explain.Contact, addr netip.Addr) string {
	for _, r := range []*explain.Reason{x.Failure, x.TLSFailure} {
		if r != nil {
			return fmt.Sprintf("%s: %s (%s)", addr, r.Word, r.Text)
		}
	}
	return addr.String()
}

// pick is the certificate that a usage speaks of.
func pick(chain []*x509.Certificate, usage uint8) (*x509.Certificate, error) {
	if usage == dane.UsageEE || usage == dane.UsagePKIXEE {
		return chain[0], nil
	}
	for _, cert := range chain {
		if cert.IsCA {
			return cert, nil
		}
	}
	return nil, errors.New("no certificate of an authority is in it: usage 2 needs the one that the host sends in its chain")
}
