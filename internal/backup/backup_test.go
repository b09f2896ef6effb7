package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"waxwing/internal/backup"
	"waxwing/internal/config"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a set, a clock, and a store of so many octets.
type world struct {
	t     *testing.T
	set   *backup.Set
	now   time.Time
	store []byte
	files []backup.Origin
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, now: time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)}
	w.set = &backup.Set{Dir: filepath.Join(t.TempDir(), "set"), Now: func() time.Time { return w.now }}
	w.store = make([]byte, 5<<20+123)
	rand.NewChaCha8([32]byte{1}).Read(w.store)
	return w
}

func (w *world) source() backup.Source {
	return backup.Source{Hostname: "mx.example.test", Program: "test", Schema: 3, Files: w.files,
		Snapshot: func(_ context.Context, to io.Writer) error {
			for rest := w.store; len(rest) > 0; {
				n := min(4096, len(rest))
				if _, err := to.Write(rest[:n]); err != nil {
					return err
				}
				rest = rest[n:]
			}
			return nil
		}}
}

func (w *world) make() *backup.Made {
	w.t.Helper()
	w.now = w.now.Add(time.Hour)
	m, err := w.set.Make(w.t.Context(), w.source())
	must(w.t, err)
	return m
}

// chunks are the names of the files of all chunks.
func (w *world) chunks() (all []string) {
	err := filepath.WalkDir(filepath.Join(w.set.Dir, "chunks"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, path)
		}
		return err
	})
	must(w.t, err)
	return all
}

// restored is the store of a backup.
func (w *world) restored(m *backup.Manifest) []byte {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "store")
	must(w.t, w.set.RestoreStore(w.t.Context(), m, path))
	b, err := os.ReadFile(path)
	must(w.t, err)
	return b
}

// OPS-3: a further backup adds what is new, each is whole by itself, and what is removed
// takes away only what no other needs.
func TestIncremental(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := slices.Clone(w.store)
	first := w.make()
	if first.Added < 5<<20 || len(first.Store.Chunks) != 6 {
		t.Errorf("the first added %d octets in %d chunks", first.Added, len(first.Store.Chunks))
	}
	w.store[3<<20+5]++
	second := w.make()
	if second.Added < 1<<20 || second.Added > 1<<20+1<<14 {
		t.Errorf("one changed octet added %d", second.Added)
	}
	if !bytes.Equal(w.restored(first.Manifest), old) || !bytes.Equal(w.restored(second.Manifest), w.store) {
		t.Error("a backup is not what was backed up")
	}
	if n := len(w.chunks()); n != 7 {
		t.Errorf("%d chunks", n)
	}
	must(t, os.WriteFile(filepath.Join(w.set.Dir, "chunks", "ab.gz.part"), nil, 0o600)) // of one that broke off
	removed, err := w.set.Prune(t.Context(), 1)
	if err != nil || !slices.Equal(removed, []string{first.ID}) {
		t.Errorf("removed %v, %v", removed, err)
	}
	if n := len(w.chunks()); n != 6 {
		t.Errorf("%d chunks after the first was removed", n)
	}
	must(t, w.set.Verify(t.Context(), second.Manifest, ""))
	if all, err := w.set.List(); err != nil || len(all) != 1 || all[0].ID != second.ID {
		t.Errorf("%v, %v", all, err)
	}
}

// Octets that are the same are kept once, also while they are being written.
func TestSameChunks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store = make([]byte, 40<<20)
	m := w.make()
	if n := len(w.chunks()); n != 1 {
		t.Errorf("%d chunks for zeros", n)
	}
	if !bytes.Equal(w.restored(m.Manifest), w.store) {
		t.Error("the backup is not what was backed up")
	}
}

// Verify finds each kind of damage, and says which file it is.
func TestVerifyFindsDamage(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, path string){
		"missing": func(t *testing.T, path string) { must(t, os.Remove(path)) },
		"empty":   func(t *testing.T, path string) { must(t, os.Truncate(path, 0)) },
		"cut off": func(t *testing.T, path string) { must(t, os.Truncate(path, 1000)) },
		"a bit": func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			must(t, err)
			b[len(b)/2] ^= 4
			must(t, os.WriteFile(path, b, 0o600))
		},
		"another's octets": func(t *testing.T, path string) {
			must(t, os.WriteFile(path, []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			m := w.make()
			path := w.chunks()[2]
			damage(t, path)
			err := w.set.Verify(t.Context(), m.Manifest, filepath.Join(t.TempDir(), "x"))
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%v; want %s named", err, path)
			}
			out := filepath.Join(t.TempDir(), "store")
			if err := w.set.RestoreStore(t.Context(), m.Manifest, out); err == nil {
				t.Error("restored all the same")
			}
			if left, _ := os.ReadDir(filepath.Dir(out)); len(left) > 0 {
				t.Errorf("a restore that failed leaves %v", left)
			}
		})
	}
}

