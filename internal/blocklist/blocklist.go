// Package blocklist asks DNS blocklists (RFC 5782) whether they have a client's address
// (JNK-1). They are asked beside the dialogue, and a message waits for them a moment at most.
package blocklist

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/internal/foreign"
	"waxwing/internal/guard"
	"waxwing/internal/junk"
)

// timeout is how long the lists have to answer, from MAIL on.
const timeout = 2 * time.Second

// quiet is how long nothing more is logged of a list that fails.
const quiet = time.Hour

// Zone is a list, and how much it counts.
type Zone struct {
	Name   dns.Name
	Points int
}

// Lists are those that are asked. Its fields are not changed once it is in use; it is safe
// for concurrent use.
type Lists struct {
	DNS   dns.Resolver
	Zones []Zone
	Guard *guard.Guard
	Log   *slog.Logger
	Now   func() time.Time
	// Count is told of each answer: listed, clear, failed; nil: nobody is.
	Count func(zone, result string)

	mu   sync.Mutex
	told map[dns.Name]time.Time // when it was last logged that a list fails
}

// Search is what is being asked about one client; nil: nothing is.
type Search struct {
	zones []Zone
	found []bool // whether a zone lists the client; complete once done is
	done  sync.WaitGroup
	ready chan struct{}
}

// Begin asks all lists about a client. Those of private networks and of this machine are in
// none, and nobody is told of them.
func (l *Lists) Begin(ctx context.Context, client netip.Addr) *Search {
	client = client.WithZone("").Unmap()
	if l == nil || len(l.Zones) == 0 || dns.PrivateAddr(client) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	s := &Search{zones: l.Zones, found: make([]bool, len(l.Zones)), ready: make(chan struct{})}
	s.done.Add(len(l.Zones))
	for i, z := range l.Zones {
		l.Guard.Go(guard.Blocklist, func() {
			defer s.done.Done()
			s.found[i] = l.has(ctx, z.Name, client)
		}, "remote", client.String(), "zone", z.Name.ASCII())
	}
	l.Guard.Go(guard.Blocklist, func() {
		defer cancel()
		s.done.Wait()
		close(s.ready)
	})
	return s
}

// Result waits for the lists, which have their time; those that did not answer in it do not
// list the client.
func (s *Search) Result(ctx context.Context) (in []junk.Listing) {
	if s == nil {
		return nil
	}
	select {
	case <-s.ready:
	case <-ctx.Done():
		return nil
	}
	for i, z := range s.zones {
		if s.found[i] {
			in = append(in, junk.Listing{Zone: z.Name.ASCII(), Points: z.Points})
		}
	}
	return in
}

// has asks one list.
func (l *Lists) has(ctx context.Context, zone dns.Name, client netip.Addr) bool {
	listed, problem := l.ask(ctx, zone, client)
	result := map[bool]string{true: "listed", false: "clear"}[listed]
	if problem != "" {
		result = "failed"
		l.tell(zone, problem)
	}
	if l.Count != nil {
		l.Count(zone.ASCII(), result)
	}
	return listed
}

// Answers of RFC 5782 §2.1 are of 127.0.0.0/8. In 127.255.255.0/24 lists say that they do not
// answer: the resolver asks too often, or for too many. What is outside is no answer of a list:
// its zone is someone else's now.
var (
	answers  = netip.MustParsePrefix("127.0.0.0/8")
	refusals = netip.MustParsePrefix("127.255.255.0/24")
)

func (l *Lists) ask(ctx context.Context, zone dns.Name, client netip.Addr) (listed bool, problem string) {
	name, err := under(zone, client)
	if err != nil {
		return false, err.Error()
	}
	ans, err := l.DNS.LookupA(ctx, name)
	if err != nil {
		return false, err.Error()
	}
	for _, a := range ans.Records {
		switch {
		case refusals.Contains(a):
			return false, "it refuses to answer this resolver: " + a.String()
		case !answers.Contains(a):
			return false, a.String() + " is no answer of a blocklist"
		}
	}
	return len(ans.Records) > 0, ""
}

// under is the name of a client in a list: its octets, or the nibbles of an IPv6 address,
// in reverse order (RFC 5782 §2.1, §2.4).
func under(zone dns.Name, client netip.Addr) (dns.Name, error) {
	reverse, err := dns.ReverseName(client)
	if err != nil {
		return dns.Name{}, err
	}
	labels := strings.TrimSuffix(strings.TrimSuffix(reverse.ASCII(), "in-addr.arpa"), "ip6.arpa")
	return dns.ParseLax(labels + zone.ASCII())
}

// tell logs that a list fails, now and then.
func (l *Lists) tell(zone dns.Name, problem string) {
	if l.loud(zone, l.Now()) && l.Log != nil {
		l.Log.Warn("blocklist gives no answer", "zone", zone.ASCII(), "text", foreign.Text(problem, 300))
	}
}

// loud is whether nothing was logged of a list for a while.
func (l *Lists) loud(zone dns.Name, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, told := l.told[zone]; told && now.Sub(last) < quiet {
		return false
	}
	if l.told == nil {
		l.told = map[dns.Name]time.Time{}
	}
	l.told[zone] = now
	return true
}
