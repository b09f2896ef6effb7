package dnsfinding

import (
	"slices"
)

// Decide says what is right and what is wrong, the worst first: the one place that
// decides. It looks at the facts and at nothing else.
func Decide(f Facts) []Finding {
	r := &report{Facts: &f}
	r.findMX()
	if !r.MX.NXDomain {
		r.findServers()
		r.findHosts()
		r.findSPF()
		r.findDKIM()
		r.findDMARC()
		r.findTLSRPT(&r.Texts.TLSRPT, r.Wanted.Domain.Name, false)
		if r.Wanted.Host.Name != r.Wanted.Domain.Name {
			r.findTLSRPT(&r.Texts.HostTLSRPT, r.Wanted.Host.Name, true)
		}
		r.findSTS()
		for i := range r.CAA {
			if !r.uncertified(r.CAA[i].Name) {
				r.findCAA(&r.CAA[i])
			}
		}
		for i := range r.Services {
			r.findService(&r.Services[i])
		}
		for i := range r.Setup {
			r.findSetup(&r.Setup[i])
		}
	}
	slices.SortStableFunc(r.found, func(a, b Finding) int { return rank(a.Level) - rank(b.Level) })
	return r.found
}

func (r *report) findHosts() {
	if len(r.Hosts) == 0 {
		r.add(NotLooked, r.Wanted.Host.Name.ASCII(), "", "")
	}
	for i := range r.Hosts {
		h := &r.Hosts[i]
		r.findAddresses(h)
		r.findTLSA(h)
		for j := range h.Contacts {
			r.findContact(h, &h.Contacts[j])
		}
	}
	for i := range r.Sources {
		r.findReverse(&r.Sources[i])
	}
}