// A backup that breaks off is none, and the next one is whole.
func TestBrokenOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	from := w.source()
	broken := errors.New("broken")
	whole := from.Snapshot
	from.Snapshot = func(ctx context.Context, to io.Writer) error {
		return errors.Join(whole(ctx, to), broken)
	}
	if _, err := w.set.Make(t.Context(), from); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if _, err := w.set.Find(""); err == nil || !strings.Contains(err.Error(), "no backup") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.set.Make(ctx, w.source()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if got := w.restored(w.make().Manifest); !bytes.Equal(got, w.store) {
		t.Error("the backup is not what was backed up")
	}
}

// Manifests that no program has written are refused, whatever is in them.
func TestForeignManifests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.make()
	sum := strings.Repeat("ab", 32)
	for text, want := range map[string]string{
		`nonsense`: "cannot be read",
		`{"format": 1, "files": [{}` + strings.Repeat(",{}", 1<<20) + `]}`: "more than",
		`{"format": 2}`: "format 2",
		`{"format": 1, "store": {"size": 5, "chunks": []}}`:                                                                            "cannot hold",
		`{"format": 1, "store": {"size": -1, "chunks": []}}`:                                                                           "cannot hold",
		`{"format": 1, "store": {"size": 5, "chunks": ["../../../etc/passwd"]}}`:                                                       "names no chunk",
		`{"format": 1, "store": {"size": 5, "chunks": ["` + sum + `"]}, "files": [{"role": "data", "name": "../x", "size": 0}]}`:       "outside",
		`{"format": 1, "store": {"size": 5, "chunks": ["` + sum + `"]}, "files": [{"role": "data", "name": "/etc/x", "size": 0}]}`:     "outside",
		`{"format": 1, "store": {"size": 5, "chunks": ["` + sum + `"]}, "files": [{"role": "other", "name": "x", "size": 0}]}`:         "role",
		`{"format": 1, "store": {"size": 5, "chunks": ["` + sum + `"]}, "files": [{"role": "data", "name": "x", "size": 9999999999}]}`: "cannot hold",
	} {
		must(t, os.WriteFile(filepath.Join(w.set.Dir, "20261130T000000Z.json"), []byte(text), 0o600))
		if _, err := w.set.Find(""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.200s: %v, want %q", text, err, want)
		}
		if _, err := w.set.Prune(t.Context(), 1); err == nil {
			t.Errorf("%.200s: removed something, which this might need", text)
		}
	}
	for _, id := range []string{"../x", "20261130T000001Z", "x"} {
		if _, err := w.set.Find(id); err == nil {
			t.Errorf("found %s", id)
		}
	}
}

// A list under another name is refused: by the name in it another backup would be removed.
func TestCopiedManifest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.make()
	w.now = w.now.Add(time.Hour)
	w.make()
	text, err := os.ReadFile(filepath.Join(w.set.Dir, old.ID+".json"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(w.set.Dir, "20261130T000000Z.json"), text, 0o600))
	if _, err := w.set.Find("20261130T000000Z"); err == nil || !strings.Contains(err.Error(), "under another name") {
		t.Errorf("the copy: %v", err)
	}
	if removed, err := w.set.Prune(t.Context(), 2); err == nil {
		t.Errorf("removed %v", removed)
	}
	if _, err := w.set.Find(old.ID); err != nil {
		t.Error(err)
	}
}

// OPS-3: the files are those that the server needs, and each goes where it was; none is
// written over.
func TestFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := t.TempDir()
	write := func(name string, size int) string {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, bytes.Repeat([]byte("x"), size), 0o640))
		return path
	}
	conf := write("etc/waxwing.toml", 10)
	cert, key := write("etc/x.crt", 20), write("data/tls/x.key", 30)
	for name, size := range map[string]int{"data/waxwing.db": 1, "data/waxwing.db-wal": 1, "data/spool/x": 1, "data/host-keys/a": 40, "data/core": 64<<20 + 1} {
		write(name, size)
	}
	must(t, os.Symlink("/etc/passwd", filepath.Join(dir, "data", "link")))
	cfg := &config.Config{DataDir: filepath.Join(dir, "data"), TLS: config.TLS{CertFile: cert, KeyFile: key}}
	files, left, err := backup.Origins(cfg, conf, []string{"waxwing.db", "spool"})
	must(t, err)
	var got []string
	for _, f := range files {
		got = append(got, fmt.Sprintf("%s %s", f.Role, f.Name))
	}
	want := []string{"config ", "named tls.cert_file", "data host-keys/a", "data tls/x.key"}
	if !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	if len(left) != 2 || !strings.HasSuffix(left[0].Path, "core") || !strings.HasSuffix(left[1].Path, "link") {
		t.Errorf("left out: %v", left)
	}
	w.files = files
	m := w.make()
	for _, f := range m.Files {
		to := filepath.Join(t.TempDir(), "new", "x")
		if ok, err := w.set.RestoreFile(t.Context(), f, to); !ok || err != nil {
			t.Errorf("%v %v", ok, err)
		}
		b, err := os.ReadFile(to)
		must(t, err)
		was, err := os.ReadFile(f.Path)
		must(t, err)
		if info, err := os.Stat(to); err != nil || info.Mode() != 0o640 || !bytes.Equal(b, was) {
			t.Errorf("%s: %v %v", f.Path, info, err)
		}
		must(t, os.WriteFile(to, []byte("mine"), 0o600))
		if ok, err := w.set.RestoreFile(t.Context(), f, to); ok || err != nil {
			t.Errorf("written over: %v %v", ok, err)
		}
	}
}

