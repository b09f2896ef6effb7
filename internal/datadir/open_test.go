package datadir

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"waxwing/internal/config"
	"waxwing/internal/store"
)

// A file that is no database is called that; no file and an empty one are no store
// until one is made there.
func TestOpenStoreOnAnotherFile(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		good bool
	}{
		"none": {"", true}, "empty": {"", true}, "text": {"From a@b Thu Jan  1 00:00:00 1970\n\nmail\n", false}, "short": {"SQLite", false},
		"another magic": {strings.Repeat("SQLite format 2\x00", 300), false},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "waxwing.db")
		if name != "none" {
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cfg := &config.Config{DataDir: dir}
		if db, err := OpenStore(t.Context(), cfg, nil); err == nil {
			db.Close()
			t.Errorf("%s: opened", name)
		} else if tt.good && (!errors.Is(err, store.ErrNoStore) || !strings.Contains(err.Error(), `"waxwing store init" makes a new one`)) {
			t.Errorf("%s: %v", name, err)
		}
		for i := range 2 { // the second time it is a database
			made, err := InitStore(t.Context(), cfg, slog.New(slog.DiscardHandler))
			if made != (tt.good && i == 0) {
				t.Errorf("%s: made %v, %v", name, made, err)
			}
			var db *store.Store
			if err == nil {
				db, err = OpenStore(t.Context(), cfg, slog.New(slog.DiscardHandler))
			}
			if (err == nil) != tt.good || err != nil && !strings.Contains(err.Error(), path+" is no SQLite database") {
				t.Errorf("%s: %v", name, err)
			}
			if err == nil {
				db.Close()
			}
		}
		if b, _ := os.ReadFile(path); !tt.good && string(b) != tt.text {
			t.Errorf("%s: the file was changed", name)
		}
	}
}
