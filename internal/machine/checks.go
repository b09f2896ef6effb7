package machine

import (
	"context"
	"net/netip"
	"time"

	"waxwing/dns"
	"waxwing/internal/doctor"
	"waxwing/internal/guard"
)

// Subject is what is looked at: a machine that is to be set up, or one that is.
type Subject struct {
	Hostname dns.Name
	Domains  []dns.Name
	Listen   []Place
	DataDir  string // the nearest directory above it is looked at where it is not there
	Reserve  uint64 // what the configuration keeps free of its disk
	CA       string // the authority that is asked for certificates, as CAA names it; "": none
	// Of a machine that is set up; nil: it is not.
	Files   func() doctor.Files
	Server  func(ctx context.Context) doctor.Server // without its services, which are looked at
	Milters func(ctx context.Context) []doctor.Milter
}

// Place is an address to listen on.
type Place struct {
	Kind string
	Addr netip.AddrPort
}

// Check is one thing that is looked at. It can be done again and again.
type Check struct {
	Name  string
	About string // what it looks at, in a line
	run   func(ctx context.Context) []doctor.Finding
}

// patience is how long one check may take.
const patience = 20 * time.Second

// Run does the check.
func (c Check) Run(ctx context.Context) []doctor.Finding {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out := c.run(ctx)
	for i := range out {
		out[i].Check = c.Name
	}
	return out
}

// Checks are all of them, in the order in which they are shown.
func (o *Outside) Checks(s Subject) []Check {
	one := func(fn func(ctx context.Context) doctor.Finding) func(context.Context) []doctor.Finding {
		return func(ctx context.Context) []doctor.Finding { return []doctor.Finding{fn(ctx)} }
	}
	all := []Check{
		{"resolver", "does the resolver validate DNSSEC", func(ctx context.Context) []doctor.Finding { return doctor.Resolver(o.SelfTest(ctx)) }},
		{"addresses", "does the host's name lead to this machine", func(ctx context.Context) []doctor.Finding { return o.addresses(ctx, s).Findings() }},
		{"hosts-file", "does /etc/hosts say the same as DNS", one(func(context.Context) doctor.Finding { return o.hostsFile(s) })},
		{"reverse", "have the addresses names that lead back", func(ctx context.Context) []doctor.Finding { return o.reverse(ctx, s) }},
		{"ports", "can the server listen where it is to", func(ctx context.Context) []doctor.Finding { return o.ports(ctx, s) }},
		{"port-25-out", "can mail leave this network", one(func(ctx context.Context) doctor.Finding { return doctor.Outgoing(o.outgoing(ctx)) })},
		{"blocklists", "is an address on a blocklist", func(ctx context.Context) []doctor.Finding { return doctor.Listings(o.listings(ctx)) }},
		{"clock", "is the clock kept right", one(func(context.Context) doctor.Finding { return o.Clock().Finding() })},
		{"disk", "is there room for mail", func(context.Context) []doctor.Finding { return o.disk(s).Findings() }},
		{"memory", "is there memory enough", one(func(context.Context) doctor.Finding { return o.memory().Finding() })},
		{"domain", "what do the domains publish today", func(ctx context.Context) []doctor.Finding { return o.domains(ctx, s) }},
	}
	if s.Files != nil {
		all = append([]Check{{"files", "are configuration and store in order", func(context.Context) []doctor.Finding { return s.Files().Findings() }}}, all...)
	}
	if s.Server != nil {
		all = append(all, Check{"milters", "do the milters answer", func(ctx context.Context) []doctor.Finding {
			if s.Milters == nil {
				return doctor.Milters(nil)
			}
			return doctor.Milters(s.Milters(ctx))
		}})
		all = append(all, Check{"server", "does the server run, and answer", func(ctx context.Context) []doctor.Finding { return o.server(ctx, s).Findings() }})
	}
	return all
}

// Names are the names of all checks there are.
func Names() (names []string) {
	some := Subject{Files: func() doctor.Files { return doctor.Files{} }, Server: func(context.Context) doctor.Server { return doctor.Server{} }}
	for _, c := range (&Outside{}).Checks(some) {
		names = append(names, c.Name)
	}
	return names
}

// Do does all checks at the same time, and calls begin and done for each in their order,
// so that a list fills in.
func Do(ctx context.Context, all []Check, begin func(Check), done func(Check, []doctor.Finding)) []doctor.Finding {
	results := make([]chan []doctor.Finding, len(all))
	var work guard.Group
	for i, c := range all {
		results[i] = make(chan []doctor.Finding, 1)
		work.Go(func() {
			defer close(results[i])
			results[i] <- c.Run(ctx)
		})
	}
	var out []doctor.Finding
	for i, c := range all {
		begin(c)
		found := <-results[i]
		done(c, found)
		out = append(out, found...)
	}
	work.Wait()
	return out
}
