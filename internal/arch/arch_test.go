package arch

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// whole skips a test of a sample (-short): source is read, and a race detector, say, has nothing to find in that.
func whole(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("source is read only without -short")
	}
}

// labUsers may import what stands beside the layers outside their tests.
var labUsers = map[string]bool{"cmd/waxwing/begin": true, "cmd/waxwing/command": true}

// pureLayer is that of the packages which choose and do no I/O (the architecture's one
// law); alsoPure are others that do none, and stand higher or lower for what they read.
const pureLayer = 2

var alsoPure = map[string]bool{"internal/dispatch": true, "internal/retry": true, "internal/dnsfinding": true, "internal/bars": true, "internal/htmlmail": true, "ical": true}

// impure are imports that a pure package must not have.
var impure = map[string]bool{"net": true, "os": true, "database/sql": true, "context": true, "log/slog": true, "net/http": true, "io": true, "time/tzdata": true, "waxwing/internal/store": true}

// beside is the layer of tests and demonstrations, which may import anything.
const beside = -1

var (
	layerRow = regexp.MustCompile(`^\| (\d+|–)[^|]*\|([^|]*)\|`)
	room     = regexp.MustCompile("`([a-z0-9/]+)`")
)

// layersOf reads the layer of each package from docs/architecture.md. The page leaves
// "internal/" out.
func layersOf(t *testing.T, all map[string]map[string][]string) map[string]int {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	layers := map[string]int{}
	for line := range strings.SplitSeq(string(page), "\n") {
		row := layerRow.FindStringSubmatch(line)
		if row == nil {
			continue
		}
		n, err := strconv.Atoi(row[1])
		if err != nil {
			n = beside
		}
		for _, m := range room.FindAllStringSubmatch(row[2], -1) {
			pkg := m[1]
			if all[pkg] == nil {
				pkg = "internal/" + pkg
			}
			if all[pkg] == nil {
				t.Errorf("docs/architecture.md names a package that does not exist: %s", m[1])
			}
			if _, twice := layers[pkg]; twice {
				t.Errorf("docs/architecture.md has two layers for %s", pkg)
			}
			layers[pkg] = n
		}
	}
	if len(layers) < 10 {
		t.Fatalf("docs/architecture.md has a layer for %d packages only", len(layers))
	}
	return layers
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

// TestLayers: a package imports only packages of lower layers. Layer 0 may import
// itself, acyclically (the compiler sees to that).
func TestLayers(t *testing.T) {
	whole(t)
	t.Parallel()
	all := tree(t)
	layers := layersOf(t, all)
	for pkg, imports := range all {
		own, ok := layers[pkg]
		if !ok {
			t.Errorf("package %s has no layer: give it one in docs/architecture.md", pkg)
		}
		if !ok || own == beside {
			continue
		}
		for imp, files := range imports {
			in, ok := strings.CutPrefix(imp, "waxwing/")
			if !ok {
				continue
			}
			switch other := layers[in]; {
			case other == beside && labUsers[pkg], other == 0 && own == 0:
			case other == beside, other >= own:
				t.Errorf("%s: %s (layer %d) imports %s (layer %d); only lower layers are allowed", files[0], pkg, own, in, other)
			}
		}
	}
}

func TestPureRoomsDoNoIO(t *testing.T) {
	whole(t)
	t.Parallel()
	all := tree(t)
	n := 0
	for pkg, layer := range layersOf(t, all) {
		if layer != pureLayer && !alsoPure[pkg] {
			continue
		}
		n++
		for imp, files := range all[pkg] {
			if impure[imp] {
				t.Errorf("%s: package %s is pure and must not import %q", files[0], pkg, imp)
			}
		}
	}
	if n < 3 {
		t.Errorf("only %d packages are pure", n)
	}
}
