package resolver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/validate"
	"waxwing/internal/config"
)

func TestSystemServers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	there := filepath.Join(dir, "resolv.conf")
	if err := os.WriteFile(there, []byte("nameserver 192.0.2.53\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := systemServers(there); err != nil || len(got) != 1 || got[0] != (dns.Server{Addr: "192.0.2.53:53"}) {
		t.Errorf("%v, %v", got, err)
	}
	// SET-3: a machine without the file still serves its own mail.
	if got, err := systemServers(filepath.Join(dir, "nothing")); err != nil || len(got) != 1 || got[0] != (dns.Server{Addr: "127.0.0.1:53", Trusted: true}) {
		t.Errorf("without the file: %v, %v", got, err)
	}
	if err := os.WriteFile(there, []byte("nameserver nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := systemServers(there); err == nil {
		t.Errorf("nonsense is %v", got)
	}
}

// VAL-2, VAL-3, VAL-13: what the configuration makes of own validation.
func TestModes(t *testing.T) {
	t.Parallel()
	for mode, want := range map[config.DNSSEC]validate.Mode{config.DNSSECAuto: validate.Auto, config.DNSSECValidate: validate.Always, config.DNSSECTrust: "", config.DNSSECOff: ""} {
		cfg := config.Default()
		cfg.Resolver.DNSSEC = mode
		c, err := New(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		v, _ := c.Validator.(*validate.Validator)
		if (v != nil) != (want != "") || v != nil && v.Mode != want || c.Servers[0].Trusted != (mode != config.DNSSECOff) {
			t.Errorf("%s: %+v, %+v", mode, v, c.Servers)
		}
	}
	cfg := config.Default()
	if cfg.Resolver.DNSSEC != config.DNSSECAuto {
		t.Errorf("the default is %s", cfg.Resolver.DNSSEC)
	}
	cfg.Resolver.DNSSEC, cfg.Resolver.Selftest.Signed = config.DNSSECAuto, dns.Name{}
	if c, err := New(cfg, nil); err != nil || c.Validator != nil {
		t.Errorf("auto without a signed name: %v, %v", c.Validator, err)
	}
}

func TestAnchorsAndExceptions(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.Resolver.DNSSEC = config.DNSSECAuto
	cfg.Resolver.Anchors = filepath.Join(t.TempDir(), "root.key")
	cfg.Resolver.Negative = map[dns.Name]string{dns.MustParse("broken.example"): "2027-01-31"}
	if _, err := New(cfg, nil); err == nil {
		t.Error("a file that is not there")
	}
	if err := os.WriteFile(cfg.Resolver.Anchors, []byte("example. IN DS 1 13 2 aabb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	late := time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)
	Tested{Negative: append(Negatives(cfg, late.Add(-time.Second)), Negatives(cfg, late)...)}.Print(&said)
	if !strings.Contains(said.String(), "broken.example and all below it are taken as unsigned up to 2027-01-31") || !strings.Contains(said.String(), "validated again since the end of 2027-01-31") {
		t.Errorf("the self-test says %q", said.String())
	}
	v := c.Validator.(*validate.Validator)
	if len(v.Anchors) != 1 || v.Anchors[0].Zone != "example." || len(v.Negative) != 1 || !v.Negative[0].Until.Equal(time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v %+v", v.Anchors, v.Negative)
	}
}

// VAL-6: how many iterations of NSEC3 count is the configuration's.
func TestIterations(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	for _, n := range []int{cfg.Resolver.Iterations, 100} {
		cfg.Resolver.Iterations = n
		c, err := New(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Validator.(*validate.Validator).Limits.Iterations; got != n || n == 0 {
			t.Errorf("%d, want %d", got, n)
		}
	}
	if got := config.Default().Resolver.Iterations; got != 50 {
		t.Errorf("the default is %d", got)
	}
}
