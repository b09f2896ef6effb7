package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"waxwing/internal/guard"
)

// A panic never ends the server (OPS-9). These tests see to the two ways in which one
// could all the same: on a goroutine that nobody guards, and by a lock that is never
// given back.

// unserved holds packages that are no part of a running server: what stands in for the world
// in tests and the lab, sendmail (a process for one call), load generators, tools, and the guard itself.
func unserved(path string) bool {
	if path == "internal/control/client.go" || path == "internal/cli/password.go" { // what commands use
		return true
	}
	for _, dir := range []string{"internal/lab", "internal/sendmail", "internal/guard", "internal/interop", "dns/dnstest", "milter/miltertest", "bench", "scripts"} {
		if path == dir || strings.HasPrefix(path, dir+"/") {
			return true
		}
	}
	return false
}

// TestAreasAreTested: a test names each area, as one that contains a panic.
func TestAreasAreTested(t *testing.T) {
	whole(t)
	t.Parallel()
	src, err := os.ReadFile(filepath.Join("..", "guard", "area.go"))
	if err != nil {
		t.Fatal(err)
	}
	areas := regexp.MustCompile(`(?m)^\t(\w+) +Area = "`).FindAllStringSubmatch(string(src), -1)
	if n := len(guard.Areas()); len(areas) != n || n < 20 {
		t.Errorf("%d constants and %d areas in the table", len(areas), n)
	}
	tested := map[string]bool{}
	cites := regexp.MustCompile(`\bguard\.(\w+)`)
	err = filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") || d.Name() == "panic_test.go" && filepath.Base(filepath.Dir(path)) == "arch" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range cites.FindAllStringSubmatch(string(b), -1) {
			tested[m[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range areas {
		if !tested[a[1]] {
			t.Errorf("no test shows that a panic of guard.%s is contained", a[1])
		}
	}
}

// sources parses every non-test file of the running server.
func sources(t *testing.T, each func(fset *token.FileSet, f *ast.File)) {
	t.Helper()
	root, n := filepath.Join("..", ".."), 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "testdata" || unserved(filepath.ToSlash(rel))) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || unserved(filepath.ToSlash(rel)) {
			return nil
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		n++
		each(fset, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 200 {
		t.Fatalf("only %d files were read: does the test still see the tree?", n)
	}
}

// TestGoroutinesAreGuarded: every goroutine of the server is started by package guard, and
// what others call on goroutines of theirs is guarded.
func TestGoroutinesAreGuarded(t *testing.T) {
	whole(t)
	t.Parallel()
	found := 0
	sources(t, func(fset *token.FileSet, f *ast.File) {
		for _, x := range collectors(f) {
			t.Errorf("%s: %s", fset.Position(x.at), x.text)
		}
		for _, fault := range unguarded(f, &found) {
			t.Errorf("%s: %s", fset.Position(fault.at), fault.text)
		}
	})
	if found < 30 {
		t.Errorf("only %d goroutines were seen: does the test still look?", found)
	}
}

type fault struct {
	at   token.Pos
	text string
}

// unguarded finds what may panic on a goroutine that has no guard; n counts what it looked at.
func unguarded(f *ast.File, n *int) (out []fault) {
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		groups := guardGroups(fn)
		ast.Inspect(fn, func(node ast.Node) bool {
			switch x := node.(type) {
			case *ast.GoStmt:
				*n++
				out = append(out, fault{x.Pos(), "a go statement: start the goroutine by guard.Guard or guard.Group"})
			case *ast.CallExpr:
				name := selected(x)
				if text := faultOf(x, name, groups); text != "" {
					out = append(out, fault{x.Pos(), text})
				}
				if starts[name] {
					*n++
				}
			case *ast.KeyValueExpr:
				if k, ok := x.Key.(*ast.Ident); ok && callbacks[k.Name] {
					*n++
					if !mentionsGuard(x.Value, f) {
						out = append(out, fault{x.Pos(), k.Name + " is called on a goroutine of the library: guard it"})
					}
				}
			}
			return true
		})
	}
	return out
}

// collectors finds metrics that are computed when they are asked for: the Prometheus
// library does so on goroutines of its own.
func collectors(f *ast.File) (out []fault) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.CallExpr:
			if name := selected(x); (name == "NewGaugeFunc" || name == "NewCounterFunc") && !containsCall(x, "Do") && !containsCall(x, "Try") {
				out = append(out, fault{x.Pos(), name + ": the function runs on a goroutine of the library: guard it"})
			}
		case *ast.FuncDecl:
			if x.Name.Name == "Collect" && x.Recv != nil && !containsCall(x, "Do") && !containsCall(x, "Try") {
				out = append(out, fault{x.Pos(), "Collect runs on a goroutine of the library: guard it"})
			}
		}
		return true
	})
	return out
}

