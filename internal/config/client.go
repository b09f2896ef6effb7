package config

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"waxwing/message"
)

// TakesCertificates reports a listener on which client certificates log in.
func (l Listen) TakesCertificates() bool { return l.ClientCA != "" || len(l.ClientCerts) > 0 }

// Pinned is ClientCerts: addresses by fingerprint.
func (l Listen) Pinned() (map[[sha256.Size]byte]string, error) {
	pinned := map[[sha256.Size]byte]string{}
	for i, s := range l.ClientCerts {
		sum, address, err := parsePin(s)
		if err != nil {
			return nil, fmt.Errorf("client_certs[%d]: %w", i, err)
		}
		pinned[sum] = address
	}
	return pinned, nil
}

func parsePin(s string) (sum [sha256.Size]byte, address string, err error) {
	address, print, _ := strings.Cut(s, " ")
	if l, err := message.ParseAddressList(address); err != nil || len(l) != 1 || l[0].Name != "" {
		return sum, "", fmt.Errorf("%q does not begin with a mail address; write \"joe@example.org sha256:…\"", s)
	}
	text, ok := strings.CutPrefix(strings.TrimSpace(print), "sha256:")
	b, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if !ok || err != nil || len(b) != len(sum) {
		return sum, "", fmt.Errorf("%q has no fingerprint of 64 hexadecimal digits behind \"sha256:\"", s)
	}
	return [sha256.Size]byte(b), address, nil
}

// ClientRoots reads ClientCA; nil where it is empty.
func (l Listen) ClientRoots() (*x509.CertPool, error) {
	if l.ClientCA == "" {
		return nil, nil
	}
	text, err := os.ReadFile(l.ClientCA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no PEM certificate", l.ClientCA)
	}
	return pool, nil
}

// validateClients checks the client certificates of one listener.
func (l Listen) validateClients(d *decoder, key string) {
	if l.TakesCertificates() && !l.LogsIn() && l.Kind != "" {
		at := key + ".client_ca"
		if l.ClientCA == "" {
			at = key + ".client_certs"
		}
		d.fault(at, "nobody logs in on a listener of kind %s", l.Kind)
	}
	seen := map[[sha256.Size]byte]bool{}
	for i, s := range l.ClientCerts {
		at := fmt.Sprintf("%s.client_certs[%d]", key, i)
		sum, _, err := parsePin(s)
		switch {
		case err != nil:
			d.fault(at, "%v", err)
		case seen[sum]:
			d.fault(at, "the same certificate stands here twice")
		}
		seen[sum] = err == nil
	}
}
