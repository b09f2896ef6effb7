package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
)

// TLSFiles is the certificate, its key and the extra roots that the
// configuration names, or those that quickstart -local makes. Empty: none.
func (c *Config) TLSFiles() (cert, key, roots string) {
	if !c.TLS.LocalCA {
		return c.TLS.CertFile, c.TLS.KeyFile, c.TLS.RootsFile
	}
	dir := filepath.Join(c.DataDir, "tls")
	roots = c.TLS.RootsFile
	if roots == "" {
		roots = filepath.Join(dir, "ca.crt")
	}
	return filepath.Join(dir, "host.crt"), filepath.Join(dir, "host.key"), roots
}

// Check looks at what the text alone cannot tell: files, the data directory,
// and whether this machine has the addresses to listen on. The error is Errors.
func (c *Config) Check() error {
	d := decoder{file: c.name, lines: c.lines}
	c.checkTLS(&d)
	if fi, err := os.Stat(c.DataDir); err == nil && !fi.IsDir() {
		d.fault("data_dir", "%s is not a directory", c.DataDir)
	} else if errors.Is(err, os.ErrPermission) {
		d.fault("data_dir", "%v", err)
	}
	c.checkListen(&d)
	for i, l := range c.Listen {
		if _, err := l.ClientRoots(); err != nil {
			d.fault(fmt.Sprintf("listen[%d].client_ca", i), "%v", err)
		}
	}
	if c.ExposedSecrets != ExposedWarn {
		d.errs = append(d.errs, c.Exposed()...)
	}
	return d.all()
}

func (c *Config) checkTLS(d *decoder) {
	cert, key, roots := c.TLSFiles()
	at := "tls.cert_file"
	hint := ""
	if c.TLS.LocalCA {
		at, hint = "tls.local_ca", "; \"waxwing quickstart --local\" makes it"
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		switch {
		case err != nil:
			d.fault(at, "%v%s", err, hint)
		case pair.Leaf != nil && pair.Leaf.VerifyHostname(c.Hostname.ASCII()) != nil:
			d.fault(at, "the certificate in %s is not for %s", cert, c.Hostname)
		}
	}
	if roots != "" {
		text, err := os.ReadFile(roots)
		if err == nil && !x509.NewCertPool().AppendCertsFromPEM(text) {
			err = fmt.Errorf("%s holds no PEM certificate", roots)
		}
		if err != nil {
			if !c.TLS.LocalCA {
				at = "tls.roots_file"
			}
			d.fault(at, "%v%s", err, hint)
		}
	}
}

func (c *Config) checkListen(d *decoder) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return // nothing to compare with
	}
	var own []netip.Addr
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, p.Addr().WithZone(""))
		}
	}
	for i, l := range c.Listen {
		a := l.Address.Addr().Unmap().WithZone("")
		if !a.IsUnspecified() && !a.IsLoopback() && !slices.Contains(own, a) {
			d.fault(fmt.Sprintf("listen[%d].address", i), "this machine has no address %s", a)
		}
	}
}