// starts are functions that start goroutines.
var starts = map[string]bool{"Go": true, "In": true, "AfterFunc": true, "DoChan": true}

// callbacks are fields of the standard library whose functions run on goroutines of its own.
var callbacks = map[string]bool{"DialContext": true, "DialTLSContext": true}

// faultOf says what is wrong with a call that starts a goroutine; "": nothing.
func faultOf(x *ast.CallExpr, name string, groups map[string]bool) string {
	switch name {
	case "Go":
		if groups[receiver(x)] || firstIsArea(x) {
			return ""
		}
		return "a goroutine without a guard: use guard.Guard.Go, guard.Guard.In or guard.Group"
	case "AfterFunc":
		if last := x.Args[len(x.Args)-1]; !trivial(last) && !guardFunc(last) {
			return "the function runs on a goroutine of its own: wrap it by guard.Guard.Func, or let it only close or set a deadline"
		}
	case "DoChan":
		if !containsCall(x.Args[len(x.Args)-1], "Try") {
			return "singleflight throws a panic of the function where nobody can contain it: guard.Guard.Try"
		}
	}
	return ""
}

func selected(x *ast.CallExpr) string {
	if s, ok := x.Fun.(*ast.SelectorExpr); ok {
		return s.Sel.Name
	}
	return ""
}

func receiver(x *ast.CallExpr) string {
	if s, ok := x.Fun.(*ast.SelectorExpr); ok {
		if id, ok := s.X.(*ast.Ident); ok {
			return id.Name
		}
	}
	return ""
}

// guardGroups are the variables of a function that are guard.Groups.
func guardGroups(fn *ast.FuncDecl) map[string]bool {
	out := map[string]bool{}
	ast.Inspect(fn, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && v.Type != nil && isGuard(v.Type, "Group") {
			for _, name := range v.Names {
				out[name.Name] = true
			}
		}
		return true
	})
	return out
}

func isGuard(e ast.Expr, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	id, ok := s.X.(*ast.Ident)
	return ok && id.Name == "guard" && (name == "" || s.Sel.Name == name)
}

// firstIsArea: one of the first two arguments is a guard.Area, which only package guard takes;
// it may be a variable or field of that name.
func firstIsArea(x *ast.CallExpr) bool {
	for _, a := range x.Args[:min(2, len(x.Args))] {
		id, ok := a.(*ast.Ident)
		field, has := a.(*ast.SelectorExpr)
		if isGuard(a, "") || ok && id.Name == "area" || has && strings.EqualFold(field.Sel.Name, "area") {
			return true
		}
	}
	return false
}

// guardFunc: e is a call of guard.Guard.Func.
func guardFunc(e ast.Expr) bool {
	x, ok := e.(*ast.CallExpr)
	return ok && selected(x) == "Func" && firstIsArea(x)
}

