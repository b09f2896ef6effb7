package dnscheck_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/dnsfinding"
	"waxwing/mtasts"
	"waxwing/smtp"
)

// planted is one thing that is wrong in a world that is otherwise clean.
type planted struct {
	what  string
	plant func(w *world)
	// want are the words of all findings that are not ok, the one that is meant first.
	want []dnsfinding.Word
	at   string // part of its subject
	seen string // part of what is told as seen
	cure string // part of the cure, or of what is wanted
}

func words(w ...dnsfinding.Word) []dnsfinding.Word { return w }

const (
	tlsaName = "_25._tcp.mx.example.org"
	insecure = dns.Insecure
	bogus    = dns.Bogus
)

func tlsaOther() string { return "3 1 1 " + strings.Repeat("ab", 32) }

// TestFaults plants one fault at a time, and finds it with its cause and its cure, and
// nothing else (DNS-C).
func TestFaults(t *testing.T) {
	t.Parallel()
	all := slices.Concat(hostFaults(), tlsFaults(), tlsaFaults(), spfFaults(), dkimFaults(), dmarcFaults(), tlsrptFaults(), stsFaults(), otherFaults())
	seen := map[dnsfinding.Word]bool{}
	for _, p := range all {
		seen[p.want[0]] = true
		t.Run(strings.ReplaceAll(p.what, "/", "-"), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p.plant(w)
			p.check(t, w.checker.Check(t.Context(), w.wanted))
		})
	}
	for w, e := range dnsfinding.Words() {
		if !seen[w] && w != dnsfinding.Well {
			t.Errorf("nothing plants %s: %s", w, e[1])
		}
	}
	if len(all) < 40 {
		t.Errorf("only %d faults are planted", len(all))
	}
}

func (p *planted) check(t *testing.T, found []dnsfinding.Finding) {
	t.Helper()
	var got []dnsfinding.Word
	hit := false
	for _, f := range found {
		if f.Level == dnsfinding.OK {
			continue
		}
		if !slices.Contains(got, f.Word) {
			got = append(got, f.Word)
		}
		if f.Cause == "" || f.Cure == "" {
			t.Errorf("without cause or cure: %+v", f)
		}
		if f.Word == p.want[0] && strings.Contains(f.Subject, p.at) {
			hit = hit || strings.Contains(f.Seen, p.seen) && strings.Contains(f.Wanted+f.Cure, p.cure)
		}
	}
	want := slices.Clone(p.want)
	slices.Sort(got)
	slices.Sort(want)
	if !hit || !slices.Equal(got, want) {
		text := ""
		for _, f := range found {
			if f.Level != dnsfinding.OK {
				text += fmt.Sprintf("\n  %s %s: %s; seen %q, wanted %q", f.Level, f.Word, f.Subject, f.Seen, f.Wanted)
			}
		}
		t.Errorf("found %v, want %v with %q about %q:%s", got, want, p.seen, p.at, text)
	}
}

