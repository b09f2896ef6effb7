package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"waxwing/internal/store/storetest"
)

// OPS-3: the stores of earlier versions, with mail, queue and reports, are restored,
// upgrade, verify, and list all that they did; mail can be read, and a server runs on them.
func TestUpgradeStores(t *testing.T) {
	t.Parallel()
	stores, err := filepath.Glob(filepath.Join("testdata", "stores", "*", "rows.txt"))
	if err != nil || len(stores) < 2 {
		t.Fatalf("%d stores, %v", len(stores), err)
	}
	for _, file := range stores {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			t.Parallel()
			u := upgraded{t, filepath.Dir(file), t.TempDir(), ""}
			do := u.commands()
			do("restore", u.from)
			u.look(do)
			do("backup", filepath.Join(t.TempDir(), "again"))
			u.serve()
		})
	}
}

// OPS-3: a dump that an earlier version's PostgreSQL made, with mail, queue and reports, is
// loaded with PostgreSQL's own tools, upgrades, lists all that it did, and a server runs on it.
func TestUpgradePostgres(t *testing.T) {
	t.Parallel()
	dumps, err := filepath.Glob(filepath.Join("testdata", "postgres", "*", "rows.txt"))
	if err != nil || len(dumps) == 0 {
		t.Fatalf("%d dumps, %v", len(dumps), err)
	}
	for _, file := range dumps {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			t.Parallel()
			u := upgraded{t, filepath.Dir(file), t.TempDir(), storetest.Postgres(t)}
			u.load()
			u.look(u.commands())
			u.serve()
		})
	}
}

// upgraded is a store of an earlier version.
type upgraded struct {
	t         *testing.T
	from, dir string // where it comes from, and the new server's directory
	postgres  string // the address of its database; "": it is the server's own
}

// load fills the database. The schema in the dump is called waxwing_dump.
func (u upgraded) load() {
	t := u.t
	t.Helper()
	f, err := os.Open(filepath.Join(u.from, "dump.sql.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zr)
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(u.postgres)
	if err != nil {
		t.Fatal(err)
	}
	q := at.Query()
	schema := q.Get("search_path")
	q.Del("search_path")
	at.RawQuery = q.Encode()
	sql := strings.NewReplacer("CREATE SCHEMA waxwing_dump;", "", "waxwing_dump.", schema+".").Replace(string(text))
	cmd := exec.Command("psql", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction", at.String())
	cmd.Stdin = strings.NewReader(sql)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("psql: %v: %s", err, out)
	}
}

// commands are those on the store. Each must succeed.
func (u upgraded) commands() func(...string) called {
	t := u.t
	conf := filepath.Join(u.dir, "waxwing.toml")
	text := fmt.Sprintf("postgres = %q\n", u.postgres) + "hostname = \"mx.sender.test\"\ndata_dir = \"data\"\n[[listen]]\naddress = \"127.0.0.1:0\"\nkind = \"metrics\"\n" +
		"[resolver]\nservers = [\"127.0.0.1:9\"]\nselftest = { signed = \"\", bogus = \"\", large = \"\" }\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(args ...string) called {
		t.Helper()
		c := call(t, append(args, "--config", conf)...)
		if c.code != 0 {
			t.Fatalf("%v: %d, %s", args, c.code, c.stderr)
		}
		return c
	}
}

// look holds what is listed against what was listed then, and reads all mail.
func (u upgraded) look(do func(...string) called) {
	t := u.t
	t.Helper()
	want, err := os.ReadFile(filepath.Join(u.from, "rows.txt"))
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for line := range strings.Lines(string(want)) {
		var n int
		if _, err := fmt.Sscan(line, &n); err != nil {
			t.Fatal(err)
		}
		_, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		var rows []json.RawMessage
		if err := json.Unmarshal([]byte(do(append(strings.Fields(command), "--json")...).stdout), &rows); err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		if len(rows) != n {
			t.Errorf("%s: %d rows, there were %d", command, len(rows), n)
		}
		if account, ok := strings.CutPrefix(command, "mail list "); ok {
			readAll(t, strings.Fields(account)[0], do)
		}
		total += n
	}
	if total < 30 {
		t.Errorf("only %d rows", total)
	}
}

// serve runs a server on the store.
func (u upgraded) serve() {
	t := u.t
	t.Helper()
	cmd := (&killed{t: t, dir: u.dir}).waxwing("serve")
	log := &lockedBuffer{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	said(t, log, "msg=serving", 1)
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Errorf("serve: %v: %s", err, log.String())
	}
}

// readAll reads every message of an account.
func readAll(t *testing.T, account string, do func(...string) called) {
	t.Helper()
	var rows []struct{ ID string }
	if err := json.Unmarshal([]byte(do("mail", "list", account, "--json").stdout), &rows); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if c := do("mail", "show", r.ID); !strings.Contains(c.stdout, "\nSubject: ") {
			t.Errorf("message %s: %q", r.ID, c.stdout)
		}
	}
}
