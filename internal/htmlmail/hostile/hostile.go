// Package hostile has HTML as those write it who want to know who reads their mail, or want to run scripts where it is read: for tests.
package hostile

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/tools/txtar"
)

//go:embed tracking.txtar
var tracking []byte

//go:embed scripts.txtar
var scripts []byte

// Form is a piece of HTML.
type Form struct{ Name, HTML string }

// Tracking are the forms that ask for something elsewhere; address is what the form of that name asks for, and begins with "http://".
func Tracking(address func(name string) string) []Form {
	return forms(tracking, func(name string) *strings.Replacer {
		u := address(name)
		return strings.NewReplacer("{{U}}", u, "{{P}}", strings.TrimPrefix(u, "http:"), "{{H}}", strings.TrimPrefix(u, "http://"), "{{E}}", references(u))
	})
}

// Scripts are the forms that run scripts; script is what the form of that name runs, and has no quotes.
func Scripts(script func(name string) string) []Form {
	return forms(scripts, func(name string) *strings.Replacer {
		s := script(name)
		return strings.NewReplacer("{{S}}", s, "{{N}}", references(s), "{{B}}", base64.StdEncoding.EncodeToString([]byte(s)))
	})
}

func forms(table []byte, of func(name string) *strings.Replacer) (all []Form) {
	for _, f := range txtar.Parse(table).Files {
		all = append(all, Form{f.Name, of(f.Name).Replace(string(f.Data))})
	}
	return all
}

// references are the characters of a text as HTML may name them.
func references(s string) string {
	var b strings.Builder
	for _, r := range s {
		fmt.Fprintf(&b, "&#%d;", r)
	}
	return b.String()
}
