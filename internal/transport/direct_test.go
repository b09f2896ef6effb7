package transport

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/session"
	"waxwing/mtasts"
	"waxwing/smtp"
	"waxwing/smtpclient"
)

type found struct {
	dest    delivery.Destination
	finding delivery.Finding
	asked   bool // for MTA-STS
}

func (f *found) Find(context.Context, delivery.RecipientDomain) delivery.Destination { return f.dest }

type sts struct{ f *found }

func (s sts) Find(context.Context, delivery.RecipientDomain) delivery.Finding {
	s.f.asked = true
	return s.f.finding
}

// peers answers for each host: what becomes of the recipient with an address.
type peers struct {
	t     *testing.T
	hosts map[string]map[string]delivery.RecipientResult
	calls []session.Request
	after func()
}

func (p *peers) Carry(_ context.Context, req session.Request) session.Report {
	p.calls = append(p.calls, req)
	if p.after != nil {
		defer p.after()
	}
	answers, ok := p.hosts[req.Plan.Host.Name.ASCII()]
	if !ok {
		p.t.Errorf("unexpected visit to %s", req.Plan.Host.Name)
	}
	rep := session.Report{Visit: delivery.Visit{Plan: req.Plan, Sessions: []delivery.Session{{Addr: req.Plan.Host.Addrs[0]}}}}
	for _, r := range req.Recipients {
		rr := answers[r.Address]
		rr.ID = r.ID
		if rr.Word == reason.ProxyFailed {
			rep.Visit.Sessions[0].Err = &delivery.Failure{Word: rr.Word}
		}
		rep.Recipients = append(rep.Recipients, rr)
	}
	return rep
}

func host(name string) delivery.Host {
	return delivery.Host{Name: delivery.MXHost{Name: dns.MustParse(name)}, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, AddrSecurity: dns.Insecure}
}

func hosts(names ...string) *found {
	f := &found{dest: delivery.Destination{HasMX: true}}
	for _, n := range names {
		f.dest.Hosts = append(f.dest.Hosts, host(n))
	}
	return f
}

func job(to ...string) *delivery.Job {
	j := &delivery.Job{Domain: delivery.RecipientDomain{Name: dns.MustParse("b.test")}}
	j.Sender = "alice@sender.test"
	for i, a := range to {
		j.Recipients = append(j.Recipients, delivery.Recipient{ID: int64(i + 1), Address: a, Domain: j.Domain})
	}
	return j
}

func deliver(t *testing.T, f *found, p *peers, j *delivery.Job) delivery.Result {
	t.Helper()
	p.t = t
	d := &Direct{Finder: f, STS: sts{f}, Session: p}
	res := d.Deliver(context.Background(), j, delivery.Bytes("x"))
	if len(res.Recipients) != len(j.Recipients) || res.Transport != "direct" || res.Started.IsZero() || res.Ended.IsZero() {
		t.Fatalf("result %+v", res)
	}
	for i, rr := range res.Recipients {
		if rr.ID != j.Recipients[i].ID || rr.Outcome == delivery.Pending {
			t.Errorf("recipient %d: %+v", i, rr)
		}
	}
	return res
}

var (
	ok       = delivery.RecipientResult{Outcome: delivery.Delivered}
	never    = delivery.RecipientResult{Outcome: delivery.Failed, Reply: smtp.NewReply(550, smtp.Enhanced{}, "no")}
	refused4 = delivery.RecipientResult{Word: "remote-reply", Reply: smtp.NewReply(451, smtp.Enhanced{}, "later")}
	down     = delivery.RecipientResult{Word: "connect-refused"}
	policyF  = delivery.RecipientResult{Word: "dane-no-match", PolicyFailure: true}
)

// SES-11: what a host settles stays settled; the rest goes to the next one.
func TestHostsInTurn(t *testing.T) {
	t.Parallel()
	p := &peers{hosts: map[string]map[string]delivery.RecipientResult{
		"mx1.b.test": {"a": ok, "b": never, "c": refused4, "d": {Outcome: delivery.Deferred, Word: "no-answer-to-data"}},
		"mx2.b.test": {"c": ok},
	}}
	res := deliver(t, hosts("mx1.b.test", "mx2.b.test", "mx3.b.test"), p, job("a", "b", "c", "d"))
	var got []string
	for _, rr := range res.Recipients {
		got = append(got, rr.Outcome.String())
	}
	if s := strings.Join(got, " "); s != "delivered failed delivered deferred" {
		t.Error(s)
	}
	if len(p.calls) != 2 || len(p.calls[1].Recipients) != 1 || len(res.Visits) != 2 {
		t.Errorf("%d visits, %+v", len(p.calls), res.Visits)
	}
}

