package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"time"

	"waxwing/dane"
	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/mtasts"
	"waxwing/smtp"
)

// Internet is the lab's world: a signed DNS tree, a public authority, mail
// hosts and policy hosts, one clock. Methods are safe for concurrent use,
// those of one Domain are not.
type Internet struct {
	DNS     *dnstest.Server
	Network *Network
	Clock   *Clock
	Root    *Authority // the public authority
	Issuer  *Authority // its intermediate, which issues the certificates
	Unknown *Authority // an authority that nobody trusts
}

// NewInternet starts an empty world. Close ends it.
func NewInternet() (*Internet, error) {
	n := &Internet{Network: NewNetwork(), Clock: &Clock{}}
	now := n.Clock.Now()
	var err error
	if n.Root, err = NewRoot("Lab Public Root", now); err != nil {
		return nil, err
	}
	if n.Issuer, err = n.Root.Intermediate("Lab Public Issuer", now); err != nil {
		return nil, err
	}
	if n.Unknown, err = NewRoot("Unknown Root", now); err != nil {
		return nil, err
	}
	n.DNS, err = dnstest.Start(selfTestZones()...)
	return n, err
}

// Close stops the DNS; hosts end with the context they were started with.
func (n *Internet) Close() { n.DNS.Close() }

// The names of the resolver's self-test in the lab (DNS-6).
const (
	selfTestSigned = "signed.selftest.test"
	selfTestBogus  = "bogus.selftest.test"
	selfTestLarge  = "large.selftest.test"
)

func selfTestZones() []dnstest.Zone {
	var large []string
	for i := range 40 {
		large = append(large, fmt.Sprintf("@ TXT %q", strings.Repeat(fmt.Sprintf("large answer %02d ", i), 12)),
			fmt.Sprintf("@ DNSKEY 257 3 13 %s", strings.Repeat("AAAA", 20+i)))
	}
	return []dnstest.Zone{
		{Name: selfTestSigned, Security: dns.Secure, Records: []string{"@ A 127.53.255.1", "@ SOA ns hostmaster 1 3600 600 86400 300"}},
		{Name: selfTestBogus, Security: dns.Bogus, Records: []string{"@ A 127.53.255.2"}},
		{Name: selfTestLarge, Security: dns.Secure, Records: large},
	}
}

// Domain is a domain of the lab and what it runs.
type Domain struct {
	Name       dns.Name
	Hosts      []*MX
	HostNames  []dns.Name // as the certificates and TLSA records know them
	PolicyHost *PolicyHost

	net *Internet
}

// SetSTSRecord replaces the domain's MTA-STS record.
func (d *Domain) SetSTSRecord(text string) error {
	d.net.DNS.Remove("_mta-sts."+d.Name.ASCII()+".", "TXT")
	return d.net.DNS.Add(d.Name.ASCII(), stsLine(text))
}

// stsLine has a TTL of 1 s, so that stories need not wait for caches.
func stsLine(text string) string { return fmt.Sprintf("_mta-sts 1 TXT %q", text) }

// Publish starts a domain's hosts and puts its records into DNS. Its TLS
// reports are to go to rua.
func (n *Internet) Publish(ctx context.Context, name dns.Name, p Publish, rua string) (*Domain, error) {
	d := &Domain{Name: name, net: n}
	z := dnstest.Zone{Name: name.ASCII(), Security: p.Zone, PerName: map[string]dns.Security{}}
	if z.Security == dns.Indeterminate {
		z.Security = dns.Insecure
	}
	z.Records = append(z.Records, fmt.Sprintf("_smtp._tls TXT %q", "v=TLSRPTv1; rua="+rua))
	if p.NullMX {
		z.Records = append(z.Records, "@ MX 0 .")
	}
	for i, h := range p.Hosts {
		lines, err := n.publishHost(ctx, d, i, h, &z)
		if err != nil {
			return nil, fmt.Errorf("lab: %s, host %d: %w", name, i+1, err)
		}
		z.Records = append(z.Records, lines...)
	}
	if p.STS != nil {
		lines, err := n.publishSTS(ctx, d, *p.STS)
		if err != nil {
			return nil, fmt.Errorf("lab: MTA-STS of %s: %w", name, err)
		}
		z.Records = append(z.Records, lines...)
	}
	return d, n.DNS.Set(z)
}

