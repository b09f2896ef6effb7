package search_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"waxwing/dmarc"
	"waxwing/dns"
	"waxwing/internal/junk"
	"waxwing/internal/search"
	"waxwing/internal/store"
	"waxwing/internal/verify"
)

// AUT-2: what was found out about mail is searched over more mails than are read at a time: of one
// account or of all, the newest first, not the older ones, and no more than are asked for.
func TestFacts(t *testing.T) {
	each(t, func(t *testing.T, b *box) {
		const n = 1203
		day := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
		err := b.db.Write(t.Context(), func(tx *store.Tx) error {
			if _, err := tx.Exec(`INSERT INTO bodies (id, users) VALUES (1, 1)`); err != nil {
				return err
			}
			for i := range n {
				f := verify.Facts{IP: netip.MustParseAddr("192.0.2.7"), DMARC: []verify.DMARC{{From: dns.MustParse("far.test"), Result: dmarc.Pass}}}
				if i%400 == 1 { // 1, 401, 801, 1201
					f.DMARC[0].Result = dmarc.Fail
				}
				facts, err := json.Marshal(f)
				if err != nil {
					return err
				}
				evidence, err := json.Marshal(junk.Decision{Action: junk.Action(i % 2)})
				if err != nil {
					return err
				}
				if i%3 == 2 { // mail that nobody verified: 401 is one, 1, 801 and 1201 are not
					facts, evidence = []byte{}, nil
				}
				if _, err := tx.Exec(`INSERT INTO mails (id, account, thread, sender, recipient, size, received, body, header, message_id, facts, evidence, structure)
					VALUES (?, ?, 1, '', '', 1, ?, 1, ?, '', ?, ?, ?)`, int64(i+1), map[bool]string{true: "ann", false: "joe"}[i > 1000],
					store.Time(day.Add(time.Duration(i)*time.Minute)), []byte{}, facts, string(evidence), []byte{}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		s := &search.Store{DB: b.db, Mails: b}
		ask := func(account, condition string, since time.Time, limit int) string {
			c, err := verify.ParseCondition(condition)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Facts(t.Context(), account, verify.Query{c}, since, limit)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.IsSortedFunc(got, func(a, b int64) int { return int(b - a) }) {
				t.Errorf("%s: not the newest first: %v", condition, got)
			}
			if len(got) > 5 {
				return fmt.Sprint(len(got))
			}
			return fmt.Sprint(got)
		}
		for _, x := range []struct{ got, want string }{
			{ask("", "dmarc=fail", time.Time{}, 0), "[1202 802 2]"}, {ask("joe", "dmarc=fail", time.Time{}, 0), "[802 2]"}, {ask("ann", "dmarc=fail", time.Time{}, 10), "[1202]"},
			{ask("", "dmarc=fail", time.Time{}, 2), "[1202 802]"}, {ask("joe", "dmarc=fail", day.Add(801*time.Minute), 0), "[802]"},
			{ask("", "dmarc=pass", time.Time{}, 0), "799"}, {ask("", "junk=junk", time.Time{}, 0), "401"}, {ask("nobody", "dmarc=pass", time.Time{}, 0), "[]"},
		} {
			if x.got != x.want {
				t.Errorf("found %s, and should find %s", x.got, x.want)
			}
		}
	})
}
