package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waxwing/internal/certs"
	"waxwing/internal/config"
)

// INB-5: the configuration's authorities and fingerprints are asked on the
// listeners that have them, and no program without a certificate is shut out.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	cfg := parse(t, config.MX, config.Submissions, config.Submission)
	dir := t.TempDir()
	files := certs.LocalFiles{Cert: filepath.Join(dir, "c.crt"), Key: filepath.Join(dir, "c.key"), CA: filepath.Join(dir, "ca.crt")}
	if err := certs.MakeLocal(files, time.Now(), "client.test"); err != nil {
		t.Fatal(err)
	}
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.Certificate[0])
	cfg.Listen[1].ClientCA, cfg.Listen[1].ClientCerts = files.CA, []string{"you@example.test sha256:" + strings.ToUpper(hex.EncodeToString(sum[:]))}
	s := run(t, cfg)
	show := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}}
	for _, tt := range []struct {
		name    string
		kind    config.Kind
		conf    *tls.Config
		offered bool
	}{
		{"pinned", config.Submissions, show, true},
		{"none shown", config.Submissions, &tls.Config{InsecureSkipVerify: true}, false},
		{"a listener without", config.Submission, show, false},
		{"the MX", config.MX, show, false},
	} {
		p := dial(t, s.Addr(tt.kind))
		if tt.kind != config.Submissions {
			p.say("", "220")
			p.say("EHLO client.test", "250")
			p.say("STARTTLS", "220")
		}
		p.tls(tt.conf)
		if tt.kind == config.Submissions {
			p.say("", "220")
		}
		offer := p.say("EHLO client.test", "250")
		if strings.Contains(offer, "EXTERNAL") != tt.offered || strings.Contains(offer, "PLAIN") != (tt.kind != config.MX) {
			t.Errorf("%s: the offer is %q", tt.name, offer)
		}
		if tt.offered {
			p.say("AUTH EXTERNAL =", "235 2.7.0")
			p.say("MAIL FROM:<you@example.test>", "250")
		}
	}
}

// An authority that cannot be read is told by config check and at start.
func TestClientAuthorityMissing(t *testing.T) {
	t.Parallel()
	cfg := parse(t, config.Submissions)
	cfg.Listen[0].ClientCA = filepath.Join(t.TempDir(), "ca.pem")
	if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), "listen[0].client_ca: open ") {
		t.Errorf("check: %v", err)
	}
	if err := os.WriteFile(cfg.Listen[0].ClientCA, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY"}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), "holds no PEM certificate") {
		t.Errorf("check: %v", err)
	}
	if _, err := newServer(t.Context(), Options{Config: cfg}); err == nil || !strings.Contains(err.Error(), "client_ca") {
		t.Errorf("start: %v", err)
	}
}

// tls goes on over TLS.
func (p *peer) tls(conf *tls.Config) {
	p.t.Helper()
	tc := tls.Client(p.Conn, conf)
	if err := tc.Handshake(); err != nil {
		p.t.Fatal(err)
	}
	p.Conn = tc
	p.r.Reset(tc)
}

// INB-2: the certificates that a client shows are kept as long as it is connected: they
// are few, or its handshake fails.
func TestLargeClientChain(t *testing.T) {
	t.Parallel()
	cfg := parse(t, config.Submissions)
	own, _, ca := cfg.TLSFiles()
	cfg.Listen[0].ClientCA = ca
	s := run(t, cfg)
	text, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 10, 100, 300} {
		cert := &tls.Certificate{PrivateKey: key}
		tpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
		leaf, err := x509.CreateCertificate(rand.Reader, tpl, tpl, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		cert.Certificate = append(cert.Certificate, leaf)
		size := len(leaf)
		for range n {
			cert.Certificate = append(cert.Certificate, block.Bytes)
			size += len(block.Bytes)
		}
		nc := dialFrom(t, "127.0.1.1", s.Addr(config.Submissions))
		tc := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }})
		_, err = tc.Read(make([]byte, 10)) // the greeting, or an alert
		if (err == nil) != (size <= 32<<10) {
			t.Errorf("%d certificates with %d octets: %v", n, size, err)
		}
		nc.Close()
	}
}
