package transport

import (
	"fmt"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/smtp"
)

var (
	tooBig  = delivery.RecipientResult{Word: "size-exceeded", Unfit: true, Enhanced: smtp.Enhanced{Class: 5, Subject: 3, Detail: 4}}
	notUTF8 = delivery.RecipientResult{Word: "smtputf8-not-offered", Unfit: true, Enhanced: smtp.Enhanced{Class: 5, Subject: 6, Detail: 7}}
)

// SES-14: what one host cannot take goes to the next; it is for good only where
// every host of the domain was asked in this attempt and cannot. All that can
// become of three hosts.
func TestUnfitHosts(t *testing.T) {
	t.Parallel()
	answers := []struct {
		name string
		rr   delivery.RecipientResult
	}{{"takes it", ok}, {"too big", tooBig}, {"no SMTPUTF8", notUTF8}, {"puts off", refused4}, {"down", down}, {"TLS fails", policyF}}
	for _, one := range answers {
		for _, two := range answers {
			for _, three := range answers {
				all := []delivery.RecipientResult{one.rr, two.rr, three.rr}
				p := &peers{hosts: map[string]map[string]delivery.RecipientResult{}}
				want, unfit, asked := delivery.Deferred, 0, 3
				for i, rr := range all {
					p.hosts[fmt.Sprintf("mx%d.b.test", i+1)] = map[string]delivery.RecipientResult{"a": rr}
					if rr.Outcome == delivery.Delivered && want == delivery.Deferred {
						want, asked = delivery.Delivered, i+1
					}
					if rr.Unfit {
						unfit++
					}
				}
				if unfit == 3 {
					want = delivery.Failed
				}
				res := deliver(t, hosts("mx1.b.test", "mx2.b.test", "mx3.b.test"), p, job("a"))
				rr, name := res.Recipients[0], one.name+", "+two.name+", "+three.name
				if rr.Outcome != want || len(p.calls) != asked || rr.Unfit {
					t.Errorf("%s: %v after %d hosts, want %v after %d", name, rr.Outcome, len(p.calls), want, asked)
				}
				if class := map[delivery.Outcome]int{delivery.Deferred: 4, delivery.Failed: 5}[want]; rr.Enhanced != (smtp.Enhanced{}) && rr.Enhanced.Class != class {
					t.Errorf("%s: %v with status %v", name, rr.Outcome, rr.Enhanced)
				}
			}
		}
	}
}

// A host that policy skips was not asked either.
func TestUnfitAndSkipped(t *testing.T) {
	t.Parallel()
	f := hosts("mx1.b.test", "mx2.b.test")
	f.dest.Hosts[1].Addrs = nil
	p := &peers{hosts: map[string]map[string]delivery.RecipientResult{"mx1.b.test": {"a": tooBig}, "mx2.b.test": {"a": {Word: "no-address"}}}}
	for _, skip := range []bool{false, true} {
		dec := delivery.Decision{Plans: []delivery.Plan{{Host: f.dest.Hosts[0]}, {Host: f.dest.Hosts[1]}}}
		dec.Plans[1].Host.Addrs = f.dest.Hosts[0].Addrs
		if skip {
			dec.Plans[1].Skip = &delivery.Failure{Word: "sts-mx-mismatch"}
		}
		tr := attempt{job: job("a"), session: p, now: time.Now}
		tr.begin(dec)
		tr.visit(t.Context(), delivery.Bytes("x"))
		if rr := tr.results()[0]; rr.Outcome != delivery.Deferred {
			t.Errorf("skip %v: %v", skip, rr.Outcome)
		}
	}
	// A relay is the only host there is.
	dec := delivery.Decision{Plans: []delivery.Plan{{Host: f.dest.Hosts[0]}}}
	tr := attempt{job: job("a"), session: p, now: time.Now}
	tr.begin(dec)
	tr.visit(t.Context(), delivery.Bytes("x"))
	if rr := tr.results()[0]; rr.Outcome != delivery.Failed || rr.Enhanced.String() != "5.3.4" {
		t.Errorf("one host: %+v", rr)
	}
}
