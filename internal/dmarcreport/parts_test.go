package dmarcreport

import (
	"net/netip"
	"testing"
	"time"

	"waxwing/dmarcrpt"
	"waxwing/internal/delivery"
	"waxwing/internal/dmarcresult"
	"waxwing/internal/outbox"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// seeAt counts a message for a domain that asks for a report every so many hours.
func (r *rig) seeAt(t *testing.T, at time.Time, domain string, hours int) {
	t.Helper()
	e := delivery.Evaluation{Policy: dmarcrpt.Policy{Domain: domain, P: "reject"}, Hours: hours, Record: dmarcrpt.Record{SourceIP: netip.MustParseAddr("192.0.2.1"), Disposition: "reject", DKIM: "fail", SPF: "fail", HeaderFrom: domain}}
	if err := r.Store.Write(t.Context(), func(tx *store.Tx) error { return dmarcresult.Save(tx, at, []delivery.Evaluation{e}) }); err != nil {
		t.Fatal(err)
	}
}

// DMR-1: a domain that asks for reports every six hours gets one for each part of the day, some
// minutes after its end and each with its own time and id; the last one with those of the day.
func TestPartsOfADay(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r := newRig(s)
		for _, d := range []string{"often.example", "daily.example"} {
			r.dns.set("_dmarc."+d, "v=DMARC1; p=reject; rua=mailto:r@"+d)
		}
		r.seeAt(t, saturday.Add(5*time.Hour), "often.example", 6)
		r.seeAt(t, saturday.Add(5*time.Hour), "daily.example", 0)
		r.seeAt(t, saturday.Add(20*time.Hour), "often.example", 6)
		for _, step := range []struct {
			at   time.Duration
			want int // reports so far
		}{{6*time.Hour + 4*time.Minute, 0}, {6*time.Hour + 5*time.Minute, 1}, {7 * time.Hour, 1}, {23 * time.Hour, 1}, {31 * time.Hour, 2}, {32 * time.Hour, 3}} {
			r.clock.Set(saturday.Add(step.at))
			if _, err := r.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := len(r.out.All()); n != step.want {
				t.Errorf("after %s there are %d reports, want %d", step.at, n, step.want)
			}
		}
		sent, err := r.Sent(t.Context(), outbox.Filter{Domain: "often.example"})
		if err != nil || len(sent) != 2 {
			t.Fatalf("%+v, %v", sent, err)
		}
		begins := map[time.Time]string{saturday: "2026-11-21T00-06.often.example@sender.example", saturday.Add(18 * time.Hour): "2026-11-21T18-24.often.example@sender.example"}
		for _, x := range sent {
			rep, err := r.Show(t.Context(), x.ID)
			if err != nil {
				t.Fatal(err)
			}
			if begins[rep.Begin] != rep.ID || rep.End.Sub(rep.Begin) != 6*time.Hour-time.Second || rep.Messages() != 1 {
				t.Errorf("%s: %s to %s, %d messages", rep.ID, rep.Begin, rep.End, rep.Messages())
			}
		}
	})
}

// A machine that was down since a part of a day was planned still reports the rest of it.
func TestDownAfterAPart(t *testing.T) {
	t.Parallel()
	r := newRig(storetest.Open(t))
	for _, d := range []string{"often.example", "daily.example"} {
		r.dns.set("_dmarc."+d, "v=DMARC1; p=reject; rua=mailto:r@"+d)
	}
	r.seeAt(t, saturday.Add(5*time.Hour), "often.example", 6)
	r.clock.Set(saturday.Add(7 * time.Hour))
	if _, err := r.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.seeAt(t, saturday.Add(8*time.Hour), "often.example", 6)
	r.seeAt(t, saturday.Add(8*time.Hour), "daily.example", 0)
	r.clock.Set(saturday.AddDate(0, 0, 3))
	for range 2 {
		r.clock.Set(r.clock.Now().Add(time.Hour))
		if _, err := r.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.out.All()); n != 3 {
		t.Errorf("%d reports, want 3", n)
	}
}
