package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mutant is one change of one file.
type mutant struct {
	key  string // names it by function and expression, so that it outlives other changes
	file string
	line int
	text []byte // of the whole file, changed
}

// flips are the operators and what they become: comparisons of order move their
// border, those of equality turn round.
var flips = map[token.Token]string{
	token.EQL: "!=", token.NEQ: "==", token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">", token.LAND: "||", token.LOR: "&&",
}

// mutants are all of a package, in the order of its files.
func mutants(pkg string) ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(pkg, "*.go"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("%s holds no Go files", pkg)
	}
	var out []mutant
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		more, err := mutantsOf(pkg, file)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// site is a place that can be flipped.
type site struct {
	from, to int // octets of the file that are replaced
	with     string
	expr     ast.Expr
}

func mutantsOf(pkg, file string) ([]mutant, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, src, 0)
	if err != nil {
		return nil, err
	}
	at := func(p token.Pos) int { return fset.Position(p).Offset }
	var out []mutant
	seen := map[string]int{}
	for _, d := range f.Decls {
		name := "var"
		if fn, ok := d.(*ast.FuncDecl); ok {
			name = fn.Name.Name
		}
		for _, s := range sites(d, at) {
			expr := strings.Join(strings.Fields(string(src[at(s.expr.Pos()):at(s.expr.End())])), " ")
			key := fmt.Sprintf("%s %s: %s -> %q", pkg, name, expr, s.with)
			if seen[key]++; seen[key] > 1 {
				key += fmt.Sprintf(" #%d", seen[key])
			}
			out = append(out, mutant{key, file, fset.Position(s.expr.Pos()).Line, slices.Concat(src[:s.from], []byte(s.with), src[s.to:])})
		}
	}
	return out, nil
}

func sites(d ast.Decl, at func(token.Pos) int) []site {
	var out []site
	ast.Inspect(d, func(n ast.Node) bool {
		switch e := n.(type) {
		case *ast.BinaryExpr:
			if with, ok := flips[e.Op]; ok {
				out = append(out, site{at(e.OpPos), at(e.OpPos) + len(e.Op.String()), with, e})
			}
		case *ast.UnaryExpr:
			if e.Op == token.NOT {
				out = append(out, site{at(e.OpPos), at(e.OpPos) + 1, "", e})
			}
		case *ast.Ident:
			if other := map[string]string{"true": "false", "false": "true"}[e.Name]; other != "" {
				out = append(out, site{at(e.Pos()), at(e.End()), other, e})
			}
		}
		return true
	})
	return out
}
