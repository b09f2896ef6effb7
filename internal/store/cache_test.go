package store

import (
	"path/filepath"
	"runtime"
	"testing"

	"waxwing/internal/schema"
)

// The readers' caches do not grow with the cores of the machine.
func TestReaderCache(t *testing.T) {
	t.Parallel()
	for n := 1; n < 1000; n++ {
		if one := readerCache(n); one < 1 || n*one > readersCache || n <= 4 && one != 16<<10 {
			t.Errorf("%d readers keep %d KiB each", n, one)
		}
	}
	s, err := Open(t.Context(), Options{Create: true, Path: filepath.Join(t.TempDir(), "x.db"), Migrations: schema.FS})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	readers, writer := 0, 0
	ask := func(into *int) func(*Tx) error {
		return func(tx *Tx) error { return tx.Row("PRAGMA cache_size").Scan(into) }
	}
	if err := s.Read(t.Context(), ask(&readers)); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), ask(&writer)); err != nil {
		t.Fatal(err)
	}
	if want := -readerCache(max(4, 2*runtime.NumCPU())); readers != want || writer != -16<<10 {
		t.Errorf("a reader keeps %d KiB and the writer %d, want %d and %d", -readers, -writer, -want, 16<<10)
	}
}
