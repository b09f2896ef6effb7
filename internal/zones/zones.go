// Package zones asks the servers of a zone themselves what they have, past every
// cache: all of them, since a key may be used only once each of them has shown its
// record (CRT-3, CRT-6).
package zones

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	wire "github.com/miekg/dns"

	"waxwing/dns"
	"waxwing/internal/guard"
)

// Asker asks the servers of zones. DNS finds them.
type Asker struct {
	DNS   dns.Resolver
	Dial  func(ctx context.Context, network, addr string) (net.Conn, error) // nil: net.Dialer
	Port  uint16                                                            // 0: 53
	Guard *guard.Guard
}

// Server is an address of a zone's server.
type Server struct {
	Host dns.Name
	Addr netip.Addr
}

func (s Server) String() string { return s.Host.ASCII() + " (" + s.Addr.String() + ")" }

// Reply is what one server said.
type Reply struct {
	Server
	Values []string      // the data as package dnsrecords has it: of TXT the whole text
	Raw    []string      // the same records as a zone file has their data
	TTL    time.Duration // of the records; of their absence, where there are none
	Err    error         // it gave no answer
	Alias  dns.Name      // the records stand elsewhere, at this name; zero: no
}

// View is what all servers said.
type View []Reply

const (
	maxServers = 40 // addresses of one zone
	maxAliases = 8
	oneServer  = 8 * time.Second
	tries      = 2 // a connection may be lost
)

// Missing is why the view is not of every server; nil: it is.
func (v View) Missing() error {
	var errs []error
	for _, r := range v {
		if r.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.Server, r.Err))
		}
	}
	if len(v) == 0 {
		errs = append(errs, errors.New("the zone has no servers"))
	}
	return errors.Join(errs...)
}

// TTL is the longest of all replies.
func (v View) TTL() time.Duration {
	var t time.Duration
	for _, r := range v {
		t = max(t, r.TTL)
	}
	return t
}

// Ask asks every server of name's zone for records of a type ("TLSA", "TXT"). Aliases
// are followed where all servers have the same one. The error is that the servers
// could not be found; of single ones it stands in their replies.
func (a *Asker) Ask(ctx context.Context, name dns.Name, kind string) (View, error) {
	qtype, ok := wire.StringToType[kind]
	if !ok {
		return nil, fmt.Errorf("there is no record type %q", kind)
	}
	var ttl time.Duration
	for range maxAliases {
		_, servers, err := a.Servers(ctx, name)
		if err != nil {
			return nil, err
		}
		v := a.all(ctx, servers, name, qtype)
		for i := range v {
			v[i].TTL = max(v[i].TTL, ttl)
		}
		to := v.alias()
		if to.IsZero() {
			return v, nil
		}
		name, ttl = to, v.TTL()
	}
	return nil, fmt.Errorf("%s: too many aliases", name)
}

// At asks every server of name's zone for the records of a type that stand at the name
// itself: aliases are told (Reply.Alias) and not followed. apex is the zone.
func (a *Asker) At(ctx context.Context, name dns.Name, kind string) (apex dns.Name, v View, err error) {
	qtype, ok := wire.StringToType[kind]
	if !ok {
		return apex, nil, fmt.Errorf("there is no record type %q", kind)
	}
	apex, servers, err := a.Servers(ctx, name)
	if err != nil {
		return apex, nil, err
	}
	return apex, a.all(ctx, servers, name, qtype), nil
}

// alias is where all servers say that the records stand; zero where they do not.
func (v View) alias() dns.Name {
	if len(v) == 0 || v.Missing() != nil {
		return dns.Name{}
	}
	for _, r := range v {
		if r.Alias != v[0].Alias {
			return dns.Name{}
		}
	}
	return v[0].Alias
}

