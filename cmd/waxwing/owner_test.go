package main

import (
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"waxwing/internal/freeport"
)

const nobody = 65534 // a second user, by number

// shared is a machine that root and another user share: the program, and a data
// directory of that user's. Everybody may enter.
type shared struct {
	t         *testing.T
	dir, prog string
}

func newShared(t *testing.T) *shared {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("two users are needed: only root can be another one")
	}
	dir, err := os.MkdirTemp("", "waxwing-shared-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &shared{t: t, dir: dir, prog: filepath.Join(dir, "waxwing")}
	s.must(os.Chmod(dir, 0o755))
	from, err := os.Open(os.Args[0])
	s.must(err)
	defer from.Close()
	freeport.Executable(t, s.prog, from)
	s.must(os.WriteFile(s.path("waxwing.toml"), []byte("hostname = \"mx.example.test\"\ndata_dir = \"data\"\n"+
		"[[listen]]\naddress = \"127.0.0.1:0\"\nkind = \"metrics\"\n[resolver]\nservers = [\"127.0.0.1:9\"]\nselftest = { signed = \"\", bogus = \"\", large = \"\" }\n"), 0o644))
	s.must(os.Mkdir(s.path("data"), 0o700))
	s.must(os.Chown(s.path("data"), nobody, nobody))
	return s
}

func (s *shared) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shared) path(name string) string { return filepath.Join(s.dir, name) }

// command is a call of the program by a user.
func (s *shared) command(uid uint32, args ...string) *exec.Cmd {
	cmd := exec.Command(s.prog, args...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), "WAXWING_RUN=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid, Groups: []uint32{uid}}}
	return cmd
}

func (s *shared) run(uid uint32, args ...string) (string, error) {
	out, err := s.command(uid, args...).CombinedOutput()
	return string(out), err
}

// owners wants every file of the data directory to be nobody's, and for nobody else.
func (s *shared) owners() {
	s.t.Helper()
	s.must(filepath.WalkDir(s.path("data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		if st, ok := fi.Sys().(*syscall.Stat_t); !ok || st.Uid != nobody || fi.Mode().Perm()&0o007 != 0 {
			s.t.Errorf("%s belongs to %d, mode %v", path, st.Uid, fi.Mode())
		}
		return nil
	}))
}

// SET-7: root's commands beside another user's server leave nothing that the server
// cannot use, whether it runs, has run, or never has.
func TestRootsCommandsAreTheOwners(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	for _, args := range [][]string{{"store", "init"}, {"domain", "add", "example.test"}} {
		if out, err := s.run(0, args...); err != nil {
			t.Fatalf("root, in an empty directory, %v: %s", args, out)
		}
		s.owners()
	}
	if out, err := s.run(nobody, "domain", "list"); err != nil || !strings.Contains(out, "example.test") {
		t.Errorf("the owner: %v %s", err, out)
	}
	serve := s.command(nobody, "serve")
	var log strings.Builder
	serve.Stderr = &log
	s.must(serve.Start())
	up := func() bool { _, err := os.Stat(s.path("data/control.sock")); return err == nil }
	for end := time.Now().Add(2 * time.Minute); !up(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the server does not start")
		}
	}
	for _, args := range [][]string{{"domain", "add", "other.test"}, {"queue", "list"}, {"queue", "count"}} {
		if out, err := s.run(0, args...); err != nil {
			t.Errorf("root beside the server, %v: %v %s", args, err, out)
		}
	}
	s.owners()
	// What root names is opened by root: the server's user could not (OPS-6).
	s.must(os.Mkdir(s.path("roots"), 0o700))
	s.must(os.WriteFile(s.path("roots/store.toml"), []byte("of before, and longer than what is there then"+strings.Repeat(".", 10000)), 0o644))
	for _, args := range [][]string{{"export", "--keys", s.path("roots/store.toml")}, {"apply", s.path("roots/store.toml")}} {
		if out, err := s.run(0, args...); err != nil {
			t.Errorf("root, with a file of its own, %v: %v %s", args, err, out)
		}
	}
	if fi, err := os.Stat(s.path("roots/store.toml")); err != nil || fi.Mode().Perm() != 0o600 || fi.Size() > 5000 {
		t.Errorf("the file with the keys: %v, %v", fi, err)
	}
	s.owners()
	s.must(serve.Process.Signal(os.Interrupt))
	if err := serve.Wait(); err != nil {
		t.Errorf("%v: %s", err, log.String())
	}
	s.owners()
}

