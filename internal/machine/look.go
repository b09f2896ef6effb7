package machine

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"waxwing/dns"
	"waxwing/internal/config"
	"waxwing/internal/doctor"
	"waxwing/internal/foreign"
	"waxwing/internal/guard"
)

func (o *Outside) lookup(ctx context.Context, name dns.Name) (l doctor.Lookup) {
	l.Security = dns.Secure
	for _, ask := range []func(context.Context, dns.Name) (dns.Answer[netip.Addr], error){o.DNS.LookupA, o.DNS.LookupAAAA} {
		a, err := ask(ctx, name)
		if err != nil {
			l.Err = err.Error()
			var e *dns.Error
			if errors.As(err, &e) && e.Security == dns.Bogus {
				l.Security = dns.Bogus
				return l
			}
			continue
		}
		if a.Security != dns.Secure && l.Security == dns.Secure {
			l.Security = a.Security
		}
		l.Addrs = append(l.Addrs, a.Records...)
	}
	return l
}

func (o *Outside) addresses(ctx context.Context, s Subject) doctor.Addresses {
	own, err := o.Interfaces()
	a := doctor.Addresses{Hostname: s.Hostname, Own: own, InDNS: o.lookup(ctx, s.Hostname)}
	if err != nil {
		a.InDNS.Err = err.Error()
	}
	return a
}

func (o *Outside) hostsFile(s Subject) doctor.Finding {
	text, err := o.ReadFile("/etc/hosts")
	if err != nil {
		return doctor.HostsFile(s.Hostname, nil) // a machine without it says nothing
	}
	var lines []doctor.HostsLine
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		if a, err := netip.ParseAddr(f[0]); err == nil {
			lines = append(lines, doctor.HostsLine{Addr: a, Names: f[1:]})
		}
	}
	return doctor.HostsFile(s.Hostname, lines)
}

// public are the addresses that mail leaves from, as the world sees them: the machine's
// own, or those of its name where a router has them.
func (o *Outside) public(ctx context.Context, s Subject) []netip.Addr {
	own, _ := o.Interfaces()
	if p := doctor.Public(own); len(p) > 0 {
		return p
	}
	return doctor.Public(o.lookup(ctx, s.Hostname).Addrs)
}

func (o *Outside) reverse(ctx context.Context, s Subject) (out []doctor.Finding) {
	for _, a := range o.public(ctx, s) {
		b := doctor.Back{Addr: a, To: map[dns.Name]doctor.Lookup{}}
		names, err := o.DNS.LookupPTR(ctx, a)
		if err != nil {
			b.Err = err.Error()
		}
		for _, n := range first(names.Records, maxNames) {
			b.Names = append(b.Names, n)
			b.To[n] = o.lookup(ctx, n)
		}
		out = append(out, doctor.Reverse(s.Hostname, b))
	}
	if len(out) == 0 {
		out = append(out, doctor.NoAddress())
	}
	return out
}

// maxNames bounds the names of an address that are looked up.
const maxNames = 5

func first[T any](all []T, n int) []T { return all[:min(n, len(all))] }

// ports tries to listen. Where the server runs, it has its ports.
func (o *Outside) ports(ctx context.Context, s Subject) (out []doctor.Finding) {
	runs := s.Server != nil && s.Server(ctx).Runs
	for _, l := range s.Listen {
		e := config.TCP(l.Addr)
		c, err := o.Listen(e.Network, e.Address)
		p := doctor.Port{Kind: l.Kind, Addr: l.Addr, State: portState(err)}
		switch {
		case err == nil:
			_ = c.Close() // it was only tried
		case p.State == doctor.Taken && runs:
			p.State = doctor.Ours
		case p.State == doctor.Taken:
			p.Holder = o.Holder(l.Addr.Port())
		default:
			p.Err = err.Error()
		}
		out = append(out, p.Finding())
	}
	return out
}

// large are domains whose mail hosts are always there.
var large = []string{"gmail.com", "outlook.com", "yahoo.com", "icloud.com"}

// outgoing tries to be greeted at port 25 of one mail host of each large domain.
func (o *Outside) outgoing(ctx context.Context) []doctor.Out {
	tries := make([]doctor.Out, len(large))
	var work guard.Group
	for i, d := range large {
		work.Go(func() { tries[i] = o.tryOut(ctx, dns.MustParse(d)) })
	}
	work.Wait()
	return slices.DeleteFunc(tries, func(t doctor.Out) bool { return t.Host == "" })
}

