package setup_test

import (
	"errors"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"waxwing/dns"
	"waxwing/internal/config"
	"waxwing/internal/setup"
)

// every calls fn with each combination of wishes and facts.
func every(fn func(w setup.Wish, f setup.Facts)) {
	for n := range 1 << 9 {
		bit := func(i int) bool { return n>>i&1 == 1 }
		w := setup.Wish{Address: "you@example.org", Account: "you", Domain: dns.MustParse("example.org"), Local: bit(0)}
		f := setup.Facts{Root: bit(3), User: bit(4), Unit: bit(5), Systemd: bit(6), LocalResolver: bit(7), Writable: bit(8), Program: "/opt/waxwing",
			Ports: map[string]int{"mx": 2525, "submission": 2587, "submissions": 2465, "metrics": 2592}}
		if bit(1) || w.Local {
			w.Dir = "/srv/mail box"
		}
		if bit(2) && !w.Local {
			w.User = "joe"
		}
		fn(w, f)
	}
}

// TestDecide (SET-1, SET-3): over all wishes and facts, what is refused is what cannot be
// done, and what is planned is a configuration in order, with everything where it was
// wished.
func TestDecide(t *testing.T) {
	t.Parallel()
	planned := 0
	every(func(w setup.Wish, f setup.Facts) {
		p, err := setup.Decide(w, f)
		cannot := !w.Local && (!f.Root && (w.Dir == "" && !f.Writable || w.User != "") || f.Root && !f.User)
		if (err != nil) != cannot {
			t.Fatalf("%+v %+v: %v", w, f, err)
		}
		if err != nil {
			return
		}
		planned++
		cfg, err := config.Parse(p.Config.Path, []byte(p.Config.Text))
		if err != nil {
			t.Fatalf("%+v %+v: %v\n%s", w, f, err, p.Config.Text)
		}
		if cfg.DataDir != p.DataDir || cfg.Hostname.ASCII() != "mail.example.org" {
			t.Errorf("%+v %+v: %s in %s, planned %s", w, f, cfg.Hostname, cfg.DataDir, p.DataDir)
		}
		for _, file := range append(p.Files, p.Config) {
			if w.Dir != "" && !strings.HasPrefix(file.Path, w.Dir+"/") || w.Dir == "" && !strings.HasPrefix(file.Path, "/etc/") {
				t.Errorf("%+v %+v: %s", w, f, file.Path)
			}
		}
		if !w.Local {
			checkInternet(t, p, f, cfg)
		}
	})
	if planned < 200 {
		t.Errorf("only %d plans", planned)
	}
}

func checkInternet(t *testing.T, p setup.Plan, f setup.Facts, cfg *config.Config) {
	t.Helper()
	system, w := p.Wish.Dir == "", p.Wish
	kinds := map[config.Kind]uint16{}
	for _, l := range cfg.Listen {
		kinds[l.Kind] = l.Address.Port()
		if (l.Kind == config.Metrics || l.Kind == config.Admin) != l.Address.Addr().IsLoopback() {
			t.Errorf("%s listens on %s", l.Kind, l.Address)
		}
	}
	if kinds[config.MX] != 25 || kinds[config.Submission] != 587 || kinds[config.Submissions] != 465 || kinds[config.HTTPS] != 443 || kinds[config.Metrics] == 0 || kinds[config.Admin] == 0 {
		t.Errorf("listeners %v", kinds)
	}
	if cfg.ACME.Directory != setup.Authority || !cfg.ACME.AgreeTerms || !cfg.UsesHostKeys() || !slices.Equal(cfg.Challenges(), []string{"tls-alpn-01"}) {
		t.Errorf("authority %+v, challenges %v", cfg.ACME, cfg.Challenges())
	}
	if in := "directory " + path.Base(cfg.HostKeysDir()) + " below\n# data_dir"; path.Dir(cfg.HostKeysDir()) != p.DataDir || !strings.Contains(p.Config.Text, in) {
		t.Errorf("the host's keys are in %s, and the configuration does not say %q", cfg.HostKeysDir(), in)
	}
	if got := cfg.Resolver.Servers[0]; (got == "127.0.0.1") != f.LocalResolver || p.Validate == f.LocalResolver {
		t.Errorf("%+v: resolver %s", f, got)
	}
	if (p.User != "") != f.Root || f.Root && p.User != map[bool]string{true: "joe", false: "waxwing"}[w.User == "joe"] {
		t.Errorf("%+v: user %q", w, p.User)
	}
	if p.Config.Mode != 0o640 { // it may hold a password one day
		t.Errorf("mode %o", p.Config.Mode)
	}
	unit := ""
	for _, file := range p.Files {
		if path.Base(file.Path) == "waxwing.service" {
			unit = file.Path
		}
	}
	if want := !system || f.Systemd && !f.Unit; (unit != "") != want || (p.UnitHint != "") == system {
		t.Errorf("%+v: unit %q, hint %q", f, unit, p.UnitHint)
	}
}

