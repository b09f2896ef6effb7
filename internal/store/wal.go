package store

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	"modernc.org/sqlite"
)

// BenchmarkGroupCommit/64, thousands of rows of 8 KiB a second by page size: 4096 21 to 22.7, 8192 17 to 22,
// 16384 19.6, 32768 16.5 to 18.8. Small pages also make a small change of the queue's tables cheap in the WAL.
const pageSize = 4096

// The WAL's lengths, in pages. walSoft is a compromise of throughput and of the time that
// the checkpoint holds up writers (about 40 ms). Checkpoints beside the writer, on a
// connection of their own, were measured too: no faster, and the slowest write took
// twice as long, for the two fsyncs wait for each other in the file system.
const (
	walSoft = 16 << 20 / pageSize  // from here on the writer copies it into the database between groups
	walFirm = 64 << 20 / pageSize  // from here on it waits a moment for readers, to begin the WAL anew
	walHard = 256 << 20 / pageSize // SQLite's own checkpoint after each commit, the safety net
)

// walKeep is the size in octets to which the WAL file is cut when it begins anew.
const walKeep = 64 << 20

// restartWait is how long, in milliseconds, the writer waits for readers past walFirm.
const restartWait = 100

// checkpointer keeps the WAL short. It belongs to the writer's goroutine, which
// calls it when the members of a group have been told and nothing is open: then
// the whole WAL can be copied, and SQLite begins it anew with the next write.
type checkpointer struct {
	log    *slog.Logger
	files  *files // nil: not watched
	pages  int    // in the WAL, about
	next   int    // copy at this many; 0 is walSoft
	warned time.Time
}

// committed is called after each commit.
func (c *checkpointer) committed(w *session) {
	c.pages += written(w)
	if c.pages < max(c.next, walSoft) {
		return
	}
	c.mark(w)
	mode := "PASSIVE"
	if c.pages >= walFirm {
		mode = "RESTART"
		w.do(pragmaBusy(restartWait))
		defer w.do(pragmaBusy(busyTimeout))
	}
	total, copied, err := checkpoint(w, mode)
	if err == nil && copied == total {
		c.pages, c.next = 0, 0
		return
	}
	// Readers still need what is in the database now.
	c.pages = max(c.pages, total)
	c.next = c.pages + walSoft/4
	if err == nil && total < walHard || time.Since(c.warned) < time.Minute {
		return
	}
	c.warned = time.Now()
	c.log.Warn("the write-ahead log grows: it cannot be copied into the database while something reads that for long",
		slog.Int("pages", total), slog.Any("error", engineError(err)))
}

// mark changes the mark in the database's header with all that is copied there now,
// so that no earlier copy of the file passes for this one.
func (c *checkpointer) mark(w *session) {
	if c.files == nil {
		return
	}
	next := (c.files.mark() + 1) & math.MaxInt32
	// Noted first: another process may copy it into the database at once.
	c.files.marked(next)
	if err := w.set(fmt.Sprintf("PRAGMA user_version = %d", next)); err != nil {
		c.log.Warn("the database's mark was not changed", slog.Any("error", engineError(err)))
	}
}

// checkpoint returns the pages in the WAL and how many of them are in the
// database now.
func checkpoint(s *session, mode string) (total, copied int, err error) {
	var busy int
	err = s.conn.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &total, &copied)
	return total, copied, err
}

// written is how many pages the session has put into the WAL since the last
// call.
func written(s *session) (n int) {
	s.conn.Raw(func(c any) error {
		if st, ok := c.(sqlite.DBStatus); ok {
			n, _, _ = st.Status(sqlite.DBStatusCacheWrite, true)
		}
		return nil
	})
	return n
}
