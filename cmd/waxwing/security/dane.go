package security

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/dane"
	"waxwing/internal/certs"
	"waxwing/internal/cli"
	"waxwing/internal/explain"
	"waxwing/internal/server"
)

// daneTimeout bounds all lookups and connections of one call.
const daneTimeout = 2 * time.Minute

// daneNoun looks TLSA records up, verifies hosts against them, and makes them
// (RFC 6698, RFC 7672).
func (p *program) daneNoun() *cobra.Command {
	var r recordFlags
	return p.Noun("dane", "TLSA records: what is published, does it hold, what to publish",
		cli.Verb{Use: "lookup HOST|DOMAIN", Short: "the TLSA records of a host, or of a domain's hosts", JSON: true, Example: "dane lookup example.net", Run: p.lookupDANE},
		cli.Verb{Use: "verify HOST[:PORT]|DOMAIN", Short: "connect, and hold certificates against the records", JSON: true,
			Example: "dane verify example.net\ndane verify mail.example.net:465", Run: p.verifyDANE},
		cli.Verb{Use: "record FILE|HOST", Short: "the record to publish for a certificate or a key", JSON: true, Flags: r.flags,
			Example: "dane record /etc/ssl/mail.example.org.pem\ndane record mail.example.org", Run: func(ctx context.Context, args []string) error { return p.makeRecord(ctx, args[0], r) }})
}

// findDANE looks up the hosts of a domain, or name itself where it has no MX records.
func (p *program) findDANE(ctx context.Context, name string, port uint16) (*server.Look, *explain.FoundDANE, error) {
	d, err := cli.ParseDomain(name)
	if err != nil {
		return nil, nil, err
	}
	o, err := p.LoadOptions()
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
	name, port, err := cli.SplitPort(args[0])
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
	err := p.Prose(a, a.Print)
	switch {
	case err != nil:
		return err
	case !a.OK:
		return fmt.Errorf("%s: %s", a.Name, bad)
	case !p.JSON:
		fmt.Fprintf(p.Stdout, "\n%s: %s\n", a.Name, good)
	}
	return nil
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
		return cli.Usagef("--usage is 0 to 3, --selector 0 or 1, --matching 0 to 2, --port 1 to 65535")
	}
	chain, err := certs.ReadChain(from)
	if errors.Is(err, os.ErrNotExist) && !strings.Contains(from, "/") {
		chain, err = p.presented(ctx, from, &r)
	}
	var key []byte
	if errors.Is(err, certs.ErrNoCertificate) {
		key, err = certs.ReadKey(from)
	}
	if err != nil {
		return err
	}
	choice := explain.TLSAChoice{Usage: uint8(r.usage), Selector: uint8(r.selector), Matching: uint8(r.matching), Port: uint16(r.port), Host: r.host}
	m, err := explain.NewTLSA(chain, key, choice)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	if r.usage < uint(dane.UsageTA) {
		fmt.Fprintf(p.Stderr, "waxwing dane: SMTP does not use records of usage %d (RFC 7672 §3.1.3): publish usage 3\n", r.usage)
	}
	return p.Answer(m, "%s", m.Line)
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
