package spool

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"waxwing/internal/spool/spooltest"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// QUE-9: what a runner asks of the store goes down an index, whatever the backlog
// and the history, on a database that has no statistics.
func TestClaimUsesTheIndexes(t *testing.T) {
	t.Parallel()
	pick := fmt.Sprintf(pickLane, 0)
	ofDomain, _ := Filter{Domain: "d5.test"}.where(Waiting)
	list, _ := inList(make([]int64, 256))
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		spooltest.Filling{Recipients: 20_000, Dests: 5000, Accounts: 7, Now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)}.Write(t, s)
		for _, q := range []string{
			claimExpired + ")", attention, nextLane, nextLease, nextAttend, claimIDs + list + ")",
			pick, pick + strings.Repeat(" UNION ALL "+pick, putMost-1), pickRest, laneGone, accountsAfter,
			putLane + strings.Repeat(", (?, ?, ?, ?)", putMost-1) + setLane,
			`SELECT dest, local, account FROM lanes WHERE next <= ? ORDER BY next LIMIT ?`,
			`SELECT dest, local, account FROM lanes WHERE account = ? AND next <= ? ORDER BY next LIMIT 8`,
			byMessageID, lanesAfter, rowsAfter, `SELECT r.id FROM recipients r JOIN messages m ON m.id = r.message WHERE ` + ofDomain,
			`SELECT ` + envelopeColumns + ` FROM messages WHERE id IN ` + list,
		} {
			plan := explain(t, s, q)
			for _, bad := range []string{"SCAN recipients", "SCAN lanes", "SCAN messages", "TEMP B-TREE",
				"Seq Scan on recipients", "Seq Scan on lanes"} {
				if strings.Contains(plan, bad) {
					t.Errorf("%.200s\n%s", q, plan)
				}
			}
		}
		plan := explain(t, s, `SELECT r.id FROM recipients r JOIN messages m ON m.id = r.message WHERE `+ofDomain)
		if !strings.Contains(plan, "recipients_lane") || !strings.Contains(plan, "recipients_via") {
			t.Errorf("a filter by domain:\n%s", plan)
		}
	})
}

// explain is the engine's plan for a statement.
func explain(t *testing.T, s *store.Store, q string) (plan string) {
	t.Helper()
	args := make([]any, strings.Count(q, "?"))
	for i := range args {
		args[i] = 1
	}
	begin := "EXPLAIN QUERY PLAN "
	if s.Postgres() {
		// Its parameters have types, which it does not need here.
		args, begin = nil, "EXPLAIN "
		q = strings.ReplaceAll(q, "?", "'1'")
	}
	err := s.Write(context.Background(), func(tx *store.Tx) error {
		plan = ""
		rs, err := tx.Query(begin+q, args...)
		if err != nil {
			return err
		}
		defer rs.Close()
		for rs.Next() {
			var a, b, c int
			var line string
			into := []any{&a, &b, &c, &line}
			if s.Postgres() {
				into = into[3:]
			}
			if err := rs.Scan(into...); err != nil {
				return err
			}
			plan += line + "\n"
		}
		return rs.Err()
	})
	if err != nil {
		t.Fatalf("%.200s: %v", q, err)
	}
	return plan
}
