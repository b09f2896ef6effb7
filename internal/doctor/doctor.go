// Package doctor examines a machine (SET-2): is it fit for a mail server, and does the
// server on it work? Package machine finds out the facts; here each of them is turned into
// findings, with what causes them and what cures them. It is pure. What could not be seen
// is never ok.
package doctor

import (
	"fmt"
	"net/netip"
	"strings"

	"waxwing/dns"
)

// Level is how bad a finding is.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Warning Level = "warning" // it works, and not as well as it could; or it could not be seen
	Failed  Level = "failed"  // mail will not come in, not go out, or be lost
)

// Finding is one thing that was found.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	Seen  string `json:"seen"`
	Cause string `json:"cause,omitempty"` // what it leads to, or comes from
	Cure  string `json:"cure,omitempty"`
}

// Worst is the worst level of findings.
func Worst(all []Finding) Level {
	worst := OK
	for _, f := range all {
		if f.Level == Failed || f.Level == Warning && worst == OK {
			worst = f.Level
		}
	}
	return worst
}

func ok(format string, args ...any) Finding {
	return Finding{Level: OK, Seen: fmt.Sprintf(format, args...)}
}

func unseen(what, err string) Finding {
	return Finding{Level: Warning, Seen: what + " could not be seen: " + err, Cure: "run \"waxwing doctor\" again once that is mended"}
}

// bad is what a fault leads to, and its cure.
type bad struct{ cause, cure string }

func (b bad) warn(format string, args ...any) Finding {
	return Finding{Level: Warning, Seen: fmt.Sprintf(format, args...), Cause: b.cause, Cure: b.cure}
}

func (b bad) fail(format string, args ...any) Finding {
	return Finding{Level: Failed, Seen: fmt.Sprintf(format, args...), Cause: b.cause, Cure: b.cure}
}

// Lookup is what DNS said of a name's addresses.
type Lookup struct {
	Addrs    []netip.Addr
	Security dns.Security
	Err      string // "": it answered
}

// Resolver reads the resolver's self-test (DNS-6, VAL-2).
func Resolver(t dns.SelfTestResult) []Finding {
	var out []Finding
	if t.Source == dns.SourceOwn {
		out = append(out, ok("Waxwing validates DNSSEC itself"))
	}
	for _, s := range t.Servers {
		switch {
		case strings.HasPrefix(s.Signed, "no answer"):
			out = append(out, bad{"nothing can be looked up: no mail goes out, and mail that comes in is put off", "install a resolver on this machine (\"apt install unbound\"), or name one in [resolver]"}.
				fail("%s: %s", s.Server.Addr, s.Signed))
		case t.Source == dns.SourceOwn:
			out = append(out, ok("%s answers, with DNSSEC records", s.Server.Addr))
		case s.OK():
			out = append(out, ok("%s validates DNSSEC, and is believed", s.Server.Addr))
		default:
			why := ""
			if t.Why != "" {
				why = "; nor can Waxwing validate itself over it: " + t.Why
			}
			out = append(out, bad{"DANE is off: it protects mail only where answers are validated by DNSSEC, by Waxwing over a resolver that passes its records or by a resolver that nobody can speak in the place of", "install one on this machine (\"apt install unbound\") and write servers = [\"127.0.0.1\"] into [resolver]"}.
				warn("%s%s", s, why))
		}
	}
	if len(t.Servers) == 0 {
		return []Finding{unseen("the resolver", "none is configured")}
	}
	return out
}

// Addresses are the machine's, and what DNS has for its name.
type Addresses struct {
	Hostname dns.Name
	Own      []netip.Addr // of the interfaces, loopback and link-local ones left out
	InDNS    Lookup
}

// Public are those of the addresses that the world can reach.
func Public(all []netip.Addr) (public []netip.Addr) {
	for _, a := range all {
		if !dns.PrivateAddr(a) {
			public = append(public, a)
		}
	}
	return public
}

// Findings say whether the host's name leads to this machine.
func (a Addresses) Findings() []Finding {
	if !strings.Contains(a.Hostname.ASCII(), ".") {
		return []Finding{bad{"other servers refuse mail of a host without a full name", "choose a name below a domain of yours, such as mail.example.org"}.fail("the host's name is %s", a.Hostname)}
	}
	in := a.InDNS
	switch {
	case in.Security == dns.Bogus:
		return []Finding{bad{"nobody who validates DNSSEC can reach the host", "mend the zone's signatures: ask its name servers' operator, or see https://dnsviz.net"}.fail("DNSSEC of %s is broken: %s", a.Hostname, in.Err)}
	case in.Err != "":
		return []Finding{unseen("the addresses of "+a.Hostname.ASCII(), in.Err)}
	case len(in.Addrs) == 0:
		return []Finding{bad{"others cannot find this machine", "publish A and AAAA records of " + a.Hostname.ASCII() + " with its addresses: " + list(Public(a.Own))}.fail("DNS has no address for %s", a.Hostname)}
	}
	out := a.compare()
	if in.Security == dns.Insecure {
		out = append(out, bad{"TLSA records in a zone without DNSSEC protect nothing: others cannot use DANE to this host", "have the zone signed, at the registrar or whoever runs its name servers"}.warn("the zone of %s is not signed", a.Hostname))
	}
	return out
}

