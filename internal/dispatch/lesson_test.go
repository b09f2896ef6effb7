package dispatch

import (
	"fmt"
	"slices"
	"testing"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/retry"
	"waxwing/smtp"
)

// What an attempt through a proxy says of the proxy, and what of the domain.
func TestLessons(t *testing.T) {
	t.Parallel()
	domain, way := delivery.Contact{Domain: "a.test", Transport: "tor"}, delivery.Contact{Transport: "tor"}
	through := func(ss ...delivery.Session) delivery.Result {
		return delivery.Result{Transport: "direct", Name: "tor", Visits: []delivery.Visit{{Sessions: ss}}}
	}
	failed := delivery.Session{Err: &delivery.Failure{Word: reason.ProxyFailed}}
	refused := delivery.Session{Err: &delivery.Failure{Word: reason.ConnectRefused}}
	silent := delivery.Session{Connected: true, Err: &delivery.Failure{Word: reason.Timeout}}
	for _, c := range []struct {
		name string
		res  delivery.Result
		want []lesson
	}{
		{"the proxy failed", through(failed), []lesson{{way, retry.Unreachable, false}}},
		{"the proxy failed after it had worked", through(silent, failed), []lesson{{way, retry.Good, true}, {domain, retry.Unreachable, false}}},
		{"the host refused", through(refused), []lesson{{domain, retry.Unreachable, false}}},
		{"the host was silent", through(silent), []lesson{{way, retry.Good, true}, {domain, retry.Unreachable, false}}},
		{"a kept connection says nothing of the proxy", through(delivery.Session{Connected: true, Greeted: true, Reused: true}), []lesson{{domain, retry.Neutral, true}}},
		{"no proxy", delivery.Result{Transport: "direct", Visits: []delivery.Visit{{Sessions: []delivery.Session{refused}}}}, []lesson{{delivery.Contact{Domain: "a.test"}, retry.Unreachable, false}}},
	} {
		to := domain
		if c.res.Name == "" {
			to = delivery.Contact{Domain: "a.test"}
		}
		if got := lessons(to, &c.res); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if got := lessons(delivery.Contact{Local: true}, &delivery.Result{}); got != nil {
		t.Errorf("a mailbox: %v", got)
	}
}

// Fairness, over many shapes: nobody gets more than one above another while that
// one could take more, accounts before lanes.
func TestPortion(t *testing.T) {
	t.Parallel()
	for accounts := 1; accounts <= 4; accounts++ {
		for lanes := 1; lanes <= 6; lanes++ {
			for room := 0; room <= 40; room += 5 {
				for most := 0; most <= 9; most += 3 {
					checkPortion(t, accounts, lanes, room, most, 1)
					checkPortion(t, accounts, lanes, room, most, quantum)
				}
			}
		}
	}
}

func checkPortion(t *testing.T, accounts, lanes, room, most, quantum int) {
	t.Helper()
	var keys []delivery.Lane
	allow := map[delivery.Contact]int{}
	for a := range accounts {
		for l := range lanes * (a + 1) { // later accounts have more lanes
			k := delivery.Lane{To: delivery.Contact{Domain: fmt.Sprintf("d%d.a%d.test", l, a)}, Account: fmt.Sprint("account", a)}
			keys = append(keys, k)
			allow[k.To] = most
		}
	}
	sum := map[string]int{}
	total, possible := 0, 0
	for i, n := range portion(keys, room, allow, quantum) {
		sum[keys[i].Account] += n
		total += n
		possible += most
		if n < 0 || n > most {
			t.Errorf("lane got %d of %d", n, most)
		}
	}
	if total != min(room, possible) {
		t.Errorf("%d accounts, %d lanes, room %d: gave %d of %d", accounts, lanes, room, total, possible)
	}
	for a := range accounts {
		for b := range accounts {
			mine, other := sum[fmt.Sprint("account", a)], sum[fmt.Sprint("account", b)]
			if mine < other-1 && mine < lanes*(a+1)*most {
				t.Errorf("account %d got %d, account %d got %d", a, mine, b, other)
			}
		}
	}
}

// relay is what an attempt at a relay came to.
func relay(s delivery.Session, rs ...delivery.RecipientResult) delivery.Result {
	return delivery.Result{Transport: "relay", Name: "relay", Visits: []delivery.Visit{{Sessions: []delivery.Session{s}}}, Recipients: rs}
}

func relay2(a, b delivery.Session, rs ...delivery.RecipientResult) delivery.Result {
	res := relay(a, rs...)
	res.Visits[0].Sessions = append(res.Visits[0].Sessions, b)
	return res
}

func TestSignalOf(t *testing.T) {
	t.Parallel()
	dialled := func(greeted bool, err bool) []delivery.Visit {
		s := delivery.Session{Greeted: greeted}
		if err {
			s.Err = &delivery.Failure{}
		}
		return []delivery.Visit{{Sessions: []delivery.Session{s}}}
	}
	for _, c := range []struct {
		name string
		res  delivery.Result
		want retry.Signal
	}{
		{"nothing", delivery.Result{}, retry.Neutral},
		{"refused", delivery.Result{Visits: dialled(false, true)}, retry.Unreachable},
		// It is counted for the relay: see TestDeadRelay.
		{"a relay is down", delivery.Result{Transport: "relay", Name: "relay", Visits: dialled(false, true)}, retry.Unreachable},
		// Point by point what a relay can do to everybody's mail before it hears of a recipient.
		{"a relay broke off", relay(delivery.Session{Greeted: true, Err: &delivery.Failure{Word: "connection-lost"}}), retry.Busy},
		{"a relay refuses the login", relay(delivery.Session{Greeted: true, TLS: &delivery.TLSFacts{}, Err: &delivery.Failure{Word: reason.AuthRefused}}), retry.Unreachable},
		{"a relay offers no login", relay(delivery.Session{Greeted: true, TLS: &delivery.TLSFacts{}, Err: &delivery.Failure{Word: reason.AuthUnusable}}), retry.Unreachable},
		{"a relay fails TLS", relay(delivery.Session{Greeted: true, TLSFailure: &delivery.TLSFailure{Word: "tls-closed"}}), retry.Unreachable},
		{"a relay's certificate is over", relay(delivery.Session{Greeted: true, TLSFailure: &delivery.TLSFailure{Word: reason.CertExpired}, PKIX: &delivery.Verification{Failure: &delivery.TLSFailure{}}}), retry.Unreachable},
		{"a relay offers no TLS", relay(delivery.Session{Greeted: true, TLSFailure: &delivery.TLSFailure{Word: reason.StartTLSNotOffered}}), retry.Unreachable},
		{"a relay refuses EHLO", relay(delivery.Session{Greeted: true, Err: &delivery.Failure{Word: reason.HelloReply}}), retry.Unreachable},
		{"a relay's port speaks something else", relay(delivery.Session{Err: &delivery.Failure{Word: reason.ProtocolError}}), retry.Unreachable},
		{"a relay greets with 421", relay(delivery.Session{Err: &delivery.Failure{Word: reason.GreetingReply}}), retry.Unreachable},
		{"a relay says 421 to MAIL", relay(delivery.Session{Greeted: true}, delivery.RecipientResult{Outcome: delivery.Deferred, Reply: &smtp.Reply{Code: 421}}), retry.Unreachable},
		{"a relay's TLSA cannot be looked up", delivery.Result{Transport: "relay", Name: "relay", Decision: delivery.Decision{Stop: &delivery.Failure{Word: "dns-bogus"}}}, retry.Unreachable},
		{"two addresses, one bad login", relay2(delivery.Session{Err: &delivery.Failure{Word: reason.ConnectRefused}}, delivery.Session{Greeted: true, Err: &delivery.Failure{Word: reason.AuthRefused}}), retry.Unreachable},
		// What is about one message says nothing of the relay.
		{"a relay without REQUIRETLS", relay(delivery.Session{Greeted: true, TLS: &delivery.TLSFacts{}, Err: &delivery.Failure{Word: reason.RequireTLSNotOffered}}), retry.Neutral},
		{"the stored message is broken", delivery.Result{Visits: []delivery.Visit{{Sessions: []delivery.Session{{Greeted: true, Err: &delivery.Failure{Word: reason.BareNewline}}}}}}, retry.Neutral},
		{"a transport that cannot carry REQUIRETLS", delivery.Result{Transport: "relay", Name: "relay", Decision: delivery.Decision{Stop: &delivery.Failure{Permanent: true}}}, retry.Neutral},
		{"a relay refuses a recipient for now", relay(delivery.Session{Greeted: true}, delivery.RecipientResult{Outcome: delivery.Deferred, Reply: &smtp.Reply{Code: 451}}), retry.Neutral},
		{"TLS failed and plaintext carried a refusal", relay2(delivery.Session{Greeted: true, TLSFailure: &delivery.TLSFailure{Word: "tls-closed"}}, delivery.Session{Greeted: true, Plaintext: true},
			delivery.RecipientResult{Outcome: delivery.Deferred, Reply: &smtp.Reply{Code: 451}}), retry.Neutral},
		{"a relay's name is gone", delivery.Result{Transport: "relay", Name: "relay", Destination: delivery.Destination{Fail: &delivery.Failure{}}}, retry.Unreachable},
		{"a domain's name is gone", delivery.Result{Transport: "direct", Destination: delivery.Destination{Fail: &delivery.Failure{}}}, retry.Neutral},
		{"one host down, another took it", delivery.Result{Visits: dialled(false, true), Recipients: []delivery.RecipientResult{{Outcome: delivery.Delivered}}}, retry.Good},
		{"broke off", delivery.Result{Visits: dialled(true, true)}, retry.Busy},
		{"greylisted", delivery.Result{Visits: dialled(true, false), Recipients: []delivery.RecipientResult{{Outcome: delivery.Deferred}}}, retry.Neutral},
		{"skipped by policy", delivery.Result{Visits: []delivery.Visit{{}}}, retry.Neutral},
	} {
		if got := signalOf(&c.res); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
