package config

import "reflect"

// Document is another file in TOML than the configuration, read as strictly as it: unknown
// keys are faults, and all faults are told at once, each with line and column.
type Document struct {
	d   decoder
	bad map[string]bool // keys whose value could not be read
}

// ParseDocument reads the text of a file into the struct that into points to, by its tags
// toml, required, oneof, min and max; name is for messages. What can be read is there also
// where there are faults, which Err tells. A text that is no TOML is an error at once: Errors.
func ParseDocument(name string, text []byte, into any) (*Document, error) {
	doc := &Document{decoder{file: name, columns: true}, map[string]bool{}}
	tree, err := doc.d.tree(text)
	if err != nil {
		return nil, err
	}
	doc.d.table("", tree, reflect.ValueOf(into).Elem())
	for _, e := range doc.d.errs {
		doc.bad[e.Key] = true
	}
	return doc, nil
}

// Fault adds a fault of a key, such as "domain[2].name". Of a key that could not be read that
// is told already.
func (doc *Document) Fault(key, format string, args ...any) {
	if !doc.bad[key] {
		doc.d.fault(key, format, args...)
	}
}

// Line is where a key stands, or what encloses it, from 1; 0 for nowhere.
func (doc *Document) Line(key string) int { return doc.d.line(key) }

// Err is Errors with all faults, by line; nil where there is none.
func (doc *Document) Err() error { return doc.d.all() }
