package routes

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/route"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

func relay(name string) route.Transport {
	return route.Transport{Name: name, Kind: route.Submission, Host: route.Host{Name: dns.MustParse("smtp.isp.test")}, User: "me", Password: "hunter2",
		Sources: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}
}

func TestTransports(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		s, other, ctx := &Store{DB: db}, &Store{DB: db}, t.Context()
		if tab, err := other.Table(ctx); err != nil || len(tab.Transports) != 2 || len(tab.Rules) != 0 || len(tab.Broken) != 0 {
			t.Fatalf("a new store: %+v %v", tab, err)
		}
		isp := relay("isp")
		proxy := route.Transport{Name: "proxy", Kind: route.SOCKS5, Proxy: "127.0.0.1:1080", ProxyUser: "u", ProxyPassword: "hunter3", EHLO: dns.MustParse("exit.test")}
		for _, tr := range []route.Transport{isp, proxy} {
			if err := s.AddTransport(ctx, tr); err != nil {
				t.Fatal(err)
			}
		}
		tab, err := other.Table(ctx) // another process sees it
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []route.Transport{isp, proxy} {
			if got := tab.Transports[want.Name]; !got.Equal(&want) {
				t.Errorf("%+v came back as %+v", want, got)
			}
		}
		if again, _ := other.Table(ctx); again != tab {
			t.Error("read again although nothing changed")
		}
		if err := s.AddTransport(ctx, isp); !errors.Is(err, ErrExists) {
			t.Errorf("twice: %v", err)
		}
		if err := s.AddTransport(ctx, route.Transport{Name: route.DirectName, Kind: route.Fail, Code: 550, Text: "x"}); !errors.Is(err, ErrExists) {
			t.Errorf("over a built-in one: %v", err)
		}
		isp.Password = "changed"
		if err := s.SetTransport(ctx, isp); err != nil {
			t.Fatal(err)
		}
		if tab, _ := other.Table(ctx); tab.Transports["isp"].Password != "changed" {
			t.Error("the change is not seen")
		}
		if err := s.SetTransport(ctx, relay("none")); !errors.Is(err, ErrUnknown) {
			t.Errorf("change of none: %v", err)
		}
		if err := s.SetTransport(ctx, route.Transport{Name: route.LocalName, Kind: route.Local}); !errors.Is(err, ErrBuiltIn) {
			t.Errorf("change of a built-in one: %v", err)
		}
		list, err := s.Transports(ctx)
		if err != nil || len(list) != 4 || list[0].Name != "direct" || list[3].Name != "proxy" {
			t.Errorf("%+v %v", list, err)
		}
	})
}