func hostFaults() []planted {
	return []planted{
		{"domain does not exist", func(w *world) {
			w.dns.Intercept(nxdomain)
		}, words(dnsfinding.NoDomain), "example.org", "", "register"},
		{"one name server", func(w *world) { w.change("example.org", "NS", "ns1.example.net.") }, words(dnsfinding.NSFew), "example.org NS", "ns1", "second name server"},
		{"name servers without IPv6", func(w *world) { w.change("ns2.example.net", "AAAA") }, words(dnsfinding.NSNoIPv6), "example.org NS", "ns2", "AAAA"},
		{"no MX record", func(w *world) { w.change("example.org", "MX") }, words(dnsfinding.MXMissing, dnsfinding.SPFAddress), "example.org MX", "", "10 mx.example.org."},
		{"MX of another host", func(w *world) {
			w.change("example.org", "MX", "10 mail.example.net.")
			w.put("mail.example.net. 300 IN A 8.8.4.25", "mail.example.net. 300 IN AAAA 2a00:1450::25", "_25._tcp.mail.example.net. 300 IN TLSA "+w.tlsa())
		}, words(dnsfinding.MXOther, dnsfinding.MXForeign, dnsfinding.SMTPName, dnsfinding.CertName, dnsfinding.STSMX), "example.org MX", "mail.example.net", "10 mx.example.org."},
		{"second MX of a host elsewhere", func(w *world) {
			w.put("example.org. 300 IN MX 20 backup.example.net.", "backup.example.net. 300 IN A 8.8.4.26", "backup.example.net. 300 IN AAAA 2a00:1450::26", "_25._tcp.backup.example.net. 300 IN TLSA "+w.tlsa())
			cert := w.again(w.cert, w.now.Add(-time.Hour), w.now.AddDate(0, 0, 80), "backup.example.net")
			for _, a := range []string{"8.8.4.26", "2a00:1450::26"} {
				w.serveMX(netip.MustParseAddr(a), hostSpec{Name: "backup.example.net", Cert: cert})
			}
		}, words(dnsfinding.MXForeign, dnsfinding.STSMX), "example.org MX", "20 backup.example.net.", "take the record out"},
		{"MX of an address", func(w *world) { w.put("example.org. 300 IN MX 20 8.8.4.25.") }, words(dnsfinding.MXUnusable), "example.org MX", "no host name", "host name"},
		{"null MX", func(w *world) { w.change("example.org", "MX", "0 .") }, words(dnsfinding.NullMX, dnsfinding.SPFAddress), "example.org MX", "0 .", "10 mx"},
		{"null MX beside another", func(w *world) { w.put("example.org. 300 IN MX 0 .") }, words(dnsfinding.NullMXMixed), "example.org MX", "0 .", "single dot"},
		{"MX of an alias", func(w *world) {
			w.change("example.org", "MX", "10 alias.example.org.")
			w.put("alias.example.org. 300 IN CNAME mx.example.org.", "_25._tcp.alias.example.org. 300 IN TLSA "+w.tlsa())
		}, words(dnsfinding.MXAlias, dnsfinding.MXOther, dnsfinding.MXForeign, dnsfinding.SMTPName, dnsfinding.CertName, dnsfinding.STSMX), "alias.example.org", "CNAME mx", "CNAME"},
		{"host without address", func(w *world) {
			w.change("mx.example.org", "A")
			w.change("mx.example.org", "AAAA")
			w.change("mta-sts.example.org", "CNAME")
			w.put("mta-sts.example.org. 300 IN A 8.8.4.25", "mta-sts.example.org. 300 IN AAAA 2a00:1450::25")
		}, words(dnsfinding.NoAddress, dnsfinding.PTROther, dnsfinding.SPFAddress, dnsfinding.CAAMissing), "mx.example.org", "", "8.8.4.25"},
		{"addresses of another machine", func(w *world) {
			w.change("mx.example.org", "A", "8.8.4.99")
			w.change("mx.example.org", "AAAA", "2a00:1450::99")
			w.change("mta-sts.example.org", "CNAME")
			w.put("mta-sts.example.org. 300 IN A 8.8.4.25", "mta-sts.example.org. 300 IN AAAA 2a00:1450::25")
			w.serveMX(netip.MustParseAddr("8.8.4.99"), hostSpec{Cert: w.cert})
			w.serveMX(netip.MustParseAddr("2a00:1450::99"), hostSpec{Cert: w.cert})
		}, words(dnsfinding.AddressOther, dnsfinding.PTROther, dnsfinding.SPFAddress, dnsfinding.CAAMissing), "mx.example.org", "8.8.4.99", "8.8.4.25"},
		{"an address is missing in DNS", func(w *world) {
			w.wanted.Host.Addrs = append(w.wanted.Host.Addrs, netip.MustParseAddr("8.8.4.27"))
		}, words(dnsfinding.AddressMissing), "mx.example.org", "8.8.4.25", "8.8.4.27"},
		{"an address too many in DNS", func(w *world) {
			w.put("mx.example.org. 300 IN A 8.8.4.28")
			w.serveMX(netip.MustParseAddr("8.8.4.28"), hostSpec{Cert: w.cert})
		}, words(dnsfinding.AddressExtra), "mx.example.org", "8.8.4.28", "8.8.4.25"},
		{"private address in DNS", func(w *world) {
			w.put("mx.example.org. 300 IN A 10.0.0.1")
			w.serveMX(netip.MustParseAddr("10.0.0.1"), hostSpec{Cert: w.cert})
		}, words(dnsfinding.AddressPrivate, dnsfinding.AddressExtra), "mx.example.org", "10.0.0.1", "world reaches"},
		{"no IPv6 address", func(w *world) {
			w.change("mx.example.org", "AAAA")
			w.wanted.Host.Addrs, w.wanted.Sources = w.wanted.Host.Addrs[:1], w.wanted.Sources[:1]
		}, words(dnsfinding.NoIPv6), "mx.example.org AAAA", "", "AAAA"},
		{"no PTR record", func(w *world) { w.change("25.4.8.8.in-addr.arpa", "PTR") }, words(dnsfinding.PTRMissing), "8.8.4.25", "", "mx.example.org."},
		{"PTR that does not lead back", func(w *world) { w.change("25.4.8.8.in-addr.arpa", "PTR", "static-8-8-4-25.example.net.") }, words(dnsfinding.PTROther), "8.8.4.25", "static", "mx.example.org."},
		{"PTR of another name", func(w *world) {
			w.change("25.4.8.8.in-addr.arpa", "PTR", "box.example.net.")
			w.put("box.example.net. 300 IN A 8.8.4.25")
		}, words(dnsfinding.PTRName), "8.8.4.25", "box.example.net.", "mx.example.org."},
		{"insecure zone", func(w *world) { w.unsigned("example.org") }, words(dnsfinding.ZoneInsecure, dnsfinding.TLSAInsecure), "example.org", "insecure", "signed"},
		{"insecure zone without TLSA", func(w *world) {
			w.unsigned("example.org")
			w.change(tlsaName, "TLSA")
		}, words(dnsfinding.HostInsecure, dnsfinding.ZoneInsecure), "mx.example.org", "insecure", "signed"},
		{"bogus zone", func(w *world) { w.dns.SetSecurity("example.org", "MX", bogus) }, words(dnsfinding.Bogus, dnsfinding.SPFTemporary), "example.org MX", "bogus", "DS record"},
		{"resolver that is not trusted", func(w *world) {
			c := dnstest.Client(w.t, w.dns)
			c.Servers[0].Trusted = false
			w.checker.DNS = c
		}, words(dnsfinding.NoDNSSEC), "resolver", "indeterminate", "resolver.trusted"},
		{"name servers fail", func(w *world) { w.dns.Fail(dnstest.Failure{Name: "_dmarc.example.org"}) }, words(dnsfinding.LookupFailed), "_dmarc.example.org", "servfail", "name servers"},
	}
}

