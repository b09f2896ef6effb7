package store_test

import (
	"bytes"
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"waxwing/internal/schema"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// snapshotTo writes a snapshot to a file.
func snapshotTo(t *testing.T, s *store.Store, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	must(t, err)
	must(t, s.Snapshot(t.Context(), f))
	must(t, f.Close())
}

// OPS-3: a snapshot made under writers is a whole database of one moment, and sound.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			err := s.Write(t.Context(), func(tx *store.Tx) error {
				if err := tx.Raise("a"); err != nil {
					return err
				}
				return tx.Raise("b")
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	for range 5 {
		path := filepath.Join(t.TempDir(), "copy.db")
		snapshotTo(t, s, path)
		c, err := store.Open(t.Context(), store.Options{Path: path, Migrations: schema.FS})
		must(t, err)
		must(t, c.Integrity(t.Context()))
		a, err := c.Generation(t.Context(), "a")
		must(t, err)
		if b, err := c.Generation(t.Context(), "b"); a != b || err != nil {
			t.Errorf("the copy has %d and %d (%v), not one moment", a, b, err)
		}
		must(t, c.Close())
	}
	close(stop)
	wg.Wait()
}

// What has not changed is the same octets in the next snapshot, at the same place.
func TestSnapshotKeepsPlaces(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	much(t, s)
	var a, b bytes.Buffer
	must(t, s.Snapshot(t.Context(), &a))
	must(t, s.Write(t.Context(), func(tx *store.Tx) error { return tx.Raise("x") }))
	must(t, s.Snapshot(t.Context(), &b))
	differ := 0
	for at := 0; at < min(a.Len(), b.Len()); at += 4096 {
		if !bytes.Equal(a.Bytes()[at:at+4096], b.Bytes()[at:at+4096]) {
			differ++
		}
	}
	if differ == 0 || differ > 8 {
		t.Errorf("one small write changed %d pages of %d", differ, a.Len()/4096)
	}
}

// A writer that fails ends the snapshot with its error.
func TestSnapshotWriterFails(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	r, w := io.Pipe()
	broken := errors.New("broken")
	r.CloseWithError(broken)
	if err := s.Snapshot(t.Context(), w); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	must(t, s.Write(t.Context(), func(tx *store.Tx) error { return tx.Raise("x") }))
}

// Integrity finds a page that was overwritten, and a row that is missing.
func TestIntegrity(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, path string){
		"a page zeroed": func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			must(t, err)
			info, err := f.Stat()
			must(t, err)
			for at := int64(4096 * 8); at < info.Size(); at += 4096 * 5 {
				_, err = f.WriteAt(make([]byte, 4096), at)
				must(t, err)
			}
			must(t, f.Close())
		},
		"cut off": func(t *testing.T, path string) { must(t, os.Truncate(path, 80<<10)) },
		"a row that another names is gone": func(t *testing.T, path string) {
			raw, err := sql.Open("sqlite", path)
			must(t, err)
			defer raw.Close()
			_, err = raw.Exec(`INSERT INTO addresses (domain, local, mailbox, created) VALUES ('gone.test', 'a', 'x', 0)`)
			must(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := storetest.Open(t)
			much(t, s)
			path := filepath.Join(t.TempDir(), "copy.db")
			snapshotTo(t, s, path)
			damage(t, path)
			c, err := store.Open(t.Context(), store.Options{Path: path})
			if err != nil {
				return // found even sooner
			}
			defer c.Close()
			if err := c.Integrity(t.Context()); err == nil || !strings.Contains(err.Error(), "database") {
				t.Errorf("%v", err)
			}
		})
	}
}