// What root has made by another way, or an earlier version, is given to the owner by
// root's next command; until then the owner is told what belongs to whom, and the cure.
func TestRootsDatabase(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	if out, err := s.run(0, "store", "init"); err != nil {
		t.Fatal(err, out)
	}
	db := s.path("data/waxwing.db")
	s.must(os.Chown(db, 0, 0))
	for _, command := range []string{"domain list", "serve"} {
		out, err := s.run(nobody, strings.Fields(command)...)
		if err == nil || !strings.Contains(out, db+" belongs to root, who has perhaps made it with a command") || !strings.Contains(out, "chown -R nobody "+s.path("data")) {
			t.Errorf("%s of the owner: %v %s", command, err, out)
		}
	}
	if out, err := s.run(0, "domain", "list"); err != nil {
		t.Errorf("root: %s", out)
	}
	if out, err := s.run(nobody, "domain", "list"); err != nil {
		t.Errorf("the owner afterwards: %s", out)
	}
	s.owners()
	s.must(os.Chown(s.path("data"), 0, 0))
	if out, err := s.run(nobody, "domain", "list"); err == nil || !strings.Contains(out, s.path("data")+" belongs to root") {
		t.Errorf("a directory of root's: %v %s", err, out)
	}
}

// Nobody makes root give away, by what lies in the directory, what is not the store's.
func TestRootFollowsNoNames(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(from, to string) error{"hard link": os.Link, "symbolic link": os.Symlink} {
		s := newShared(t)
		secret := s.path("secret")
		s.must(os.WriteFile(secret, nil, 0o600))
		s.must(put(secret, s.path("data/waxwing.db-wal")))
		_, _ = s.run(0, "store", "init")
		_, _ = s.run(0, "domain", "add", "example.test")
		fi, err := os.Stat(secret)
		s.must(err)
		if st, ok := fi.Sys().(*syscall.Stat_t); !ok || st.Uid != 0 || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: root's file is the user %d's now, mode %v", name, st.Uid, fi.Mode())
		}
	}
}

// A store that everybody may read is closed, and it is said; serve says that it is root,
// and that the directory is open.
func TestRisksAreTold(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	if out, err := s.run(nobody, "store", "init"); err != nil {
		t.Fatal(out)
	}
	s.must(os.Chmod(s.path("data/waxwing.db"), 0o666))
	out, err := s.run(nobody, "domain", "list")
	if err != nil || !strings.Contains(out, "everybody on this machine could read or change the store; this is mended") {
		t.Errorf("%v %s", err, out)
	}
	s.owners()
	s.must(os.Chmod(s.path("data"), 0o755))
	for uid, root := range map[uint32]bool{0: true, nobody: false} {
		serve := s.command(uid, "serve")
		r, w, err := os.Pipe()
		s.must(err)
		serve.Stderr = w
		s.must(serve.Start())
		w.Close()
		var log strings.Builder
		b := make([]byte, 4096)
		for !strings.Contains(log.String(), "msg=serving") {
			n, err := r.Read(b)
			log.Write(b[:n])
			if err != nil {
				break
			}
		}
		_ = serve.Process.Signal(os.Interrupt)
		go func() { _, _ = io.Copy(io.Discard, r) }()
		if err := serve.Wait(); err != nil {
			t.Errorf("user %d: %v, %s", uid, err, log.String())
		}
		if told := strings.Contains(log.String(), "the server runs as root, and stays root"); told != root {
			t.Errorf("user %d: told that it is root: %v\n%s", uid, told, log.String())
		}
		if !strings.Contains(log.String(), "everybody on this machine may look into the data directory") {
			t.Errorf("user %d: the directory is open, and nothing is said: %s", uid, log.String())
		}
	}
	s.must(os.Chmod(s.path("data"), 0o700))
	s.owners()
}

// OPS-2: --user binds ports of root's and is then that user for good: no right of root's is
// left, also after the program was changed.
func TestServeUser(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	if out, err := s.run(nobody, "serve", "--user", "root"); err == nil || !strings.Contains(out, "only root can become") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := s.run(0, "serve", "--user", "nobody-of-this-name"); err == nil || !strings.Contains(out, "--user") {
		t.Errorf("%v: %s", err, out)
	}
	b, err := os.ReadFile(s.path("waxwing.toml"))
	s.must(err)
	address := "127.77.1.1:1023" // of root's
	s.must(os.WriteFile(s.path("waxwing.toml"), []byte(strings.Replace(string(b), "127.0.0.1:0", address, 1)), 0o644))
	out, err := s.run(0, "store", "init")
	if err != nil {
		t.Fatal(out)
	}
	serve := s.command(0, "serve", "--user", "65534")
	log := &lockedBuffer{}
	serve.Stderr = log
	s.must(serve.Start())
	defer serve.Process.Kill()
	for i := range 2 {
		said(t, log, "msg=serving", i+1)
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", serve.Process.Pid))
		s.must(err)
		for _, want := range []string{"Uid:\t65534\t65534\t65534\t65534", "Gid:\t65534\t65534\t65534\t65534", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000"} {
			if !strings.Contains(string(status), want) {
				t.Errorf("the status lacks %q:\n%s", want, status)
			}
		}
		c, err := net.Dial("tcp", address)
		s.must(err)
		c.Close()
		if i == 0 {
			s.must(serve.Process.Signal(syscall.SIGUSR2))
		}
	}
	s.must(serve.Process.Signal(syscall.SIGTERM))
	if err := serve.Wait(); err != nil {
		t.Errorf("%v: %s", err, log.String())
	}
	s.owners()
}
