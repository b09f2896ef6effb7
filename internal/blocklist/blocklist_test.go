package blocklist

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
)

const lists = "list.test"

// TestAnswers: only 127.0.0.0/8 lists a client; what a list says in place of an answer, or
// what answers in its place, is told and lists nobody (JNK-1).
func TestAnswers(t *testing.T) {
	t.Parallel()
	server := dnstest.Serve(t, dnstest.Zone{Name: lists, Records: []string{
		"1.113.0.8 A 127.0.0.2", "2.113.0.8 A 127.255.255.254", "3.113.0.8 A 198.51.100.9",
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.8.4.1.0.0.2 A 127.0.0.4",
	}}, dnstest.Zone{Name: "other.test", Records: []string{"1.113.0.8 A 127.0.0.3"}})
	server.Fail(dnstest.Failure{Name: "5.113.0.8." + lists, Type: "A"})
	var mu sync.Mutex
	var counted []string
	var log bytes.Buffer
	now := time.Unix(1.7e9, 0)
	l := &Lists{DNS: &dns.Client{Servers: []dns.Server{{Addr: server.Addr(), Trusted: true}}, Timeout: time.Minute},
		Zones: []Zone{{dns.MustParse(lists), 4}, {dns.MustParse("other.test"), 7}}, Guard: &guard.Guard{},
		Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return now },
		Count: func(zone, result string) {
			mu.Lock()
			defer mu.Unlock()
			counted = append(counted, zone+" "+result)
		}}
	for _, c := range []struct{ client, found, counted string }{
		{"8.0.113.1", "[{list.test 4} {other.test 7}]", "list.test listed, other.test listed"},
		{"::ffff:8.0.113.1", "[{list.test 4} {other.test 7}]", "list.test listed, other.test listed"},
		{"8.0.113.2", "[]", "list.test failed, other.test clear"},
		{"8.0.113.3", "[]", "list.test failed, other.test clear"},
		{"8.0.113.4", "[]", "list.test clear, other.test clear"},
		{"8.0.113.5", "[]", "list.test failed, other.test clear"},
		{"2001:4860::1", "[{list.test 4}]", "list.test listed, other.test clear"},
		{"127.0.0.1", "[]", ""}, {"10.1.2.3", "[]", ""}, {"fd00::1", "[]", ""}, {"::1", "[]", ""},
	} {
		counted = nil
		got := fmt.Sprint(l.Begin(t.Context(), netip.MustParseAddr(c.client)).Result(t.Context()))
		slices.Sort(counted)
		if said := strings.Join(counted, ", "); got != c.found || said != c.counted {
			t.Errorf("%s: %s, %s; want %s, %s", c.client, got, said, c.found, c.counted)
		}
	}
	if said := log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "refuses to answer this resolver: 127.255.255.254") {
		t.Errorf("a list that fails is to be told once in an hour:\n%s", said)
	}
}

type broken struct{ dns.Resolver }

func (broken) LookupA(context.Context, dns.Name) (dns.Answer[netip.Addr], error) { panic("A") }

// OPS-9: where asking panics, the client is not listed, and nobody waits.
func TestPanic(t *testing.T) {
	t.Parallel()
	watch := guardtest.New()
	l := &Lists{DNS: broken{}, Zones: []Zone{{dns.MustParse(lists), 4}}, Guard: &watch.Guard, Now: time.Now}
	if found := l.Begin(t.Context(), netip.MustParseAddr("8.8.8.8")).Result(t.Context()); found != nil || !watch.Saw(guard.Blocklist, 1) {
		t.Errorf("%v, %v", found, watch.Seen())
	}
}

// TestOff: without lists nobody is asked.
func TestOff(t *testing.T) {
	t.Parallel()
	var none *Lists
	for _, l := range []*Lists{none, {}} {
		if s := l.Begin(t.Context(), netip.MustParseAddr("8.8.8.8")); s != nil || s.Result(t.Context()) != nil {
			t.Errorf("%+v", s)
		}
	}
}