func tlsFaults() []planted {
	on4 := func(spec func(w *world) hostSpec) func(*world) {
		return func(w *world) { w.serveMX(addr4, spec(w)) }
	}
	return []planted{
		{"nothing listens at an address", func(w *world) { w.net.Close(netip.AddrPortFrom(addr6, 25)) }, words(dnsfinding.Unreachable), "2a00:1450::25", "refused", "port 25"},
		{"the check has no time", func(w *world) { w.checker.Timeout = time.Nanosecond }, words(dnsfinding.LookupFailed), "example.org MX", "", "repeat"},
		{"a contact takes too long", func(w *world) {
			w.serveMX(addr4, hostSpec{Cert: w.cert, Hook: func(string, string) *smtp.Reply { time.Sleep(2 * time.Second); return nil }})
			w.checker.Timeout = time.Second
		}, words(dnsfinding.NotLooked), "8.8.4.25", "", "repeat"},
		{"EHLO is refused", on4(func(w *world) hostSpec {
			return hostSpec{Cert: w.cert, Hook: func(verb, _ string) *smtp.Reply {
				if verb == "EHLO" {
					return smtp.NewReply(554, smtp.Enhanced{Class: 5}, "go away")
				}
				return nil
			}}
		}), words(dnsfinding.SMTPRefused), "8.8.4.25", "go away", "log"},
		{"another name answers", on4(func(w *world) hostSpec { return hostSpec{Name: "firewall.example.net", Cert: w.cert} }), words(dnsfinding.SMTPName), "8.8.4.25", "firewall.example.net", "mx.example.org"},
		{"STARTTLS missing on one of two addresses", on4(func(*world) hostSpec { return hostSpec{} }), words(dnsfinding.NoStartTLS), "8.8.4.25", "", "certificate"},
		{"STARTTLS is answered 454", on4(func(w *world) hostSpec {
			return hostSpec{Cert: w.cert, Hook: func(verb, _ string) *smtp.Reply {
				if verb == "STARTTLS" {
					return smtp.NewReply(454, smtp.Enhanced{Class: 4, Subject: 7}, "not now")
				}
				return nil
			}}
		}), words(dnsfinding.TLSFailed), "8.8.4.25", "454", "log"},
		{"expired certificate on one of two addresses", on4(func(w *world) hostSpec {
			return hostSpec{Cert: w.again(w.cert, w.now.AddDate(0, 0, -90), w.now.Add(-time.Hour), "mx.example.org")}
		}), words(dnsfinding.CertExpired), "8.8.4.25", "valid from", "renewed"},
		{"certificate of tomorrow", on4(func(w *world) hostSpec {
			return hostSpec{Cert: w.again(w.cert, w.now.Add(24*time.Hour), w.now.AddDate(0, 0, 90), "mx.example.org")}
		}), words(dnsfinding.CertNotYet), "8.8.4.25", "valid from", "clocks"},
		{"certificate of another name on one of two addresses", on4(func(w *world) hostSpec {
			return hostSpec{Cert: w.again(w.cert, w.now.Add(-time.Hour), w.now.AddDate(0, 0, 80), "www.example.org")}
		}), words(dnsfinding.CertName), "8.8.4.25", "www.example.org", "mx.example.org"},
		{"certificate of an unknown authority", func(w *world) {
			w.serveKey(w.stranger("mx.example.org"))
		}, words(dnsfinding.CertUntrusted), "8.8.4.25", "cert-", "public authority"},
		{"the same without MTA-STS", func(w *world) {
			w.serveKey(w.stranger("mx.example.org"))
			w.change("_mta-sts.example.org", "TXT")
			w.wanted.Policy, w.wanted.Domain.STSID = "", ""
		}, words(dnsfinding.CertPrivate, dnsfinding.STSMissing), "8.8.4.25", "cert-", "ACME"},
		{"certificate that ends soon", on4(func(w *world) hostSpec {
			return hostSpec{Cert: w.again(w.cert, w.now.AddDate(0, 0, -80), w.now.AddDate(0, 0, 9), "mx.example.org")}
		}), words(dnsfinding.CertExpires), "8.8.4.25", "valid from", "renewal"},
	}
}

