//go:build linux

package interop

import (
	"crypto/x509"
	"fmt"

	"waxwing/dane"
	"waxwing/dns"
)

// delivery cases: what a domain publishes, and what must come of a mail to it.
type deliveryCase struct {
	name   string
	peer   string
	domain string
	host   string // its MX
	also   string // a second MX, tried after it
	sts    string // pattern of an MTA-STS policy in mode enforce; empty: no policy
	noWeb  bool   // the policy host's certificate does not carry its name
	tls    string // how the mail travels: dane, pkix, unverified, none; empty: it waits
	word   string // why it waits
}

// casesOf are the cases that every peer is put to.
func casesOf(peer string) []deliveryCase {
	at := func(label string) string { return label + "." + peer + ".example" }
	list := []deliveryCase{
		{name: "dane-ee", domain: at("ee"), host: at("mx"), tls: "dane"},
		{name: "dane-ta", domain: at("ta"), host: at("mxta"), tls: "dane"},
		{name: "dane-mismatch", domain: at("bad"), host: at("mxbad"), word: dane.NoMatch},
		{name: "dane-ta-name", domain: at("name"), host: at("mxname"), word: dane.TANameMismatch},
		{name: "dane-mx-alias", domain: at("alias"), host: at("mxalias"), tls: "dane"},
		{name: "dane-unusable", domain: at("unusable"), host: at("mxunusable"), tls: "unverified"},
		{name: "dane-implicit-mx", domain: at("implicit"), host: at("implicit"), tls: "dane"},
		{name: "dane-domain-alias", domain: at("aliased"), host: at("mx"), tls: "dane"},
		{name: "dane-wildcards", domain: at("any.wild"), host: at("mxwild"), tls: "dane"},
		{name: "dane-tlsa-alias", domain: at("tlsaalias"), host: at("mxtlsaalias"), tls: "dane"},
		{name: "dane-rollover", domain: at("rollover"), host: at("mxrollover"), tls: "dane"},
		{name: "dane-tlsa-bogus", domain: at("lost"), host: at("mxlost"), word: "dns-bogus"},
		{name: "dane-unsigned-host", domain: at("leaving"), host: "mx." + peer + "-plain.example", tls: "unverified"},
		{name: "dane-second-host", domain: at("two"), host: at("mxbad"), also: at("mx"), tls: "dane"},
		{name: "sts-enforce", domain: at("sts"), host: at("mxsts"), sts: at("mxsts"), tls: "pkix"},
		{name: "sts-wrong-name", domain: at("stsname"), host: at("mxother"), sts: at("mxother"), word: "cert-host-mismatch"},
		{name: "sts-unlisted", domain: at("stsmx"), host: at("mxsts"), sts: at("mx"), word: "sts-mx-mismatch"},
		{name: "sts-wildcard", domain: at("stswild"), host: at("mxsts"), sts: "*." + peer + ".example", tls: "pkix"},
		{name: "sts-unfetched", domain: at("stsweb"), host: at("mxother"), sts: at("mxother"), noWeb: true, tls: "unverified"},
		{name: "dane-and-sts", domain: at("both"), host: at("mx"), sts: at("mx"), tls: "dane+pkix"},
		{name: "dane-but-not-sts", domain: at("half"), host: at("mxrollover"), sts: at("mxrollover"), word: "cert-host-mismatch"},
		{name: "opportunistic", domain: peer + "-plain.example", host: "mx." + peer + "-plain.example", tls: "unverified"},
	}
	list = append(list, deliveryCase{name: "insecure-mx", domain: "via." + peer + "-plain.example", host: at("mxbad"), tls: "unverified"})
	if peer == "postfix" {
		list = append(list,
			deliveryCase{name: "zone-bogus", domain: "bogus.example", host: "mx.bogus.example", word: "dns-bogus"},
			deliveryCase{name: "host-bogus", domain: at("viabogus"), host: "mx.bogus.example", word: "dns-bogus"},
			deliveryCase{name: "dane-stripped", domain: at("stripped"), host: at("mxclear"), word: "starttls-not-offered"},
			deliveryCase{name: "dane-tls12", domain: at("tls12"), host: at("mxtls12"), tls: "dane"},
			deliveryCase{name: "dane-tls11", domain: at("tls11"), host: at("mxtls11"), word: "tls-alert-protocol-version-not-supported"},
			deliveryCase{name: "tls11", domain: at("tls11u"), host: at("mxtls11-untold"), tls: "none"},
			deliveryCase{name: "dane-asks-for-certificate", domain: at("ask"), host: at("mxask"), tls: "dane"},
			deliveryCase{name: "dane-wants-certificate", domain: at("req"), host: at("mxreq"), word: "ehlo-reply"},
			deliveryCase{name: "wants-certificate", domain: at("requ"), host: at("mxreq-untold"), word: "ehlo-reply"},
			deliveryCase{name: "bare", domain: at("bare"), host: at("mxbare"), tls: "none"},
			deliveryCase{name: "no-starttls", domain: at("clear"), host: at("mxclear-untold"), tls: "none"},
		)
	}
	for i := range list {
		list[i].peer = peer
	}
	return list
}

