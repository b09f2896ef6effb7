//go:build linux

package interop

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waxwing/dane"
	"waxwing/dns"
)

// savedChain is a chain as a host could present it.
type savedChain struct {
	name  string
	certs []*x509.Certificate // leaf first
	key   crypto.PrivateKey   // of the leaf
}

// pki is what the chains are made of, and what the records name.
type pki struct {
	root, mid, stranger *authority
	leaves              map[string]*authority
}

const chainHost = "mx.chain.example"

func newPKI(t *testing.T) *pki {
	t.Helper()
	p := &pki{leaves: map[string]*authority{}}
	ca := func(name string, up *authority) *authority {
		a, err := newAuthority(name, up)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	p.root, p.stranger = ca("Chain Root", nil), ca("Stranger", nil)
	p.mid = ca("Chain Issuer", p.root)
	leaf := func(label string, by *authority, change func(*x509.Certificate)) {
		tmpl := &x509.Certificate{Subject: pkix.Name{CommonName: chainHost}, DNSNames: []string{chainHost},
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		change(tmpl)
		l, err := issue(tmpl, by)
		if err != nil {
			t.Fatal(err)
		}
		p.leaves[label] = l
	}
	leaf("good", p.mid, func(*x509.Certificate) {})
	leaf("expired", p.mid, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().AddDate(-2, 0, 0), time.Now().AddDate(-1, 0, 0)
	})
	leaf("not yet", p.mid, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().AddDate(1, 0, 0), time.Now().AddDate(2, 0, 0)
	})
	leaf("other name", p.mid, func(c *x509.Certificate) {
		c.Subject.CommonName, c.DNSNames = "other.example", []string{"other.example"}
	})
	leaf("wildcard", p.mid, func(c *x509.Certificate) { c.DNSNames = []string{"*.chain.example"} })
	leaf("CN only", p.mid, func(c *x509.Certificate) { c.DNSNames = nil })
	leaf("for clients", p.mid, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	leaf("self-signed", nil, func(*x509.Certificate) {})
	leaf("by the root", p.root, func(*x509.Certificate) {})
	return p
}

func (p *pki) chains() (list []savedChain) {
	add := func(name string, certs ...*authority) {
		c := savedChain{name: name, key: certs[0].key}
		for _, a := range certs {
			c.certs = append(c.certs, a.cert)
		}
		list = append(list, c)
	}
	good := p.leaves["good"]
	add("leaf alone", good)
	add("without root", good, p.mid)
	add("with root", good, p.mid, p.root)
	add("out of order", good, p.root, p.mid)
	add("with a stranger", good, p.stranger, p.mid, p.root)
	add("gap", good, p.root)
	for _, label := range []string{"expired", "not yet", "other name", "wildcard", "CN only", "for clients"} {
		add(label, p.leaves[label], p.mid, p.root)
	}
	add("self-signed", p.leaves["self-signed"])
	add("self-signed twice", p.leaves["self-signed"], p.leaves["self-signed"])
	add("by the root", p.leaves["by the root"], p.root)
	return list
}

// records are TLSA records for a chain: of every kind for the whole one, of
// the usual kinds, and those that bring an anchor with them, for the others.
func (p *pki) records(c savedChain) (list []dns.TLSA) {
	add := func(cert *x509.Certificate, usage, selector, matching uint8) {
		usual := usage == dane.UsageEE && selector == 1 && matching == 1 || usage == dane.UsageTA && matching < 2
		if usual || c.name == "with root" {
			list = append(list, dane.Generate(cert, usage, selector, matching))
		}
	}
	for selector := range uint8(2) {
		for matching := range uint8(3) {
			add(c.certs[0], dane.UsageEE, selector, matching)
			add(p.mid.cert, dane.UsageEE, selector, matching)
			for _, cert := range []*x509.Certificate{c.certs[0], p.mid.cert, p.root.cert, p.stranger.cert} {
				add(cert, dane.UsageTA, selector, matching)
			}
		}
	}
	return list
}

// TestSavedChains: ldns-dane over saved chains, OpenSSL's client over the same
// chains from a TLS server, and package dane come to the same result on every
// chain with every record.
func TestSavedChains(t *testing.T) {
	t.Parallel()
	need(t, "ldns-dane", "openssl")
	p, dir := newPKI(t), t.TempDir()
	passed, failed := 0, 0
	for i, c := range p.chains() {
		file, addr := filepath.Join(dir, fmt.Sprintf("chain-%d.pem", i)), c.serve(t)
		if err := os.WriteFile(file, encodeChain(c.raw()), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, rr := range p.records(c) {
			usable, _ := dane.Usable([]dns.TLSA{rr})
			_, err := dane.Verify(usable, []dns.Name{dns.MustParse(chainHost)}, c.certs, time.Now())
			about := fmt.Sprintf("chain %q, record %d %d %d %s", c.name, rr.Usage, rr.Selector, rr.MatchingType, p.whose(rr, c))
			if ok, said := openSSL(t, dir, addr, rr); ok != (err == nil) {
				t.Errorf("%s: package dane says %v; OpenSSL: %s", about, err, said)
			}
			if about == ldnsDiffers {
				continue
			}
			if ok, said := ldnsDANE(t, dir, file, rr); ok != (err == nil) {
				t.Errorf("%s: package dane says %v; ldns-dane: %s", about, err, said)
			}
			if err == nil {
				passed++
			} else {
				failed++
			}
		}
	}
	if passed < 40 || failed < 40 {
		t.Errorf("%d pairs passed and %d failed: too few of one kind for a comparison", passed, failed)
	}
}

// ldnsDiffers is where ldns-dane stands alone: it does not take an issuer that
// only the record holds, unless that is self-signed. RFC 7671 §5.2.2 and
// OpenSSL do.
const ldnsDiffers = `chain "leaf alone", record 2 0 0 of the issuer`

func (c savedChain) raw() (list [][]byte) {
	for _, cert := range c.certs {
		list = append(list, cert.Raw)
	}
	return list
}

// serve presents the chain to TLS clients.
func (c savedChain) serve(t *testing.T) (addr string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: c.raw(), PrivateKey: c.key}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				nc.SetDeadline(time.Now().Add(2 * time.Minute))
				io.Copy(io.Discard, nc)
			}()
		}
	}()
	return l.Addr().String()
}