// Servers finds the zone that a name is in, and the addresses of its servers.
func (a *Asker) Servers(ctx context.Context, name dns.Name) (apex dns.Name, all []Server, err error) {
	var hosts []dns.Name
	for apex = name; !apex.IsZero(); apex = apex.Parent() {
		ns, err := a.DNS.LookupNS(ctx, apex)
		if err != nil {
			return apex, nil, fmt.Errorf("find the servers of %s: %w", name, err)
		}
		if len(ns.Chain) == 0 && len(ns.Records) > 0 {
			hosts = ns.Records
			break
		}
	}
	if len(hosts) == 0 {
		return apex, nil, fmt.Errorf("find the servers of %s: no zone above it has any", name)
	}
	if len(hosts) > maxServers { // before their addresses are looked up
		return apex, nil, fmt.Errorf("%s has %d servers: more than %d are not asked", apex, len(hosts), maxServers)
	}
	for _, h := range hosts {
		addrs, err := a.addresses(ctx, h)
		if err != nil {
			return apex, nil, fmt.Errorf("find the servers of %s: %w", apex, err)
		}
		for _, addr := range addrs {
			all = append(all, Server{h, addr})
		}
	}
	if len(all) > maxServers {
		return apex, nil, fmt.Errorf("%s has %d servers: more than %d are not asked", apex, len(all), maxServers)
	}
	slices.SortFunc(all, func(x, y Server) int {
		return cmp.Or(cmp.Compare(x.Host.ASCII(), y.Host.ASCII()), x.Addr.Compare(y.Addr))
	})
	return apex, all, nil
}

func (a *Asker) addresses(ctx context.Context, host dns.Name) ([]netip.Addr, error) {
	four, err := a.DNS.LookupA(ctx, host)
	if err != nil {
		return nil, err
	}
	six, err := a.DNS.LookupAAAA(ctx, host)
	if err != nil {
		return nil, err
	}
	all := slices.Concat(four.Records, six.Records)
	if len(all) == 0 {
		return nil, fmt.Errorf("name server %s has no address", host)
	}
	return all, nil
}

// all asks the servers at the same time. Where this machine has no way to a family of
// addresses, another address of the same server stands for it.
func (a *Asker) all(ctx context.Context, servers []Server, name dns.Name, qtype uint16) View {
	v := make(View, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		a.Guard.In(&wg, guard.Resolver, func() { v[i] = a.one(ctx, s, name, qtype) }, "server", s.String())
	}
	wg.Wait()
	for i, r := range v {
		if r.Addr.IsValid() {
			continue
		}
		v[i] = Reply{Server: servers[i], Err: errors.New("internal error")} // it panicked
	}
	return slices.DeleteFunc(slices.Clone(v), func(r Reply) bool {
		return noWay(r.Err) && slices.ContainsFunc(v, func(o Reply) bool { return o.Host == r.Host && o.Err == nil })
	})
}

// noWay: this machine has no address or no route of the family.
func noWay(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

func (a *Asker) one(ctx context.Context, s Server, name dns.Name, qtype uint16) Reply {
	r := Reply{Server: s}
	m := new(wire.Msg)
	m.SetQuestion(name.ASCII()+".", qtype)
	m.RecursionDesired = false
	var got *wire.Msg
	for range tries {
		got, r.Err = a.exchange(ctx, s.Addr, m)
		if r.Err == nil || noWay(r.Err) || ctx.Err() != nil {
			break
		}
	}
	if r.Err == nil {
		r.Err = r.read(got, qtype)
	}
	return r
}

// exchange asks over TCP, which each server speaks (RFC 7766 §5): these replies are not
// validated, and a datagram that somebody else sends, who guesses 16 bits of an ID and as many
// of a port, would have a key take over that no server has a record of (CRT-3).
func (a *Asker) exchange(ctx context.Context, to netip.Addr, m *wire.Msg) (*wire.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, oneServer/tries)
	defer cancel()
	addr := net.JoinHostPort(to.String(), strconv.Itoa(int(cmp.Or(a.Port, 53))))
	dial := a.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if end, ok := ctx.Deadline(); ok {
		conn.SetDeadline(end)
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	got, err := overTCP(conn, m)
	if err == nil && got.Truncated {
		err = errors.New("the reply is truncated even over TCP")
	}
	return got, err
}

func overTCP(conn net.Conn, m *wire.Msg) (*wire.Msg, error) {
	query, err := m.Pack()
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, b); err != nil {
		return nil, err
	}
	return accept(m, b)
}

