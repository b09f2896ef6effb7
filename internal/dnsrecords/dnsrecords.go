// Package dnsrecords computes the records that a domain and its mail host should
// publish (DNS-R): for people to paste, for a DNS server to be updated with, and
// for the check of what is published. It is pure, and it is the one place that
// knows: all that prints or compares records takes them from here.
package dnsrecords

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"waxwing/dns"
)

// Purpose is what a record is for: one word, the same in lists, checks and pages.
type Purpose string

// The purposes. Records are published in the order of variable order: what others rest
// on comes first, and the MTA-STS record, which makes senders strict, last.
const (
	Address     Purpose = "address"
	Reverse     Purpose = "reverse"
	HostTLSA    Purpose = "tlsa"
	Mail        Purpose = "mx"
	HostSPF     Purpose = "host-spf"
	SPF         Purpose = "spf"
	DKIM        Purpose = "dkim"
	DMARC       Purpose = "dmarc"
	STSHost     Purpose = "mta-sts-host"
	TLSRPT      Purpose = "tlsrpt"
	HostTLSRPT  Purpose = "host-tlsrpt"
	Service     Purpose = "srv"
	Setup       Purpose = "autoconfig"
	CAA         Purpose = "caa"
	STS         Purpose = "mta-sts"
	ReportsFrom Purpose = "report-consent"
)

// Why says in one line what a record of a purpose is for.
func (p Purpose) Why() string { return whys[p] }

var whys = map[Purpose]string{
	Address:     "where the mail host is",
	Reverse:     "the address's name, set at whoever gave you the address; many refuse mail without it",
	HostTLSA:    "binds the host's key with DANE; only where the host's zone is signed with DNSSEC",
	Mail:        "which host takes the domain's mail",
	HostSPF:     "the host may send under its own name: bounces and reports",
	SPF:         "which hosts may send the domain's mail",
	DKIM:        "the key that the domain's mail is signed with",
	DMARC:       "what others are to do with mail that fails, and where they report it",
	STSHost:     "where the MTA-STS policy is fetched",
	TLSRPT:      "where others report how TLS to the domain went",
	HostTLSRPT:  "where others report how DANE to the host went",
	Service:     "where mail programs find the servers",
	Setup:       "where mail programs find their settings",
	CAA:         "which authority may issue certificates",
	STS:         "there is an MTA-STS policy, and which version; publish it last",
	ReportsFrom: "the report address takes reports about another domain",
}

// Record is one record, absolute.
type Record struct {
	Name    dns.Name
	Type    string // A, AAAA, PTR, TLSA, MX, TXT, CNAME, SRV, CAA
	Value   string // the data in presentation form; of TXT the whole text, unquoted
	TTL     int    // seconds
	Purpose Purpose
	// Signed: worth something only where the zone is signed.
	Signed bool
	// Elsewhere: not in the domain's zone, but set by somebody else (PTR).
	Elsewhere bool
}

// Host is the machine that takes and sends mail.
type Host struct {
	Name     dns.Name
	Addrs    []netip.Addr
	Outgoing []netip.Addr // further addresses that mail leaves from
	Keys     []Key        // of the host, current and next
	Ports    []uint16     // with TLSA records; empty: 25
	Reports  string       // local part for TLS reports about the host; "": none
	CAA      []string     // values of CAA "issue", such as "letsencrypt.org; validationmethods=tls-alpn-01"; empty: none are wanted
}

// Key is a host key as TLSA knows it.
type Key struct {
	SPKI []byte // SHA-256 of the public key
	Next bool
}

// Domain is a hosted domain.
type Domain struct {
	Name       dns.Name
	DKIM       []DKIMKey
	DMARC      string   // the policy, "none", "quarantine" or "reject"
	DMARCTo    string   // address for aggregate reports, "": none
	FailuresTo string   // address for failure reports, "": none; in a domain that DMARCTo is in, if any
	TLSReports string   // address for TLS reports, "": none
	STSID      string   // id of the MTA-STS policy, "": no policy
	Extra      []string // further SPF mechanisms, such as "include:_spf.example.net"
	Services   []ServicePort
	Setup      []string // labels below the domain at which programs ask the host for settings, such as "autoconfig"
}

// DKIMKey is a key of the domain.
type DKIMKey struct {
	Selector string
	Text     string // the record's text
}

// ServicePort is one service for mail programs (RFC 6186, 8314): "_imaps", 993. Port
// 0 says that there is no such service.
type ServicePort struct {
	Label string
	Port  uint16
}

const (
	hour = 3600
	// Records that change in a roll-over are not cached for long.
	short = hour
)

