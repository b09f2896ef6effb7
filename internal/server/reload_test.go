package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/internal/certs"
	"waxwing/internal/config"
	"waxwing/internal/delivery"
)

// authority is a CA of a test with a client certificate for you@example.test.
func authority(t *testing.T) (ca []byte, client tls.Certificate) {
	t.Helper()
	make := func(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if signer == nil {
			parent, signer = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		return der, key
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: t.Name()}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, key := make(root, nil, nil)
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: root.NotBefore, NotAfter: root.NotAfter, EmailAddresses: []string{"you@example.test"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	leafDER, leafKey := make(leaf, parsed, key)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: leafKey}
}

// TestReload: a reload reads certificate and client_ca again, takes over what can
// change, says what cannot, and leaves what was loaded where a file is of no use
// (OPS-10, INB-5).
func TestReload(t *testing.T) {
	t.Parallel()
	cfg := parse(t, config.Submissions)
	first, firstClient := authority(t)
	second, secondClient := authority(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	write := func(path string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file, first)
	cfg.Listen[0].ClientCA = file
	s := run(t, cfg)
	// offered says whether a client certificate logs in, and which certificate the server shows.
	offered := func(client tls.Certificate) (external bool, serial string) {
		t.Helper()
		p := dial(t, s.Addr(config.Submissions))
		p.tls(&tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{client}})
		p.say("", "220")
		return strings.Contains(p.say("EHLO client.test", "250"), "EXTERNAL"), p.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	external, before := offered(firstClient)
	if other, _ := offered(secondClient); !external || other {
		t.Fatalf("at start: %v, %v", external, other)
	}
	write(file, second)
	var files certs.LocalFiles
	files.Cert, files.Key, files.CA = cfg.TLSFiles()
	for _, f := range []string{files.Cert, files.Key, files.CA} {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := certs.MakeLocal(files, time.Now(), "mail.example.test"); err != nil {
		t.Fatal(err)
	}
	next := *cfg
	next.Hostname, next.Delivery.Exceptions = cfg.Hostname.Parent(), []config.Exception{{}}
	change, err := s.Reload(&next)
	if err != nil || !slices.Equal(change.Live, []string{"delivery.exceptions"}) || !slices.Equal(change.Restart, []string{"hostname"}) {
		t.Errorf("%+v, %v", change, err)
	}
	external, serial := offered(secondClient)
	if old, _ := offered(firstClient); !external || old || serial == before {
		t.Errorf("after the reload: %v, %v, certificate %s, before %s", external, old, serial, before)
	}
	if len(s.live.Load().Delivery.Exceptions) != 1 || s.live.Load().Hostname != cfg.Hostname || s.live.minimum(delivery.RecipientDomain{}) != delivery.MinAny {
		t.Errorf("taken over: %+v", s.live.Load().Delivery.Exceptions)
	}
	// Files that are of no use change nothing.
	write(file, []byte("nonsense"))
	write(files.Cert, []byte("nonsense"))
	if _, err := s.Reload(&next); err == nil || !strings.Contains(err.Error(), "certificate stays") || !strings.Contains(err.Error(), "client certificates stay") {
		t.Errorf("%v", err)
	}
	if external, now := offered(secondClient); !external || now != serial {
		t.Errorf("after useless files: %v, certificate %s, before %s", external, now, serial)
	}
}
