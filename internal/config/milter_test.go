package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// JNK-3: what a [[milter]] table may say, and what it means where it says nothing.
func TestMilters(t *testing.T) {
	t.Parallel()
	const head = "hostname = \"mx.example.org\"\n[[listen]]\naddress = \"127.0.0.1:25\"\nkind = \"mx\"\n"
	one := func(name, address, rest string) string {
		return fmt.Sprintf("[[milter]]\nname = %q\naddress = %q\n%s\n", name, address, rest)
	}
	good := one("av", "unix:/run/av", "")
	for _, tt := range []struct{ text, fault string }{
		{good, ""}, {one("a", "127.0.0.1:8891", ""), ""}, {one("a", "[::1]:8891", ""), ""}, {one("a", "clamav:7357", ""), ""},
		{one("a", "unix:run", ""), "is neither"}, {one("a", "127.0.0.1", ""), "is neither"}, {one("a", ":25", ""), "is neither"}, {one("a", "a:0", ""), "is neither"},
		{one("a", "a:x", ""), "is neither"}, {one("a", "8891@localhost:1", ""), "is neither"}, {one("a", "inet:8891@localhost", ""), "is neither"},
		{one("A", "a:1", ""), "is no name"}, {one("rspamd", "a:1", ""), "is no name"}, {one("-a", "a:1", ""), "is no name"}, {good + good, "another milter's name"},
		{"[[milter]]\nname = \"a\"\n", "address"}, {"[[milter]]\naddress = \"a:1\"\n", "name"},
		{one("a", "a:1", `for = ["mx", "submission"]`), ""}, {one("a", "a:1", `for = ["lmtp"]`), "none of"},
		{one("a", "a:1", `on_failure = "junk"`), ""}, {one("a", "a:1", "on_failure = \"junk\"\nfor = [\"submission\"]"), "cannot go into Junk"},
		{one("a", "a:1", `on_failure = "tempfail"`), "none of"}, {one("a", "a:1", `quarantine = "hold"`), ""}, {one("a", "a:1", `quarantine = "drop"`), "none of"},
		{one("a", "a:1", `timeout = "3m"`) + one("b", "a:1", `timeout = "1m"`), ""}, {one("a", "a:1", `timeout = "3m"`) + one("b", "a:1", `timeout = "1m1s"`), "together"},
	} {
		_, err := Parse("w", []byte(head+tt.text))
		if (err != nil) != (tt.fault != "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
			t.Errorf("%s%v, want %q", tt.text, err, tt.fault)
		}
	}
	many := ""
	for i := range maxMilters + 1 {
		many += one(fmt.Sprint("m", i), "a:1", "timeout = \"1s\"")
	}
	if _, err := Parse("w", []byte(head+many)); err == nil || !strings.Contains(err.Error(), "11 milters") {
		t.Errorf("%v", err)
	}
	m := Milter{}
	if !m.AskedAbout(OfServers) || m.AskedAbout(OfAccounts) || m.Wait() != 30*time.Second {
		t.Errorf("%+v", m)
	}
	m = Milter{For: []MailOf{OfAccounts}, Timeout: time.Second}
	if m.AskedAbout(OfServers) || !m.AskedAbout(OfAccounts) || m.Wait() != time.Second {
		t.Errorf("%+v", m)
	}
}