func (n *Internet) publishHost(ctx context.Context, d *Domain, i int, h Host, z *dnstest.Zone) ([]string, error) {
	label := fmt.Sprintf("mx%d", i+1)
	var lines []string
	if h.Alias {
		lines = append(lines, label+" CNAME real-"+label)
		label = "real-" + label
	}
	host, err := dns.ParseName(label + "." + d.Name.ASCII())
	if err != nil {
		return nil, err
	}
	d.HostNames = append(d.HostNames, host)
	cert, err := n.cert(h.Cert, host)
	if err != nil {
		return nil, err
	}
	spec := MXSpec{Hostname: host.ASCII(), Cert: cert, RequireTLS: h.RequireTLS, BrokenTLS: h.StartTLS == Broken}
	switch h.StartTLS {
	case NotOffered:
		spec.Cert = tls.Certificate{}
	case Refused:
		spec.StartTLS = smtp.NewReply(554, smtp.Enhanced{Class: 5, Subject: 7, Detail: 0}, "TLS is out of order")
	}
	m, err := n.Network.StartMX(ctx, spec)
	if err != nil {
		return nil, err
	}
	d.Hosts = append(d.Hosts, m)
	if h.Silent {
		m.Close()
	}
	lines = append(lines, fmt.Sprintf("@ MX %d mx%d", 10*(i+1), i+1), fmt.Sprintf("%s A %s", label, m.Addr))
	tlsa, err := n.tlsa(h.TLSA, cert)
	if err != nil {
		return nil, err
	}
	for _, r := range tlsa {
		lines = append(lines, fmt.Sprintf("_25._tcp.%s TLSA %s", label, r))
	}
	if h.TLSA == BogusTLSA {
		z.PerName["_25._tcp."+host.ASCII()+"./TLSA"] = dns.Bogus
	}
	return lines, nil
}

func (n *Internet) cert(k CertKind, host dns.Name) (tls.Certificate, error) {
	now := n.Clock.Now()
	from, to, name := now.Add(-24*time.Hour), now.AddDate(0, 3, 0), host.ASCII()
	switch k {
	case GoodCert:
		return n.Issuer.Leaf(from, to, name)
	case UntrustedCert:
		return n.Unknown.Leaf(from, to, name)
	case ExpiredCert:
		return n.Issuer.Leaf(now.Add(-47*time.Hour), now.Add(-time.Hour), name)
	case WrongNameCert:
		return n.Issuer.Leaf(from, to, "somebody-else.test")
	}
	return SelfSigned(now, name)
}

// tlsa makes the records to publish for a host that shows cert.
func (n *Internet) tlsa(k TLSAKind, cert tls.Certificate) ([]dns.TLSA, error) {
	switch k {
	case EEMatch:
		return []dns.TLSA{dane.Generate(cert.Leaf, dane.UsageEE, 1, 1)}, nil
	case TAMatch:
		return []dns.TLSA{dane.Generate(n.Issuer.Cert, dane.UsageTA, 0, 1)}, nil
	case EEMismatch:
		return []dns.TLSA{dane.Generate(n.Unknown.Cert, dane.UsageEE, 1, 1)}, nil
	case UnusableTLSA:
		return []dns.TLSA{dane.Generate(cert.Leaf, dane.UsagePKIXEE, 1, 1), dane.Generate(n.Root.Cert, dane.UsagePKIXTA, 0, 1)}, nil
	case BogusTLSA:
		return []dns.TLSA{dane.Generate(cert.Leaf, dane.UsageEE, 1, 1)}, nil
	}
	return nil, nil
}

func (n *Internet) publishSTS(ctx context.Context, d *Domain, s STS) ([]string, error) {
	listed := s.MX
	if listed == nil {
		for i := range d.HostNames {
			listed = append(listed, i)
		}
	}
	p := mtasts.Policy{Mode: s.Mode, MaxAge: 7 * 24 * time.Hour}
	for _, i := range listed {
		p.MX = append(p.MX, mtasts.Pattern{Name: d.HostNames[i]})
	}
	now := n.Clock.Now()
	cert, err := n.Issuer.Leaf(now.Add(-time.Hour), now.AddDate(0, 3, 0), "mta-sts."+d.Name.ASCII())
	if err != nil {
		return nil, err
	}
	if d.PolicyHost, err = n.Network.StartPolicyHost(ctx, cert, p.Text()); err != nil {
		return nil, err
	}
	if s.Down {
		d.PolicyHost.Close()
		d.PolicyHost.Set(http.StatusServiceUnavailable, "")
	}
	return []string{stsLine("v=STSv1; id=first"), "mta-sts A " + d.PolicyHost.Addr.String()}, nil
}

// Pool is the trust store of everybody in the lab.
func (n *Internet) Pool() *x509.CertPool { return n.Root.Pool() }
