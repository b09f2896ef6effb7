package queue

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"waxwing/internal/schema"
	"waxwing/internal/spool/spooltest"
	"waxwing/internal/store"
)

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
	spooltest.Filling{Recipients: n, Dests: 200, Accounts: 1, Now: noon}.Write(t, s)
	if err := s.Close(); err != nil { // empties the log
		t.Fatal(err)
	}
	s = open()
	defer s.Close()
	q := &Queue{Store: s, Now: func() time.Time { return noon.Add(2 * time.Minute) }}
	q.setup()
	jobs, _, err := q.claim(t.Context(), store.NewID(), claimBatch)
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