// TestLongHostname: what does not fit is an error that names the way out.
func TestLongHostname(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("a", 62)
	long := dns.MustParse(strings.Join([]string{label, label, label, label}, "."))
	_, err := setup.Decide(setup.Wish{Address: "you@x", Account: "you", Domain: long, Dir: "/x"}, setup.Facts{})
	if err == nil || !strings.Contains(err.Error(), "--hostname") {
		t.Error(err)
	}
}

// TestUnit: the unit is the package's, with the user, the program and the places of this
// server, each once; a directory that systemd does not make is opened for writing.
func TestUnit(t *testing.T) {
	t.Parallel()
	packaged := setup.Unit("", "/usr/bin/waxwing", "/etc/waxwing/waxwing.toml", setup.SystemData)
	own := setup.Unit("joe", "/opt/waxwing", "/srv/w/waxwing.toml", "/srv/w/data")
	for _, want := range []string{"\nUser=joe\n", "\nGroup=joe\n", "\nExecStart=/opt/waxwing serve --config /srv/w/waxwing.toml\n", "\nConditionPathExists=/srv/w/waxwing.toml\n", "\nReadWritePaths=/srv/w/data\n"} {
		if strings.Count(own, want) != 1 {
			t.Errorf("the unit has %d times %q:\n%s", strings.Count(own, want), want, own)
		}
	}
	for _, want := range []string{"\nUser=waxwing\n", "\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n", "\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n", "\nNoNewPrivileges=yes\n", "\nStateDirectory=waxwing\n"} {
		if strings.Count(packaged, want) != 1 {
			t.Errorf("the package's unit has not %q", want)
		}
	}
	if strings.Contains(packaged, "ReadWritePaths") || strings.Contains(own, "/etc/waxwing") {
		t.Error("a unit has a place of another's")
	}
}

// TestSteps: the steps name what is left, in order: a resolver only where there is none,
// and the unit before the start.
func TestSteps(t *testing.T) {
	t.Parallel()
	every(func(w setup.Wish, f setup.Facts) {
		p, err := setup.Decide(w, f)
		if err != nil || w.Local {
			return
		}
		got := setup.Numbered(p.Steps(func(verb string) string { return "waxwing " + verb }))
		unbound, publish := strings.Index(got, "apt install unbound"), strings.Index(got, "waxwing dns records --zone example.org")
		unit, start := strings.Index(got, "install -m 0644"), strings.Index(got, "systemctl enable --now waxwing")
		if (unbound >= 0) == f.LocalResolver || unbound > publish || publish < 0 || start < publish || (unit >= 0) != (w.Dir != "") || unit > start {
			t.Errorf("%+v %+v:\n%s", w, f, got)
		}
	})
}

func TestWishRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ address, hostname, want string }{
		{"You@Example.org", "", "you example.org  "},
		{"you@example.org", "mx.example.net", "you example.org mx.example.net "},
		{"you", "", `"you" is no address such as you@example.test`},
		{"you@example.org> <", "", `"you@example.org> <" is no address such as you@example.test`},
		{"you@example.org", "mx..net", "--hostname: "},
	} {
		var w setup.Wish
		got := ""
		if err := w.Read(c.address, c.hostname); err != nil {
			got = err.Error()
		} else {
			got = w.Account + " " + w.Domain.ASCII() + " " + w.Hostname.ASCII() + " "
			if w.Address != c.address {
				t.Errorf("%s is kept as %s", c.address, w.Address)
			}
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s, %s: %q, want %q", c.address, c.hostname, got, c.want)
		}
	}
}

