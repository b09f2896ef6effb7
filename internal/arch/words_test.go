package arch

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"

	"waxwing/internal/reason"
)

// The one room of reason words, and its type.
const (
	reasonRoom = "waxwing/internal/reason"
	wordType   = reasonRoom + ".Word"
)

// otherWords are hyphenated words that other vocabularies share with the reasons, by the
// folder in which they stand for something else.
var otherWords = map[string]string{
	"tls-optional":  "internal/delivery internal/sendmail", // a sender's need
	"tls-required":  "dkim",                                // a header field
	"dane-required": "tlsrpt",                              // a result type of RFC 8460
	"bare-newline":  "smtpserver",                          // why a client's session was ended
}

// TestReasonsAreNamed: a reason is written as a string in its room only; everybody else
// uses the constants, so that no word is misspelt or unexplained. And each of them is used.
func TestReasonsAreNamed(t *testing.T) {
	whole(t)
	t.Parallel()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	pkgs, err := packages.Load(&packages.Config{Dir: root, Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles |
		packages.NeedImports | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo}, "./...")
	if err != nil {
		t.Fatal(err)
	}
	w := &wordChecker{t: t, root: root, used: map[string]bool{}, words: map[string]bool{}}
	for _, e := range reason.All() {
		w.words[string(e.Word)] = true
	}
	for _, p := range pkgs {
		if len(p.Errors) > 0 {
			t.Fatalf("%s: %v", p.PkgPath, p.Errors)
		}
		switch p.PkgPath {
		case reasonRoom:
		case "waxwing/internal/lab": // its stories are named after what they show
		default:
			w.check(p)
		}
	}
	if len(w.used) < 100 {
		t.Errorf("only %d reason words were found: does the test still see them?", len(w.used))
	}
	for _, p := range pkgs {
		if p.PkgPath != reasonRoom {
			continue
		}
		for _, name := range p.Types.Scope().Names() {
			c, ok := p.Types.Scope().Lookup(name).(*types.Const)
			if ok && strings.HasPrefix(c.Type().String(), reasonRoom+".") && c.Val().Kind() == constant.String && !w.used[name] && !strings.HasPrefix(name, "Alert") { // those are made from what a host sends
				t.Errorf("reason.%s is used nowhere", name)
			}
		}
	}
}

type wordChecker struct {
	t     *testing.T
	root  string
	words map[string]bool // of the table
	used  map[string]bool // constants of the room
}

func (w *wordChecker) check(p *packages.Package) {
	for id, o := range p.TypesInfo.Uses {
		if c, ok := o.(*types.Const); ok && c.Pkg() != nil && c.Pkg().Path() == reasonRoom {
			w.used[id.Name] = true
		}
	}
	for _, f := range p.Syntax {
		ast.Inspect(f, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				w.literal(p, l)
			}
			return true
		})
	}
}

// literal: no reason is made of a string, and no string with a hyphen repeats one; the
// words without, such as "timeout", stand for other things too.
func (w *wordChecker) literal(p *packages.Package, l *ast.BasicLit) {
	s, err := strconv.Unquote(l.Value)
	if err != nil || s == "" {
		return
	}
	at := p.Fset.Position(l.Pos())
	file, err := filepath.Rel(w.root, at.Filename)
	if err != nil {
		w.t.Fatal(err)
	}
	if tv := p.TypesInfo.Types[l]; tv.Type != nil && types.Unalias(tv.Type).String() == wordType {
		w.t.Errorf("%s:%d: the reason %q is written as a string: use the constant of internal/reason", file, at.Line, s)
		return
	}
	if !w.words[s] || !strings.Contains(s, "-") {
		return
	}
	for folder := range strings.FieldsSeq(otherWords[s]) {
		if filepath.ToSlash(filepath.Dir(file)) == folder {
			return
		}
	}
	w.t.Errorf("%s:%d: the string %q repeats a reason: use string(reason.…)", file, at.Line, s)
}
