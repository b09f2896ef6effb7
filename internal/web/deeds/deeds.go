// Package deeds is what pages are put together of that show and change something (ADM-1): places, each
// a page, and deeds, each a form with the command that does the same. What a deed does is a function of
// the room that has it; nothing is decided here.
package deeds

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"waxwing/internal/text"
	"waxwing/internal/web/pages"
)

// Subject is the pages about one thing, and what can be done there.
type Subject struct {
	Places []Place
	Deeds  []Deed
}

// Place is one page.
type Place struct {
	Group, Name string // in the list of all pages; Name "": it is not there
	Under       string // the path of the page that lists the things of which this page shows one; "": none
	Path        string // whole, perhaps with parts in braces as http.ServeMux has them
	Show        func(*http.Request) (pages.Page, error)
}

// ErrMissing: the page is about something that is not there.
var ErrMissing = errors.New("there is nothing at this address")

// Deed is something that a form does.
type Deed struct {
	Path    string // whole, that the form goes to
	Title   string // of the form; "": it stands among others
	Says    string // the text of its button
	Command string // that does the same, as its help has it, without the program's name; "": that is told after it was done
	Fields  []pages.Field
	Sure    string // what is to be ticked first, since it cannot be undone; "": it can
	Do      func(context.Context, Values) (Done, error)
}

// Done is what came of a deed.
type Done struct {
	Command string // that does the same, whole; with an error too, once it is known
	Outcome string // a sentence
	Back    string // the path to go on with
	// Blocks are shown in place of Back: what is told this once, and what was found.
	Blocks []pages.Block
}

// ErrNotSure: the box was not ticked.
var ErrNotSure = errors.New("this cannot be undone: tick the box if you are sure")

// Run does it, where whoever asked is sure.
func (d Deed) Run(ctx context.Context, v Values) (Done, error) {
	if d.Sure != "" && v.Get("sure") != "yes" {
		return Done{}, ErrNotSure
	}
	return d.Do(ctx, v)
}

// Form asks for what the deed needs. known are names and values in turn: of fields, which have the value then,
// and of others, which are sent along.
func (d Deed) Form(known ...string) pages.Form {
	f := pages.Form{Title: d.Title, Method: "post", Action: d.Path, Submit: d.Says, Danger: d.Sure != "", Sure: d.Sure, Command: command(d.Command), Fields: slices.Clone(d.Fields)}
	for i := 0; i+1 < len(known); i += 2 {
		at := slices.IndexFunc(f.Fields, func(x pages.Field) bool { return x.Name == known[i] })
		if at < 0 {
			f.Fields = append(f.Fields, pages.Field{Name: known[i], Kind: "hidden", Value: known[i+1]})
			continue
		}
		f.Fields[at].Value = known[i+1]
	}
	return f
}

// OneOf is the deed's form for one of several things, which is chosen; none where there is nothing to choose from.
func (d Deed) OneOf(title, name, label string, options []string, known ...string) []pages.Block {
	if len(options) == 0 {
		return nil
	}
	f := d.Form(known...)
	f.Title, f.Folded = title, true
	f.Fields = slices.DeleteFunc(f.Fields, func(x pages.Field) bool { return x.Name == name })
	f.Fields = append(f.Fields, pages.Field{Name: name, Label: label, Kind: "select", Options: options})
	return []pages.Block{f}
}

func command(s string) string {
	if s == "" {
		return ""
	}
	return "waxwing " + s
}

// Values are what was typed.
type Values struct{ url.Values }

// Text is a value without blanks around it.
func (v Values) Text(name string) string { return strings.TrimSpace(v.Get(name)) }

// Yes reports whether a choice is yes.
func (v Values) Yes(name string) bool { return v.Get(name) == "yes" }

// Words are what stands in a field, with blanks, commas or line ends between.
func (v Values) Words(name string) []string {
	return strings.FieldsFunc(v.Get(name), func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' || r == '\t' })
}

// Need is a value that must be there.
func (v Values) Need(name string) (string, error) {
	s := v.Text(name)
	if s == "" {
		return "", fmt.Errorf("%s is missing", strings.ReplaceAll(name, "_", " "))
	}
	return s, nil
}

// Command is a whole command of its parts: those of verb stand as they are, and arguments as a shell wants
// them. Empty ones are left out.
func Command(verb string, arguments ...string) string {
	out := []string{"waxwing " + verb}
	for _, a := range arguments {
		switch {
		case a == "":
		case strings.HasPrefix(a, "--"):
			flag, value, has := strings.Cut(a, " ")
			if has {
				flag += " " + text.ShellWord(value)
			}
			out = append(out, flag)
		default:
			out = append(out, text.ShellWord(a))
		}
	}
	return strings.Join(out, " ")
}

// Flag is a flag with its value; "" where there is none.
func Flag(name, value string) string {
	if value == "" {
		return ""
	}
	return "--" + name + " " + value
}

// YesNo are the options of a choice; the first changes nothing.
func YesNo() []string { return []string{"", "yes", "no"} }