// openSSL asks OpenSSL's client for its result.
func openSSL(t *testing.T, dir, addr string, rr dns.TLSA) (ok bool, said string) {
	t.Helper()
	said, err := output(dir, "openssl", "s_client", "-brief", "-connect", addr, "-dane_tlsa_domain", chainHost,
		"-dane_ee_no_namechecks", "-dane_tlsa_rrdata", rr.String())
	switch {
	case strings.Contains(said, "Verification: OK"):
		return true, said
	case strings.Contains(said, "Verification error"):
		return false, said
	}
	t.Fatalf("openssl gives no result: %q, %v", said, err)
	return false, ""
}

// whose names the certificate of a record.
func (p *pki) whose(rr dns.TLSA, c savedChain) string {
	for name, cert := range map[string]*x509.Certificate{"leaf": c.certs[0], "issuer": p.mid.cert, "root": p.root.cert, "stranger": p.stranger.cert} {
		if dane.Generate(cert, rr.Usage, rr.Selector, rr.MatchingType).String() == rr.String() {
			return "of the " + name
		}
	}
	return ""
}

// ldnsDANE asks ldns-dane for its result.
func ldnsDANE(t *testing.T, dir, chain string, rr dns.TLSA) (ok bool, said string) {
	t.Helper()
	file := filepath.Join(dir, "record")
	if err := os.WriteFile(file, fmt.Appendf(nil, "_25._tcp.%s. 300 IN TLSA %s\n", chainHost, rr), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"-t", file, "-c", chain, "verify", chainHost, "25"}
	if rr.Usage == dane.UsageEE {
		args = append([]string{"-n"}, args...) // no names with DANE-EE (RFC 7672 §3.1.1)
	}
	said, err := output(dir, "ldns-dane", args...)
	switch {
	case strings.Contains(said, "dane-validated successfully"):
		return true, said
	case strings.Contains(said, "did not dane-validate"):
		return false, strings.TrimSpace(said)
	}
	t.Fatalf("ldns-dane gives no result: %q, %v", said, err)
	return false, ""
}

// TestSavedRecords: danetool and ldns-dane make the same records of a
// certificate as package dane.
func TestSavedRecords(t *testing.T) {
	t.Parallel()
	need(t, "ldns-dane", "danetool")
	p, dir := newPKI(t), t.TempDir()
	cert := p.leaves["good"].cert
	file := filepath.Join(dir, "leaf.pem")
	if err := os.WriteFile(file, encodeChain([][]byte{cert.Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	for selector := range uint8(2) {
		for matching := range uint8(3) {
			rr := dane.Generate(cert, dane.UsageEE, selector, matching)
			said, err := output(dir, "ldns-dane", "-c", file, "create", chainHost, "25", "3", fmt.Sprint(selector), fmt.Sprint(matching))
			if err != nil || !strings.Contains(said, rr.String()) {
				t.Errorf("ldns-dane: %s %v; package dane: %s", said, err, rr)
			}
			if matching == 0 {
				continue // danetool has no option for it
			}
			args := []string{"--tlsa-rr", "--host", chainHost, "--load-certificate", file, "--hash", []string{"", "sha256", "sha512"}[matching]}
			if selector == 0 {
				args = append(args, "--x509")
			}
			said, err = output(dir, "danetool", args...)
			want := fmt.Sprintf("( %02d %02d %02d %x )", rr.Usage, rr.Selector, rr.MatchingType, rr.Data)
			if err != nil || !strings.Contains(said, want) {
				t.Errorf("danetool: %s %v; package dane: %s", said, err, want)
			}
		}
	}
}
