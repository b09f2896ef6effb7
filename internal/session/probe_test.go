package session

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/policy"
	"waxwing/internal/reason"
)

// look is what policy makes of a plan for a probe.
func look(p delivery.Plan) delivery.Plan {
	p.Host.DANE.Records, p.Host.DANE.References, p.Host.DANE.Base = p.TLSA, p.DANENames, p.Host.Name.Name
	return policy.Look(p)
}

// A probe says goodbye without MAIL, sees the chain and makes both verifications,
// required or not.
func TestProbe(t *testing.T) {
	t.Parallel()
	p, err := makePKI()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		mx     *peer
		change func(*rig)
		tls    reason.Word // of the TLS failure; "": TLS came about
		err    reason.Word
		pkix   reason.Word
		dane   reason.Word
	}{
		{"good", &peer{cert: &p.good, extTLS: []string{"REQUIRETLS"}}, func(r *rig) { r.enforceDANE(p.good.Leaf) }, "", "", "", ""},
		{"DANE does not match", &peer{cert: &p.good}, func(r *rig) {
			r.enforceDANE(p.good.Leaf)
			r.req.Plan.TLSA[0].Data = make([]byte, 32)
		}, "", "", "", reason.DANENoMatch},
		{"no STARTTLS", &peer{}, nil, reason.StartTLSNotOffered, "", "none", "none"},
		{"STARTTLS refused", &peer{cert: &p.good, answer: to("STARTTLS", "454 4.7.0 later")}, nil, "starttls-reply-454", "", "none", "none"},
		{"greeting", &peer{answer: to("", "554 no")}, nil, "-", reason.GreetingReply, "none", "none"},
		{"lost", &peer{answer: to("EHLO", drop)}, nil, "-", reason.ConnectionLost, "none", "none"},
	} {
		r := newRig(t, network{addr1: tt.mx})
		r.short(5 * time.Second)
		if tt.change != nil {
			tt.change(r)
		}
		got := r.client.Probe(t.Context(), look(r.req.Plan), netip.MustParseAddr(addr1))
		if tt.err != "" {
			if got.Err == nil || got.Err.Word != tt.err {
				t.Errorf("%s: %+v, want %s", tt.name, got.Err, tt.err)
			}
			continue
		}
		if got.Err != nil || !got.Hello || got.StartTLS != (tt.mx.cert != nil) {
			t.Errorf("%s: %+v", tt.name, got)
		}
		if f := got.TLSFailure; (f == nil) != (tt.tls == "") || f != nil && f.Word != tt.tls {
			t.Errorf("%s: %+v, want %q", tt.name, f, tt.tls)
		}
		if tt.tls == "" && (len(got.Chain) == 0 || got.TLS == nil || got.RequireTLS != slices.Contains(got.Secured, "REQUIRETLS")) {
			t.Errorf("%s: %+v", tt.name, got)
		}
		result := func(which string, v *delivery.Verification, want reason.Word) {
			have := reason.Word("none")
			if v != nil {
				have = ""
				if v.Failure != nil {
					have = v.Failure.Word
				}
			}
			if want == "none" && v != nil || want != "none" && have != want && !(which == "DANE" && v == nil && len(r.req.Plan.TLSA) == 0) {
				t.Errorf("%s: %s %q, want %q", tt.name, which, have, want)
			}
		}
		result("PKIX", got.PKIX, tt.pkix)
		result("DANE", got.DANE, tt.dane)
		if n := tt.mx.saw("MAIL"); n != 0 {
			t.Errorf("%s: %d MAIL commands", tt.name, n)
		}
	}
	r := newRig(t, network{})
	if got := r.client.Probe(t.Context(), look(r.req.Plan), netip.MustParseAddr(addr1)); got.Err == nil {
		t.Errorf("nobody there: %+v", got)
	}
}
