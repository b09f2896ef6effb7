package disk

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestRoom(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	left, fault := int64(1000), error(nil)
	r := &Reserve{Dir: "d", Octets: 100, Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return now },
		Free: func(dir string) (int64, error) { return left, fault }}
	for _, c := range []struct {
		left, size int64
		ok         bool
	}{{1000, 0, true}, {1000, 900, true}, {1000, 901, false}, {100, 0, true}, {99, 0, false}, {0, 0, false}} {
		left, now = c.left, now.Add(fresh)
		if err := r.Room(c.size); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrShort) {
			t.Errorf("%d free, %d wanted: %v", c.left, c.size, err)
		}
	}
	if n := strings.Count(log.String(), "nearly full"); n != 2 { // the disk had room in between
		t.Errorf("the log says %d times that room is short:\n%s", n, &log)
	}
	now = now.Add(noteEvery)
	_ = r.Room(0)
	left = 1000
	_ = r.Room(0) // while room is short the system is asked each time
	if n, m := strings.Count(log.String(), "nearly full"), strings.Count(log.String(), "room again"); n != 3 || m != 2 {
		t.Errorf("short %d times, room again %d times:\n%s", n, m, &log)
	}
	for i := range 4 { // the system is not asked, and what was granted is no more free
		left = 0
		if err := r.Room(300); (err == nil) != (i < 3) {
			t.Errorf("300 of 1000 for the %d. time: %v", i+1, err)
		}
	}
	left = 1000
	if err := r.Room(900); err != nil {
		t.Errorf("there is room again: %v", err)
	}
	now = now.Add(fresh)
	fault = errors.New("away")
	if err := r.Room(1 << 60); err != nil {
		t.Errorf("refused where nobody knows: %v", err)
	}
	if _, ok := r.Left(); ok {
		t.Error("known")
	}
}

// What the system says moves with what is written.
func TestFree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before, err := free(dir)
	if errors.Is(err, ErrUnknown) {
		t.Skipf("%s does not tell", runtime.GOOS)
	}
	if err != nil || before <= 0 {
		t.Fatal(before, err)
	}
	if _, err := free(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
}