// ForHost are the records of the host, in the order of publishing.
func ForHost(h Host) []Record {
	var out []Record
	for _, a := range h.Addrs {
		out = append(out, Record{Name: h.Name, Type: addressType(a), Value: a.String(), TTL: hour, Purpose: Address})
	}
	for _, a := range h.Addrs {
		if n, err := dns.ReverseName(a); err == nil {
			out = append(out, Record{Name: n, Type: "PTR", Value: h.Name.ASCII() + ".", TTL: hour, Purpose: Reverse, Elsewhere: true})
		}
	}
	ports := h.Ports
	if len(ports) == 0 {
		ports = []uint16{25}
	}
	for _, port := range ports {
		for _, k := range h.Keys {
			if n, err := h.Name.Prefix(fmt.Sprintf("_%d._tcp", port)); err == nil {
				out = append(out, Record{Name: n, Type: "TLSA", Value: "3 1 1 " + hex.EncodeToString(k.SPKI), TTL: short, Purpose: HostTLSA, Signed: true})
			}
		}
	}
	out = appendTXT(out, h.Name, "", spf(append([]string{"a"}, addresses(h.Outgoing)...)), HostSPF)
	if h.Reports != "" {
		out = appendTXT(out, h.Name, "_smtp._tls", "v=TLSRPTv1; rua=mailto:"+h.Reports+"@"+h.Name.ASCII(), HostTLSRPT)
	}
	for _, v := range h.CAA {
		out = append(out, Record{Name: h.Name, Type: "CAA", Value: `0 issue "` + v + `"`, TTL: hour, Purpose: CAA})
	}
	return out
}

func addressType(a netip.Addr) string {
	if a.Is4() {
		return "A"
	}
	return "AAAA"
}

// addresses are SPF mechanisms for addresses.
func addresses(list []netip.Addr) []string {
	var out []string
	for _, a := range list {
		out = append(out, map[bool]string{true: "ip4:", false: "ip6:"}[a.Is4()]+a.String())
	}
	return out
}

func spf(mechanisms []string) string {
	return "v=spf1 " + strings.Join(mechanisms, " ") + " -all"
}

func appendTXT(out []Record, under dns.Name, label, text string, p Purpose) []Record {
	name := under
	if label != "" {
		var err error
		if name, err = under.Prefix(label); err != nil {
			return out // too long a name for the label: there is nowhere to put it
		}
	}
	return append(out, Record{Name: name, Type: "TXT", Value: text, TTL: hour, Purpose: p})
}

// ForDomain are the records of a domain whose mail h takes.
func ForDomain(d Domain, h Host) []Record {
	out := []Record{{Name: d.Name, Type: "MX", Value: "10 " + h.Name.ASCII() + ".", TTL: hour, Purpose: Mail}}
	if d.Name != h.Name {
		mechanisms := append([]string{"mx"}, addresses(h.Outgoing)...)
		out = appendTXT(out, d.Name, "", spf(append(mechanisms, d.Extra...)), SPF)
	}
	for _, k := range d.DKIM {
		out = appendTXT(out, d.Name, k.Selector+"._domainkey", k.Text, DKIM)
	}
	if d.DMARC != "" {
		text := "v=DMARC1; p=" + d.DMARC
		if d.DMARCTo != "" {
			text += "; rua=mailto:" + d.DMARCTo
		}
		if d.FailuresTo != "" {
			text += "; ruf=mailto:" + d.FailuresTo
		}
		out = appendTXT(out, d.Name, "_dmarc", text, DMARC)
		out = consent(out, d.Name, d.DMARCTo)
	}
	if d.TLSReports != "" {
		out = appendTXT(out, d.Name, "_smtp._tls", "v=TLSRPTv1; rua=mailto:"+d.TLSReports, TLSRPT)
	}
	out = services(out, d, h)
	if d.STSID != "" {
		out = alias(out, d.Name, "mta-sts", h.Name, STSHost)
		out = appendTXT(out, d.Name, "_mta-sts", "v=STSv1; id="+d.STSID, STS)
	}
	return out
}

// consent is the record with which a report address in another domain agrees
// (RFC 9990 §4). It stands in that domain's zone.
func consent(out []Record, domain dns.Name, address string) []Record {
	i := strings.LastIndexByte(address, '@')
	if i < 1 {
		return out
	}
	to, err := dns.ParseName(address[i+1:])
	if err != nil || to.Under(domain) || domain.Under(to) {
		return out
	}
	return appendTXT(out, to, domain.ASCII()+"._report._dmarc", "v=DMARC1", ReportsFrom)
}

func alias(out []Record, domain dns.Name, label string, to dns.Name, p Purpose) []Record {
	n, err := domain.Prefix(label)
	if err != nil || n == to {
		return out
	}
	return append(out, Record{Name: n, Type: "CNAME", Value: to.ASCII() + ".", TTL: hour, Purpose: p})
}

