package dnscheck

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/internal/guard"
)

// Leading finds out which of some names lead to the host, as far as DNS shows it: only for
// these can an authority see that they are ours. Its fields are needed, and must not
// change once it is in use.
type Leading struct {
	DNS  dns.Resolver
	Host dns.Name
	Now  func() time.Time

	mu    sync.Mutex
	asked time.Time
	wait  time.Duration // until they are looked up again
	of    []dns.Name    // the names that were asked about
	found []dns.Name
}

const (
	// leadEvery is how often names are looked up again; those that do not lead here yet first after leadFirst, and then twice
	// as late each time: an operator, or this server, may be about to write their records.
	leadFirst   = 10 * time.Second
	leadEvery   = 10 * time.Minute
	leadTime    = 20 * time.Second // for all of them
	leadAtOnce  = 16
	leadOneTime = 5 * time.Second
)

// Of returns those of names that lead here, in their order. What cannot be looked up now is
// as it was found last.
func (l *Leading) Of(ctx context.Context, names []dns.Name) []dns.Name {
	l.mu.Lock()
	defer l.mu.Unlock()
	same := slices.Equal(l.of, names)
	if same && l.Now().Sub(l.asked) < l.wait {
		return l.found
	}
	ctx, cancel := context.WithTimeout(ctx, leadTime)
	defer cancel()
	own, whole := l.addrs(ctx, l.Host)
	if !whole && len(own) == 0 {
		return slices.DeleteFunc(slices.Clone(l.found), func(n dns.Name) bool { return !slices.Contains(names, n) })
	}
	lead := make([]bool, len(names))
	places := make(chan struct{}, leadAtOnce)
	var all guard.Group
	for i, n := range names {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			theirs, whole := l.addrs(ctx, n)
			lead[i] = slices.ContainsFunc(theirs, func(a netip.Addr) bool { return slices.Contains(own, a) }) || !whole && slices.Contains(l.found, n)
		})
	}
	all.Wait()
	l.asked, l.of = l.Now(), slices.Clone(names)
	l.found = nil
	for i, n := range names {
		if lead[i] {
			l.found = append(l.found, n)
		}
	}
	switch {
	case len(l.found) == len(names):
		l.wait = leadEvery
	case !same:
		l.wait = leadFirst
	default:
		l.wait = min(2*l.wait, leadEvery)
	}
	return l.found
}

// addrs are a name's addresses; whole is false where DNS did not give all.
func (l *Leading) addrs(ctx context.Context, n dns.Name) (out []netip.Addr, whole bool) {
	ctx, cancel := context.WithTimeout(ctx, leadOneTime)
	defer cancel()
	a, err4 := l.DNS.LookupA(ctx, n)
	aaaa, err6 := l.DNS.LookupAAAA(ctx, n)
	return slices.Concat(a.Records, aaaa.Records), err4 == nil && err6 == nil
}
