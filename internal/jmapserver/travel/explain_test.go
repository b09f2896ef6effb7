package travel_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/bars"
	"waxwing/internal/delivery"
	"waxwing/internal/explain"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/travel"
	"waxwing/internal/lab"
)

// MAIL-5, JMP-2: for every domain of the lab, what Posture/get tells is the Explanation of "waxwing explain", and the five bars are made of it.
func TestBarsAreExplain(t *testing.T) {
	l, err := lab.New(t.Context(), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m := l.Sender
	at := l.Clock.Now()
	explainer := &explain.Explainer{Planner: m.Direct, DNS: m.DNS, Prober: m.Sessions(), Fetcher: m.STS.Fetcher, Routes: m.Routes, Seen: m.Posture.Domain, LastFailure: explain.LastFailure(m.Store), Now: func() time.Time { return at }}
	room := &travel.Room{DB: m.Store, Boxes: m.Mailboxes, Explainer: explainer, Accounts: m.Accounts, Seen: m.Posture}
	get := room.Served()[0].Methods["Posture/get"]
	seen := map[string]int{}
	for _, s := range lab.Stories() {
		domain := dns.MustParse(s.Name + ".test")
		if _, err := l.Publish(t.Context(), domain, s.Publish, ""); err != nil {
			t.Fatal(err)
		}
		got, fault := get(&call.Call{Ctx: t.Context(), Name: m.Account, Log: slog.New(slog.DiscardHandler)}, call.Args{"addresses": json.RawMessage(`["you@` + s.Name + `.test"]`), "explain": json.RawMessage("true")})
		if fault != nil {
			t.Fatal(s.Name, fault)
		}
		want := explainer.Domain(t.Context(), explain.Request{Domain: delivery.RecipientDomain{Name: domain}, Account: m.Account})
		var told struct {
			List []struct {
				Explanation, Bars json.RawMessage
			}
		}
		remarshal(t, got, &told)
		if len(told.List) != 1 {
			t.Fatalf("%s: %d answers", s.Name, len(told.List))
		}
		b := bars.Of(&want, want.Seen, false)
		if e := marshal(t, want); string(told.List[0].Explanation) != e {
			t.Errorf("%s: Posture/get tells\n%s\nexplain\n%s", s.Name, told.List[0].Explanation, e)
		}
		if e := marshal(t, b); string(told.List[0].Bars) != e {
			t.Errorf("%s: bars\n%s\nof explain\n%s", s.Name, told.List[0].Bars, e)
		}
		for name, x := range map[string]bars.Bar{"MTA-STS": b.MTASTS, "DNSSEC": b.DNSSEC, "DANE": b.DANE} {
			seen[fmt.Sprint(name, " ", x.State)]++
		}
		t.Logf("%-24s STARTTLS %s, MTA-STS %s, DNSSEC %s, DANE %s, REQUIRETLS %s", s.Name, b.StartTLS.State, b.MTASTS.State, b.DNSSEC.State, b.DANE.State, b.RequireTLS.State)
	}
	for _, state := range []string{"MTA-STS ok", "MTA-STS bad", "MTA-STS error", "DNSSEC ok", "DNSSEC bad", "DNSSEC error", "DANE ok", "DANE bad", "DANE error"} {
		if seen[state] == 0 {
			t.Errorf("no domain of the lab has %s", state)
		}
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func remarshal(t *testing.T, from, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(marshal(t, from)), into); err != nil {
		t.Fatal(err)
	}
}
