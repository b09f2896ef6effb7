//go:build linux

package interop

import (
	"waxwing/internal/reason"
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
		{name: "dane-mismatch", domain: at("bad"), host: at("mxbad"), word: string(reason.DANENoMatch)},
		{name: "dane-ta-name", domain: at("name"), host: at("mxname"), word: string(reason.DANETANameMismatch)},
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
			deliveryCase{name: "dane-tls11", domain: at("tls11"), host: at("mxtls11"), word: "tls-version"},
			deliveryCase{name: "tls11", domain: at("tls11u"), host: at("mxtls11-untold"), tls: "unverified"},
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
		c.tls, c.word = "", string(reason.DANENoMatch)
	default:
		c.tls, c.word = "", "tls-alert-internal-error"
	}
	return c
}

func allCases() (all []deliveryCase) {
	for _, p := range []string{"postfix", "exim", "opensmtpd", "opensmtpd6"} {
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
