package policy

import (
	"slices"
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/mtasts"
	"waxwing/tlsrpt"
)

// SES-15 over the whole space: what is waived is what the plan without TLSOptional
// requires and this one does not use to stop the mail.
func TestWaived(t *testing.T) {
	t.Parallel()
	waived := 0
	for in := range inputs(singles(hosts(false)), findings(true), []bool{true}) {
		lenient := in.Need == delivery.TLSOptional || in.Need == delivery.FollowPolicy && in.Purpose == delivery.TLSReport
		plans := Decide(in).Plans
		if len(plans) == 0 {
			continue
		}
		p := plans[0]
		if !lenient || p.Skip != nil {
			if p.Waived != (delivery.Demands{}) {
				t.Fatalf("%s: waives %+v", describe(in), p.Waived)
			}
			continue
		}
		strict := in
		strict.Need, strict.Finding.Defer = delivery.FollowPolicy, false
		if strict.Purpose == delivery.TLSReport {
			strict.Purpose = delivery.Mail
		}
		q := Decide(strict).Plans[0]
		want := delivery.Demands{TLS: q.TLS == delivery.TLSRequired, PKIX: q.PKIX == delivery.CheckRequire, DANE: q.DANE == delivery.CheckRequire}
		if q.Skip != nil {
			want = delivery.Demands{}
		}
		if p.Waived != want {
			t.Fatalf("%s: waives %+v, want %+v", describe(in), p.Waived, want)
		}
		if want.TLS {
			waived++
		}
	}
	if waived == 0 {
		t.Error("nothing was ever waived")
	}
}

// Each cause counts once a session, and only what a plan without TLSOptional would
// have stopped for.
func TestWaivedCauses(t *testing.T) {
	t.Parallel()
	plan := func(state delivery.DANEState, mode mtasts.Mode, need delivery.TLSNeed) delivery.Plan {
		in := Input{Domain: domain, Need: need, Finding: finding(mode, true, ""),
			Destination: delivery.Destination{MXSecure: true, HasMX: true, Hosts: []delivery.Host{host(inside, state, dns.Secure)}}}
		return Decide(in).Plans[0]
	}
	fails := func(w reason.Word) *delivery.TLSFailure {
		return &delivery.TLSFailure{Type: tlsrpt.ValidationFailure, Word: w}
	}
	bad := func(w reason.Word) *delivery.Verification { return &delivery.Verification{Failure: fails(w)} }
	both := plan(delivery.DANEUsable, mtasts.ModeEnforce, delivery.TLSOptional)
	tls := &delivery.TLSFacts{}
	for _, tt := range []struct {
		name string
		plan delivery.Plan
		s    delivery.Session
		want []reason.Word
	}{
		{"all well", both, delivery.Session{TLS: tls, DANE: &delivery.Verification{}, PKIX: &delivery.Verification{}}, nil},
		{"both fail", both, delivery.Session{TLS: tls, DANE: bad("dane-no-match"), PKIX: bad("cert-expired")}, []reason.Word{"dane-no-match", "cert-expired"}},
		{"both fail for one cause", both, delivery.Session{TLS: tls, DANE: bad("cert-missing"), PKIX: bad("cert-missing")}, []reason.Word{"cert-missing"}},
		{"no TLS", both, delivery.Session{TLSFailure: fails(reason.StartTLSNotOffered)}, []reason.Word{reason.StartTLSNotOffered}},
		{"weak TLS", both, delivery.Session{TLS: &delivery.TLSFacts{Weak: fails("tls-version")}, DANE: &delivery.Verification{}}, []reason.Word{"tls-version"}},
		{"the plaintext retry", both, delivery.Session{Plaintext: true, TLSFailure: fails(reason.StartTLSNotOffered)}, nil},
		{"a small hello followed", both, delivery.Session{Again: true, TLSFailure: fails(reason.TLSClosed)}, nil},
		{"kept", both, delivery.Session{Reused: true, TLS: tls, DANE: bad("dane-no-match")}, nil},
		{"testing asks for nothing", plan(delivery.DANENone, mtasts.ModeTesting, delivery.TLSOptional), delivery.Session{TLS: tls, PKIX: bad("cert-expired")}, nil},
		{"nothing published", plan(delivery.DANENone, "", delivery.TLSOptional), delivery.Session{TLSFailure: fails(reason.StartTLSNotOffered)}, nil},
		{"TLSA unusable", plan(delivery.DANEUnusable, "", delivery.TLSOptional), delivery.Session{TLSFailure: fails(reason.TLSClosed)}, []reason.Word{reason.TLSClosed}},
		{"not optional", plan(delivery.DANEUsable, mtasts.ModeEnforce, delivery.FollowPolicy), delivery.Session{TLSFailure: fails("dane-no-match"), DANE: bad("dane-no-match")}, nil},
	} {
		if got := Waived(&tt.plan, &tt.s); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
