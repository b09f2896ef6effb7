package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"testing"
)

// otherKeys are keys of log lines that say by another name what docs/operating/log.md has
// a key for.
var otherKeys = map[string]string{
	"err": "error", "cause": "error", "fault": "error",
	"reason": "word, or text for a sentence", "why": "word, or text for a sentence",
	"detail": "text", "note": "text", "msg": "text", "ip": "remote", "addr": "address",
	"rcpt": "recipient", "from_address": "sender",
}

// logCalls are the methods of slog.Logger that take keys, and what stands before these.
var logCalls = map[string]int{"Debug": 1, "Info": 1, "Warn": 1, "Error": 1, "Log": 3, "With": 0}

// TestLogKeys: one thing has one key in the log, whoever logs it.
func TestLogKeys(t *testing.T) {
	whole(t)
	t.Parallel()
	seen := 0
	for pkg, imports := range tree(t) {
		for _, file := range filesOf(imports) {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, "../../"+file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				for _, key := range keysOf(n) {
					seen++
					if use := otherKeys[key]; use != "" {
						t.Errorf("%s: the log's key %q in %s: use %s", fset.Position(n.Pos()), key, pkg, use)
					}
				}
				return true
			})
		}
	}
	if seen < 200 {
		t.Errorf("only %d keys were seen", seen)
	}
}

// keysOf are the keys of a call that logs, as far as they are literals.
func keysOf(n ast.Node) (keys []string) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return nil
	}
	fun, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	before, ok := logCalls[fun.Sel.Name]
	if !ok || len(call.Args) < before+2 {
		return nil
	}
	for i := before; i+1 < len(call.Args); i += 2 {
		lit, ok := call.Args[i].(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return keys
		}
		if key, err := strconv.Unquote(lit.Value); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// filesOf are the files of a package that import anything.
func filesOf(imports map[string][]string) []string {
	set := map[string]bool{}
	for _, files := range imports {
		for _, f := range files {
			set[f] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}
