package queue

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waxwing/internal/schema"
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
		filling{recipients: 20_000, dests: 5000, accounts: 7, now: noon}.write(t, s)
		for _, q := range []string{
			claimExpired + returned[:1], attention, nextLane, nextLease, nextAttend, claimIDs + list + returned[:1],
			pick, pick + strings.Repeat(" UNION ALL "+pick, putMost-1), pickRest, laneGone, accountsAfter,
			putLane + strings.Repeat(", (?, ?, ?, ?)", putMost-1) + setLane,
			`SELECT dest, local, account FROM lanes WHERE next <= ? ORDER BY next LIMIT ?`,
			`SELECT dest, local, account FROM lanes WHERE account = ? AND next <= ? ORDER BY next LIMIT 8`,
			lanesAfter, rowsAfter, `SELECT r.id FROM recipients r JOIN messages m ON m.id = r.message WHERE ` + ofDomain,
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

// QUE-9: a claim writes fewer pages than it takes recipients, where each of them
// waits in a page of its own: the rows of a lane go some at a time.
func TestClaimTouchesNoMore(t *testing.T) {
	t.Parallel()
	small, large := claimPages(t, 1000), claimPages(t, 20_000)
	if small == 0 || large > claimBatch*3/4 {
		t.Errorf("a claim of %d wrote %d pages with 1,000 waiting, %d with 20,000", claimBatch, small, large)
	}
}

// claimPages is the number of pages that a claim puts into SQLite's log.
func claimPages(t *testing.T, n int) int64 {
	t.Helper()
	path := filepath.Join(t.TempDir(), "waxwing.db")
	open := func() *store.Store {
		s, err := store.Open(t.Context(), store.Options{Create: true, Path: path, Migrations: schema.FS})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	filling{recipients: n, dests: 200, accounts: 1, now: noon}.write(t, s)
	if err := s.Close(); err != nil { // empties the log
		t.Fatal(err)
	}
	s = open()
	defer s.Close()
	q := &Queue{Store: s, Now: func() time.Time { return noon.Add(2 * time.Minute) }}
	q.setup()
	jobs, _, err := q.claim(t.Context(), claimBatch)
	if err != nil || len(jobs) != claimBatch {
		t.Fatalf("%d jobs, %v", len(jobs), err)
	}
	log, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096 + 24 // with its header in the log
	return log.Size() / page
}