func tlsaFaults() []planted {
	tlsa := func(data ...string) func(*world) {
		return func(w *world) { w.change(tlsaName, "TLSA", data...) }
	}
	return []planted{
		{"wrong TLSA record", tlsa(tlsaOther()), words(dnsfinding.TLSAMismatch, dnsfinding.TLSAKeyMissing, dnsfinding.TLSANext, dnsfinding.TLSAStale), "mx.example.org (8.8.4.25)", "abababab", "3 1 1 "},
		{"another key on one of two addresses", func(w *world) {
			w.serveMX(addr4, hostSpec{Cert: w.leaf(w.now.Add(-time.Hour), w.now.AddDate(0, 0, 80), "mx.example.org")})
		}, words(dnsfinding.TLSAMismatch), "mx.example.org (8.8.4.25)", "3 1 1 ", "publish the record of the key in use"},
		{"TLSA record of another key beside ours", func(w *world) { w.put(tlsaName + ". 300 IN TLSA " + tlsaOther()) }, words(dnsfinding.TLSAStale), tlsaName, "abababab", "remove"},
		{"TLSA record of a key in use is missing", func(w *world) {
			second := w.leaf(w.now.Add(-time.Hour), w.now.AddDate(0, 0, 80), "mx.example.org")
			w.wanted.Host.Keys = append(w.wanted.Host.Keys, key(second))
		}, words(dnsfinding.TLSAKeyMissing), tlsaName, "3 1 1 ", "3 1 1 "},
		{"TLSA record of the next key is missing", func(w *world) { w.change(tlsaName, "TLSA", w.tlsa()) }, words(dnsfinding.TLSANext), tlsaName, "3 1 1 ", "3 1 1 "},
		{"no TLSA record in a signed zone", tlsa(), words(dnsfinding.TLSAMissing), tlsaName, "", "3 1 1 "},
		{"TLSA records that SMTP cannot use", func(w *world) { w.change(tlsaName, "TLSA", strings.Replace(w.tlsa(), "3", "1", 1)) }, words(dnsfinding.TLSAUnusable), tlsaName, "1 1 1", "3 1 1"},
		{"a TLSA record with a digest too short", func(w *world) { w.put(tlsaName + ". 300 IN TLSA 3 1 1 abcd") }, words(dnsfinding.TLSASome), tlsaName, "abcd", "right length"},
		{"TLSA in an insecure zone", func(w *world) {
			for _, n := range []string{"mx.example.org", tlsaName} {
				w.dns.SetSecurity(n, "", insecure)
			}
		}, words(dnsfinding.TLSAInsecure), tlsaName, "3 1 1", "signed"},
		{"TLSA lookup fails", func(w *world) { w.dns.Fail(dnstest.Failure{Name: tlsaName, Type: "TLSA"}) }, words(dnsfinding.TLSALookup), tlsaName, "servfail", "questions for TLSA"},
		{"TLSA lookup is bogus", func(w *world) { w.dns.SetSecurity(tlsaName, "TLSA", bogus) }, words(dnsfinding.TLSALookup), tlsaName, "bogus", "TLSA"},
	}
}

