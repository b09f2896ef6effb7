package hostkeys

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"waxwing/dane"
)

// Make makes two keys of each algorithm with mode 0600, and again changes nothing
// (SET-6, CRT-1).
func TestMake(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "deep", "keys")
	all, err := Make(dir)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, k := range all {
		ids = append(ids, k.ID)
		info, err := os.Stat(k.File)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, error %v", k.File, info.Mode(), err)
		}
		switch key := k.Signer.(type) {
		case *ecdsa.PrivateKey:
			if k.Algorithm != ECDSA || key.Params().BitSize != 256 {
				t.Errorf("%s is an ECDSA key of %d bits", k.ID, key.Params().BitSize)
			}
		case *rsa.PrivateKey:
			if k.Algorithm != RSA || key.N.BitLen() != 2048 {
				t.Errorf("%s is an RSA key of %d bits", k.ID, key.N.BitLen())
			}
		}
	}
	if got := strings.Join(ids, " "); got != "ecdsa-1 ecdsa-2 rsa-1 rsa-2" {
		t.Errorf("made %s", got)
	}
	before := contents(t, dir)
	again, err := Make(dir)
	if err != nil || len(again) != 4 {
		t.Fatalf("made again: %d keys, %v", len(again), err)
	}
	if contents(t, dir) != before {
		t.Error("making keys again changed files")
	}
	third, err := Add(dir, RSA, again)
	if err != nil || third.ID != "rsa-3" {
		t.Fatalf("one more key is %s, %v", third.ID, err)
	}
	if _, err := Add(dir, RSA, again); err == nil {
		t.Error("a key was overwritten")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// The digest is the one that a TLSA record 3 1 1 of a certificate for the key has.
func TestDigest(t *testing.T) {
	t.Parallel()
	all, err := Make(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range all {
		der, err := x509.MarshalPKIXPublicKey(k.Signer.Public())
		if err != nil {
			t.Fatal(err)
		}
		want := dane.Generate(&x509.Certificate{RawSubjectPublicKeyInfo: der}, dane.UsageEE, 1, 1).String()
		if k.TLSA() != want || sha256.Sum256(der) != [32]byte(k.SPKI) {
			t.Errorf("%s: %s, want %s", k.ID, k.TLSA(), want)
		}
	}
}

// A key that cannot be read is an error that names its file, and no part of the key.
func TestReadDamaged(t *testing.T) {
	t.Parallel()
	if all, err := Read(filepath.Join(t.TempDir(), "none")); all != nil || err != nil {
		t.Errorf("a directory that is not there: %v, %v", all, err)
	}
	made, err := Make(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(made[0].File)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ file, text, want string }{
		"no PEM":          {"ecdsa-1.key", "secret", "no key in PEM form"},
		"cut off":         {"ecdsa-1.key", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n", "cannot be read"},
		"another kind":    {"rsa-1.key", string(good), "not of the kind"},
		"empty":           {"ecdsa-1.key", "", "no key in PEM form"},
		"of another name": {"ecdsa-01.key", "secret", ""},
		"beside":          {"ecdsa-1.key.bak", "secret", ""},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, tt.file), []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		all, err := Read(dir)
		switch {
		case tt.want == "":
			if err != nil || len(all) != 0 {
				t.Errorf("%s: %v, %v; want it left alone", name, all, err)
			}
		case err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.file) || strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Make(dir); (err != nil) != (tt.want != "") {
			t.Errorf("%s: making keys beside it: %v", name, err)
		}
	}
}

func contents(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(e.Name())
		b.Write(text)
	}
	return b.String()
}
