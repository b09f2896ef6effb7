package inventory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"waxwing/internal/config"
)

// MaxFile bounds a document, in octets: some 100,000 accounts with their passwords.
const MaxFile = 64 << 20

// Parse reads a document. Its faults are the Document's; the error is one of the text as a
// whole. What the fields' text means is for package provision to check.
func Parse(name string, text []byte) (*Inventory, *config.Document, error) {
	if len(text) > MaxFile {
		return nil, nil, config.Errors{{File: name, Text: fmt.Sprintf("larger than %d octets: this is no file of \"waxwing export\"", MaxFile)}}
	}
	inv := &Inventory{}
	doc, err := config.ParseDocument(name, text, inv)
	if err != nil {
		return nil, nil, err
	}
	if inv.Version > Version {
		doc.Fault("version", "%d is of a newer program; this one reads up to %d", inv.Version, Version)
	}
	return inv, doc, nil
}

// Unique adds to doc a fault for each entry that stands in a section twice. Routes may.
func (inv *Inventory) Unique(doc *config.Document) {
	for _, s := range sections() {
		if s.ordered {
			continue
		}
		entries, _ := s.of(inv)
		first := map[string]int{}
		for i, e := range entries {
			if n, twice := first[e.Key()]; twice {
				doc.Fault(path(s.name, i), "%s %s stands in line %d already", s.name, e.Key(), doc.Line(path(s.name, n)))
				continue
			}
			first[e.Key()] = i
		}
	}
}

func path(section string, index int) string { return fmt.Sprintf("%s[%d]", section, index) }

// Format writes a document; head is the comment before it, without its number signs. The same
// inventory is the same text: entries stand in the order of their keys, routes in their own.
func (inv *Inventory) Format(head string) ([]byte, error) {
	out := inv.sorted()
	out.Version = Version
	text, err := toml.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("write the document: %w", err)
	}
	var b strings.Builder
	for line := range strings.Lines(head) {
		b.WriteString(strings.TrimRight("# "+line, " \n") + "\n")
	}
	return append([]byte(b.String()+"\n"), text...), nil
}

// sorted is the inventory with its entries in the order of their keys, but for sections
// whose order says something.
func (inv *Inventory) sorted() *Inventory {
	out := &Inventory{Version: inv.Version}
	for _, s := range sections() {
		entries, told := s.of(inv)
		if !told {
			continue
		}
		if !s.ordered {
			slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Key(), b.Key()) })
		}
		s.set(out, entries)
	}
	return out
}