func spfFaults() []planted {
	set := func(texts ...string) func(*world) {
		return func(w *world) {
			var data []string
			for _, t := range texts {
				data = append(data, `"`+t+`"`)
			}
			w.change("example.org", "TXT", data...)
		}
	}
	eleven := "v=spf1 mx"
	for i := range 10 {
		eleven += fmt.Sprintf(" a:h%d.example.net", i)
	}
	return []planted{
		{"no SPF record", set("something else"), words(dnsfinding.SPFMissing), "example.org SPF", "", "v=spf1 mx -all"},
		{"two SPF records", set("v=spf1 mx -all", "v=spf1 a -all"), words(dnsfinding.SPFMultiple), "example.org SPF", "v=spf1 a", "merge"},
		{"SPF with a spelling mistake", set("v=spf1 mx ipv4:8.8.4.25 -all"), words(dnsfinding.SPFSyntax), "example.org SPF", "ipv4", "v=spf1 mx"},
		{"SPF without our address", set("v=spf1 ip4:192.0.2.1 -all"), words(dnsfinding.SPFAddress), "8.8.4.25", "fail, -all", "ip4:"},
		{"SPF without the IPv6 address", set("v=spf1 ip4:8.8.4.25 -all"), words(dnsfinding.SPFAddress), "2a00:1450::25", "fail", "ip6:"},
		{"SPF without the address of a transport", func(w *world) {
			out := netip.MustParseAddr("8.8.4.77")
			w.wanted.Sources = append(w.wanted.Sources, dnsfinding.Source{Addr: out, EHLO: mx, Transport: "socks"})
			w.put("77.4.8.8.in-addr.arpa. 300 IN PTR mx.example.org.", "mx.example.org. 300 IN A 8.8.4.77")
			w.change("example.org", "TXT", `"v=spf1 ip4:8.8.4.25 ip6:2a00:1450::25 -all"`)
			w.wanted.Host.Addrs = append(w.wanted.Host.Addrs, out)
			w.serveMX(out, hostSpec{Cert: w.cert})
		}, words(dnsfinding.SPFAddress), "8.8.4.77 (transport socks)", "fail", "ip4:"},
		{"SPF with eleven lookups", func(w *world) {
			for i := range 10 {
				w.put(fmt.Sprintf("h%d.example.net. 300 IN A 192.0.2.1", i), fmt.Sprintf("h%d.example.net. 300 IN AAAA 2001:db8::1", i))
			}
			set(strings.Replace(eleven, "v=spf1 mx", "v=spf1", 1) + " mx -all")(w)
		}, words(dnsfinding.SPFLookups), "example.org SPF", "lookups", "include:"},
		{"SPF with three void lookups", set("v=spf1 a:x.example.net a:y.example.net a:z.example.net mx -all"), words(dnsfinding.SPFLookups), "example.org SPF", "without an answer", "2 without"},
		{"SPF that includes a domain without a record", set("v=spf1 include:example.net mx -all"), words(dnsfinding.SPFSyntax), "example.org SPF", "permerror", "correct"},
		{"SPF that lets everybody send", set("v=spf1 mx +all"), words(dnsfinding.SPFOpen), "example.org SPF", "+all", "-all"},
		{"SPF without an end", set("v=spf1 mx"), words(dnsfinding.SPFNoAll), "example.org SPF", "v=spf1 mx", "-all"},
		{"SPF with ptr", set("v=spf1 mx ptr -all"), words(dnsfinding.SPFPTR), "example.org SPF", "ptr", "name addresses"},
		{"SPF depends on a name that fails", func(w *world) {
			w.dns.Fail(dnstest.Failure{Name: "out.example.net"})
			set("v=spf1 a:out.example.net mx -all")(w)
		}, words(dnsfinding.SPFTemporary), "example.org SPF", "temperror", "name servers"},
		{"no SPF record of the host", func(w *world) { w.change("mx.example.org", "TXT") }, words(dnsfinding.HostSPF), "mx.example.org SPF", "", "v=spf1 a -all"},
		{"the host's SPF forbids it", func(w *world) { w.change("mx.example.org", "TXT", `"v=spf1 -all"`) }, words(dnsfinding.SPFAddress), "mx.example.org SPF", "fail", "ip4:"},
		{"mail leaves by a smarthost", func(w *world) { w.wanted.Smarthosts = []string{"isp"} }, words(dnsfinding.SPFSmarthost), "example.org SPF", "isp", "relay"},
		{"no address is known", func(w *world) {
			w.wanted.Sources, w.wanted.Relayed = nil, true
		}, words(dnsfinding.SPFNoSource), "example.org SPF", "", "addresses"},
	}
}