// A proxy that fails is not asked again for the next host.
func TestProxyFailsForAllHosts(t *testing.T) {
	t.Parallel()
	failed := delivery.RecipientResult{Word: reason.ProxyFailed, Text: "proxy gone"}
	p := &peers{hosts: map[string]map[string]delivery.RecipientResult{"mx1.b.test": {"a": failed}, "mx2.b.test": {"a": ok}}}
	res := deliver(t, hosts("mx1.b.test", "mx2.b.test"), p, job("a"))
	if rr := res.Recipients[0]; rr.Word != reason.ProxyFailed || rr.Outcome != delivery.Deferred || len(p.calls) != 1 {
		t.Errorf("%+v after %d visits", rr, len(p.calls))
	}
}

func TestBestReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		first, then delivery.RecipientResult
		want        reason.Word
	}{
		{"a reply beats silence", down, refused4, "remote-reply"},
		{"a reply stays", refused4, down, "remote-reply"},
		{"POL-6: a policy beats a reply", refused4, policyF, "dane-no-match"},
		{"the first of equals", down, delivery.RecipientResult{Word: "timeout"}, "connect-refused"},
	} {
		p := &peers{hosts: map[string]map[string]delivery.RecipientResult{"mx1.b.test": {"a": c.first}, "mx2.b.test": {"a": c.then}}}
		rr := deliver(t, hosts("mx1.b.test", "mx2.b.test"), p, job("a")).Recipients[0]
		if rr.Word != c.want || rr.Outcome != delivery.Deferred || rr.PolicyFailure != (c.want == "dane-no-match") {
			t.Errorf("%s: %+v", c.name, rr)
		}
	}
}

// SES-16: a host without an address breaks no policy, and several hosts are told apart.
func TestCauses(t *testing.T) {
	t.Parallel()
	f := hosts("mx1.b.test", "mx2.b.test", "mx3.b.test")
	f.dest.Hosts[0].Addrs, f.dest.Hosts[0].Fail = nil, &delivery.Failure{Word: "dns-timeout", Text: "no answer from the name servers"}
	p := &peers{hosts: map[string]map[string]delivery.RecipientResult{
		"mx2.b.test": {"a": {Word: "connect-refused", Text: "refused", Host: f.dest.Hosts[1].Name}},
		"mx3.b.test": {"a": {Word: refused4.Word, Reply: refused4.Reply, Text: "451 later", Host: f.dest.Hosts[2].Name}}}}
	rr := deliver(t, f, p, job("a")).Recipients[0]
	if rr.PolicyFailure || rr.Word != "remote-reply" || rr.Text != "451 later; other hosts: mx1.b.test: no answer from the name servers; mx2.b.test: refused" {
		t.Errorf("%+v", rr)
	}
	// All skipped, for different causes: the text names each.
	f = hosts("mx1.b.test", "mx2.b.test")
	f.dest.MXSecure = true
	f.dest.Hosts[0].Addrs, f.dest.Hosts[0].Fail = nil, &delivery.Failure{Word: "no-such-host", Permanent: true, Text: "no such host"}
	f.dest.Hosts[1].DANE = delivery.DANE{State: delivery.DANEFailed, Base: dns.MustParse("mx2.b.test"), Fail: &delivery.Failure{Word: "dns-bogus", Text: "validation failed"}}
	rr = deliver(t, f, &peers{}, job("a")).Recipients[0]
	if rr.Word != reason.SeveralCauses || !rr.PolicyFailure || rr.Text != "no host can be used: mx1.b.test: no such host; mx2.b.test: validation failed" {
		t.Errorf("%+v", rr)
	}
	f.dest.Hosts = f.dest.Hosts[1:]
	if rr = deliver(t, f, &peers{}, job("a")).Recipients[0]; rr.Word != "dns-bogus" {
		t.Errorf("%+v", rr)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fail delivery.Failure
		want delivery.Outcome
	}{
		{delivery.Failure{Word: "null-mx", Permanent: true, Enhanced: smtp.Enhanced{Class: 5, Subject: 1, Detail: 10}, Text: "takes no mail"}, delivery.Failed},
		{delivery.Failure{Word: "dns-servfail", Text: "no answer"}, delivery.Deferred},
	} {
		f := &found{dest: delivery.Destination{Fail: &c.fail}}
		rr := deliver(t, f, &peers{}, job("a", "b")).Recipients[1]
		if rr.Outcome != c.want || rr.Word != c.fail.Word || rr.Enhanced != c.fail.Enhanced || rr.PolicyFailure {
			t.Errorf("%+v", rr)
		}
		if f.asked {
			t.Error("MTA-STS was looked up for a domain that takes no mail")
		}
	}
}

