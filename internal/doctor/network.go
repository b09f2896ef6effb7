package doctor

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"waxwing/dns"
)

// PortState is what came of trying to listen.
type PortState string

// The states.
const (
	Free   PortState = "free"
	Ours   PortState = "ours"   // the server that runs has it
	Taken  PortState = "taken"  // another program has it
	Denied PortState = "denied" // this user may not
	Absent PortState = "absent" // the machine has no such address
)

// Port is an address to listen on.
type Port struct {
	Kind   string
	Addr   netip.AddrPort
	State  PortState
	Holder string // the program that has it, as far as it can be seen
	Err    string
}

// Finding says whether the server can listen there.
func (p Port) Finding() Finding {
	where := fmt.Sprintf("%s for %s", p.Addr, p.Kind)
	switch p.State {
	case Free:
		return ok("%s is free", where)
	case Ours:
		return ok("%s is the server's", where)
	case Taken:
		who, stop := "another program", "the program that has it (\"ss -ltnp\" shows it)"
		if p.Holder != "" {
			who, stop = p.Holder, p.Holder
		}
		return bad{"the server does not start while the port is taken", "stop " + stop + ", for example with \"systemctl disable --now\", or change the address in [[listen]]"}.fail("%s has %s", who, where)
	case Denied:
		return bad{"ports below 1024 need a right", "start the server by its systemd unit, which gives it CAP_NET_BIND_SERVICE; run this as root to see more"}.warn("this user may not listen on %s", where)
	case Absent:
		return bad{"the server does not start", "change the address in [[listen]]: \":25\" is every address"}.fail("this machine has not the address of %s", where)
	}
	return unseen(where, p.Err)
}

// Out is a try to reach port 25 of somebody's mail host.
type Out struct {
	Host string
	Addr netip.AddrPort
	Err  string // "": it greeted
}

// Outgoing says whether mail can leave: one host that greets is enough.
func Outgoing(tries []Out) Finding {
	var failed []string
	for _, t := range tries {
		if t.Err == "" {
			return ok("port 25 of %s answers: mail can leave", t.Host)
		}
		failed = append(failed, t.Host+" ("+t.Err+")")
	}
	if len(failed) == 0 {
		return unseen("whether port 25 of others can be reached", "no mail host could be looked up")
	}
	return bad{"most providers block port 25 until they are asked, and no mail can leave directly", "ask whoever gave you the machine to open outgoing port 25, or send over a smarthost: \"waxwing transport add\", \"waxwing route add\""}.
		fail("port 25 of others cannot be reached: %s", strings.Join(failed, ", "))
}

// Listing is what a blocklist said of an address.
type Listing struct {
	List  string
	Addr  netip.Addr
	Codes []netip.Addr // 127.0.0.x: listed
	Err   string
}

// Listings is what all of them say of us (RFC 5782).
func Listings(all []Listing) []Finding {
	var out []Finding
	clean, refused := 0, map[string]bool{}
	for _, l := range all {
		switch listed, denied := l.read(); {
		case l.Err != "" || denied:
			refused[l.List] = true
		case listed:
			out = append(out, bad{"those who ask this list refuse mail from the address", "look it up at the list's own page, mend what led to it (often a user before you), and ask to be taken off"}.fail("%s is on the blocklist %s", l.Addr, l.List))
		default:
			clean++
		}
	}
	for name := range refused {
		if clean == 0 && len(out) == 0 {
			out = append(out, unseen("whether our addresses are on the blocklist "+name, "it answers nobody who asks through a large public resolver"))
			break
		}
	}
	if len(out) == 0 && clean > 0 {
		out = append(out, ok("no blocklist that answers has an address of this machine"))
	}
	if len(out) == 0 {
		out = append(out, ok("no public address to look up in blocklists"))
	}
	return out
}

// read tells a listing from a refusal to answer, which is 127.255.255.0/24.
func (l Listing) read() (listed, denied bool) {
	for _, c := range l.Codes {
		b := c.Unmap().AsSlice()
		switch {
		case len(b) != 4 || b[0] != 127:
			denied = true // a resolver that answers for names that are not there
		case b[1] == 255:
			denied = true
		default:
			listed = true
		}
	}
	return listed && !denied, denied
}

// Domain is what a mail domain publishes today, before anything is changed.
type Domain struct {
	Name  dns.Name
	Host  dns.Name // this server
	CA    string   // the authority that is asked for certificates, as CAA names it; "": none
	MX    []dns.MX
	SPF   []string // records that begin with v=spf1
	DMARC []string
	CAA   []dns.CAA // that count for the host
	Err   string
}