func dkimFaults() []planted {
	set := func(data ...string) func(*world) {
		return func(w *world) { w.change("rsa._domainkey.example.org", "TXT", data...) }
	}
	quote := func(parts ...string) string { return `"` + strings.Join(parts, `" "`) + `"` }
	return []planted{
		{"no DKIM key", func(w *world) { w.wanted.Domain.DKIM = nil }, words(dnsfinding.NoDKIM), "example.org DKIM", "", "dkim add"},
		{"DKIM record is missing", set(), words(dnsfinding.DKIMMissing), "rsa._domainkey", "", "v=DKIM1; k=rsa"},
		{"DKIM record of a key that waits is missing", func(w *world) {
			set()(w)
			w.wanted.Signing["rsa"] = false
		}, words(dnsfinding.DKIMWaiting), "rsa._domainkey", "", "v=DKIM1; k=rsa"},
		{"DKIM record of another key", func(w *world) { w.change("ed._domainkey.example.org", "TXT", quote(newKey(w.t))) }, words(dnsfinding.DKIMOther), "ed._domainkey", "v=DKIM1", "v=DKIM1; k=ed25519"},
		{"DKIM record split with a blank lost in the key", func(w *world) {
			text := rsaRecord()
			set(quote(text[:200]+`\"`, `\"`+text[200:350], text[350:]))(w)
		}, words(dnsfinding.DKIMSplit), "rsa._domainkey", "v=DKIM1", "--zone"},
		{"DKIM record cut off at 255 octets", func(w *world) { set(quote(rsaRecord()[:255]))(w) }, words(dnsfinding.DKIMSplit), "rsa._domainkey", "v=DKIM1", "one TXT record"},
		{"DKIM record split into two records", func(w *world) { set(quote(rsaRecord()[:255]), quote(rsaRecord()[255:]))(w) }, words(dnsfinding.DKIMSplit), "rsa._domainkey", "v=DKIM1", "one TXT record"},
		{"two DKIM records", func(w *world) {
			text := rsaRecord()
			set(quote(text[:200], text[200:]), quote(newKey(w.t)))(w)
		}, words(dnsfinding.DKIMMultiple), "rsa._domainkey", "k=ed25519", "all but one"},
		{"DKIM record that revokes", set(`"v=DKIM1; k=rsa; p="`), words(dnsfinding.DKIMRevoked), "rsa._domainkey", "p=", "v=DKIM1; k=rsa; p=M"},
		{"DKIM record that tests", func(w *world) {
			text := strings.Replace(rsaRecord(), "k=rsa", "k=rsa; t=y", 1)
			set(quote(text[:200], text[200:]))(w)
		}, words(dnsfinding.DKIMTesting), "rsa._domainkey", "t=y", "take t=y out"},
		{"DKIM record for another service", func(w *world) {
			text := strings.Replace(rsaRecord(), "k=rsa", "k=rsa; s=tlsrpt", 1)
			set(quote(text[:200], text[200:]))(w)
		}, words(dnsfinding.DKIMFaulty), "rsa._domainkey", "s=tlsrpt", "v=DKIM1; k=rsa; p="},
	}
}

func dmarcFaults() []planted {
	set := func(texts ...string) func(*world) {
		return func(w *world) {
			var data []string
			for _, t := range texts {
				data = append(data, `"`+t+`"`)
			}
			w.change("_dmarc.example.org", "TXT", data...)
		}
	}
	return []planted{
		{"no DMARC record", set(), words(dnsfinding.DMARCMissing), "_dmarc.example.org", "", "v=DMARC1; p=reject"},
		{"two DMARC records", set("v=DMARC1; p=reject; rua=mailto:dmarc-reports@example.org", "v=DMARC1; p=none"), words(dnsfinding.DMARCMult), "_dmarc.example.org", "p=none", "all but one"},
		{"DMARC without a policy", set("v=DMARC1; sp=none"), words(dnsfinding.DMARCSyntax), "_dmarc.example.org", "sp=none", "p=reject"},
		{"DMARC that is none", set("DMARC1; p=reject"), words(dnsfinding.DMARCSyntax), "_dmarc.example.org", "DMARC1", "p=reject"},
		{"DMARC with a faulty tag", set("v=DMARC1; p=reject; adkim=loose; rua=mailto:dmarc-reports@example.org"), words(dnsfinding.DMARCFaults), "_dmarc.example.org", "adkim", "correct"},
		{"DMARC p=none", set("v=DMARC1; p=none; rua=mailto:dmarc-reports@example.org"), words(dnsfinding.DMARCNone), "_dmarc.example.org", "p=none", "quarantine"},
		{"DMARC in test mode", set("v=DMARC1; p=reject; t=y; rua=mailto:dmarc-reports@example.org"), words(dnsfinding.DMARCTesting), "_dmarc.example.org", "t=y", "t=y"},
		{"DMARC without a report address", set("v=DMARC1; p=reject"), words(dnsfinding.DMARCSilent), "_dmarc.example.org", "p=reject", "rua=mailto:"},
		{"DMARC reports elsewhere without consent", set("v=DMARC1; p=reject; rua=mailto:them@example.net"), words(dnsfinding.DMARCConsent), "example.org._report._dmarc.example.net", "", "v=DMARC1"},
		{"DMARC reports to nobody", set("v=DMARC1; p=reject; rua=mailto:gone@example.org!10m"), words(dnsfinding.Mailbox), "_dmarc.example.org", "gone@example.org", "address add"},
	}
}

