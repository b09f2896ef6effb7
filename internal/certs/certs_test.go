package certs

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func localFiles(dir string) LocalFiles {
	return LocalFiles{CA: filepath.Join(dir, "tls", "ca.crt"), Cert: filepath.Join(dir, "tls", "host.crt"), Key: filepath.Join(dir, "tls", "host.key")}
}

// TestLocal: what MakeLocal writes verifies against its own authority, for the
// name and for loopback, and is not overwritten.
func TestLocal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	files := localFiles(dir)
	if err := MakeLocal(files, now, "mx.example.test"); err != nil {
		t.Fatal(err)
	}
	roots, err := Roots(files.CA, false)
	if err != nil {
		t.Fatal(err)
	}
	f := Files{Cert: files.Cert, Key: files.Key, Now: func() time.Time { return now }}
	if err := f.Load(); err != nil {
		t.Fatal(err)
	}
	got, err := f.Get(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mx.example.test", "127.0.0.1"} {
		if _, err := got.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now}); err != nil {
			t.Errorf("verify for %s: %v", name, err)
		}
	}
	info, err := os.Stat(files.Key)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: mode %v, error %v; want 0600", info.Mode(), err)
	}
	if err := MakeLocal(files, now, "mx.example.test"); err == nil {
		t.Error("MakeLocal overwrote its files")
	}
}

// TestReload (CRT-1): a changed file is seen after CheckEvery, a broken one
// leaves the loaded certificate.
func TestReload(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	one, two := t.TempDir(), t.TempDir()
	for dir, name := range map[string]string{one: "one.example.test", two: "two.example.test"} {
		if err := MakeLocal(localFiles(dir), now, name); err != nil {
			t.Fatal(err)
		}
	}
	first, second := localFiles(one), localFiles(two)
	f := Files{Cert: first.Cert, Key: first.Key, Now: func() time.Time { return now }}
	if err := f.Load(); err != nil {
		t.Fatal(err)
	}
	name := func() string {
		c, err := f.Get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf.DNSNames[0]
	}
	move := func(from, to string) {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	move(second.Cert, first.Cert)
	now = now.Add(2 * time.Minute)
	if got := name(); got != "one.example.test" {
		t.Errorf("with a certificate that does not fit its key: %s is shown", got)
	}
	move(second.Key, first.Key)
	now = now.Add(2 * time.Minute)
	if got := name(); got != "two.example.test" {
		t.Errorf("after both files changed: %s is shown", got)
	}
}

// POL-10: that SHA-1 is let through for old mail hosts is not for those who come here.
func TestNeverSignsWithSHA1(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	files := localFiles(t.TempDir())
	if err := MakeLocal(files, now, "one.example.test"); err != nil {
		t.Fatal(err)
	}
	f := Files{Cert: files.Cert, Key: files.Key, Now: func() time.Time { return now }}
	if err := f.Load(); err != nil {
		t.Fatal(err)
	}
	cert, err := f.Get(nil)
	if err != nil {
		t.Fatal(err)
	}
	for schemes, want := range map[*[]tls.SignatureScheme]bool{
		{tls.ECDSAWithSHA1, tls.PKCS1WithSHA1}:          false,
		{tls.ECDSAWithSHA1, tls.ECDSAWithP256AndSHA256}: true,
	} {
		hello := &tls.ClientHelloInfo{SupportedVersions: []uint16{tls.VersionTLS12}, SignatureSchemes: *schemes,
			CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, SupportedCurves: []tls.CurveID{tls.CurveP256}, SupportedPoints: []uint8{0}}
		if err := hello.SupportsCertificate(cert); (err == nil) != want {
			t.Errorf("a client that knows %v: %v", *schemes, err)
		}
	}
}
