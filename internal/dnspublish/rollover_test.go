package dnspublish_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/config"
	"waxwing/internal/dnsplan"
	"waxwing/internal/dnspublish"
	"waxwing/internal/dnsupdate/knottest"
	"waxwing/internal/signing"
)

// TestDKIMRollover (CRT-3, CRT-5): a whole roll-over on a real primary, with the plan of the
// store: the new record comes, is seen, its key signs, the old record stays and goes.
func TestDKIMRollover(t *testing.T) {
	each(t, true, nil, func(t *testing.T, p *publishing) {
		clock := func() time.Time { return p.now }
		cfg, err := config.Parse("x.toml", []byte("hostname = \""+host.ASCII()+"\"\ndata_dir = \""+t.TempDir()+"\"\n[[listen]]\naddress = \"127.0.0.1:25\"\nkind = \"mx\"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if err := (&accounts.Store{DB: p.DB, Now: clock}).AddDomain(t.Context(), zone); err != nil {
			t.Fatal(err)
		}
		planner := dnsplan.New(cfg, p.DB, clock)
		p.Plan = func(ctx context.Context) (dnsplan.Plan, error) { return planner.Plan(ctx, dns.Name{}) }
		keys := &signing.Service{Store: p.DB, Now: clock}
		roller := &signing.Roller{Keys: keys, Now: clock, Log: slog.New(slog.DiscardHandler), Managed: func(dns.Name) bool { return true },
			Servers: func(ctx context.Context, name dns.Name) (each [][]string, ttl time.Duration, err error) {
				view, err := p.Asker.Ask(ctx, name, "TXT")
				for _, r := range view {
					each = append(each, r.Values)
				}
				return each, view.TTL(), err
			}}
		signer, err := signing.MakeKey("ed25519")
		if err != nil {
			t.Fatal(err)
		}
		old, err := keys.AddKey(t.Context(), signing.NewKey{Domain: zone, Selector: "s1", Signer: signer, Now: true})
		if err != nil {
			t.Fatal(err)
		}
		step := func(d time.Duration) {
			t.Helper()
			p.after(d)
			if err := roller.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.do(dnspublish.Order{})
		}
		step(0)
		p.has("s1._domainkey", "TXT", old.Record)
		made, err := keys.Rollover(t.Context(), zone, "")
		if err != nil {
			t.Fatal(err)
		}
		next := made[0].Selector + "._domainkey"
		step(time.Minute)
		p.has(next, "TXT", made[0].Record)
		step(time.Minute) // seen
		step(time.Hour)
		if k, err := keys.Active(t.Context(), zone); err != nil || k[0].Selector != "s1" {
			t.Errorf("signs with %+v, %v before its turn", k, err)
		}
		step(time.Hour)
		if k, err := keys.Active(t.Context(), zone); err != nil || len(k) != 1 || k[0].Selector != made[0].Selector {
			t.Errorf("signs with %+v, %v", k, err)
		}
		p.has("s1._domainkey", "TXT", old.Record)
		step(13 * 24 * time.Hour)
		p.has("s1._domainkey", "TXT", old.Record)
		step(2 * 24 * time.Hour)
		p.has("s1._domainkey", "TXT")
		p.has(next, "TXT", made[0].Record)
		if rows, err := p.Published(t.Context()); err != nil || strings.Contains(rows[0].Name, "s1.") {
			t.Errorf("ours are %+v, %v", rows, err)
		}
		if p.primary.Records(knottest.Zone, "SOA") == nil {
			t.Error("the zone is gone")
		}
	})
}