func tlsrptFaults() []planted {
	set := func(name string, texts ...string) func(*world) {
		return func(w *world) {
			var data []string
			for _, t := range texts {
				data = append(data, `"`+t+`"`)
			}
			w.change("_smtp._tls."+name, "TXT", data...)
		}
	}
	const ours = "v=TLSRPTv1; rua=mailto:tls-reports@example.org"
	return []planted{
		{"no TLSRPT record", set("example.org"), words(dnsfinding.TLSRPTMissing), "_smtp._tls.example.org", "", ours},
		{"no TLSRPT record of the host", set("mx.example.org"), words(dnsfinding.HostTLSRPT), "_smtp._tls.mx.example.org", "", "tls-reports@mx.example.org"},
		{"two TLSRPT records", set("example.org", ours, ours+"; "), words(dnsfinding.TLSRPTMultiple), "_smtp._tls.example.org", ours, "all but one"},
		{"TLSRPT with a spelling mistake", set("example.org", "v=TLSRPTv1; rue=mailto:tls-reports@example.org"), words(dnsfinding.TLSRPTSyntax), "_smtp._tls.example.org", "rue", ours},
		{"TLSRPT with a bad address", set("example.org", ours+",mailto:nobody"), words(dnsfinding.TLSRPTFaulty), "_smtp._tls.example.org", "nobody", "mailto:"},
		{"TLSRPT elsewhere", set("example.org", "v=TLSRPTv1; rua=mailto:them@example.net"), words(dnsfinding.TLSRPTOther), "_smtp._tls.example.org", "them@", "tls-reports@example.org"},
		{"two TLSRPT records of the host", set("mx.example.org", "v=TLSRPTv1; rua=mailto:tls-reports@mx.example.org", "v=TLSRPTv1; rua=mailto:x@example.org"), words(dnsfinding.TLSRPTMultiple), "_smtp._tls.mx.example.org", "x@", "all but one"},
	}
}

func stsFaults() []planted {
	record := func(texts ...string) func(*world) {
		return func(w *world) {
			var data []string
			for _, t := range texts {
				data = append(data, `"`+t+`"`)
			}
			w.change("_mta-sts.example.org", "TXT", data...)
		}
	}
	// serve has both the server and the web host have a policy.
	serve := func(change func(p *mtasts.Policy)) func(*world) {
		return func(w *world) {
			p := &mtasts.Policy{Mode: mtasts.ModeEnforce, MaxAge: 30 * 24 * time.Hour, MX: []mtasts.Pattern{{Name: mx}}}
			change(p)
			w.wanted.Policy = p.Text()
			w.policy.set(http.StatusOK, p.Text())
		}
	}
	const at = "https://mta-sts.example.org"
	return []planted{
		{"no MTA-STS", func(w *world) {
			record()(w)
			w.wanted.Policy, w.wanted.Domain.STSID = "", ""
		}, words(dnsfinding.STSMissing), "_mta-sts.example.org", "", "mtasts publish"},
		{"policy without a record", record(), words(dnsfinding.STSUnpublished), "_mta-sts.example.org", "", "v=STSv1; id=20260101000000"},
		{"two MTA-STS records", record("v=STSv1; id=20260101000000", "v=STSv1; id=2"), words(dnsfinding.STSMultiple), "_mta-sts.example.org", "id=2", "all but one"},
		{"MTA-STS record without an id", record("v=STSv1; "), words(dnsfinding.STSSyntax), "_mta-sts.example.org", "v=STSv1", "id=20260101000000"},
		{"id unchanged after a change", func(w *world) { w.wanted.Domain.STSID = "20260202000000" }, words(dnsfinding.STSID), "_mta-sts.example.org", "id=20260101000000", "id=20260202000000"},
		{"policy host without an address", func(w *world) { w.change("mta-sts.example.org", "CNAME") }, words(dnsfinding.STSHost, dnsfinding.CAAMissing), "mta-sts.example.org", "no-policy", "mx.example.org."},
		{"no policy at its address", func(w *world) { w.policy.set(http.StatusNotFound, "") }, words(dnsfinding.STSNoPolicy), at, "404", "mtasts publish"},
		{"unreachable policy host", func(w *world) { w.net.Close(web) }, words(dnsfinding.STSUnreachable), at, "refused", "browser"},
		{"policy host that fails", func(w *world) { w.policy.set(http.StatusInternalServerError, "") }, words(dnsfinding.STSUnreachable), at, "500", "200"},
		{"policy host whose address cannot be looked up", func(w *world) {
			w.dns.Fail(dnstest.Failure{Name: "mta-sts.example.org"})
		}, words(dnsfinding.LookupFailed), "mta-sts.example.org", "servfail", "name servers"},
		{"policy host with a certificate of another name", func(w *world) {
			w.servePolicy(w.leaf(w.now.Add(-time.Hour), w.now.AddDate(0, 0, 80), "www.example.org"), w.wanted.Policy)
		}, words(dnsfinding.STSCertificate), at, "cert-host-mismatch", "mta-sts.example.org"},
		{"policy host with an expired certificate", func(w *world) {
			w.servePolicy(w.leaf(w.now.AddDate(0, 0, -80), w.now.Add(-time.Hour), "mta-sts.example.org"), w.wanted.Policy)
		}, words(dnsfinding.STSCertificate), at, "cert-expired", "mta-sts.example.org"},
		{"malformed policy", func(w *world) { w.policy.set(http.StatusOK, "version: STSv1\r\nmode: enforce\r\n") }, words(dnsfinding.STSPolicySyntax), at, "policy-syntax", "new id"},
		{"another policy than ours", func(w *world) {
			w.policy.set(http.StatusOK, strings.Replace(w.wanted.Policy, "2592000", "1209600", 1))
		}, words(dnsfinding.STSPolicyOther), at, "1209600", "2592000"},
		{"MX not in the policy", serve(func(p *mtasts.Policy) { p.MX[0].Name = dns.MustParse("old.example.org") }), words(dnsfinding.STSMX), at, "old.example.org", "mx.example.org"},
		{"policy in mode testing", serve(func(p *mtasts.Policy) { p.Mode = mtasts.ModeTesting }), words(dnsfinding.STSTesting), at, "testing", "enforce"},
		{"policy in mode none", serve(func(p *mtasts.Policy) { p.Mode = mtasts.ModeNone }), words(dnsfinding.STSNone), at, "none", "enforce"},
		{"policy for a day", serve(func(p *mtasts.Policy) { p.MaxAge = 24 * time.Hour }), words(dnsfinding.STSShort), at, "86400", "604800"},
		{"policy served by another", func(w *world) { w.wanted.Policy, w.wanted.Domain.STSID = "", "" }, words(dnsfinding.STSOrphan), at, "enforce", "in step"},
	}
}

