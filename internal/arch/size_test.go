package arch

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"testing"
)

// A room of more lines is a hall, and no stranger finds the place for the next one.
const (
	mostLines      = 3000 // of a package, without its tests
	mostParameters = 5
)

// TestRoomsAreNoHalls: a package can be read in an afternoon, a function's call at a glance.
func TestRoomsAreNoHalls(t *testing.T) {
	whole(t)
	t.Parallel()
	lines := map[string]int{}
	sources(t, func(fset *token.FileSet, f *ast.File) {
		file := fset.File(f.Pos())
		lines[filepath.Dir(file.Name())] += file.LineCount()
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Type.Params.NumFields() > mostParameters {
				t.Errorf("%s: %s has %d parameters, more than %d", fset.Position(fn.Pos()), fn.Name.Name, fn.Type.Params.NumFields(), mostParameters)
			}
		}
	})
	if len(lines) < 50 {
		t.Fatalf("only %d packages were read", len(lines))
	}
	for dir, n := range lines {
		if n > mostLines {
			t.Errorf("%s has %d lines, more than %d", dir, n, mostLines)
		}
	}
}
