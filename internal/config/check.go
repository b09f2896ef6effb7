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
	"strings"
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

// HostKeysDir is where the host's private keys are, which certificates are asked for.
func (c *Config) HostKeysDir() string { return filepath.Join(c.DataDir, "keys") }

// UsesHostKeys says that what is shown are certificates for the host's own keys, by
// [acme] or by each key itself.
func (c *Config) UsesHostKeys() bool { return c.TLS.HostKeys || c.ACME.Directory != "" }

// HasTLS says that there is a certificate to show.
func (c *Config) HasTLS() bool { return c.TLS.LocalCA || c.TLS.CertFile != "" || c.UsesHostKeys() }

// Challenges are the kinds of challenges that are used: those that the configuration
// names, else those that it has what is needed for.
func (c *Config) Challenges() []string {
	if len(c.ACME.Challenges) > 0 {
		return c.ACME.Challenges
	}
	var kinds []string
	add := func(kind string, has bool) {
		if has {
			kinds = append(kinds, kind)
		}
	}
	listens := func(k Kind) bool { return slices.ContainsFunc(c.Listen, func(l Listen) bool { return l.Kind == k }) }
	add("tls-alpn-01", listens(HTTPS))
	add("http-01", listens(HTTP))
	add("dns-01", c.DNS.Update.On())
	return kinds
}

// NamedFile is a file that the configuration names with a key.
type NamedFile struct{ Key, Path string }

// NamedFiles are those that the server reads, and that belong to a backup beside the
// configuration and the data directory.
func (c *Config) NamedFiles() (all []NamedFile) {
	add := func(key, path string) {
		if path != "" {
			all = append(all, NamedFile{key, path})
		}
	}
	add("tls.cert_file", c.TLS.CertFile)
	add("tls.key_file", c.TLS.KeyFile)
	add("tls.roots_file", c.TLS.RootsFile)
	add("acme.roots_file", c.ACME.RootsFile)
	if len(c.DNS.Update.Command) > 0 {
		add("dns.update.command", c.DNS.Update.Command[0])
	}
	for i, l := range c.Listen {
		add(fmt.Sprintf("listen[%d].client_ca", i), l.ClientCA)
		add(fmt.Sprintf("listen[%d].cert_file", i), l.CertFile)
		add(fmt.Sprintf("listen[%d].key_file", i), l.KeyFile)
	}
	return all
}

// Sockets are the paths of the unix sockets that the server makes outside of the data
// directory.
func (c *Config) Sockets() (all []string) {
	named := append([]string{c.Sendmail.Socket, c.Companion.Datagrams}, c.Companion.Policies...)
	for _, l := range c.Listen {
		named = append(named, l.Socket)
	}
	for _, p := range named {
		path, isPath := strings.CutPrefix(p, "unix:")
		if path != "" && (isPath || filepath.IsAbs(path)) {
			all = append(all, path)
		}
	}
	return all
}

// Check looks at what the text alone cannot tell: files, the data directory,
// and whether this machine has the addresses to listen on. The error is Errors.
func (c *Config) Check() error {
	d := decoder{file: c.name, places: c.places}
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

// checkPair looks at a certificate and its key.
func (c *Config) checkPair(d *decoder, at, cert, key, hint string) (pair tls.Certificate, ok bool) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		d.fault(at, "%v%s", err, hint)
	}
	return pair, err == nil
}

func (c *Config) checkTLS(d *decoder) {
	for i, l := range c.Listen {
		if l.CertFile != "" {
			c.checkPair(d, fmt.Sprintf("listen[%d].cert_file", i), l.CertFile, l.KeyFile, "")
		}
	}
	if c.UsesHostKeys() {
		if keys, err := filepath.Glob(filepath.Join(c.HostKeysDir(), "*.key")); err == nil && len(keys) == 0 {
			d.fault("data_dir", "%s holds no host keys for [acme] or host_keys: \"waxwing cert make\" makes them", c.HostKeysDir())
		}
	}
	cert, key, roots := c.TLSFiles()
	at := "tls.cert_file"
	hint := ""
	if c.TLS.LocalCA {
		at, hint = "tls.local_ca", "; \"waxwing quickstart --local\" makes it"
	}
	if cert != "" {
		pair, ok := c.checkPair(d, at, cert, key, hint)
		switch {
		case !ok:
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
		if a.IsValid() && !a.IsUnspecified() && !a.IsLoopback() && !slices.Contains(own, a) {
			d.fault(fmt.Sprintf("listen[%d].address", i), "this machine has no address %s", a)
		}
	}
}
