package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/dane"
	"waxwing/dns"
	"waxwing/internal/explain"
	"waxwing/internal/server"
)

// daneTimeout bounds all lookups and connections of one call.
const daneTimeout = 2 * time.Minute

// daneNoun looks TLSA records up, verifies hosts against them, and makes them
// (RFC 6698, RFC 7672).
func (p *program) daneNoun() *cobra.Command {
	var r recordFlags
	return p.noun("dane", "TLSA records: what is published, does it hold, what to publish",
		verb{use: "lookup HOST|DOMAIN", short: "the TLSA records of a host, or of a domain's hosts", json: true, example: "dane lookup example.net", run: p.lookupDANE},
		verb{use: "verify HOST[:PORT]|DOMAIN", short: "connect, and hold certificates against the records", json: true,
			example: "dane verify example.net\ndane verify mail.example.net:465", run: p.verifyDANE},
		verb{use: "record FILE|HOST", short: "the record to publish for a certificate", json: true, flags: r.flags,
			example: "dane record /etc/ssl/mail.example.org.pem\ndane record mail.example.org", run: func(ctx context.Context, args []string) error { return p.makeRecord(ctx, args[0], r) }})
}

// findDANE looks up the hosts of a domain, or name itself where it has no MX records.
func (p *program) findDANE(ctx context.Context, name string, port uint16) (*server.Look, *explain.FoundDANE, error) {
	d, err := parseDomain(name)
	if err != nil {
		return nil, nil, err
	}
	o, err := loadOptions(p.config)
	if err != nil {
		return nil, nil, err
	}
	look, err := server.Looking(o, port)
	if err != nil {
		return nil, nil, err
	}
	return look, explain.FindDANE(ctx, look.Finder, d), nil
}

func (p *program) lookupDANE(ctx context.Context, args []string) error {
	ctx, cancel := context.WithTimeout(ctx, daneTimeout)
	defer cancel()
	_, a, err := p.findDANE(ctx, args[0], 0)
	if err != nil {
		return err
	}
	return p.tellDANE(a, "every host has usable TLSA records", "not every host has usable TLSA records")
}

// verifyDANE connects to every address and holds what is presented against the records.
func (p *program) verifyDANE(ctx context.Context, args []string) error {
	name, port, err := splitPort(args[0])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, daneTimeout)
	defer cancel()
	look, a, err := p.findDANE(ctx, name, port)
	if err != nil {
		return err
	}
	a.Connect(ctx, look.Probe)
	return p.tellDANE(a, "verified by DANE", "not verified by DANE")
}

func (p *program) tellDANE(a *explain.FoundDANE, good, bad string) error {
	err := p.prose(a, a.Print)
	switch {
	case err != nil:
		return err
	case !a.OK:
		return fmt.Errorf("%s: %s", a.Name, bad)
	case !p.json:
		fmt.Fprintf(p.stdout, "\n%s: %s\n", a.Name, good)
	}
	return nil
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

// recordFlags are a TLSA record as it is typed.
type recordFlags struct {
	usage, selector, matching, port uint
	host                            string
}

func (r *recordFlags) flags(fs *pflag.FlagSet) {
	fs.UintVar(&r.usage, "usage", 3, "certificate `usage`: 3 (the host's own key) or 2 (an authority's)")
	fs.UintVar(&r.selector, "selector", 1, "`selector`: 1 (the public key) or 0 (the whole certificate)")
	fs.UintVar(&r.matching, "matching", 1, "matching `type`: 1 (SHA-256), 2 (SHA-512) or 0 (in full)")
	fs.UintVar(&r.port, "port", 25, "TCP `port` of the service")
	fs.StringVar(&r.host, "host", "", "`name` that the record is for, if it is not the certificate's first")
}

// makeRecord prints the TLSA record to publish for a certificate: of a file, or of a host.
func (p *program) makeRecord(ctx context.Context, from string, r recordFlags) error {
	if r.usage > 3 || r.selector > 1 || r.matching > 2 || r.port == 0 || r.port > 65535 {
		return usagef("--usage is 0 to 3, --selector 0 or 1, --matching 0 to 2, --port 1 to 65535")
	}
	chain, err := readChain(from)
	if errors.Is(err, os.ErrNotExist) && !strings.Contains(from, "/") {
		chain, err = p.presented(ctx, from, &r)
	}
	if err != nil {
		return err
	}
	cert, err := pick(chain, uint8(r.usage))
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	if r.host == "" && len(chain[0].DNSNames) > 0 {
		r.host = chain[0].DNSNames[0]
	}
	name, err := dns.ParseName(r.host)
	if err != nil {
		return errors.New("the certificate names no host that the record could be for: say it with --host")
	}
	rr := dane.Generate(cert, uint8(r.usage), uint8(r.selector), uint8(r.matching))
	if _, unusable := dane.Usable([]dns.TLSA{rr}); unusable > 0 {
		fmt.Fprintf(p.stderr, "waxwing dane: SMTP does not use records of usage %d (RFC 7672 §3.1.3): publish usage 3\n", r.usage)
	}
	m := explain.TLSARecord{Name: fmt.Sprintf("_%d._tcp.%s", r.port, name.ASCII()), Record: rr.String()}
	m.Line = m.Name + ". IN TLSA " + m.Record
	return p.answer(m, "%s", m.Line)
}

// presented asks the host itself. Nobody vouches for what it presents: whoever
// publishes the record compares it with the host's own files.
func (p *program) presented(ctx context.Context, name string, r *recordFlags) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, daneTimeout)
	defer cancel()
	port := uint16(r.port)
	if port == 25 {
		port = 0
	}
	look, a, err := p.findDANE(ctx, name, port)
	if err != nil {
		return nil, err
	}
	host, chain, err := a.Presented(ctx, look.Probe)
	if r.host == "" {
		r.host = host
	}
	return chain, err
}

// maxCertFile bounds what is read of a certificate file.
const maxCertFile = 1 << 20

// readChain is the certificates of a file.
func readChain(file string) ([]*x509.Certificate, error) {
	f, err := os.Open(file)
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
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return chain, nil
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
