package dnsupdate_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
	for program, key := range map[string]func(*testing.T, *knottest.Primary) string{"knsupdate": func(_ *testing.T, p *knottest.Primary) string { return p.KeyFile() }, "nsupdate": bindKey} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			for _, needed := range []string{"jq", program} {
				if _, err := exec.LookPath(needed); err != nil {
					t.Skipf("%s is not installed (packages jq, knot-dnsutils, bind9-dnsutils)", needed)
				}
			}
			p := knottest.Start(t, true, `txt TXT "of" "others"`)
			runExample(t, p, key(t, p))
		})
	}
}

// bindKey is the file of the primary's key as BIND's programs read it.
func bindKey(t *testing.T, p *knottest.Primary) string {
	t.Helper()
	knots, err := os.ReadFile(p.KeyFile())
	if err != nil {
		t.Fatal(err)
	}
	f := strings.SplitN(strings.TrimSpace(string(knots)), ":", 3)
	file := filepath.Join(t.TempDir(), "bind.key")
	if err := os.WriteFile(file, fmt.Appendf(nil, "key %q {\n\talgorithm %s;\n\tsecret %q;\n};\n", f[1], f[0], f[2]), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func runExample(t *testing.T, p *knottest.Primary, key string) {
	script, err := filepath.Abs("../../docs/operating/examples/dns-nsupdate")
	if err != nil {
		t.Fatal(err)
	}
	c := &dnsupdate.Command{Path: script, Args: []string{p.Addr.Addr().String(), strconv.Itoa(int(p.Addr.Port())), key}}
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
