package dmarcresult

import (
	"testing"
	"time"

	"waxwing/dmarcrpt"
	"waxwing/internal/delivery"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/internal/tlsresult"
)

// DMR-1: an interval is rounded down to one that parts a day evenly, never under an hour; the
// parts of a day are all of it, and each is found again by its name.
func TestParts(t *testing.T) {
	t.Parallel()
	for interval, want := range map[time.Duration]int{0: 0, time.Second: 1, time.Hour: 1, 2*time.Hour - 1: 1, 2 * time.Hour: 2, 5 * time.Hour: 4, 7 * time.Hour: 6, 11 * time.Hour: 8,
		12 * time.Hour: 12, 24*time.Hour - 1: 12, 24 * time.Hour: 0, 1000 * time.Hour: 0} {
		if got := Hours(interval); got != want {
			t.Errorf("%s: %d hours, want %d", interval, got, want)
		}
	}
	day := tlsresult.Day(noon)
	for _, hours := range []int{0, 1, 2, 3, 4, 6, 8, 12} {
		for h := range 24 {
			at := tlsresult.Start(day).Add(time.Duration(h)*time.Hour + 59*time.Minute)
			p := partOf(at, hours)
			begin, end := p.Times(day)
			span := time.Duration(hours) * time.Hour
			if hours == 0 {
				span = 24 * time.Hour
			}
			if at.Before(begin) || !at.Before(end) || end.Sub(begin) != span || partFrom(p.code()) != p {
				t.Errorf("%d hours at %s: %+v, %s to %s", hours, at, p, begin, end)
			}
			domain, again, err := ParseName(p.Name("a.example"))
			if domain != "a.example" || again != p || err != nil {
				t.Errorf("%s: %s, %+v, %v", p.Name("a.example"), domain, again, err)
			}
		}
	}
	for _, bad := range []string{"a.example 12", "a.example 12:00-06:00", "a.example x"} {
		if _, _, err := ParseName(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// Messages of parts have rows of their own, with the policy that was seen in each; those for whole
// days are not among them, nor they among those.
func TestSaveParts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		day := tlsresult.Day(noon)
		save := func(at time.Time, hours int, policy string) {
			t.Helper()
			e := seen("a.example", "192.0.2.1", "none", false)
			e.Hours, e.Policy = hours, dmarcrpt.Policy{Domain: "a.example", P: policy}
			if err := s.Write(t.Context(), func(tx *store.Tx) error { return Save(tx, at, []delivery.Evaluation{e}) }); err != nil {
				t.Fatal(err)
			}
		}
		save(noon.Add(-time.Second), 6, "none")
		save(noon, 6, "none")
		save(noon.Add(time.Hour), 6, "reject")
		save(noon, 0, "quarantine")
		forenoon, afternoon, whole := Parted{"a.example", Part{6, 6}}, Parted{"a.example", Part{12, 6}}, Parted{Domain: "a.example"}
		for of, want := range map[Parted]struct {
			n      int64
			policy string
		}{forenoon: {1, "none"}, afternoon: {2, "reject"}, whole: {1, "quarantine"}} {
			err := s.Write(t.Context(), func(tx *store.Tx) error {
				rows, err := RowsOf(tx, day, of, 10)
				if err != nil || len(rows) != 1 || rows[0].Record.Count != want.n {
					t.Errorf("%+v: %+v, %v", of, rows, err)
				}
				p, err := Policy(tx, day, of)
				if err != nil || p.P != want.policy {
					t.Errorf("%+v: %+v, %v", of, p, err)
				}
				return Forget(tx, day, of)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		err := s.Read(t.Context(), func(tx *store.Tx) error {
			parts, err := Parts(tx, day)
			domains, err2 := Domains(tx, day)
			if len(parts) != 0 || len(domains) != 0 || err != nil || err2 != nil {
				t.Errorf("left: %v, %v, %v, %v", parts, domains, err, err2)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
