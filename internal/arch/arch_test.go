package arch

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// layers is docs/architecture.md as data: a package imports only packages of
// lower layers. Layer 0 may import itself, acyclically (the compiler sees to that).
var layers = map[int][]string{
	0:  {"dns", "dns/dnstest", "smtp", "smtpclient", "smtpserver", "sasl", "dane", "mtasts", "tlsrpt", "message", "dsn", "dkim", "spf", "dmarc", "dmarcrpt", "sieve", "imap", "socketmap", "proxyproto", "peers", "internal/guard", "internal/guard/guardtest", "internal/foreign"},
	1:  {"internal/delivery", "internal/account", "internal/mailbox", "internal/config", "internal/schema", "internal/turns"},
	2:  {"internal/route", "internal/policy", "internal/retry", "internal/sound", "internal/dnsrecords", "internal/keystage"},
	3:  {"internal/store"},
	4:  {"internal/store/storetest", "internal/destination", "internal/stspolicy", "internal/stspublish", "internal/session", "internal/tlsresult", "internal/posture", "internal/certs", "internal/signing", "internal/login", "internal/accounts", "internal/allowance", "internal/body", "internal/routes", "internal/holds", "internal/suppression", "internal/verify", "internal/metrics", "internal/panics", "internal/logline", "internal/disk", "internal/sockets"},
	5:  {"internal/transport", "internal/mailboxes", "internal/dispatch", "internal/dnscheck"},
	6:  {"internal/queue", "internal/explain"},
	7:  {"internal/receive", "internal/submitsocket", "internal/tlsreport", "internal/dmarcreport", "internal/companion"},
	8:  {"internal/web/reports", "internal/web/policies", "internal/control", "internal/cli", "internal/sendmail"},
	9:  {"internal/server"},
	10: {"cmd/waxwing", "bench", "bench/mailperf", "bench/abuse"},
}

// free packages stand beside the layers: tests and demonstrations.
var free = map[string]bool{"internal/arch": true, "internal/lab": true, "internal/lab/stories": true, "internal/interop": true, "scripts/testsum": true, "scripts/mutate": true}

// labUsers may import the lab outside their tests.
var labUsers = map[string]bool{"cmd/waxwing": true, "internal/lab": true, "internal/lab/stories": true}

// pure packages choose and do no I/O (the architecture's one law).
var pure = []string{"internal/route", "internal/policy", "internal/retry", "internal/dispatch", "internal/sound", "internal/dnsrecords", "internal/keystage"}

// impure are imports that a pure package must not have.
var impure = map[string]bool{"net": true, "os": true, "database/sql": true, "context": true, "log/slog": true, "net/http": true, "io": true, "time/tzdata": true, "waxwing/internal/store": true}

func layerOf() map[string]int {
	m := map[string]int{}
	for n, pkgs := range layers {
		for _, p := range pkgs {
			m[p] = n
		}
	}
	return m
}

// tree reads the imports of every package's non-test files.
func tree(t *testing.T) map[string]map[string][]string {
	t.Helper()
	root := filepath.Join("..", "..")
	got := map[string]map[string][]string{} // package → import → files
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			name := d.Name()
			if path != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(rel))
		if got[pkg] == nil {
			got[pkg] = map[string][]string{}
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range f.Imports {
			p, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			got[pkg][p] = append(got[pkg][p], rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) < 10 {
		t.Fatalf("read only %d packages: is %s the root of the tree?", len(got), root)
	}
	return got
}

func TestLayers(t *testing.T) {
	t.Parallel()
	layer := layerOf()
	for pkg, imports := range tree(t) {
		own, ok := layer[pkg]
		if !ok && !free[pkg] {
			t.Errorf("package %s has no layer: give it one here and in docs/architecture.md", pkg)
			continue
		}
		if free[pkg] {
			continue
		}
		for imp, files := range imports {
			in, ok := strings.CutPrefix(imp, "waxwing/")
			if !ok {
				continue
			}
			if free[in] && labUsers[pkg] {
				continue
			}
			other, known := layer[in]
			switch {
			case !known:
				t.Errorf("%s imports %s, which has no layer", files[0], in)
			case other == 0 && own == 0:
			case other >= own:
				t.Errorf("%s: %s (layer %d) imports %s (layer %d); only lower layers are allowed", files[0], pkg, own, in, other)
			}
		}
	}
}

func TestPureRoomsDoNoIO(t *testing.T) {
	t.Parallel()
	all := tree(t)
	for _, pkg := range pure {
		for imp, files := range all[pkg] {
			if impure[imp] {
				t.Errorf("%s: package %s is pure and must not import %q", files[0], pkg, imp)
			}
		}
	}
}

// TestArchitecturePage holds the page against the table: every package of the
// table that exists is named on it.
func TestArchitecturePage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range tree(t) {
		name := "`" + strings.TrimPrefix(pkg, "internal/") + "`"
		if !strings.Contains(string(page), name) {
			t.Errorf("docs/architecture.md does not name package %s (as %s)", pkg, name)
		}
	}
}
