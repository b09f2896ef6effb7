package mtasts

import (
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"waxwing/internal/reason"
)

// TestSystemRoots: without authorities of its own a Fetcher trusts the
// system's, and so what SSL_CERT_FILE names. Go reads those once a process,
// which is why the test runs itself in another.
func TestSystemRoots(t *testing.T) {
	const inside = "WAXWING_TEST_ROOTS"
	file := os.Getenv("SSL_CERT_FILE")
	if os.Getenv(inside) == "" {
		file = filepath.Join(t.TempDir(), "roots.pem")
		cmd := exec.Command(os.Args[0], "-test.run=^TestSystemRoots$", "-test.count=1", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1", "SSL_CERT_FILE="+file, "SSL_CERT_DIR="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	named, other := newAuthority(t), newAuthority(t)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: named.cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	fetch := func(a *authority) *Error {
		f := policyHost{cert: a.issue(t, "mta-sts.example.org", nil), handler: text("text/plain", good)}.start(t, nil)
		_, _, err := f.Fetch(t.Context(), domain)
		return err
	}
	if err := fetch(named); err != nil {
		t.Errorf("an authority of SSL_CERT_FILE: %v", err)
	}
	if err := fetch(other); wordOf(err) != reason.STSWebPKI {
		t.Errorf("an authority of nobody: %v", err)
	}
}
