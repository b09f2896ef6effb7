package smtptrace

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"waxwing/dns"
)

// MaxFor is the longest that a trace may run.
const MaxFor = 24 * time.Hour

// Request is what somebody wants to watch.
type Request struct {
	Peer     string        `json:"peer"`               // an address, a network, or the name of a host
	Listener string        `json:"listener,omitempty"` // incoming connections at listeners of this kind only
	Outgoing bool          `json:"outgoing,omitempty"` // outgoing connections only
	For      time.Duration `json:"for,omitempty"`      // 0: MaxFor
}

// Listeners are the kinds that speak SMTP.
func Listeners() []string { return []string{"mx", "submission", "submissions"} }

// Parse is the filter that a request means, and the host whose addresses, from DNS, belong
// into it, too; zero: none. The error says what is wrong. It is pure.
func (r *Request) Parse() (f Filter, host dns.Name, err error) {
	f = Filter{Listener: r.Listener, Outgoing: r.Outgoing}
	switch {
	case r.Peer == "":
		return f, host, errors.New("whose connections: an address, a network or the name of a host must be given")
	case r.Listener != "" && r.Outgoing:
		return f, host, errors.New("a listener has incoming connections: it cannot be given together with outgoing ones")
	case r.Listener != "" && !slices.Contains(Listeners(), r.Listener):
		return f, host, fmt.Errorf("%q is no kind of listener that speaks SMTP: those are %s", r.Listener, strings.Join(Listeners(), ", "))
	case r.For < 0 || r.For > MaxFor:
		return f, host, fmt.Errorf("a trace runs for %s at most, and not for %s", MaxFor, r.For)
	}
	if a, err := netip.ParseAddr(strings.Trim(r.Peer, "[]")); err == nil {
		a = a.Unmap().WithZone("")
		f.Nets = []netip.Prefix{netip.PrefixFrom(a, a.BitLen())}
		return f, host, nil
	}
	if strings.Contains(r.Peer, "/") {
		p, err := netip.ParsePrefix(r.Peer)
		if err != nil {
			return f, host, fmt.Errorf("%q is no network: write it like 192.0.2.0/24 or 2001:db8::/32", r.Peer)
		}
		f.Nets = []netip.Prefix{p.Masked()}
		return f, host, nil
	}
	if host, err = dns.ParseName(r.Peer); err != nil {
		return f, host, fmt.Errorf("%q is no address, no network and no name of a host: %w", r.Peer, err)
	}
	f.Host = host.ASCII()
	return f, host, nil
}
