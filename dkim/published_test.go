package dkim

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"
)

// SET-6: what DNS shows is compared by what it says, not by how it is written.
func TestPublished(t *testing.T) {
	t.Parallel()
	ed, err := GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	other, _ := GenerateEd25519()
	rs, err := GenerateRSA(2048)
	if err != nil {
		t.Fatal(err)
	}
	record := func(k crypto.Signer, services ...string) string {
		r, err := Record(k.Public(), services...)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	pkcs1 := "p=" + base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(rs.Public().(*rsa.PublicKey)))
	for _, tt := range []struct {
		name, wanted string
		found        []string
		want         string // part of the error; "": shown
	}{
		{"as printed", record(ed), []string{record(ed)}, ""},
		{"other order and spaces", record(ed), []string{strings.Replace(record(ed), "v=DKIM1; ", "", 1) + " ; "}, ""},
		{"testing flag", record(ed), []string{record(ed) + "; t=y"}, ""},
		{"RSA in the old form", record(rs), []string{pkcs1}, ""},
		{"every service where one is needed", record(ed, "email"), []string{record(ed)}, ""},
		{"the service that is needed", record(ed, "email"), []string{record(ed, "email")}, ""},
		{"nothing", record(ed), nil, "no TXT record"},
		{"another key", record(ed), []string{record(other)}, "another key"},
		{"another type", record(ed), []string{record(rs)}, "type rsa"},
		{"revoked", record(ed), []string{"v=DKIM1; p="}, "revoked"},
		{"no key record", record(ed), []string{"v=spf1 -all"}, "must come first and be DKIM1"},
		{"two records", record(ed), []string{record(ed), record(other)}, "2 TXT records"},
		{"fewer services", record(ed), []string{record(ed, "email")}, "fewer services"},
		{"another service", record(ed, "tlsrpt"), []string{record(ed, "email")}, "fewer services"},
		{"SHA-1 only", record(ed), []string{record(ed) + "; h=sha1"}, "SHA-256"},
		{"truncated", record(rs), []string{record(rs)[:100]}, "key"},
	} {
		err := Published(tt.wanted, tt.found)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
