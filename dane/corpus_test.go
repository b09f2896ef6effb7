package dane

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/reason"
)

// corpusCase is one block of the OpenSSL files; their header explains the format.
type corpusCase struct {
	number         string
	rrs            []dns.TLSA
	chain          []*x509.Certificate
	noNameChecks   bool
	result, depth  int
	usagesOfOthers bool // holds a usage that SMTP does not know
}

// Verify results of X509_verify_cert that the files name.
const (
	resultOK           = 0
	resultNoMatch      = 65
	resultNameMismatch = 62
)

func readCorpus(t testing.TB, path string) []corpusCase {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var cases []corpusCase
	var last string
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		text = rest
		s := strings.TrimSpace(string(line))
		if n, ok := strings.CutPrefix(s, "# "); ok && strings.Trim(n, "0123456789") == "" {
			last = n
		}
		if s == "" || s[0] == '#' {
			continue
		}
		var c corpusCase
		c, text = readCase(t, s, text)
		c.number = last
		cases = append(cases, c)
	}
	return cases
}

func readCase(t testing.TB, head string, text []byte) (corpusCase, []byte) {
	t.Helper()
	var c corpusCase
	var records, certs, nocheck int
	if _, err := fmt.Sscan(head, &records, &certs, &nocheck, &c.result, &c.depth); err != nil {
		t.Fatalf("case head %q: %v", head, err)
	}
	c.noNameChecks = nocheck == 1
	for range records {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		text = rest
		var rr dns.TLSA
		var data string
		if _, err := fmt.Sscan(string(line), &rr.Usage, &rr.Selector, &rr.MatchingType, &data); err != nil {
			t.Fatalf("record %q: %v", line, err)
		}
		var err error
		if rr.Data, err = hex.DecodeString(data); err != nil {
			t.Fatal(err)
		}
		c.usagesOfOthers = c.usagesOfOthers || rr.Usage < UsageTA
		c.rrs = append(c.rrs, rr)
	}
	for range certs {
		block, rest := pem.Decode(text)
		if block == nil {
			t.Fatalf("case %q: fewer certificates than it says", head)
		}
		text = rest
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatalf("case %q: %v", head, err)
		}
		c.chain = append(c.chain, cert)
	}
	return c, text
}

// TestCorpus runs the cases of DANE's author that concern SMTP's usages
// (DANE-1, DANE-2). Of those with usages 0 and 1, which all have no other, it wants
// that Usable refuses every record (RFC 7672 §3.1.3). No case is left out.
func TestCorpus(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for _, f := range []struct {
		path   string
		name   dns.Name
		want   int // cases of usages 2 and 3
		others int // and of 0 and 1
	}{
		{"testdata/openssl/danetest.in", dns.MustParse("example.com"), 34, 20},
		{"testdata/openssl/dane-cross.in", dns.MustParse("server.example"), 1, 0},
	} {
		ran, others := 0, 0
		for _, c := range readCorpus(t, f.path) {
			usable, unusable := Usable(c.rrs)
			if c.usagesOfOthers {
				others++
				if len(usable) != 0 || unusable != len(c.rrs) {
					t.Errorf("%s case %s: %d of %d records with usages 0 and 1 taken as usable", f.path, c.number, len(usable), len(c.rrs))
				}
				continue
			}
			ran++
			v, err := Verify(usable, []dns.Name{f.name}, c.chain, now)
			if got := outcome(v, err); got != want(c) {
				t.Errorf("%s case %s: got %s, want %s (%v)", f.path, c.number, got, want(c), err)
			}
		}
		if ran != f.want || others != f.others {
			t.Errorf("%s: %d cases ran and %d are of usages that SMTP does not know, want %d and %d", f.path, ran, others, f.want, f.others)
		}
	}
}

func outcome(v *Verification, err error) string {
	var de *Error
	if errors.As(err, &de) {
		return string(de.Word)
	}
	return fmt.Sprintf("match at depth %d", v.Depth)
}

func want(c corpusCase) string {
	switch {
	case c.result == resultNoMatch:
		return string(reason.DANENoMatch)
	case c.result == resultNameMismatch && c.depth > 0:
		return string(reason.DANETANameMismatch)
	case c.result == resultNameMismatch:
		// The file wants a name check for DANE-EE unless it is switched off; for
		// SMTP it always is (RFC 7672 §3.1.1).
		return "match at depth 0"
	}
	return fmt.Sprintf("match at depth %d", c.depth)
}
