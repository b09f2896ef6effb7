package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A file is open to others by its own mode and those of all directories above.
func TestOpen(t *testing.T) {
	t.Parallel()
	for file := range fs.FileMode(0o1000) {
		for _, above := range [][]fs.FileMode{{}, {0o755}, {0o711, 0o755}, {0o700, 0o755}, {0o755, 0o750}, {0o1777, 0o755}} {
			want := file&0o004 != 0 && !slices.Contains(above, 0o700) && !slices.Contains(above, 0o750)
			if got := open(file, above); got != want {
				t.Errorf("%o below %o: %v", file, above, got)
			}
		}
	}
}

// world is a directory that everybody can look into, as /etc is.
func world(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "waxwing-exposed-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if probe := filepath.Join(dir, "probe"); os.WriteFile(probe, nil, 0o644) != nil || !OthersRead(probe) {
		t.Skipf("nobody else can look into %s", dir)
	}
	return dir
}

// A configuration with a secret in it that everybody can read is refused, or told of
// where that is allowed; so is a private key.
func TestExposed(t *testing.T) {
	t.Parallel()
	dir := world(t)
	const listening = "[[listen]]\naddress = \"127.0.0.1:2525\"\nkind = \"mx\"\n"
	const head = "hostname = \"mx.example.org\"\n"
	key := filepath.Join(dir, "host.key")
	if err := os.WriteFile(key, []byte("key"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"no secret":               {head, 0o644, ""},
		"a password":              {head + "postgres = \"postgres://waxwing:secret@db/waxwing\"\n", 0o644, ":2: postgres: everybody on this machine can read this file"},
		"a password in the query": {head + "postgres = \"postgres://waxwing@db/waxwing?password=secret\"\n", 0o644, ": postgres: everybody"},
		"for nobody else":         {head + "postgres = \"postgres://waxwing:secret@db/waxwing\"\n", 0o600, ""},
		"for a group":             {head + "postgres = \"postgres://waxwing:secret@db/waxwing\"\n", 0o640, ""},
		"a database, no password": {head + "postgres = \"postgres://waxwing@db/waxwing\"\n", 0o644, ""},
		"a hook":                  {head + "[tlsrpt]\nalert_webhook = \"https://chat.example.org/token\"\n", 0o644, ":3: tlsrpt.alert_webhook: everybody"},
		"a private key":           {head + "[tls]\ncert_file = \"host.crt\"\nkey_file = \"host.key\"\n", 0o600, ": tls.key_file: everybody on this machine can read the private key"},
		"warn":                    {head + "exposed_secrets = \"warn\"\npostgres = \"postgres://waxwing:secret@db/waxwing\"\n", 0o644, ": postgres: everybody"},
	} {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".toml")
		if err := os.WriteFile(path, []byte(tt.text+listening), tt.mode); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path)
		if err != nil {
			t.Fatal(name, err)
		}
		got := c.Exposed().Error()
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) || strings.Contains(got, "waxwing:secret") {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		err = c.Check()
		if refused := err != nil && strings.Contains(err.Error(), "everybody"); refused != (tt.want != "" && name != "warn") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every key that is declared secret is looked at.
func TestSecretKeys(t *testing.T) {
	t.Parallel()
	c, err := Parse("x.toml", []byte("hostname = \"mx.example.org\"\npostgres = \"postgres://a:b@c/d\"\n[acme]\nexternal_account_id = \"k\"\nexternal_account_key = \"c2VjcmV0\"\n[dns.update]\nzones = [\"example.org\"]\nkey_name = \"k\"\nkey_secret = \"c2VjcmV0\"\n[tlsrpt]\nalert_webhook = \"https://chat.example.org/x\"\n[junk.rspamd]\nurl = \"http://127.0.0.1:11334\"\npassword = \"secret\"\n[[listen]]\naddress = \"127.0.0.1:2525\"\nkind = \"mx\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	for _, s := range sections() {
		for _, k := range s.keys {
			if k.secret {
				declared = append(declared, join(s.path, k.name))
			}
		}
	}
	if got := c.secrets(); !slices.Equal(got, declared) {
		t.Errorf("looked at are %v, declared are %v: set the new one in this test", got, declared)
	}
}
