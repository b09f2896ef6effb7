package transport

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/route"
	"waxwing/internal/session"
	"waxwing/smtp"
)

// Builder makes what carries mail for the operator's transports; its Make is
// a Router's. Its fields are not changed once it is in use.
type Builder struct {
	Direct *Direct // what the direct kinds have in common with the built-in one
	DNS    dns.Resolver
	// Session gives a new client with what all have in common: dialer, EHLO name, authorities.
	Session func() *session.Client
	Now     func() time.Time // nil: time.Now
}

// Make builds a transport of a kind that connects to somebody.
func (b *Builder) Make(t route.Transport) (Deliverer, error) {
	c := b.Session()
	if !t.EHLO.IsZero() {
		c.HELO = t.EHLO.ASCII()
	}
	if len(t.Sources) > 0 {
		c.Dialer = SourceDialer(t.Sources)
	}
	switch t.Kind {
	case route.Direct:
		return b.direct(t, c), nil
	case route.SOCKS5:
		// SES-1: the same delivery, over another dialer.
		c.Dialer = session.SOCKS{Proxy: t.Proxy, User: t.ProxyUser, Password: string(t.ProxyPassword)}
		return b.direct(t, c), nil
	case route.Smarthost, route.Submission, route.LMTP:
		if c.LMTP = t.Kind == route.LMTP; t.Host.Socket != "" {
			c.Dialer = socketDialer(t.Host.Socket)
		}
		c.Port, c.ImplicitTLS = int(t.PortNumber()), t.ImplicitTLS()
		c.Crowd = nil // the operator named the host, and its pace bounds it
		if t.User != "" {
			c.Login = &session.Login{User: t.User, Password: string(t.Password), Mechanisms: t.Mechanisms}
		}
		return &Relay{Transport: t, Finder: HostFinder(b.DNS, &t), Session: c, Now: b.Now}, nil
	}
	return nil, fmt.Errorf("kind %s is not known to this version", t.Kind)
}

// direct is direct delivery with a client of its own.
func (b *Builder) direct(t route.Transport, c *session.Client) Deliverer {
	d := b.Direct
	return &Direct{
		Name: t.Name, Finder: familyFinder{d.Finder, t.Family}, STS: d.STS, Session: c,
		NoPlaintext: d.NoPlaintext, Minimum: d.Minimum, Exception: d.Exception, Now: d.Now, Log: d.Log,
	}
}

// familyFinder leaves out addresses of the other family.
type familyFinder struct {
	Finder
	family route.Family
}

func (f familyFinder) Find(ctx context.Context, d delivery.RecipientDomain) delivery.Destination {
	return onlyFamily(f.Finder.Find(ctx, d), f.family)
}

// onlyFamily keeps the addresses of one family (pure). Hosts that have none
// stay in the list as long as another has one. If none has, the mail waits:
// another transport may reach them.
func onlyFamily(d delivery.Destination, f route.Family) delivery.Destination {
	if f == route.BothFamilies || d.Fail != nil {
		return d
	}
	hosts := make([]delivery.Host, len(d.Hosts))
	usable := false
	for i, h := range d.Hosts {
		had := len(h.Addrs) > 0
		h.Addrs = ofFamily(h.Addrs, f)
		if had && len(h.Addrs) == 0 {
			h.Fail = noFamily(h.Name.ASCII(), f)
		}
		usable = usable || h.Fail == nil
		hosts[i] = h
	}
	d.Hosts = hosts
	if !usable && len(hosts) > 0 {
		d.Fail, d.Hosts = noFamily(d.Domain.String(), f), nil
	}
	return d
}

func noFamily(name string, f route.Family) *delivery.Failure {
	return &delivery.Failure{Word: reason.NoAddress, Enhanced: smtp.Enhanced{Class: 4, Subject: 4, Detail: 4}, Text: fmt.Sprintf("%s has no %s address, and the transport uses no other", name, familyWord(f))}
}

func familyWord(f route.Family) string {
	if f == route.OnlyIPv6 {
		return "IPv6"
	}
	return "IPv4"
}

// socketDialer connects to a unix socket of this machine, whatever address is dialled.
type socketDialer string

func (s socketDialer) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", string(s))
}

// SourceDialer connects from the address of the same family as the one that is
// dialled; a family without one is left to the system.
func SourceDialer(sources []netip.Addr) session.Dialer { return sourceDialer(sources) }

type sourceDialer []netip.Addr

func (s sourceDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	if ap, err := netip.ParseAddrPort(address); err == nil {
		for _, a := range s {
			if a.Unmap().Is4() == ap.Addr().Unmap().Is4() {
				d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(a.Unmap(), 0))
			}
		}
	}
	return d.DialContext(ctx, network, address)
}
