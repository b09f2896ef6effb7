package policy

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/mtasts"
)

// TestExceptions: what an exception sets aside, over the space of findings and DANE
// states (STS-13): the decision is that of a domain that never published it, it says
// so in every basis, and the input is not changed.
func TestExceptions(t *testing.T) {
	t.Parallel()
	n := 0
	for _, row := range rows() {
		for _, sts := range []delivery.STSException{delivery.STSAsked, delivery.STSTolerated, delivery.STSOff} {
			for _, off := range []bool{false, true} {
				n++
				in := row.in
				in.Exception = delivery.Exception{STS: sts, DANEOff: off, Reason: "ticket 4711", Until: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)}
				before := in.Destination.Hosts[0].DANE
				got := Decide(in)
				if !reflect.DeepEqual(in.Destination.Hosts[0].DANE, before) {
					t.Fatalf("%s, %s: the input was changed", row.dane, row.sts)
				}
				bare := row.in
				if sts == delivery.STSOff || sts == delivery.STSTolerated && bare.Finding.Defer {
					bare.Finding = delivery.Finding{}
				}
				if off {
					h := bare.Destination.Hosts[0]
					h.DANE = delivery.DANE{}
					bare.Destination.Hosts = []delivery.Host{h}
				}
				want := Decide(bare)
				aside := map[reason.Word]bool{}
				for _, f := range got.SetAside {
					aside[f.Word] = true
					if !strings.Contains(f.Text, "2027-01-31") || !strings.Contains(f.Text, "ticket 4711") {
						t.Errorf("%s does not say until when and why: %s", f.Word, f.Text)
					}
				}
				if aside[reason.ExceptDANE] != off || aside[reason.ExceptSTS] != (sts == delivery.STSOff) || aside[reason.ExceptSTSLookup] != (sts == delivery.STSTolerated && row.in.Finding.Defer) {
					t.Errorf("%s, %s, exception %d %v: set aside %v", row.dane, row.sts, sts, off, got.SetAside)
				}
				for i := range got.Plans {
					b := got.Plans[i].Basis
					if len(b) < len(got.SetAside) || len(got.SetAside) > 0 && !strings.Contains(b.String(), got.SetAside[0].Text) {
						t.Errorf("the basis does not tell: %s", b)
					}
					got.Plans[i].Basis, want.Plans[i].Basis = nil, nil
				}
				got.SetAside = nil
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s, %s, exception %d %v:\n got  %+v\n want %+v", row.dane, row.sts, sts, off, got, want)
				}
			}
		}
	}
	if n < 300 {
		t.Errorf("only %d cases", n)
	}
	// A policy that is found is not set aside by tolerance.
	in := Input{Domain: domain, Finding: finding(mtasts.ModeEnforce, true, ""), Exception: delivery.Exception{STS: delivery.STSTolerated},
		Destination: delivery.Destination{Domain: delivery.RecipientDomain{Name: domain}, HasMX: true, Hosts: rows()[0].in.Destination.Hosts}}
	if d := Decide(in); len(d.SetAside) != 0 || d.Plans[0].PKIX != delivery.CheckRequire {
		t.Errorf("%+v", d)
	}
}
