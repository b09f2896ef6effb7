package acme

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// OPS-1: an authority that answers a mebibyte does not fill the log, and the cure is not cut off.
func TestAuthoritysWordsAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x\n", 1<<19)
	sub := acme.Subproblem{Problem: acme.Problem{Detail: long}, Identifier: acme.Identifier{Value: "mx.example.test"}}
	for name, err := range map[string]error{
		"text":        fmt.Errorf("no: %s", long),
		"detail":      fmt.Errorf("no: %w", acme.Problem{Type: acme.ProblemTypeCAA, Detail: long}),
		"subproblems": acme.Problem{Type: acme.ProblemTypeCAA, Detail: "no", Subproblems: []acme.Subproblem{sub, sub, sub}},
	} {
		text := explain(err)
		if len(text) > 1000 || strings.Contains(text, "\n") || !strings.Contains(text, "no") {
			t.Errorf("%s: %d octets: %.200q", name, len(text), text)
		}
		if name != "text" && !strings.HasSuffix(text, cures[acme.ProblemTypeCAA]) {
			t.Errorf("%s: the cure is gone: %s", name, text)
		}
	}
}

// OPS-1: the same of what it answers when it is asked for a time of renewal.
func TestRenewalErrorIsBounded(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/directory" {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"renewalInfo": "https://%[1]s/ari", "newNonce": "https://%[1]s/nonce", "newAccount": "https://%[1]s/a", "newOrder": "https://%[1]s/o", "revokeCert": "https://%[1]s/r", "keyChange": "https://%[1]s/k"}`, r.Host)
			return
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"type": "urn:ietf:params:acme:error:malformed", "detail": %q}`, strings.Repeat("y", 1<<19))
	}))
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), NotAfter: time.Now().Add(time.Hour), AuthorityKeyId: []byte{1, 2}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	leaf.AuthorityKeyId = []byte{1, 2}
	_, _, err = (&CA{Directory: srv.URL + "/directory", Roots: roots, Now: time.Now}).Window(t.Context(), leaf)
	if err == nil || len(err.Error()) > 1000 || !strings.Contains(err.Error(), "yyy") {
		t.Errorf("%d octets: %.200v", len(fmt.Sprint(err)), err)
	}
}
