package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ReadKey finds the public key of whatever form a key is kept in, and does not take
// something else for one.
func TestReadKey(t *testing.T) {
	t.Parallel()
	must := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecPub, rsPub := must(x509.MarshalPKIXPublicKey(ec.Public())), must(x509.MarshalPKIXPublicKey(rs.Public()))
	for i, tt := range []struct {
		kind string
		der  []byte
		want []byte
	}{
		{"PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ec)), ecPub},
		{"EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ec)), ecPub},
		{"RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rs), rsPub},
		{"PUBLIC KEY", rsPub, rsPub},
		{"PRIVATE KEY", []byte("garbage"), nil},
		{"CERTIFICATE", ecPub, nil},
	} {
		file := filepath.Join(t.TempDir(), "key.pem")
		text := append([]byte("# a note\n"), pem.EncodeToMemory(&pem.Block{Type: tt.kind, Bytes: tt.der})...)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadKey(file)
		if !bytes.Equal(got, tt.want) || (err == nil) != (tt.want != nil) {
			t.Errorf("%d, %s: %x, %v", i, tt.kind, got, err)
		}
		if err != nil && !strings.Contains(err.Error(), "neither a certificate nor a key") {
			t.Errorf("%d: %v", i, err)
		}
	}
	if _, err := ReadKey(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("of no file: no error")
	}
}