func (o *Outside) tryOut(ctx context.Context, domain dns.Name) (out doctor.Out) {
	mx, err := o.DNS.LookupMX(ctx, domain)
	if err != nil || len(mx.Records) == 0 || mx.Records[0].Host.IsZero() {
		return out
	}
	a, err := o.DNS.LookupA(ctx, mx.Records[0].Host)
	if err != nil || len(a.Records) == 0 {
		return out
	}
	out = doctor.Out{Host: mx.Records[0].Host.ASCII(), Addr: netip.AddrPortFrom(a.Records[0], 25)}
	c, err := o.Dial(ctx, "tcp", out.Addr.String())
	if err == nil {
		_, err = greeting(ctx, c)
		c.Close()
	}
	if err != nil {
		out.Err = plain(err)
	}
	return out
}

// maxReply bounds what is read of an SMTP server before TLS.
const maxReply = 16 << 10

// greeting reads the first line of an SMTP server.
func greeting(ctx context.Context, c net.Conn) (string, error) {
	if end, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(end); err != nil {
			return "", err
		}
	}
	line, err := bufio.NewReaderSize(io.LimitReader(c, maxReply), 512).ReadString('\n')
	if errors.Is(err, io.EOF) && len(line) == maxReply {
		err = errors.New("its greeting does not end")
	}
	if err == nil && !strings.HasPrefix(line, "220") {
		err = errors.New("it greets with " + foreign.Text(line, 60))
	}
	return strings.TrimSpace(line), err
}

// plain is an error in a few words.
func plain(err error) string {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "no answer"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}

// blocklists are asked whether they list an address (RFC 5782).
var blocklists = []string{"zen.spamhaus.org", "bl.spamcop.net", "b.barracudacentral.org"}

func (o *Outside) listings(ctx context.Context) (out []doctor.Listing) {
	own, _ := o.Interfaces()
	for _, a := range doctor.Public(own) {
		reversed, err := dns.ReverseName(a)
		if err != nil {
			continue
		}
		labels, _, _ := strings.Cut(reversed.ASCII(), map[bool]string{true: ".in-addr.arpa", false: ".ip6.arpa"}[a.Is4()])
		for _, list := range blocklists {
			name, err := dns.ParseName(labels + "." + list)
			if err != nil {
				continue
			}
			l := doctor.Listing{List: list, Addr: a}
			codes, err := o.DNS.LookupA(ctx, name)
			if err != nil {
				l.Err = err.Error()
			}
			l.Codes = codes.Records
			out = append(out, l)
		}
	}
	return out
}

// disk is that of the data directory, or of where it is to be.
func (o *Outside) disk(s Subject) doctor.Disk {
	dir := s.DataDir
	for dir != filepath.Dir(dir) && !there(dir) {
		dir = filepath.Dir(dir)
	}
	d := o.Disk(dir)
	d.Reserve = s.Reserve
	return d
}

// memory is that of /proc/meminfo.
func (o *Outside) memory() (m doctor.Memory) {
	text, err := o.ReadFile("/proc/meminfo")
	if err != nil {
		m.Err = err.Error()
		return m
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, err := strconv.ParseUint(f[1], 10, 40)
		if err != nil {
			continue
		}
		switch f[0] {
		case "MemTotal:":
			m.Total = n << 10
		case "MemAvailable:", "SwapFree:":
			m.Available += n << 10
		}
	}
	if m.Total == 0 {
		m.Err = "/proc/meminfo does not tell"
	}
	return m
}

func (o *Outside) domains(ctx context.Context, s Subject) (out []doctor.Finding) {
	for _, d := range s.Domains {
		out = append(out, o.domain(ctx, s, d).Findings()...)
	}
	if len(out) == 0 {
		out = append(out, doctor.Domain{Name: s.Hostname, Err: "no domain is hosted here: \"waxwing domain add\""}.Findings()...)
	}
	return out
}

func (o *Outside) domain(ctx context.Context, s Subject, name dns.Name) doctor.Domain {
	d := doctor.Domain{Name: name, Host: s.Hostname, CA: s.CA}
	mx, err := o.DNS.LookupMX(ctx, name)
	if err != nil {
		d.Err = err.Error()
		return d
	}
	d.MX = mx.Records
	d.SPF, err = o.texts(ctx, name, "v=spf1")
	if err == nil {
		var policy dns.Name
		if policy, err = name.Prefix("_dmarc"); err == nil {
			d.DMARC, err = o.texts(ctx, policy, "v=DMARC1")
		}
	}
	if err == nil {
		d.CAA, err = o.caa(ctx, s.Hostname)
	}
	if err != nil {
		d.Err = err.Error()
	}
	return d
}

