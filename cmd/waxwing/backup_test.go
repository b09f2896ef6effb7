package main

import (
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waxwing/internal/store/storetest"
)

// OPS-3: backups made under load verify, and the last one restores to a machine that
// delivers all that was answered with 250 before it began.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	k := &killed{t: t, dir: t.TempDir(), acked: map[string]bool{}, password: "backup-test-password"}
	k.setup("")
	cmd, stderr := k.serve()
	defer cmd.Process.Kill()
	stop := k.load(8)
	dir := filepath.Join(t.TempDir(), "backups")
	var before map[string]bool
	for range 4 {
		k.more(60)
		k.mu.Lock()
		before = maps.Clone(k.acked)
		k.mu.Unlock()
		k.command("", "backup", dir)
		k.command("", "backup", "verify", dir)
	}
	stop()
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Errorf("serve ended with %v: %s", err, stderr.String())
	}
	for _, name := range []string{"data", "waxwing.toml"} {
		if err := os.RemoveAll(filepath.Join(k.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	k.command("", "restore", dir)
	k.acked = before
	// What the sink has taken before the backup counts; what it took after it, it may get again.
	k.round.Add(1)
	k.settle()
	k.check()
	var all []struct{ ID string }
	if err := json.Unmarshal(k.command("", "backup", "list", dir, "--json"), &all); err != nil || len(all) != 4 {
		t.Errorf("%d backups, %v", len(all), err)
	}
	if s := stderr.String(); strings.Contains(s, "panic") || strings.Contains(s, "ERROR") {
		t.Errorf("serve said: %s", s)
	}
}

// OPS-3: PostgreSQL's own tools, as docs/operating/backup.md has them, make a backup under
// load that delivers all that was answered with 250 before it began.
func TestPostgresDumpUnderLoad(t *testing.T) {
	t.Parallel()
	at := storetest.Postgres(t)
	for _, tool := range []string{"pg_dump", "pg_restore"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	schema := q.Get("search_path") // a test has one of the database's schemas
	q.Del("search_path")
	u.RawQuery = q.Encode()
	k := &killed{t: t, dir: t.TempDir(), acked: map[string]bool{}, password: "backup-test-password"}
	k.setup(at)
	cmd, stderr := k.serve()
	defer cmd.Process.Kill()
	stop := k.load(4)
	k.more(100)
	k.mu.Lock()
	before := maps.Clone(k.acked)
	k.mu.Unlock()
	dump := filepath.Join(t.TempDir(), "waxwing.dump")
	tool(t, "pg_dump", "--format=custom", "--file="+dump, "--schema="+schema, u.String())
	k.more(20)
	stop()
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Errorf("serve ended with %v: %s", err, stderr.String())
	}
	tool(t, "pg_restore", "--clean", "--if-exists", "--dbname="+u.String(), dump)
	k.acked = before
	k.round.Add(1)
	k.settle()
	k.check()
	if out, err := k.waxwing("backup", "./b").CombinedOutput(); err == nil || !strings.Contains(string(out), "pg_dump") {
		t.Errorf("backup of PostgreSQL: %v, %s", err, out)
	}
}

func tool(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// more waits until so many more messages are answered with 250.
func (k *killed) more(n int) {
	k.t.Helper()
	for end, want := clock(30), k.count()+n; k.count() < want; {
		if end() {
			k.t.Fatalf("only %d messages of %d were accepted", k.count(), want)
		}
	}
}

// clock returns a pause that tells, after so many seconds, that they are over.
func clock(seconds int) (over func() bool) {
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	return func() bool {
		time.Sleep(10 * time.Millisecond)
		return time.Now().After(end)
	}
}
