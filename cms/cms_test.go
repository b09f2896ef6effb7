package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// certify is a certificate of a key, by an authority or by itself.
func certify(t *testing.T, serial int64, key crypto.Signer, by *x509.Certificate, signer crypto.Signer) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test " + big.NewInt(serial).String()}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: by == nil, BasicConstraintsValid: true, DNSNames: []string{"mx.example.org"}}
	if by == nil {
		by, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	x, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestSign: OpenSSL verifies what is signed, by each sort of key, and finds the content in it;
// with one octet changed it does not.
func TestSign(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	root, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := certify(t, 1, root, nil, nil)
	small, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	large, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	old, _ := rsa.GenerateKey(rand.Reader, 2048)
	for name, key := range map[string]crypto.Signer{"P-256": small, "P-384": large, "RSA": old} {
		dir := t.TempDir()
		trust := filepath.Join(dir, "root.pem")
		os.WriteFile(trust, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw}), 0o600)
		content := []byte("<plist>content of " + name + "\x00\xff</plist>\n")
		signed, err := Sign(content, []*x509.Certificate{certify(t, 2, key, authority, root), authority}, key, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		verify := func(signed []byte) ([]byte, error) {
			file := filepath.Join(dir, "signed")
			os.WriteFile(file, signed, 0o600)
			cmd := exec.Command(openssl, "cms", "-verify", "-binary", "-inform", "DER", "-in", file, "-CAfile", trust, "-purpose", "any")
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			if err != nil {
				t.Logf("%s: %s", name, stderr.String())
			}
			return stdout.Bytes(), err
		}
		if got, err := verify(signed); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %v, %q", name, err, got)
		}
		changed := bytes.Replace(signed, []byte("content of"), []byte("Content of"), 1)
		if _, err := verify(changed); err == nil {
			t.Errorf("%s: a changed content is verified", name)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	_ = public
	if _, err := Sign(nil, []*x509.Certificate{{}}, private, time.Now()); err == nil {
		t.Error("a key of a sort that is not signed with")
	}
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if _, err := Sign(nil, nil, key, time.Now()); err == nil {
		t.Error("no certificate")
	}
}
