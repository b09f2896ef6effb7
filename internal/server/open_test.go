package server

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waxwing/internal/config"
	"waxwing/internal/session"
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

// SES-6: the pool has what the configuration says.
func TestPoolLimits(t *testing.T) {
	t.Parallel()
	cfg, err := config.Parse("w", []byte("hostname = \"mail.example.test\"\n[[listen]]\naddress = \"127.0.0.1:0\"\nkind = \"mx\"\n[delivery]\nkeep_idle = \"7s\"\nkeep_messages = 3\n"))
	if err != nil {
		t.Fatal(err)
	}
	p := pool(cfg.Delivery, nil)
	if want := (&session.Pool{MaxMessages: 3, Idle: 7 * time.Second, MaxIdle: 200}); p.MaxMessages != want.MaxMessages || p.Idle != want.Idle || p.MaxIdle != want.MaxIdle {
		t.Errorf("%d messages, %s, %d connections", p.MaxMessages, p.Idle, p.MaxIdle)
	}
	for _, line := range []string{"keep_idle = \"0s\"", "keep_idle = \"10m\"", "keep_messages = 0", "keep_connections = 0"} {
		if _, err := config.Parse("w", []byte("hostname = \"mail.example.test\"\n[[listen]]\naddress = \"127.0.0.1:0\"\nkind = \"mx\"\n[delivery]\n"+line+"\n")); err == nil {
			t.Errorf("%s is accepted", line)
		}
	}
}