// Findings say what the domain's records mean for mail that is to come here.
func (d Domain) Findings() []Finding {
	if d.Err != "" {
		return []Finding{unseen("the records of "+d.Name.ASCII(), d.Err)}
	}
	var out []Finding
	out = append(out, d.mx()...)
	merge := bad{"two records are worth none, and it then counts as an error (RFC 7208 §4.5, RFC 9989 §5)", "put all into one record"}
	if len(d.SPF) > 1 {
		out = append(out, merge.fail("%s has %d SPF records", d.Name, len(d.SPF)))
	}
	if len(d.DMARC) > 1 {
		out = append(out, merge.fail("%s has %d DMARC records", d.Name, len(d.DMARC)))
	}
	if d.CA != "" && forbids(d.CAA, d.CA) {
		out = append(out, bad{"no certificate can be had", "add the record: " + d.Host.ASCII() + ". CAA 0 issue \"" + d.CA + "\""}.fail("CAA records of %s do not let %s issue certificates", d.Host, d.CA))
	}
	if len(out) == 0 {
		out = append(out, ok("%s leads its mail to this server; \"waxwing dns check\" says more", d.Name))
	}
	return out
}

func (d Domain) mx() []Finding {
	var others []string
	here, null := false, false
	for _, m := range d.MX {
		switch {
		case m.Null:
			null = true
		case m.Host == d.Host:
			here = true
		default:
			others = append(others, m.Host.ASCII())
		}
	}
	publish := "publish its MX record: " + d.Name.ASCII() + ". MX 10 " + d.Host.ASCII() + "."
	switch {
	case null:
		return []Finding{bad{"nobody sends it any", publish + " in the place of the one there is"}.fail("%s says that it takes no mail (null MX)", d.Name)}
	case len(d.MX) == 0:
		return []Finding{bad{"its mail does not come here yet", publish}.warn("%s has no MX record", d.Name)}
	case !here:
		return []Finding{bad{"its mail goes there until the records are changed", "when you are ready, " + publish + " in their place"}.warn("the mail of %s goes to %s", d.Name, strings.Join(others, ", "))}
	case len(others) > 0:
		return []Finding{bad{"part of its mail goes there", "take these out, unless they are yours and pass the mail on"}.warn("the mail of %s goes also to %s", d.Name, strings.Join(others, ", "))}
	}
	return nil
}

// forbids reports that CAA records keep an authority from issuing (RFC 8659 §4).
func forbids(all []dns.CAA, ca string) bool {
	restricts := false
	for _, c := range all {
		if c.Tag == "issue" {
			restricts = true
			name, _, _ := strings.Cut(c.Value, ";")
			if strings.EqualFold(strings.TrimSpace(name), ca) {
				return false
			}
		}
	}
	return restricts
}

// Service is a mail listener of the running server, as a client finds it.
type Service struct {
	Kind     string
	Addr     netip.AddrPort
	Greeting string
	TLS      bool      // a session was made
	Names    bool      // the certificate is for the host
	Trusted  bool      // an authority that the system trusts has signed it
	Until    time.Time // of the certificate
	Err      string
}

// Server is the server of this machine.
type Server struct {
	Runs     bool
	Version  string // of the server that runs
	Program  string // of this program
	Err      string // why it could not be asked
	Services []Service
	Now      time.Time
}

// soon is how long before its end a certificate is warned of: 45-day ones are renewed
// with a third left.
const soon = 10 * 24 * time.Hour

// Findings say whether the server runs, and as it should.
func (s Server) Findings() []Finding {
	switch {
	case s.Err != "":
		return []Finding{bad{"it cannot be told whether it is well", "run this as root, or as the user that the server runs as"}.warn("the running server: %s", s.Err)}
	case !s.Runs:
		return []Finding{bad{"no mail comes in or goes out", "\"systemctl start waxwing\"; \"journalctl -u waxwing\" says why it ended"}.fail("the server does not run")}
	}
	out := []Finding{ok("it runs, version %s", s.Version)}
	if s.Version != s.Program {
		out[0] = bad{"it goes on with the old program until it is started again", "\"systemctl restart waxwing\""}.warn("the server that runs is version %s, this program %s", s.Version, s.Program)
	}
	for _, l := range s.Services {
		out = append(out, l.finding(s.Now))
	}
	return out
}

func (l Service) finding(now time.Time) Finding {
	where := fmt.Sprintf("%s at %s", l.Kind, l.Addr)
	certificate := bad{"mail programs and servers that check certificates turn away", "\"waxwing config check\" names the files of the certificate; \"waxwing dns check\" looks from outside"}
	switch {
	case l.Err != "":
		return bad{"nobody can use it", "\"journalctl -u waxwing\" says more; a firewall may be in the way"}.fail("%s does not answer: %s", where, l.Err)
	case !l.TLS:
		return certificate.fail("%s offers no TLS", where)
	case !l.Until.After(now):
		return certificate.fail("the certificate of %s ended on %s", where, l.Until.UTC().Format(time.DateOnly))
	case !l.Names:
		return certificate.fail("the certificate of %s is for another name", where)
	case l.Until.Before(now.Add(soon)):
		return certificate.warn("the certificate of %s ends on %s", where, l.Until.UTC().Format(time.DateOnly))
	case !l.Trusted:
		return bad{"other servers take it, mail programs do not; DANE works all the same", "wait for the authority's certificate, or name one in [tls]"}.warn("the certificate of %s is signed by no authority that this system trusts", where)
	}
	return ok("%s answers, with a certificate until %s", where, l.Until.UTC().Format(time.DateOnly))
}
