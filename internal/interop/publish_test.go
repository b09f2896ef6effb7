//go:build linux

package interop

import (
	"crypto/x509"
	"fmt"

	"waxwing/dane"
	"waxwing/dns"
)

// policyIP is where the MTA-STS policies are served.
const policyIP = "127.5.0.1"

// records are TLSA records of one peer.
type records struct{ ee, ta, wrong, pkix dns.TLSA }

// zonesFor publishes a peer: a signed zone with good and bad hosts, an unsigned
// one, and some that do not validate. chain is the peer's: leaf, issuer.
func zonesFor(p *peer, chain []*x509.Certificate) []zone {
	r := records{
		ee: dane.Generate(chain[0], dane.UsageEE, 1, 1), ta: dane.Generate(chain[1], dane.UsageTA, 1, 1),
		wrong: dane.Generate(chain[1], dane.UsageEE, 1, 1), // the issuer's key is not the leaf's
		pkix:  dane.Generate(chain[0], 1, 1, 1),            // not for SMTP (RFC 7672 §3.1.3)
	}
	own := zone{name: p.name + ".example", nsec3: p.name == "exim", records: []string{
		"mxalias CNAME mx", "aliased CNAME ee", "rpt MX 10 bad.rpt", "rpt MX 20 good.rpt",
		fmt.Sprintf("*._tcp.mxwild TLSA %s", r.ee), "_25._tcp.mxtlsaalias CNAME tlsa", fmt.Sprintf("tlsa TLSA %s", r.ee),
	}}
	own.records = append(own.records, "ee TXT \"v=spf1 ip4:127.0.0.0/8 -all\"", "_dmarc.ee TXT \"v=DMARC1; p=reject\"") // who sends to Waxwing
	for _, at := range []string{"rpt", "bad.rpt", "good.rpt"} {
		own.records = append(own.records, fmt.Sprintf("_smtp._tls.%s TXT \"v=TLSRPTv1; rua=mailto:%s\"", at, reportsTo))
	}
	for _, h := range hostsOf(p, r) {
		own.records = append(own.records, h.label+" A "+h.ip)
		for _, rr := range h.tlsa {
			own.records = append(own.records, fmt.Sprintf("_25._tcp.%s TLSA %s", h.label, rr))
		}
	}
	plain := zone{name: p.name + "-plain.example", trust: unsigned, records: []string{"mx A " + p.ip,
		fmt.Sprintf("_25._tcp.mx TLSA %s", r.wrong)}} // without signatures it must not count
	for _, c := range casesOf(p.name) {
		if name := dns.MustParse(c.domain); name.Under(dns.MustParse(plain.name)) {
			plain.records = append(plain.records, c.records()...)
		} else if name.Under(dns.MustParse(own.name)) {
			own.records = append(own.records, c.records()...)
		}
	}
	zones := []zone{own, plain, {name: "_tcp.mxlost." + own.name, trust: expired, records: []string{fmt.Sprintf("_25 TLSA %s", r.ee)}}}
	if p.name == "postfix" {
		zones = append(zones, zone{name: "bogus.example", trust: expired, records: []string{"@ MX 10 mx", "mx A " + p.ip,
			fmt.Sprintf("_25._tcp.mx TLSA %s", r.ee)}})
	}
	return zones
}

// records are the domain's own. Some cases are about their being elsewhere.
func (c deliveryCase) records() (list []string) {
	switch c.name {
	case "dane-implicit-mx", "dane-domain-alias":
	case "dane-wildcards":
		list = append(list, fmt.Sprintf("*.wild MX 10 %s.", c.host))
	default:
		list = append(list, fmt.Sprintf("%s. MX 10 %s.", c.domain, c.host))
	}
	if c.also != "" {
		list = append(list, fmt.Sprintf("%s. MX 20 %s.", c.domain, c.also))
	}
	if c.sts != "" {
		list = append(list, fmt.Sprintf("_mta-sts.%s. TXT \"v=STSv1; id=1\"", c.domain), fmt.Sprintf("mta-sts.%s. A %s", c.domain, policyIP))
	}
	return list
}

// host is a name with an address and perhaps TLSA records.
type host struct {
	label, ip string
	tlsa      []dns.TLSA
}

func hostsOf(p *peer, r records) []host {
	list := []host{
		{"mx", p.ip, []dns.TLSA{r.ee}},
		{"mxta", p.ip, []dns.TLSA{r.ta}},
		{"mxbad", p.ip, []dns.TLSA{r.wrong}},
		{"mxname", p.ip, []dns.TLSA{r.ta}},
		{"mxunusable", p.ip, []dns.TLSA{r.pkix}},
		{"mxsts", p.ip, nil},
		{"mxother", p.ip, nil},
		{"implicit", p.ip, []dns.TLSA{r.ee}},
		{"mxwild", p.ip, nil},      // its record is a wildcard
		{"mxtlsaalias", p.ip, nil}, // its record is an alias
		{"mxlost", p.ip, nil},      // its record is in a zone that does not validate
		{"mxrollover", p.ip, []dns.TLSA{r.wrong, r.ee}},
		{"bad.rpt", p.ip, []dns.TLSA{r.wrong}},
		{"good.rpt", p.ip, []dns.TLSA{r.ee}},
	}
	if p.name != "postfix" {
		return list
	}
	return append(list,
		host{"mxclear", clearIP, []dns.TLSA{r.ee}},
		host{"mxclear-untold", clearIP, nil},
		host{"mxtls12", tls12IP, []dns.TLSA{r.ee}},
		host{"mxtls11", tls11IP, []dns.TLSA{r.ee}},
		host{"mxtls11-untold", tls11IP, nil},
		host{"mxask", askCertIP, []dns.TLSA{r.ee}},
		host{"mxreq", reqCertIP, []dns.TLSA{r.ee}},
		host{"mxreq-untold", reqCertIP, nil},
		host{"mxbare", bareIP, nil},
	)
}
