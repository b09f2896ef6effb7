package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"waxwing/internal/schema"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// A backup made under writers is a whole database of one moment.
func TestBackup(t *testing.T) {
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
	path := filepath.Join(t.TempDir(), "copy.db")
	must(t, s.Backup(t.Context(), path))
	close(stop)
	wg.Wait()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("backup: %v, %v; want mode 0600", info, err)
	}
	if err := s.Backup(t.Context(), path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("an older backup was written over: %v", err)
	}
	c, err := store.Open(t.Context(), store.Options{Create: true, Path: path, Migrations: schema.FS})
	must(t, err)
	defer c.Close()
	a, err := c.Generation(t.Context(), "a")
	must(t, err)
	if b, err := c.Generation(t.Context(), "b"); a != b || err != nil {
		t.Errorf("the copy has %d and %d (%v), not one moment", a, b, err)
	}
}