// texts are the TXT records that begin with a version.
func (o *Outside) texts(ctx context.Context, name dns.Name, version string) (out []string, err error) {
	a, err := o.DNS.LookupTXT(ctx, name)
	for _, t := range a.Records {
		if rest, ok := strings.CutPrefix(strings.ToLower(t), strings.ToLower(version)); ok && (rest == "" || strings.ContainsAny(rest[:1], " ;")) {
			out = append(out, t)
		}
	}
	return out, err
}

// caa are the records of the nearest name that has some (RFC 8659 §3).
func (o *Outside) caa(ctx context.Context, name dns.Name) ([]dns.CAA, error) {
	for at := name; !at.IsZero(); at = at.Parent() {
		a, err := o.DNS.LookupCAA(ctx, at)
		if err != nil || len(a.Records) > 0 {
			return a.Records, err
		}
	}
	return nil, nil
}

// server asks the running server at its mail listeners, as a client would.
func (o *Outside) server(ctx context.Context, s Subject) doctor.Server {
	got := s.Server(ctx)
	got.Now = o.Now()
	if !got.Runs {
		return got
	}
	for _, l := range s.Listen {
		if slices.Contains([]string{"mx", "submission", "submissions"}, l.Kind) {
			got.Services = append(got.Services, o.service(ctx, s, l))
		}
	}
	return got
}

func (o *Outside) service(ctx context.Context, s Subject, l Place) doctor.Service {
	at := l.Addr
	if at.Addr().IsUnspecified() {
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	}
	out := doctor.Service{Kind: l.Kind, Addr: at}
	c, err := o.Dial(ctx, "tcp", at.String())
	if err != nil {
		out.Err = plain(err)
		return out
	}
	defer c.Close()
	conf := &tls.Config{ServerName: s.Hostname.ASCII(), InsecureSkipVerify: true} // it is looked at, and nothing is sent
	var chain []*x509.Certificate
	if l.Kind == "submissions" {
		chain, err = handshake(ctx, c, conf)
		out.TLS = err == nil
	} else {
		chain, err = o.startTLS(ctx, c, conf, &out)
	}
	if err != nil {
		out.Err = plain(err)
		return out
	}
	if len(chain) > 0 {
		leaf := chain[0]
		out.Until, out.Names = leaf.NotAfter, leaf.VerifyHostname(s.Hostname.ASCII()) == nil
		between := x509.NewCertPool()
		for _, c := range chain[1:] {
			between.AddCert(c)
		}
		_, err := leaf.Verify(x509.VerifyOptions{Roots: o.Roots, Intermediates: between, CurrentTime: o.Now()})
		out.Trusted = err == nil
	}
	return out
}

func handshake(ctx context.Context, c net.Conn, conf *tls.Config) ([]*x509.Certificate, error) {
	t := tls.Client(c, conf)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return t.ConnectionState().PeerCertificates, nil
}

// startTLS goes from the greeting to a TLS session; without STARTTLS there is none, and no
// error.
func (o *Outside) startTLS(ctx context.Context, c net.Conn, conf *tls.Config, out *doctor.Service) (chain []*x509.Certificate, err error) {
	if end, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(end); err != nil {
			return nil, err
		}
	}
	r := bufio.NewReaderSize(io.LimitReader(c, maxReply), 4096)
	reply := func() (text string, err error) {
		for n := 0; n < 100; n++ {
			line, err := r.ReadString('\n')
			if err != nil {
				return "", err
			}
			text += line
			if len(line) < 4 || line[3] == ' ' {
				return text, nil
			}
		}
		return "", errors.New("its reply does not end")
	}
	if out.Greeting, err = reply(); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(out.Greeting, "220") {
		return nil, errors.New("it greets with " + foreign.Text(out.Greeting, 60))
	}
	if _, err := fmt.Fprintf(c, "EHLO localhost\r\n"); err != nil {
		return nil, err
	}
	text, err := reply()
	if err != nil || !strings.Contains(strings.ToUpper(text), "STARTTLS") {
		return nil, err
	}
	if _, err := fmt.Fprintf(c, "STARTTLS\r\n"); err != nil {
		return nil, err
	}
	if text, err = reply(); err != nil || !strings.HasPrefix(text, "220") {
		return nil, err
	}
	chain, err = handshake(ctx, c, conf)
	out.TLS = err == nil
	return chain, err
}