// broken is the case at a host whose TLS handshakes fail: what asks for TLS
// waits, and only what asks for nothing goes in plaintext.
func (c deliveryCase) broken() deliveryCase {
	switch {
	case c.tls == "": // something else is found wrong before
	case c.tls == "unverified" && c.name != "dane-unusable":
		c.tls = "none"
	case c.also != "": // the first host's reason is told
		c.tls, c.word = "", dane.NoMatch
	default:
		c.tls, c.word = "", "tls-alert-internal-error"
	}
	return c
}

func allCases() (all []deliveryCase) {
	for _, p := range []string{"postfix", "exim", "opensmtpd"} {
		all = append(all, casesOf(p)...)
	}
	return all
}

// domainsOf are the domains that a peer takes mail for.
func domainsOf(peer string) (names []string) {
	for _, c := range casesOf(peer) {
		names = append(names, c.domain)
	}
	return names
}

// certNames are the names in a peer's certificate: those of the hosts that are
// to be right.
func certNames(peer string) (names []string) {
	for _, label := range []string{"mx", "mxta", "mxsts"} {
		names = append(names, label+"."+peer+".example")
	}
	return names
}

// policyIP is where the MTA-STS policies are served.
const policyIP = "127.5.0.1"

// zonesFor publishes a peer: a signed zone with good and bad hosts, and an
// unsigned one. chain is the peer's, leaf first, with its issuer.
func zonesFor(p *peer, chain []*x509.Certificate) []zone {
	ee, ta := dane.Generate(chain[0], dane.UsageEE, 1, 1), dane.Generate(chain[1], dane.UsageTA, 1, 1)
	wrong := dane.Generate(chain[1], dane.UsageEE, 1, 1) // the issuer's key is not the leaf's
	own := p.name + ".example"
	z := zone{name: own, nsec3: p.name == "exim", records: []string{"mxalias CNAME mx"}}
	host := func(label, ip string, tlsa ...dns.TLSA) {
		z.records = append(z.records, label+" A "+ip)
		for _, r := range tlsa {
			z.records = append(z.records, fmt.Sprintf("_25._tcp.%s TLSA %s", label, r))
		}
	}
	host("mx", p.ip, ee)
	host("mxta", p.ip, ta)
	host("mxbad", p.ip, wrong)
	host("mxname", p.ip, ta)
	host("mxunusable", p.ip, dane.Generate(chain[0], 1, 1, 1)) // PKIX-EE: not for SMTP (RFC 7672 §3.1.3)
	host("mxsts", p.ip)
	host("mxother", p.ip)
	plain := zone{name: p.name + "-plain.example", trust: unsigned, records: []string{"mx A " + p.ip,
		fmt.Sprintf("_25._tcp.mx TLSA %s", wrong)}} // without signatures it must not count
	zones := []zone{}
	z.records = append(z.records, "aliased CNAME ee", fmt.Sprintf("*._tcp.mxwild TLSA %s", ee), "_25._tcp.mxtlsaalias CNAME tlsa", fmt.Sprintf("tlsa TLSA %s", ee))
	host("implicit", p.ip, ee)
	host("mxwild", p.ip)
	host("mxtlsaalias", p.ip)
	host("mxrollover", p.ip, wrong, ee)
	host("mxlost", p.ip)
	host("bad.rpt", p.ip, wrong)
	host("good.rpt", p.ip, ee)
	z.records = append(z.records, "rpt MX 10 bad.rpt", "rpt MX 20 good.rpt")
	for _, at := range []string{"rpt", "bad.rpt", "good.rpt"} {
		z.records = append(z.records, fmt.Sprintf("_smtp._tls.%s TXT \"v=TLSRPTv1; rua=mailto:%s\"", at, reportsTo))
	}
	zones = append(zones, zone{name: "_tcp.mxlost." + own, trust: expired, records: []string{fmt.Sprintf("_25 TLSA %s", ee)}})
	if p.name == "postfix" {
		host("mxclear", clearIP, ee)
		host("mxclear-untold", clearIP)
		host("mxtls12", tls12IP, ee)
		host("mxtls11", tls11IP, ee)
		host("mxtls11-untold", tls11IP)
		host("mxask", askCertIP, ee)
		host("mxreq", reqCertIP, ee)
		host("mxreq-untold", reqCertIP)
		host("mxbare", bareIP)
		zones = append(zones, zone{name: "bogus.example", trust: expired, records: []string{"@ MX 10 mx", "mx A " + p.ip,
			fmt.Sprintf("_25._tcp.mx TLSA %s", ee)}})
	}
	for _, c := range casesOf(p.name) {
		mx := fmt.Sprintf("%s. MX 10 %s.", c.domain, c.host)
		if c.also != "" {
			mx += fmt.Sprintf("\n%s. MX 20 %s.", c.domain, c.also)
		}
		switch c.domain {
		case "via." + plain.name:
			plain.records = append(plain.records, mx)
		case "implicit." + own, "aliased." + own:
		case "any.wild." + own:
			z.records = append(z.records, "*.wild MX 10 mxwild")
		case plain.name:
			plain.records = append(plain.records, mx)
		case "bogus.example":
		default:
			z.records = append(z.records, mx)
		}
		if c.sts != "" {
			z.records = append(z.records, fmt.Sprintf("_mta-sts.%s. TXT \"v=STSv1; id=1\"", c.domain), fmt.Sprintf("mta-sts.%s. A %s", c.domain, policyIP))
		}
	}
	return append(zones, z, plain)
}