func services(out []Record, d Domain, h Host) []Record {
	for _, s := range d.Services {
		n, err := d.Name.Prefix(s.Label + "._tcp")
		if err != nil {
			continue
		}
		value := fmt.Sprintf("0 1 %d %s.", s.Port, h.Name.ASCII())
		if s.Port == 0 {
			value = "0 0 0 ." // RFC 6186 §3.4: decidedly not offered
		}
		out = append(out, Record{Name: n, Type: "SRV", Value: value, TTL: hour, Purpose: Service})
	}
	for _, label := range d.Setup {
		out = alias(out, d.Name, label, h.Name, Setup)
	}
	return out
}

// All are the records of a host and of domains whose mail it takes, each once, in the
// order of publishing (SET-6).
func All(h Host, domains ...Domain) []Record {
	all := ForHost(h)
	for _, d := range domains {
		all = append(all, ForDomain(d, h)...)
	}
	var out []Record
	for _, r := range all {
		same := func(o Record) bool { return o.Name == r.Name && o.Type == r.Type && o.Value == r.Value }
		if !slices.ContainsFunc(out, same) {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b Record) int { return a.Purpose.Rank() - b.Purpose.Rank() })
	return out
}

// Rank is a purpose's place in the order of publishing. Records are removed in the
// opposite order.
func (p Purpose) Rank() int { return slices.Index(order, p) }

// order is that of publishing.
var order = []Purpose{Address, Reverse, HostTLSA, Mail, HostSPF, SPF, DKIM, ReportsFrom, DMARC, STSHost, TLSRPT, HostTLSRPT, Service, Setup, CAA, STS}

// ForKey is the record of one DKIM key, and ForPolicy those of an MTA-STS policy whose
// record has an id, the address first: for commands that have just made one.
func ForKey(domain dns.Name, k DKIMKey) []Record {
	return only(ForDomain(Domain{Name: domain, DKIM: []DKIMKey{k}}, Host{}), DKIM)
}

// ForPolicy is told at ForKey.
func ForPolicy(domain dns.Name, id string, host dns.Name) []Record {
	return only(ForDomain(Domain{Name: domain, STSID: id}, Host{Name: host}), STSHost, STS)
}

func only(records []Record, purposes ...Purpose) []Record {
	return slices.DeleteFunc(records, func(r Record) bool { return !slices.Contains(purposes, r.Purpose) })
}

// Lines are records as lines of a zone file.
func Lines(records []Record) string {
	var b strings.Builder
	for _, r := range records {
		b.WriteString(r.Zone() + "\n")
	}
	return b.String()
}

// Snippet writes records as lines of the zone file of one domain: what does not stand
// in that zone, or is set by somebody else, is there as comments. With the zero Name
// only the latter are.
func Snippet(records []Record, zone dns.Name) string {
	var b strings.Builder
	var last Purpose
	for _, r := range records {
		if r.Purpose != last {
			last = r.Purpose
			fmt.Fprintf(&b, "; %s: %s\n", r.Purpose, r.Purpose.Why())
		}
		if r.Elsewhere || !zone.IsZero() && !r.Name.Under(zone) {
			b.WriteString("; elsewhere: ")
		}
		b.WriteString(r.Zone() + "\n")
	}
	return b.String()
}

// Row is how a record is shown.
type Row struct {
	Purpose   Purpose `json:"purpose"`
	Why       string  `json:"why"`
	Name      string  `json:"name"`
	TTL       int     `json:"ttl"`
	Type      string  `json:"type"`
	Value     string  `json:"value"` // of TXT the whole text, unquoted
	Zone      string  `json:"zone_line"`
	Signed    bool    `json:"only_if_signed"`
	Elsewhere bool    `json:"set_elsewhere"`
}

// Row makes it.
func (r Record) Row() Row {
	return Row{Purpose: r.Purpose, Why: r.Purpose.Why(), Name: r.Name.ASCII(), TTL: r.TTL, Type: r.Type, Value: r.Value, Zone: r.Zone(), Signed: r.Signed, Elsewhere: r.Elsewhere}
}

// Zone is the record as a line of a zone file, with an absolute name.
func (r Record) Zone() string {
	value := r.Value
	if r.Type == "TXT" {
		value = Quote(value)
	}
	return fmt.Sprintf("%s.\t%d\tIN\t%s\t%s", r.Name.ASCII(), r.TTL, r.Type, value)
}

// Quote writes a text as the character-strings of a TXT record, of 255 octets at
// most each (RFC 1035 §3.3), as name servers read them.
func Quote(text string) string {
	var parts []string
	for chunk := range slices.Chunk([]byte(text), 255) {
		var b strings.Builder
		b.WriteByte('"')
		for _, c := range chunk {
			switch {
			case c == '"' || c == '\\':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c < ' ' || c > '~':
				fmt.Fprintf(&b, "\\%03d", c)
			default:
				b.WriteByte(c)
			}
		}
		b.WriteByte('"')
		parts = append(parts, b.String())
	}
	if parts == nil {
		return `""`
	}
	return strings.Join(parts, " ")
}