// Two at one time would remove what the other needs.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.make()
	from := w.source()
	from.Snapshot = func(context.Context, io.Writer) error {
		if _, err := w.set.Prune(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "another process") {
			t.Errorf("%v", err)
		}
		if err := w.set.Verify(t.Context(), m.Manifest, ""); err == nil {
			t.Error("verified while it changes")
		}
		return nil
	}
	w.now = w.now.Add(time.Hour)
	_, err := w.set.Make(t.Context(), from)
	must(t, err)
}

// TestNoRegularFile (OPS-3): whoever may write to a set has root, who looks at it, neither
// wait at a FIFO nor read what a link names.
func TestNoRegularFile(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(path string) error{
		"FIFO":   func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"link":   func(path string) error { return os.Symlink("/dev/zero", path) },
		"folder": func(path string) error { return os.Mkdir(path, 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			m := w.make()
			chunk := w.chunks()[0]
			must(t, errors.Join(os.Remove(chunk), put(chunk)))
			if err := w.set.Verify(t.Context(), m.Manifest, ""); err == nil || !strings.Contains(err.Error(), filepath.Base(chunk)) {
				t.Errorf("a chunk: %v", err)
			}
			list := filepath.Join(w.set.Dir, m.ID+".json")
			must(t, errors.Join(os.Remove(list), put(list)))
			if _, err := w.set.Find(""); err == nil || !strings.Contains(err.Error(), filepath.Base(list)) {
				t.Errorf("a list: %v", err)
			}
			w.files = []backup.Origin{{Role: backup.Data, Name: "x", Path: list}}
			if _, err := w.set.Make(t.Context(), w.source()); err == nil || !strings.Contains(err.Error(), filepath.Base(list)) {
				t.Errorf("a file of the data directory: %v", err)
			}
			must(t, put(filepath.Join(w.set.Dir, "set")))
			if name == "FIFO" {
				if _, err := (&backup.Set{Dir: filepath.Join(w.set.Dir, "set"), Now: w.set.Now}).Make(t.Context(), w.source()); err == nil {
					t.Error("a FIFO is a set")
				}
				if err := (&backup.Set{Dir: filepath.Join(w.set.Dir, "set"), Now: w.set.Now}).Verify(t.Context(), m.Manifest, ""); err == nil {
					t.Error("a FIFO is a set")
				}
			}
		})
	}
}

// TestNamedByLink: a certificate that the configuration names by a link, as certbot has
// them, is taken along.
func TestNamedByLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := t.TempDir()
	must(t, errors.Join(os.WriteFile(filepath.Join(dir, "cert1.pem"), []byte("certificate"), 0o644), os.Symlink("cert1.pem", filepath.Join(dir, "cert.pem"))))
	w.files = []backup.Origin{{Role: backup.Named, Name: "tls.cert_file", Path: filepath.Join(dir, "cert.pem")}}
	m := w.make()
	to := filepath.Join(dir, "restored")
	if written, err := w.set.RestoreFile(t.Context(), m.Files[0], to); err != nil || !written {
		t.Fatal(written, err)
	}
	if b, err := os.ReadFile(to); err != nil || string(b) != "certificate" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestRestoredOwner: a file has its owner and its permissions from the moment on at which it
// has its name; one whose owner is not known here is there too, as root's.
func TestRestoredOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	w := newWorld(t)
	from := filepath.Join(t.TempDir(), "key")
	must(t, errors.Join(os.WriteFile(from, []byte("key"), 0o640), os.Chown(from, 65534, 1)))
	w.files = []backup.Origin{{Role: backup.Named, Name: "tls.key_file", Path: from}}
	f := w.make().Files[0]
	to := filepath.Join(t.TempDir(), "restored")
	if written, err := w.set.RestoreFile(t.Context(), f, to); err != nil || !written {
		t.Fatal(written, err)
	}
	info, err := os.Stat(to)
	must(t, err)
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 65534 || st.Gid != 1 || info.Mode() != 0o640 {
		t.Errorf("it belongs to %d:%d, mode %v", st.Uid, st.Gid, info.Mode())
	}
	f.Owner = "nobody-here"
	to = filepath.Join(t.TempDir(), "restored")
	if written, err := w.set.RestoreFile(t.Context(), f, to); !written || err == nil || !strings.Contains(err.Error(), "there is no user nobody-here here") {
		t.Error(written, err)
	}
	if b, err := os.ReadFile(to); err != nil || string(b) != "key" {
		t.Errorf("%q, %v", b, err)
	}
}