// TestUnitPlaces: whatever the paths hold that systemd reads in a way of its own, it gets
// them as they are; what it could not be told is refused. systemd itself is asked.
func TestUnitPlaces(t *testing.T) {
	t.Parallel()
	for _, odd := range []string{"mail box", "100%", `a"b`, `a\b`, "it's", "$HOME", "a;b", "ä", "%h $x \"y\" \\z"} {
		dir := filepath.Join(t.TempDir(), odd)
		program := filepath.Join(dir, "waxwing")
		if strings.ContainsAny(odd, "\"'\\") { // as a program it is refused
			program = filepath.Join(filepath.Dir(dir), "waxwing")
		}
		if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755)); err != nil {
			t.Fatal(err)
		}
		unit := setup.Unit("root", program, dir+"/waxwing.toml", dir+"/data")
		for _, key := range []string{"ExecStart", "ConditionPathExists", "ReadWritePaths"} {
			if strings.Count(unit, "\n"+key+"=") != 1 {
				t.Errorf("%q: the unit has not %s once", odd, key)
			}
		}
		for key, want := range map[string]string{"ExecStart": program + "\x00serve\x00--config\x00" + dir + "/waxwing.toml", "ReadWritePaths": dir + "/data"} {
			if got := systemdWords(t, unit, key); got != want {
				t.Errorf("%q: %s is read as %q, want %q", odd, key, got, want)
			}
		}
		if got := strings.ReplaceAll(value(unit, "ConditionPathExists"), "%%", "%"); got != dir+"/waxwing.toml" {
			t.Errorf("%q: the condition is read as %q", odd, got)
		}
		verify(t, unit)
	}
	for _, bad := range []string{`/a"b/waxwing`, `/a\b/waxwing`, "/a'b/waxwing"} {
		_, err := setup.Decide(setup.Wish{Address: "you@example.org", Account: "you", Domain: dns.MustParse("example.org"), Dir: "/srv/w"}, setup.Facts{Program: bad})
		if err == nil || !strings.Contains(err.Error(), "systemd runs no program") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for _, bad := range []string{"/a\nb", "/a\tb", "/a\x7fb", "/a\xffb"} {
		for _, local := range []bool{false, true} {
			w := setup.Wish{Address: "you@example.org", Account: "you", Domain: dns.MustParse("example.org"), Dir: bad, Local: local}
			if _, err := setup.Decide(w, setup.Facts{}); err == nil || !strings.Contains(err.Error(), "control characters") {
				t.Errorf("%q: %v", bad, err)
			}
		}
	}
}

func value(unit, key string) string {
	_, rest, _ := strings.Cut(unit, "\n"+key+"=")
	v, _, _ := strings.Cut(rest, "\n")
	return v
}

// systemdWords reads a value as systemd.syntax(7) has it: words apart by blanks, in quotes
// or not, with backslashes, doubled % and, in arguments of a command, doubled $.
func systemdWords(t *testing.T, unit, key string) string {
	t.Helper()
	var words []string
	var word strings.Builder
	quoted, in := false, false
	v := []rune(value(unit, key))
	for i := 0; i < len(v); i++ {
		switch {
		case v[i] == '\\':
			i++
			word.WriteRune(v[i])
		case v[i] == '"':
			quoted, in = !quoted, true
		case v[i] == ' ' && !quoted:
			words, in = append(words, word.String()), false
			word.Reset()
		case v[i] == '\'' && !quoted:
			t.Errorf("%s: a quote of another kind begins in %s", key, string(v))
		case v[i] == '%' || v[i] == '$' && len(words) > 0:
			if i++; i == len(v) || v[i] != v[i-1] {
				t.Errorf("%s: something is expanded in %s", key, string(v))
				return ""
			}
			word.WriteRune(v[i])
		default:
			word.WriteRune(v[i])
			in = true
		}
	}
	if in {
		words = append(words, word.String())
	}
	return strings.Join(words, "\x00")
}

// verify has systemd-analyze read a unit.
func verify(t *testing.T, unit string) {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		return
	}
	file := filepath.Join(t.TempDir(), "waxwing.service")
	if err := os.WriteFile(file, []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	out, _ := exec.Command("systemd-analyze", "verify", "--man=no", file).CombinedOutput()
	for line := range strings.SplitSeq(string(out), "\n") {
		if strings.Contains(line, "waxwing.service") && !strings.Contains(line, "unbound") && !strings.Contains(line, "postgresql") {
			t.Errorf("systemd-analyze: %s", line)
		}
	}
}