// compare holds the addresses in DNS against the machine's.
func (a Addresses) compare() []Finding {
	var out []Finding
	public, in := Public(a.Own), a.InDNS
	foreign, silent := without(in.Addrs, a.Own), without(public, in.Addrs)
	switch {
	case len(public) == 0 && len(Public(in.Addrs)) > 0:
		out = append(out, bad{"a router gives it one (NAT): it must pass the ports on, and mail must leave from the same address", "see that ports 25, 465, 587 and 443 of " + list(in.Addrs) + " lead here"}.warn("this machine has no public address; %s has %s", a.Hostname, list(in.Addrs)))
	case len(foreign) > 0:
		out = append(out, bad{"part of the mail goes to another machine", "take these addresses out of the records of " + a.Hostname.ASCII() + ", unless a load balancer has them"}.warn("%s has addresses that are not this machine's: %s", a.Hostname, list(foreign)))
	}
	if len(silent) > 0 && len(public) > 0 {
		out = append(out, bad{"mail that leaves from there comes from an address that is not the host's: SPF and PTR do not fit it", "publish them as addresses of " + a.Hostname.ASCII()}.warn("addresses of this machine are not in DNS: %s", list(silent)))
	}
	if len(out) == 0 {
		out = append(out, ok("%s has %s", a.Hostname, list(in.Addrs)))
	}
	return out
}

func without(all, those []netip.Addr) (out []netip.Addr) {
	for _, a := range all {
		there := false
		for _, b := range those {
			there = there || a == b
		}
		if !there {
			out = append(out, a)
		}
	}
	return out
}

func list(all []netip.Addr) string {
	var words []string
	for _, a := range all {
		words = append(words, a.String())
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

// HostsLine is one line of /etc/hosts.
type HostsLine struct {
	Addr  netip.Addr
	Names []string
}

// HostsFile says whether what /etc/hosts has for the host's name fits DNS.
func HostsFile(host dns.Name, lines []HostsLine) Finding {
	for _, l := range lines {
		for _, n := range l.Names {
			if name, err := dns.ParseName(n); err == nil && name == host && l.Addr.IsLoopback() {
				return bad{"programs on this machine connect to themselves where others reach its public address", "take the name out of that line of /etc/hosts (Debian's installer puts it there)"}.
					warn("/etc/hosts has %s as %s", host, l.Addr)
			}
		}
	}
	return ok("/etc/hosts does not say otherwise than DNS")
}

// NoAddress is the finding where there is no address whose name could be looked up.
func NoAddress() Finding {
	return unseen("the names of this machine's addresses", "neither it nor its name in DNS has a public one")
}

// Back is what DNS says of an address.
type Back struct {
	Addr  netip.Addr
	Names []dns.Name
	To    map[dns.Name]Lookup // the addresses of each name
	Err   string
}

// Reverse examines the names of an address (iprev, RFC 8601 §3): there must be one, and it
// must lead back.
func Reverse(host dns.Name, b Back) Finding {
	cure := "have the PTR record of " + b.Addr.String() + " set to " + host.ASCII() + ", at whoever gave you the address"
	switch {
	case b.Err != "":
		return unseen("the name of "+b.Addr.String(), b.Err)
	case len(b.Names) == 0:
		return bad{"large mail providers refuse mail from an address without a name", cure}.fail("%s has no name (PTR)", b.Addr)
	}
	back, ours := "", false
	for _, n := range b.Names {
		for _, a := range b.To[n].Addrs {
			if a == b.Addr {
				back, ours = n.ASCII(), ours || n == host
			}
		}
	}
	switch {
	case back == "":
		return bad{"many refuse mail from an address whose name does not lead back", cure}.fail("the name of %s is %s, which does not lead back to it", b.Addr, b.Names[0])
	case !ours:
		return bad{"some find that suspicious", cure}.warn("the name of %s is %s and not %s", b.Addr, back, host)
	}
	return ok("%s is %s, both ways", b.Addr, host)
}
