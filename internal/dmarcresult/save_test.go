package dmarcresult

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"waxwing/dmarcrpt"
	"waxwing/internal/delivery"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/internal/tlsresult"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func seen(domain, ip, disposition string, report bool) delivery.Evaluation {
	return delivery.Evaluation{Policy: dmarcrpt.Policy{Domain: domain, P: "reject"}, Report: report,
		Record: dmarcrpt.Record{SourceIP: netip.MustParseAddr(ip), Disposition: disposition, DKIM: "pass", SPF: "fail", HeaderFrom: domain, EnvelopeFrom: "bad\x00\xff" + domain}}
}

// DMR-1: identical rows of a day are one, with the sum; a day, a domain and a result that differ
// make others; the policy is the one seen last.
func TestSave(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		save := func(at time.Time, all ...delivery.Evaluation) {
			t.Helper()
			if err := s.Write(t.Context(), func(tx *store.Tx) error { return Save(tx, at, all) }); err != nil {
				t.Fatal(err)
			}
		}
		for range 20 {
			save(noon, seen("a.example", "192.0.2.1", "none", false), seen("b.example", "192.0.2.1", "none", false))
		}
		save(noon, seen("a.example", "192.0.2.1", "none", true))
		save(noon, seen("a.example", "192.0.2.2", "reject", false))
		save(noon.Add(12*time.Hour), seen("a.example", "192.0.2.1", "none", false))
		late := seen("a.example", "192.0.2.2", "reject", false)
		late.Policy.P = "none"
		save(noon, late)
		err := s.Read(t.Context(), func(tx *store.Tx) error {
			day := tlsresult.Day(noon)
			rows, err := Rows(tx, day, "a.example", 10)
			if err != nil || len(rows) != 2 || rows[0].Record.Count != 21 || rows[0].Mail != 20 || rows[1].Record.Count != 2 || rows[1].Record.EnvelopeFrom != "bad\uFFFD\uFFFDa.example" {
				t.Errorf("%+v, %v", rows, err)
			}
			names, err := Domains(tx, day)
			if err != nil || fmt.Sprint(names) != "[a.example b.example]" {
				t.Errorf("%v, %v", names, err)
			}
			p, err := Policy(tx, day, Parted{Domain: "a.example"})
			if err != nil || p.P != "none" {
				t.Errorf("%+v, %v", p, err)
			}
			next, err := Rows(tx, day+1, "", 10)
			if err != nil || len(next) != 1 || next[0].Record.Count != 1 {
				t.Errorf("%+v, %v", next, err)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Write(t.Context(), func(tx *store.Tx) error { return Forget(tx, tlsresult.Day(noon), Parted{Domain: "a.example"}) }); err != nil {
			t.Fatal(err)
		}
		if err := s.Prune(t.Context(), "rows", Old(tlsresult.Day(noon)+1)...); err != nil {
			t.Fatal(err)
		}
	})
}

// What a sender makes of different rows is bounded, and what is left out is counted.
func TestRoom(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	day := tlsresult.Day(noon)
	err := s.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO dmarc_room (day, organization, entries, left_out) VALUES (?, 'a.example', ?, 0)`, day, MaxOfOrganization-1)
		if err != nil {
			return err
		}
		for i := range 5 {
			if err := Save(tx, noon, []delivery.Evaluation{seen("sub.a.example", fmt.Sprintf("192.0.2.%d", i/2), "none", false), seen("b.example", "192.0.2.1", "none", false)}); err != nil {
				return err
			}
		}
		rows, err := Rows(tx, day, "", 10)
		if err != nil || len(rows) != 2 || rows[0].Domain != "b.example" || rows[0].Record.Count != 5 || rows[1].Record.Count != 2 {
			t.Errorf("%+v, %v", rows, err)
		}
		left, err := LeftOut(tx, day, "sub.a.example")
		if left != 3 {
			t.Errorf("%d messages are left out", left)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