func TestRules(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		s, other, ctx := &Store{DB: db}, &Store{DB: db}, t.Context()
		if err := s.AddTransport(ctx, relay("isp")); err != nil {
			t.Fatal(err)
		}
		err := db.Write(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO accounts (name, disabled, password, scram256, scram1, created) VALUES ('ann', 0, '', '', '', 0)`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		need := delivery.RequireTLS
		var ids []int64
		for _, c := range []struct {
			rule  route.Rule
			first bool
		}{
			{route.Rule{Scope: route.OfServer, Transport: "isp", MinAttempts: 3}, false},
			{route.Rule{Scope: route.OfServer, Transport: "direct", Recipient: route.Pattern{Domain: dns.MustParse("a.test"), Subdomains: true}, Sender: route.Pattern{Domain: dns.MustParse("b.test")}, Need: &need}, true},
			{route.Rule{Scope: route.OfAccount, Owner: "ann", Transport: "local"}, false},
			{route.Rule{Scope: route.OfServer, Transport: "isp"}, false},
		} {
			got, err := s.AddRule(ctx, c.rule, c.first)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, got.ID)
		}
		tab, err := other.Table(ctx)
		if err != nil || len(tab.Rules) != 4 || len(tab.Broken) != 0 {
			t.Fatalf("%+v %v", tab, err)
		}
		for i, want := range []int{2, 1, 0, 3} {
			if tab.Rules[i].ID != ids[want] {
				t.Errorf("at %d stands %s", i, &tab.Rules[i])
			}
		}
		if r := tab.Rules[1]; r.Recipient.String() != ".a.test" || r.Sender.String() != "b.test" || r.Need == nil || *r.Need != need {
			t.Errorf("%+v", r)
		}
		for what, r := range map[string]route.Rule{
			"no transport": {Scope: route.OfServer, Transport: "nowhere"}, "no account": {Scope: route.OfAccount, Owner: "bob", Transport: "isp"},
			"no domain": {Scope: route.OfDomain, Owner: "a.test", Transport: "isp"},
		} {
			if _, err := s.AddRule(ctx, r, false); !errors.Is(err, ErrUnknown) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := s.RemoveTransport(ctx, "isp"); !errors.Is(err, ErrInUse) {
			t.Errorf("in use by routes: %v", err)
		}
		for _, id := range []int64{ids[0], ids[3]} {
			if err := s.RemoveRule(ctx, id); err != nil {
				t.Error(err)
			}
		}
		if err := s.RemoveRule(ctx, ids[0]); !errors.Is(err, ErrUnknown) {
			t.Errorf("twice: %v", err)
		}
		if err := s.RemoveTransport(ctx, "isp"); err != nil {
			t.Error(err)
		}
		if err := s.RemoveTransport(ctx, "isp"); !errors.Is(err, ErrUnknown) {
			t.Errorf("twice: %v", err)
		}
		if err := s.RemoveTransport(ctx, "direct"); !errors.Is(err, ErrBuiltIn) {
			t.Errorf("a built-in one: %v", err)
		}
	})
}

// A row that cannot be read, say of a newer version, is told and not ignored;
// its secret is in no error.
func TestBrokenRows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		s, ctx := &Store{DB: db}, t.Context()
		err := db.Write(ctx, func(tx *store.Tx) error {
			for _, q := range []string{
				`INSERT INTO transports (name, kind, settings, secrets, created) VALUES ('newer', 'smarthost', '{"name":"newer","kind":"smarthost","host":{"name":"x.test"},"quantum":true}', '', 0)`,
				`INSERT INTO transports (name, kind, settings, secrets, created) VALUES ('garbled', 'local', '', '{"password":"hunter2"', 0)`,
				`INSERT INTO routes (id, scope, owner, position, recipient, sender, min_attempts, need, transport) VALUES (1, 2, '', 0, 'not a domain', '', 0, -1, 'direct')`,
				`INSERT INTO routes (id, scope, owner, position, recipient, sender, min_attempts, need, transport) VALUES (2, 9, '', 0, '', '', 0, -1, 'direct')`,
			} {
				if _, err := tx.Exec(q); err != nil {
					return err
				}
			}
			return tx.Raise(Area)
		})
		if err != nil {
			t.Fatal(err)
		}
		tab, err := s.Table(ctx)
		if err != nil || len(tab.Broken) != 4 || len(tab.Bad) != 2 || len(tab.Transports) != 2 || len(tab.Rules) != 0 {
			t.Fatalf("%+v %v", tab, err)
		}
		for what, err := range tab.Broken {
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// A transport that waiting mail names stays.
func TestTransportOfWaitingMail(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		s, ctx := &Store{DB: db}, t.Context()
		if err := s.AddTransport(ctx, relay("isp")); err != nil {
			t.Fatal(err)
		}
		set := func(finished int64) {
			t.Helper()
			err := db.Write(ctx, func(tx *store.Tx) error {
				_, err := tx.Exec(`INSERT INTO messages (id, sender, need, purpose, ref, account, eight_bit, smtputf8, env_id, ret, size, accepted, peer,
					first_recipient, last_recipient, unsettled, finished, transport) VALUES (1, '', 0, 0, '', '', 0, 0, '', 0, 0, 0, '', 0, 0, 1, ?, 'isp')
					ON CONFLICT (id) DO UPDATE SET finished = excluded.finished`, finished)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		set(0)
		if err := s.RemoveTransport(ctx, "isp"); !errors.Is(err, ErrInUse) {
			t.Errorf("%v", err)
		}
		set(1)
		via := func(query string) {
			t.Helper()
			err := db.Write(ctx, func(tx *store.Tx) error {
				_, err := tx.Exec(query)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		via(`INSERT INTO recipients (id, message, address, domain, local, orcpt, notify, state, due, owner, claim, attempts, last_attempt, delay_told,
			first_fail, first_fail_at, last_addrs, word, text, reply, host, tls, via) VALUES (1, 1, 'x@b.test', 'b.test', 0, '', 0, 2, 0, '', 0, 0, 0, 0, '', 0, '', '', '', '', '', '', 'isp')`)
		if err := s.RemoveTransport(ctx, "isp"); !errors.Is(err, ErrInUse) {
			t.Errorf("a held recipient's: %v", err)
		}
		via(`UPDATE recipients SET state = 3`)
		if err := s.RemoveTransport(ctx, "isp"); err != nil {
			t.Error(err)
		}
	})
}