// accept reads a reply to m.
func accept(m *wire.Msg, b []byte) (*wire.Msg, error) {
	got := new(wire.Msg)
	if err := got.Unpack(b); err != nil && !got.Truncated {
		return nil, fmt.Errorf("malformed reply: %w", err)
	}
	if got.Id != m.Id || !got.Response || len(got.Question) != 1 || !strings.EqualFold(got.Question[0].Name, m.Question[0].Name) || got.Question[0].Qtype != m.Question[0].Qtype {
		return nil, errors.New("the reply is to another question")
	}
	return got, nil
}

// read takes what a reply says, if it comes from a server that is in charge.
func (r *Reply) read(m *wire.Msg, qtype uint16) error {
	switch {
	case m.Rcode != wire.RcodeSuccess && m.Rcode != wire.RcodeNameError:
		return fmt.Errorf("it answers %s", wire.RcodeToString[m.Rcode])
	case !m.Authoritative:
		return errors.New("it is not in charge of the zone")
	}
	ttl := func(rr wire.RR) { r.TTL = max(r.TTL, time.Duration(rr.Header().Ttl)*time.Second) }
	for _, rr := range m.Answer {
		switch {
		case rr.Header().Rrtype == qtype:
			r.Values, r.Raw = append(r.Values, Value(rr)), append(r.Raw, data(rr))
			ttl(rr)
		case rr.Header().Rrtype == wire.TypeCNAME:
			to, err := dns.ParseLax(rr.(*wire.CNAME).Target)
			if err != nil {
				return err
			}
			r.Alias = to
			ttl(rr)
		}
	}
	if len(r.Values) > 0 {
		r.Alias = dns.Name{} // it had the records too
		return nil
	}
	for _, rr := range m.Ns { // RFC 2308 §5; the longer of the two, since caches differ
		if soa, ok := rr.(*wire.SOA); ok && r.Alias.IsZero() {
			r.TTL = max(r.TTL, time.Duration(max(soa.Minttl, soa.Hdr.Ttl))*time.Second)
		}
	}
	return nil
}

// Value is a record's data as package dnsrecords writes it.
func Value(rr wire.RR) string {
	switch rr := rr.(type) {
	case *wire.TXT:
		return unescape(strings.Join(rr.Txt, ""))
	case *wire.TLSA:
		return fmt.Sprintf("%d %d %d %s", rr.Usage, rr.Selector, rr.MatchingType, strings.ToLower(rr.Certificate))
	}
	return data(rr)
}

// data is a record's data as it stands in a zone file.
func data(rr wire.RR) string { return strings.TrimPrefix(rr.String(), rr.Header().String()) }

// unescape undoes what stands for octets in a text of the wire library: a backslash
// before a character, or before three digits (RFC 1035 §5.1).
func unescape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		if n, err := strconv.ParseUint(text[i+1:min(i+4, len(text))], 10, 8); err == nil && i+4 <= len(text) {
			b.WriteByte(byte(n))
			i += 3
			continue
		}
		i++
		b.WriteByte(text[i])
	}
	return b.String()
}

// Canonical is a record's data in the one form in which Value has it, with names in
// small letters, so that records can be compared.
func Canonical(kind, value string) (string, error) {
	if kind == "TXT" {
		return value, nil
	}
	rr, err := wire.NewRR(". 0 IN " + kind + " " + value)
	if err != nil || rr == nil {
		return "", fmt.Errorf("%q is no data of a %s record", value, kind)
	}
	switch rr.(type) {
	case *wire.MX, *wire.CNAME, *wire.SRV, *wire.PTR:
		return strings.ToLower(Value(rr)), nil
	}
	return Value(rr), nil
}
