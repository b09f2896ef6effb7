package dnsupdate_test

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"waxwing/dns"
	"waxwing/internal/dnsupdate"
	"waxwing/internal/dnsupdate/knottest"
)

// TestExampleProgram (CRT-5): the program that docs/operating shows for dns.update.command
// writes, replaces and removes record sets at a real primary, and fails where a set is not as
// it was seen.
func TestExampleProgram(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"jq", "knsupdate"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed (packages jq, knot-dnsutils)", program)
		}
	}
	p := knottest.Start(t, true, `txt TXT "of" "others"`)
	script, err := filepath.Abs("../../docs/operating/examples/dns-nsupdate")
	if err != nil {
		t.Fatal(err)
	}
	c := &dnsupdate.Command{Path: script, Args: []string{p.Addr.Addr().String(), strconv.Itoa(int(p.Addr.Port())), p.KeyFile()}}
	zone, txt, mx := dns.MustParse(knottest.Zone), dns.MustParse("txt."+knottest.Zone), dns.MustParse(knottest.Zone)
	first := []dnsupdate.Change{
		{Zone: zone, Name: txt, Type: "TXT", TTL: 60, Was: []string{"ofothers"}, Raw: []string{`"of" "others"`}, Values: []string{"ofothers", `v=x; "quoted" \ text`}},
		{Zone: zone, Name: mx, Type: "MX", TTL: 60, Values: []string{"10 mx.example.test."}},
	}
	if err := c.Update(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if got, want := p.Records(txt.ASCII(), "TXT"), first[0].Values; !slices.Equal(got, want) {
		t.Errorf("the zone has %q, want %q", got, want)
	}
	if got := p.Records(mx.ASCII(), "MX"); !slices.Equal(got, first[1].Values) {
		t.Errorf("the zone has %q", got)
	}
	if err := c.Update(t.Context(), first); err == nil {
		t.Error("sets that are not as they were seen are written")
	}
	if err := c.Update(t.Context(), []dnsupdate.Change{{Zone: zone, Name: mx, Type: "MX", TTL: 60, Was: first[1].Values}}); err != nil || len(p.Records(mx.ASCII(), "MX")) != 0 {
		t.Errorf("removed: %v, %q", err, p.Records(mx.ASCII(), "MX"))
	}
}
