package policy

import (
	"fmt"
	"iter"
	"net/netip"
	"time"

	"waxwing/dane"
	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/mtasts"
	"waxwing/smtp"
)

// The input space of POL-8.

var (
	domain  = dns.MustParse("example.org")
	inside  = dns.MustParse("mx1.example.org") // named by every policy of the space
	outside = dns.MustParse("mx1.example.net") // named by none
)

var (
	needs     = []delivery.TLSNeed{delivery.FollowPolicy, delivery.RequireTLS, delivery.TLSOptional}
	purposes  = []delivery.Purpose{delivery.Mail, delivery.DSN, delivery.TLSReport, delivery.DMARCReport}
	minimums  = []delivery.Minimum{delivery.MinAny, delivery.MinTLS, delivery.MinVerified, delivery.MinDANE}
	states    = []delivery.DANEState{delivery.DANENone, delivery.DANEUsable, delivery.DANEUnusable, delivery.DANEFailed}
	addresses = []dns.Security{dns.Indeterminate, dns.Insecure, dns.Secure, dns.Bogus}
	booleans  = []bool{false, true}
	stsWords  = []reason.Word{reason.STSMultipleRecords, reason.STSRecordSyntax, reason.STSLookupFailed, reason.STSNoPolicy, reason.STSFetch, reason.STSWebPKI, reason.STSPolicySyntax}
)

func stsPolicy(mode mtasts.Mode) *mtasts.Policy {
	p, err := mtasts.ParsePolicy([]byte(fmt.Sprintf("version: STSv1\nmode: %s\nmx: *.example.org\nmx: example.org\nmax_age: 86400\n", mode)))
	if err != nil {
		panic(err)
	}
	return p
}

func finding(mode mtasts.Mode, fresh bool, w reason.Word) delivery.Finding {
	f := delivery.Finding{Fresh: fresh}
	if mode != "" {
		f.Policy, f.ID, f.Fetched = stsPolicy(mode), "1", time.Unix(1, 0)
	}
	if w != "" {
		f.Failure = &mtasts.Error{Word: w, Detail: "detail"}
	}
	return f
}

// findings are all of STS-6 to STS-9; few leaves out those that differ from
// others by the word alone.
func findings(few bool) []delivery.Finding {
	list := []delivery.Finding{finding("", true, "")}
	words := stsWords
	if few {
		words = []reason.Word{reason.STSFetch, reason.STSWebPKI}
	}
	for _, w := range words {
		list = append(list, finding("", true, w))
	}
	for _, mode := range []mtasts.Mode{mtasts.ModeNone, mtasts.ModeTesting, mtasts.ModeEnforce} {
		list = append(list, finding(mode, true, ""), finding(mode, false, ""))
		if !few {
			list = append(list, finding(mode, true, reason.STSFetch), finding(mode, false, reason.STSLookupFailed))
		}
	}
	deferred := finding("", false, reason.STSLookupFailed)
	deferred.Defer = true
	backoff := finding("", true, reason.STSFetch)
	backoff.BackOff = true
	return append(list, finding("", true, reason.STSNoRecord), deferred, backoff)
}

func host(name dns.Name, state delivery.DANEState, addr dns.Security) delivery.Host {
	h := delivery.Host{
		Name: delivery.MXHost{Name: name}, Preference: 10, AddrSecurity: addr,
		Addrs: []netip.Addr{netip.MustParseAddr("192.88.99.1")},
		DANE:  delivery.DANE{State: state},
	}
	if state == delivery.DANENone {
		return h
	}
	h.DANE.Base, h.DANE.References = name, []dns.Name{name, domain}
	switch state {
	case delivery.DANEUsable:
		h.DANE.Records = []dane.Record{{Usage: 3, Selector: 1, MatchingType: 1, Data: make([]byte, 32)}}
		h.DANE.Strings = []string{"3 1 1 00"}
	case delivery.DANEUnusable:
		h.DANE.Strings = []string{"1 1 1 00"}
		h.DANE.Fail = &delivery.Failure{Word: reason.TLSAUnusable, Text: "no record can be used"}
	case delivery.DANEFailed:
		h.DANE.Fail = &delivery.Failure{Word: "dns-bogus", Enhanced: smtp.Enhanced{Class: 4, Subject: 4, Detail: 3}, Text: "validation failed"}
	}
	return h
}

func broken(permanent bool) delivery.Host {
	h := delivery.Host{Name: delivery.MXHost{Name: inside}, Preference: 10, Fail: &delivery.Failure{Word: "dns-servfail", Text: "SERVFAIL"}}
	if permanent {
		h.Fail = &delivery.Failure{Word: "no-such-host", Permanent: true, Text: "no such host"}
	}
	return h
}

// hosts are the kinds of host; without addrs only one state of the addresses.
func hosts(addrs bool) []delivery.Host {
	list := []delivery.Host{broken(false), broken(true)}
	secs := addresses
	if !addrs {
		secs = []dns.Security{dns.Secure}
	}
	for _, name := range []dns.Name{inside, outside} {
		for _, state := range states {
			for _, sec := range secs {
				list = append(list, host(name, state, sec))
			}
		}
	}
	return list
}

// senders is all of the input but destination, finding and minimum.
func senders() iter.Seq[Input] {
	return func(yield func(Input) bool) {
		for _, need := range needs {
			for _, purpose := range purposes {
				for _, null := range booleans {
					for _, noPlaintext := range booleans {
						if !yield(Input{Need: need, Purpose: purpose, NullSender: null, NoPlaintext: noPlaintext, Domain: domain}) {
							return
						}
					}
				}
			}
		}
	}
}

// inputs goes through the space: every sender, minimum, finding and security of
// the MX answer for each list of hosts.
func inputs(lists [][]delivery.Host, found []delivery.Finding, hasMX []bool) iter.Seq[Input] {
	return func(yield func(Input) bool) {
		for in := range senders() {
			for _, in.Minimum = range minimums {
				for _, in.Finding = range found {
					for _, secure := range booleans {
						for _, mx := range hasMX {
							for _, hs := range lists {
								in.Destination = delivery.Destination{
									Domain: delivery.RecipientDomain{Name: domain}, Expanded: domain,
									MXSecure: secure, HasMX: mx, Hosts: hs,
								}
								if !yield(in) {
									return
								}
							}
						}
					}
				}
			}
		}
	}
}

func singles(list []delivery.Host) (lists [][]delivery.Host) {
	for _, h := range list {
		lists = append(lists, []delivery.Host{h})
	}
	return lists
}

// pairs gives every two kinds of host once, the second under a name of its
// own; the test tries both orders.
func pairs(list []delivery.Host) (lists [][]delivery.Host) {
	second := map[dns.Name]dns.Name{inside: dns.MustParse("mx2.example.org"), outside: dns.MustParse("mx2.example.net")}
	for i, a := range list {
		for _, b := range list[i:] {
			b.Name.Name = second[b.Name.Name]
			if !b.DANE.Base.IsZero() {
				b.DANE.Base = b.Name.Name
			}
			lists = append(lists, []delivery.Host{a, b})
		}
	}
	return lists
}
