package explain

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/netip"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/destination"
	"waxwing/internal/policy"
)

// FoundDANE is what a stranger finds of the TLSA records of a host, or of a domain's hosts.
type FoundDANE struct {
	Name    string          `json:"name"`
	Secure  bool            `json:"mx_secure"`
	Lookups []Lookup        `json:"lookups"`
	Hosts   []FoundDANEHost `json:"hosts"`
	Failure string          `json:"failure,omitempty"`
	OK      bool            `json:"ok"` // every host is well

	found delivery.Destination // whose hosts are Hosts
}

// FoundDANEHost is one host.
type FoundDANEHost struct {
	Host       string    `json:"host"`
	Addresses  []string  `json:"addresses,omitempty"`
	State      string    `json:"state"` // none, usable, unusable, failed
	Name       string    `json:"tlsa_name,omitempty"`
	Records    []string  `json:"records,omitempty"`
	References []string  `json:"reference_names,omitempty"` // for records of usage 2
	Failure    string    `json:"failure,omitempty"`
	Word       string    `json:"word,omitempty"`
	Contacts   []Contact `json:"contacts,omitempty"` // after Connect
	OK         bool      `json:"ok"`
}

// FindDANE looks up the hosts of a domain, or name itself where it has no MX
// records, with their TLSA records.
func FindDANE(ctx context.Context, f *destination.Finder, name dns.Name) *FoundDANE {
	dest := f.Find(ctx, delivery.RecipientDomain{Name: name})
	a := &FoundDANE{Name: name.ASCII(), Secure: dest.MXSecure, Lookups: []Lookup{}, Hosts: []FoundDANEHost{}, found: dest}
	for _, l := range dest.Lookups {
		a.Lookups = append(a.Lookups, Lookup{Name: l.Name, Type: l.Type, Security: l.Security.String(), Result: l.Result})
	}
	if dest.Fail != nil {
		a.Failure = dest.Fail.Text
	}
	for _, h := range dest.Hosts {
		a.Hosts = append(a.Hosts, newDANEHost(h))
	}
	a.settle()
	return a
}

func newDANEHost(h delivery.Host) FoundDANEHost {
	out := FoundDANEHost{Host: h.Name.ASCII(), State: h.DANE.State.String(), Records: h.DANE.Strings, OK: h.DANE.State == delivery.DANEUsable}
	for _, a := range h.Addrs {
		out.Addresses = append(out.Addresses, a.String())
	}
	if h.DANE.State == delivery.DANENone && h.AddrSecurity != dns.Secure && h.Fail == nil {
		out.Word, out.Failure = "addresses-insecure", "DNSSEC does not secure its addresses, so that TLSA records would not count"
	}
	if !h.DANE.Base.IsZero() {
		out.Name = h.DANE.Base.ASCII()
	}
	for _, n := range h.DANE.References {
		out.References = append(out.References, n.ASCII())
	}
	for _, f := range []*delivery.Failure{h.DANE.Fail, h.Fail} {
		if f != nil {
			out.Word, out.Failure = string(f.Word), f.Text
		}
	}
	return out
}

// settle is whether all hosts are well.
func (a *FoundDANE) settle() {
	a.OK = a.Failure == "" && len(a.Hosts) > 0
	for _, h := range a.Hosts {
		a.OK = a.OK && h.OK
	}
}

// Connect goes to every address and holds what is presented against the records.
func (a *FoundDANE) Connect(ctx context.Context, probe Prober) {
	plans := danePlans(a.found)
	for i, h := range a.found.Hosts {
		out := &a.Hosts[i]
		out.OK = h.DANE.State == delivery.DANEUsable && len(h.Addrs) > 0
		for _, addr := range h.Addrs {
			x := Look(ctx, probe, plans[i], addr)
			out.Contacts = append(out.Contacts, x)
			out.OK = out.OK && x.Refused == nil
		}
	}
	a.settle()
}

// Presented are the certificates that the first host to show any presents, and its name.
// Nobody vouches for them.
func (a *FoundDANE) Presented(ctx context.Context, probe Prober) (host string, chain []*x509.Certificate, err error) {
	if a.Failure != "" {
		return "", nil, fmt.Errorf("%s is no file, and as a host: %s", a.Name, a.Failure)
	}
	why := "it has no address"
	plans := danePlans(a.found)
	for i, h := range a.found.Hosts {
		for _, addr := range h.Addrs {
			x := Look(ctx, probe, plans[i], addr)
			if len(x.Certs) > 0 {
				return h.Name.ASCII(), x.Certs, nil
			}
			why = contactTrouble(x, addr)
		}
	}
	return "", nil, fmt.Errorf("%s showed no certificate: %s", a.Name, why)
}

func contactTrouble(x Contact, addr netip.Addr) string {
	for _, r := range []*Reason{x.Failure, x.TLSFailure} {
		if r != nil {
			return fmt.Sprintf("%s: %s (%s)", addr, r.Word, r.Text)
		}
	}
	return addr.String()
}

// danePlans are the plans of mail that DANE alone can be sent by.
func danePlans(dest delivery.Destination) []delivery.Plan {
	return policy.Decide(policy.Input{Destination: dest, Domain: dest.Domain.Name, Minimum: delivery.MinDANE}).Plans
}

// Print writes it for people.
func (a *FoundDANE) Print(w io.Writer) {
	for _, l := range a.Lookups {
		fmt.Fprintf(w, "%-6s %-13s %s: %s\n", l.Type, l.Security, l.Name, l.Result)
	}
	if a.Failure != "" {
		fmt.Fprintf(w, "\n%s\n", a.Failure)
	}
	for _, h := range a.Hosts {
		fmt.Fprintf(w, "\n%s: TLSA records: %s\n", h.Host, h.State)
		for _, r := range h.Records {
			fmt.Fprintf(w, "  %s\n", r)
		}
		if h.Failure != "" {
			fmt.Fprintf(w, "  %s: %s\n", h.Word, h.Failure)
		}
		for _, x := range h.Contacts {
			x.Print(w)
		}
	}
}
