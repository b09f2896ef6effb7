package dnsupdate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/dnsupdate"
	"waxwing/internal/dnsupdate/knottest"
)

// TestKnot (CRT-5): a real primary takes what is written: texts of several parts, records of
// others beside ours, removals; and refuses what is not as it was seen, and a wrong key.
func TestKnot(t *testing.T) {
	t.Parallel()
	p := knottest.Start(t, true, `txt TXT "one" "two"`, `txt TXT "with \"quotes\" and \200"`)
	d := &dnsupdate.Dynamic{Server: p.Addr.String(), KeyName: knottest.KeyName, Secret: knottest.Secret, Now: time.Now}
	zone, name := dns.MustParse(knottest.Zone), dns.MustParse("txt."+knottest.Zone)
	_, view, err := p.Asker().At(t.Context(), name, "TXT")
	if err != nil || len(view) != 1 || len(view[0].Values) != 2 {
		t.Fatalf("the servers show %v, %v", view, err)
	}
	long := strings.Repeat("x", 300)
	c := dnsupdate.Change{Zone: zone, Name: name, Type: "TXT", TTL: 60, Was: view[0].Values, Raw: view[0].Raw, Values: append(slices.Clone(view[0].Values), long)}
	if err := d.Update(t.Context(), []dnsupdate.Change{c}); err != nil {
		t.Fatal(err)
	}
	want := []string{"onetwo", "with \"quotes\" and \xc8", long}
	slices.Sort(want)
	if got := p.Records(name.ASCII(), "TXT"); !slices.Equal(got, want) {
		t.Errorf("the zone has %q, want %q", got, want)
	}
	if err := d.Update(t.Context(), []dnsupdate.Change{c}); !errors.Is(err, dnsupdate.ErrChanged) {
		t.Errorf("what is not as it was seen: %v", err)
	}
	_, view, err = p.Asker().At(t.Context(), name, "TXT")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(view[0].Raw, `"one" "two"`) {
		t.Errorf("a text of others in two parts became %q", view[0].Raw)
	}
	c.Was, c.Raw, c.Values = view[0].Values, view[0].Raw, nil
	if err := d.Update(t.Context(), []dnsupdate.Change{c}); err != nil || len(p.Records(name.ASCII(), "TXT")) != 0 {
		t.Errorf("removed: %v, %q", err, p.Records(name.ASCII(), "TXT"))
	}
	wrong := &dnsupdate.Dynamic{Server: p.Addr.String(), KeyName: knottest.KeyName, Secret: "d3Jvbmc=", Now: time.Now}
	c.Was, c.Raw, c.Values = nil, nil, []string{"x"}
	if err := wrong.Update(t.Context(), []dnsupdate.Change{c}); err == nil || len(p.Records(name.ASCII(), "TXT")) != 0 {
		t.Errorf("a wrong key: %v", err)
	} else if !strings.Contains(err.Error(), "see that the TSIG key has the same name") {
		t.Errorf("a wrong key is told as %v", err)
	}
}
