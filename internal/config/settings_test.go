package config

import (
	"strings"
	"testing"
)

// ADM-2: what was read is shown with what stands for keys that the file does not name, and without secrets.
func TestSettings(t *testing.T) {
	t.Parallel()
	c, err := Parse("w", []byte("hostname = \"mx.example.org\"\npostgres = \"postgres://u:topsecret@db/x\"\n[[listen]]\naddress = \"127.0.0.1:25\"\nkind = \"mx\"\n[junk.rspamd]\nurl = \"http://127.0.0.1:1\"\npassword = \"topsecret\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]Setting{}
	for _, s := range c.Settings() {
		if strings.Contains(s.Value, "topsecret") {
			t.Errorf("%s shows a secret", s.Key)
		}
		found[s.Key] = s
	}
	for key, want := range map[string]Setting{
		"hostname": {"hostname", `"mx.example.org"`, true}, "listen[0].kind": {"listen[0].kind", `"mx"`, true}, "junk.rspamd.password": {"junk.rspamd.password", "set, and not shown", true},
		"postgres": {"postgres", "set, and not shown", true}, "tlsrpt.send": {"tlsrpt.send", "true", false},
	} {
		if found[key] != want {
			t.Errorf("%s: %+v, want %+v", key, found[key], want)
		}
	}
}