// POL-2, POL-6: every host outside an enforced policy: nothing is dialled, the
// message waits, and the policy is the reason.
func TestEveryHostOutsideThePolicy(t *testing.T) {
	t.Parallel()
	f := hosts("mx1.b.test")
	f.finding = delivery.Finding{Fresh: true, Policy: &mtasts.Policy{Mode: mtasts.ModeEnforce, MX: []mtasts.Pattern{{Name: dns.MustParse("other.b.test")}}}}
	res := deliver(t, f, &peers{}, job("a"))
	if rr := res.Recipients[0]; rr.Outcome != delivery.Deferred || !rr.PolicyFailure || !f.asked {
		t.Errorf("%+v", rr)
	}
	// POL-4: with REQUIRETLS and a policy checked in this attempt it fails at once.
	j := job("a")
	j.Need = delivery.RequireTLS
	if rr := deliver(t, f, &peers{}, j).Recipients[0]; rr.Outcome != delivery.Failed || rr.Enhanced.Class != 5 || rr.Enhanced.Subject != 7 {
		t.Errorf("%+v", rr)
	}
}

// A literal has no MTA-STS (RFC 8461 §3.1).
func TestLiteral(t *testing.T) {
	t.Parallel()
	f := hosts()
	f.dest.Hosts = []delivery.Host{{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.9")}, AddrSecurity: dns.Insecure}}
	j := job("a")
	j.Domain = delivery.RecipientDomain{Literal: netip.MustParseAddr("192.0.2.9")}
	f.dest.Domain = j.Domain
	p := &peers{hosts: map[string]map[string]delivery.RecipientResult{"": {"a": ok}}}
	if rr := deliver(t, f, p, j).Recipients[0]; rr.Outcome != delivery.Delivered || f.asked {
		t.Errorf("%+v, MTA-STS asked: %v", rr, f.asked)
	}
}

// A stop of the server ends the attempt, and nobody is settled by it.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	p := &peers{t: t, after: cancel, hosts: map[string]map[string]delivery.RecipientResult{"mx1.b.test": {"a": down}}}
	f := hosts("mx1.b.test", "mx2.b.test")
	d := &Direct{Finder: f, Session: p}
	j := job("a")
	res := d.Deliver(ctx, j, delivery.Bytes("x"))
	if rr := res.Recipients[0]; rr.Outcome != delivery.Deferred || rr.Word != "connect-refused" || len(p.calls) != 1 {
		t.Errorf("%+v", rr)
	}
	if rr := d.Deliver(ctx, j, delivery.Bytes("x")).Recipients[0]; rr.Outcome != delivery.Deferred || rr.Word != "interrupted" {
		t.Errorf("%+v", rr)
	}
}

func TestMinimum(t *testing.T) { // POL-9
	t.Parallel()
	d := &Direct{Finder: hosts("mx1.b.test")}
	for _, want := range []delivery.Minimum{delivery.MinAny, delivery.MinTLS, delivery.MinDANE} {
		if want > delivery.MinAny {
			d.Minimum = func(delivery.RecipientDomain) delivery.Minimum { return want }
		}
		if _, _, in := d.find(context.Background(), PlanRequest{Domain: job().Domain}); in.Minimum != want {
			t.Errorf("minimum %v, want %v", in.Minimum, want)
		}
	}
}

// A host that takes connections and never greets must not keep the mail from the
// next one, attempt after attempt.
func TestHungHostDoesNotBlockTheNext(t *testing.T) {
	t.Parallel()
	if greeting := (smtpclient.Timeouts{}).WithDefaults(); attemptTime < 2*(greeting.Connect+greeting.Greeting) {
		t.Errorf("after two hosts that never greet, which take %v each, no third is tried: attemptTime is %v", greeting.Connect+greeting.Greeting, attemptTime)
	}
}

// TestSlowHosts: an attempt that has lasted long begins with no further host,
// so that a domain of silent hosts cannot hold a slot for an hour.
func TestSlowHosts(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p := &peers{t: t, after: func() { now = now.Add(attemptTime + time.Second) },
		hosts: map[string]map[string]delivery.RecipientResult{"mx1.b.test": {"a": down}}}
	f := hosts("mx1.b.test", "mx2.b.test")
	d := &Direct{Finder: f, STS: sts{f}, Session: p, Now: func() time.Time { return now }}
	res := d.Deliver(t.Context(), job("a"), delivery.Bytes("x"))
	if rr := res.Recipients[0]; len(p.calls) != 1 || rr.Outcome != delivery.Deferred || rr.Word != "connect-refused" {
		t.Errorf("%d hosts visited, %+v", len(p.calls), rr)
	}
}