func otherFaults() []planted {
	caa := func(data ...string) func(*world) {
		return func(w *world) { w.change("mx.example.org", "CAA", data...) }
	}
	return []planted{
		{"CAA that forbids our CA", caa(`0 issue "other.example"`), words(dnsfinding.CAAForbids), "mx.example.org CAA", "other.example", "ca.example"},
		{"CAA that forbids everybody", caa(`0 issue ";"`), words(dnsfinding.CAAForbids), "mx.example.org CAA", ";", "ca.example"},
		{"CAA above that forbids our CA", func(w *world) {
			caa()(w)
			w.put(`example.org. 300 IN CAA 0 issue "other.example"`)
		}, words(dnsfinding.CAAForbids), "mx.example.org CAA", "other.example", "ca.example"},
		{"CAA for another account", caa(`0 issue "ca.example; accounturi=https://ca.example/acct/2"`), words(dnsfinding.CAAAccount), "mx.example.org CAA", "acct/2", "acct/1"},
		{"CAA for another way of validation", caa(`0 issue "ca.example; validationmethods=dns-01"`), words(dnsfinding.CAAMethod), "mx.example.org CAA", "dns-01", "tls-alpn-01"},
		{"CAA with a critical tag that nobody knows", func(w *world) { w.put(`mx.example.org. 300 IN CAA 128 tbs "x"`) }, words(dnsfinding.CAACritical), "mx.example.org CAA", "128 tbs", "remove"},
		{"no CAA record", caa(), words(dnsfinding.CAAMissing), "mx.example.org CAA", "", "ca.example"},
		{"no SRV record", func(w *world) { w.change("_submissions._tcp.example.org", "SRV") }, words(dnsfinding.SRVMissing), "_submissions._tcp.example.org", "", "465"},
		{"SRV of another port", func(w *world) {
			w.change("_submissions._tcp.example.org", "SRV", "0 1 587 mx.example.org.")
		}, words(dnsfinding.SRVOther), "_submissions._tcp.example.org", "587", "465"},
		{"SRV of a service that is not served", func(w *world) {
			w.change("_pop3._tcp.example.org", "SRV", "0 1 110 mx.example.org.")
		}, words(dnsfinding.SRVUnserved), "_pop3._tcp.example.org", "110", "0 0 0 ."},
		{"no name for settings", func(w *world) { w.change("autoconfig.example.org", "CNAME") }, words(dnsfinding.SetupMissing), "autoconfig.example.org", "", "CNAME mx.example.org."},
		{"a name for settings that leads elsewhere", func(w *world) {
			w.change("autodiscover.example.org", "CNAME")
			w.put("autodiscover.example.org. 300 IN A 203.0.113.9")
		}, words(dnsfinding.SetupOther), "autodiscover.example.org", "203.0.113.9", "CNAME mx.example.org."},
	}
}