// trivial: a function that does nothing but close and set deadlines, or the one that
// ends a context.
func trivial(e ast.Expr) bool {
	if id, ok := e.(*ast.Ident); ok {
		return id.Name == "cancel"
	}
	lit, ok := e.(*ast.FuncLit)
	if !ok {
		return false
	}
	for _, s := range lit.Body.List {
		var call ast.Expr
		switch x := s.(type) {
		case *ast.ExprStmt:
			call = x.X
		case *ast.AssignStmt:
			call = x.Rhs[0]
		}
		x, ok := call.(*ast.CallExpr)
		if !ok {
			return false
		}
		switch selected(x) {
		case "Close", "SetDeadline", "SetReadDeadline", "SetWriteDeadline":
		default:
			return false
		}
	}
	return true
}

func containsCall(e ast.Node, name string) (yes bool) {
	ast.Inspect(e, func(n ast.Node) bool {
		if x, ok := n.(*ast.CallExpr); ok && selected(x) == name && firstIsArea(x) {
			yes = true
		}
		return true
	})
	return yes
}

// mentionsGuard: the function guards itself, or is a method of the same file that does.
func mentionsGuard(e ast.Expr, f *ast.File) bool {
	if containsCall(e, "Try") {
		return true
	}
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil && fn.Name.Name == s.Sel.Name {
			return containsCall(fn, "Try")
		}
	}
	return false
}

// TestLocksSurvivePanics: between Lock and an Unlock that is not deferred nothing is called
// that could panic, since the panic is contained and the lock would stay.
func TestLocksSurvivePanics(t *testing.T) {
	whole(t)
	t.Parallel()
	found := 0
	sources(t, func(fset *token.FileSet, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			if b, ok := n.(*ast.BlockStmt); ok {
				for _, x := range heldCalls(b.List, &found) {
					t.Errorf("%s: %s: a panic here keeps the lock for ever; defer the Unlock, in a function of its own", fset.Position(x.at), x.text)
				}
			}
			return true
		})
	})
	if found < 10 {
		t.Errorf("only %d locks were seen: does the test still look?", found)
	}
}

// harmless are calls that cannot panic where a lock is held, or nobody can help it.
var harmless = map[string]bool{
	"len": true, "cap": true, "append": true, "delete": true, "make": true, "min": true, "max": true, "clear": true, "close": true, "copy": true,
	"Now": true, "Since": true, "Sub": true, "Add": true, "Before": true, "After": true, "IsZero": true, "Equal": true, "DialContext": true,
	"Load": true, "Store": true, "Unlock": true, "RUnlock": true, "Lock": true, "Stop": true, "Reset": true,
}

// heldCalls are the calls behind a Lock whose Unlock is not deferred.
func heldCalls(list []ast.Stmt, n *int) (out []fault) {
	held := false
	for i, s := range list {
		switch name := lockCall(s); {
		case name == "Lock" || name == "RLock":
			*n++
			held = true
			if i+1 < len(list) {
				_, deferred := list[i+1].(*ast.DeferStmt)
				held = !deferred
			}
		case name == "Unlock" || name == "RUnlock":
			held = false
		case held:
			ast.Inspect(s, func(node ast.Node) bool {
				if x, ok := node.(*ast.CallExpr); ok {
					name := selected(x)
					if id, ok := x.Fun.(*ast.Ident); ok {
						name = id.Name
					}
					if _, conversion := x.Fun.(*ast.ArrayType); !conversion && !harmless[name] {
						out = append(out, fault{x.Pos(), fmt.Sprintf("%s is called with a lock held", name)})
					}
				}
				return true
			})
		}
	}
	return out
}

// lockCall is the method that a statement calls on a mutex; "" for others.
func lockCall(s ast.Stmt) string {
	e, ok := s.(*ast.ExprStmt)
	if !ok {
		return ""
	}
	x, ok := e.X.(*ast.CallExpr)
	if !ok {
		return ""
	}
	switch name := selected(x); name {
	case "Lock", "RLock", "Unlock", "RUnlock":
		return name
	}
	return ""
}
