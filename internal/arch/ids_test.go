package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestIdentifiersAreNoNumbers (OPS-7): a field that JSON calls an id is text in
// every package (delivery.ID is). Many programs round a number beyond 2^53, and
// the ids of the store are larger.
func TestIdentifiersAreNoNumbers(t *testing.T) {
	whole(t)
	t.Parallel()
	seen := 0
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			field, ok := n.(*ast.Field)
			if !ok || !identifies(field) {
				return true
			}
			seen++
			if typ, ok := field.Type.(*ast.Ident); ok && strings.Contains(typ.Name, "int") {
				t.Errorf("%s: the field tagged %s is of type %s: make it a delivery.ID", path, field.Tag.Value, typ.Name)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 8 {
		t.Errorf("only %d fields were found: does the test still see them?", seen)
	}
}

// identifies reports whether JSON names the field an identifier of the store.
func identifies(f *ast.Field) bool {
	if f.Tag == nil {
		return false
	}
	tag, err := strconv.Unquote(f.Tag.Value)
	if err != nil {
		return false
	}
	name, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
	return slices.Contains([]string{"id", "message", "report", "rule", "route", "attempt", "recipient_id"}, name) ||
		strings.HasSuffix(name, "_id") || strings.HasSuffix(name, "-id")
}
