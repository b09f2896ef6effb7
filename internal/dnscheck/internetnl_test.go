package dnscheck_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"waxwing/dane"
	"waxwing/dmarc"
	"waxwing/dns"
	"waxwing/internal/dnsfinding"
	"waxwing/spf"
)

// internetNL are the checks that internet.nl makes of mail, by the names of its sources.
// Those with a function are made here of what a clean domain publishes, without what
// our own check decides; TLS is tested with the server (server.TestInternetNL). The
// others cannot be checked by a machine that has no part in them.
func internetNL() map[string]func(f *dnsfinding.Facts, w *world) bool {
	ours := func(f *dnsfinding.Facts) *dnsfinding.Host { return &f.Hosts[0] }
	leaf := func(f *dnsfinding.Facts, hold func(h *dnsfinding.Host, c *dnsfinding.Contact) bool) bool {
		n := 0
		for i := range f.Hosts {
			for j := range f.Hosts[i].Contacts {
				if n++; !hold(&f.Hosts[i], &f.Hosts[i].Contacts[j]) {
					return false
				}
			}
		}
		return n > 0
	}
	return map[string]func(f *dnsfinding.Facts, w *world) bool{
		"web-mail ipv6 ns-AAAA": func(f *dnsfinding.Facts, _ *world) bool {
			return len(f.NS.AAAA) >= 2 && len(f.NS.AAAA[0].Addr.Records) > 0 && len(f.NS.AAAA[1].Addr.Records) > 0
		},
		"web-mail ipv6 ns-reach": nil,
		"mail ipv6 mx-AAAA": func(f *dnsfinding.Facts, _ *world) bool {
			return len(ours(f).AAAA.Records) > 0 && !ours(f).AAAA.Records[0].Is4In6()
		},
		"mail ipv6 mx-reach": func(f *dnsfinding.Facts, _ *world) bool {
			return slices.ContainsFunc(ours(f).Contacts, func(c dnsfinding.Contact) bool { return c.Addr.Is6() && c.Err == nil })
		},
		"mail dnssec exists":    func(f *dnsfinding.Facts, _ *world) bool { return f.MX.Security == dns.Secure },
		"mail dnssec valid":     func(f *dnsfinding.Facts, _ *world) bool { return f.MX.Security == dns.Secure },
		"mail dnssec mx-exists": func(f *dnsfinding.Facts, _ *world) bool { return ours(f).A.Security == dns.Secure },
		"mail dnssec mx-valid":  func(f *dnsfinding.Facts, _ *world) bool { return ours(f).A.Security == dns.Secure },
		"mail auth dmarc":       func(f *dnsfinding.Facts, _ *world) bool { return len(f.Texts.DMARC.Records) == 1 },
		"mail auth dmarc-policy": func(f *dnsfinding.Facts, _ *world) bool {
			d, err := dmarc.Parse(f.Texts.DMARC.Records[0])
			return err == nil && len(d.Problems) == 0 && (d.Policy == dmarc.PolicyQuarantine || d.Policy == dmarc.PolicyReject) && !d.Testing && len(d.RUA) == 1
		},
		"mail auth dkim": func(_ *dnsfinding.Facts, w *world) bool { // NOERROR for the empty name above the keys
			a, err := w.checker.DNS.LookupTXT(w.t.Context(), dns.MustParse("_domainkey.example.org"))
			return err == nil && !a.NXDomain
		},
		"mail auth spf": func(f *dnsfinding.Facts, _ *world) bool {
			return len(f.Texts.SPF.Records) == 1 && strings.HasPrefix(f.Texts.SPF.Records[0], "v=spf1 ")
		},
		"mail auth spf-policy": func(f *dnsfinding.Facts, _ *world) bool {
			r, err := spf.Parse(f.Texts.SPF.Records[0])
			few := !slices.ContainsFunc(f.SPF, func(s dnsfinding.SPF) bool { return s.Outcome.Lookups > 10 })
			return err == nil && few && r.Terms[len(r.Terms)-1].Text == "-all"
		},
		"mail tls starttls-exists": func(f *dnsfinding.Facts, _ *world) bool {
			return leaf(f, func(_ *dnsfinding.Host, c *dnsfinding.Contact) bool { return c.StartTLS && c.TLS == nil })
		},
		"mail tls version":                nil,
		"mail tls ciphers":                nil,
		"mail tls cipher-order":           nil,
		"mail tls key-exchange-rsa-pkcs":  nil,
		"mail tls fs-params":              nil,
		"mail tls kex-hash-func":          nil,
		"mail tls compression":            nil,
		"mail tls renegotiation-secure":   nil,
		"mail tls renegotiation-client":   nil,
		"mail tls zero-rtt":               nil,
		"mail tls extended-master-secret": nil,
		"mail tls ocsp-stapling":          nil,
		"mail tls cert-trust": func(f *dnsfinding.Facts, _ *world) bool {
			return leaf(f, func(_ *dnsfinding.Host, c *dnsfinding.Contact) bool { return c.PKIX != nil && c.PKIX.Failure == nil })
		},
		"mail tls cert-hostmatch": func(f *dnsfinding.Facts, _ *world) bool {
			return leaf(f, func(h *dnsfinding.Host, c *dnsfinding.Contact) bool {
				return c.Chain[0].VerifyHostname(h.Name.ASCII()) == nil
			})
		},
		"mail tls cert-pubkey":    nil,
		"mail tls cert-signature": nil,
		"mail tls caa": func(f *dnsfinding.Facts, _ *world) bool {
			c := f.CAA[0].Lookups[len(f.CAA[0].Lookups)-1]
			return slices.ContainsFunc(c.Records, func(r dns.CAA) bool { return r.Tag == "issue" })
		},
		"mail tls dane-exists": func(f *dnsfinding.Facts, _ *world) bool {
			return ours(f).TLSA.Security == dns.Secure && len(ours(f).TLSA.Records) > 0
		},
		"mail tls dane-valid": func(f *dnsfinding.Facts, w *world) bool {
			records, unusable := dane.Usable(ours(f).TLSA.Records)
			return unusable == 0 && leaf(f, func(h *dnsfinding.Host, c *dnsfinding.Contact) bool {
				_, err := dane.Verify(records, []dns.Name{h.Name}, c.Chain, w.now)
				return err == nil
			})
		},
		"mail tls dane-rollover": func(f *dnsfinding.Facts, _ *world) bool {
			n := 0
			for _, r := range ours(f).TLSA.Records {
				if r.Usage == dane.UsageEE && r.Selector == dane.SelectorSPKI && r.MatchingType == dane.MatchingSHA256 {
					n++
				}
			}
			return n >= 2
		},
		"mail rpki exists":        nil,
		"mail rpki valid":         nil,
		"mail rpki mx-ns-exists":  nil,
		"mail rpki mx-ns-valid":   nil,
		"web-mail rpki ns-exists": nil,
		"web-mail rpki ns-valid":  nil,
	}
}

// TestInternetNL: what our records say meets the checks that internet.nl makes of mail,
// and the page for operators has each of them, with words of ours that exist.
func TestInternetNL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	facts := w.checker.Look(t.Context(), w.wanted)
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operating", "internet-nl.md"))
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	row := regexp.MustCompile("(?m)^\\| `((?:web-)?mail [^`]+)` \\| [^|]+ \\|([^|]*)\\|$")
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		told[m[1]] = true
		for _, word := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(m[2], -1) {
			if _, ok := dnsfinding.Words()[dnsfinding.Word(word[1])]; !ok {
				t.Errorf("%s: there is no finding %s", m[1], word[1])
			}
		}
	}
	all := internetNL()
	for name, met := range all {
		if met != nil && !met(&facts, w) {
			t.Errorf("%s is not met by a clean domain", name)
		}
		if !told[name] {
			t.Errorf("docs/operating/internet-nl.md does not tell of %s", name)
		}
	}
	if len(told) != len(all) {
		t.Errorf("the page tells of %d checks, and there are %d", len(told), len(all))
	}
}
