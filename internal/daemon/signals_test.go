package daemon

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/guard"
	"waxwing/internal/logline"
	"waxwing/internal/server"
)

// OPS-9, OPS-10: a panic during a reload is contained, and the next signal obeyed.
func TestReloadPanics(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "waxwing.toml")
	if err := os.WriteFile(path, []byte("hostname = \"mail.example.test\"\n[[listen]]\naddress = \"127.0.0.1:0\"\nkind = \"metrics\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := datadir.InitStore(t.Context(), cfg, nil); err != nil {
		t.Fatal(err)
	}
	s, err := server.New(t.Context(), server.Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	counted := make(chan guard.Area, 4)
	s.Guard().Count = func(a guard.Area) { counted <- a }
	logged := &locked{}
	sig := &signals{path: path, levels: logline.NewLevels(cfg.Log, time.Now), server: s, tell: func(...string) {}} // without a log: what it does panics
	ctx, cancel := context.WithCancel(t.Context())
	got, done := make(chan os.Signal, 4), make(chan struct{})
	go func() { sig.run(ctx, got); close(done) }()
	got <- syscall.SIGHUP
	if a := <-counted; a != guard.Signals {
		t.Errorf("counted as %s", a)
	}
	sig.log = slog.New(slog.NewTextHandler(logged, nil))
	got <- syscall.SIGHUP
	for end := time.Now().Add(2 * time.Minute); !strings.Contains(logged.String(), "msg=reloaded"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the next reload: %s", logged.String())
		}
	}
	cancel()
	<-done
}

// locked is a log that is read while it is written.
type locked struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
