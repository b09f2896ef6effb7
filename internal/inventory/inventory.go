// Package inventory is what an operator keeps in the store, as one document: domains,
// accounts, addresses, MTA-STS policies, DKIM keys, transports and routes (OPS-6). It reads
// and writes the document, and decides which changes lead from what there is to what is
// wanted. It is pure; package provision knows what stands behind the text of each field.
//
// A further section is a field of Inventory, a type with the methods of Entry, and a row in
// provision's table.
package inventory

import (
	"reflect"
	"strings"
)

// Version of the document. It grows with every change that an older program would misread.
const Version = 1

// Inventory is all of it. A section that is nil is not told of, one that is empty has no
// entries. Sections stand in the order in which entries need each other: each only such as
// stand before it.
type Inventory struct {
	Version    int         `toml:"version" required:"yes" example:"1" min:"1"`
	Domains    []Domain    `toml:"domain,omitzero"`
	Accounts   []Account   `toml:"account,omitzero"`
	Addresses  []Address   `toml:"address,omitzero"`
	Aliases    []Alias     `toml:"alias,omitzero"`
	Policies   []Policy    `toml:"mta_sts,omitzero"`
	Keys       []Key       `toml:"dkim,omitzero"`
	Transports []Transport `toml:"transport,omitzero"`
	Routes     []Route     `toml:"route,omitzero" ordered:"yes"`
	// Scripts of accounts are told of where that is asked for: their owners change them, and a document that is
	// older than such a change would undo it.
	Globals []GlobalScript `toml:"sieve_global,omitzero"`
	Scripts []Script       `toml:"sieve,omitzero"`
}

// Entry is one table of a section: a struct of text, numbers, truth values and lists of text,
// named by their tags toml. A field with the tag secret may be left out of a document; then
// it stays as it is. The tag key is on those that Key is made of.
type Entry interface {
	// Key names the entry in its section, and nothing else there.
	Key() string
	// Needs are entries of other sections without which this one cannot be.
	Needs() []Ref
	// Complete is the entry with the secrets that the document left out, from the entry
	// with its key as it is (nil: there is none). The error is why they cannot be had.
	Complete(now Entry) (Entry, error)
}

// Ref names an entry.
type Ref struct{ Section, Key string }

func (r Ref) String() string { return r.Section + " " + r.Key }

// section is one list of Inventory.
type section struct {
	name    string
	field   int
	ordered bool // the order of its entries says something
}

// sections are all of them, in the order of Inventory.
func sections() (all []section) {
	t := reflect.TypeFor[Inventory]()
	for i := range t.NumField() {
		if f := t.Field(i); f.Type.Kind() == reflect.Slice {
			all = append(all, section{tomlName(f), i, f.Tag.Get("ordered") != ""})
		}
	}
	return all
}

// Sections are the names of all sections.
func Sections() (names []string) {
	for _, s := range sections() {
		names = append(names, s.name)
	}
	return names
}

// Ordered reports a section whose order says something.
func Ordered(name string) bool {
	for _, s := range sections() {
		if s.name == name {
			return s.ordered
		}
	}
	return false
}

func tomlName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
	return name
}

// of are the section's entries in an inventory; told is whether it has the section.
func (s section) of(inv *Inventory) (entries []Entry, told bool) {
	v := reflect.ValueOf(inv).Elem().Field(s.field)
	for i := range v.Len() {
		entries = append(entries, v.Index(i).Interface().(Entry))
	}
	return entries, !v.IsNil()
}

// set makes entries the section of an inventory.
func (s section) set(inv *Inventory, entries []Entry) {
	v := reflect.ValueOf(inv).Elem().Field(s.field)
	out := reflect.MakeSlice(v.Type(), 0, len(entries))
	for _, e := range entries {
		out = reflect.Append(out, reflect.ValueOf(e))
	}
	v.Set(out)
}
