package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// maxFile bounds the file, in octets.
const maxFile = 1 << 20

// Error is one fault of the configuration.
type Error struct {
	File   string
	Line   int    // 0: of no line, such as a key that is missing altogether
	Column int    // of a Document, in characters; 0: not told
	Key    string // "delivery.retry[2]"; empty: of the file as a whole
	Text   string // what is wrong and what to write instead
}

func (e Error) Error() string {
	s := e.File
	if e.Line > 0 {
		s += fmt.Sprintf(":%d", e.Line)
	}
	if e.Column > 0 {
		s += fmt.Sprintf(":%d", e.Column)
	}
	if e.Key != "" {
		s += ": " + e.Key
	}
	return s + ": " + e.Text
}

// Errors is all faults of a file, by line.
type Errors []Error

// Error is one line for each fault.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Load reads and parses a file. The error is of the file system, or Errors.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	defer f.Close() // only read
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return Parse(path, data)
}

// Parse parses the text of a file; name is for messages, and relative paths in
// the text count from its directory. The error is Errors. A syntax error
// stands alone; otherwise all faults are told.
func Parse(name string, data []byte) (*Config, error) {
	if len(data) > maxFile {
		return nil, Errors{{File: name, Text: fmt.Sprintf("larger than %d octets: this is no configuration", maxFile)}}
	}
	d := decoder{file: name}
	tree, err := d.tree(data)
	if err != nil {
		return nil, err
	}
	c := Default()
	c.name, c.places = name, d.places
	d.table("", tree, reflect.ValueOf(c).Elem())
	c.validate(&d)
	if err := d.all(); err != nil {
		return nil, err
	}
	c.anchor(filepath.Dir(name))
	return c, nil
}

// tree parses a text; the error is Errors.
func (d *decoder) tree(text []byte) (tree map[string]any, err error) {
	err = toml.Unmarshal(text, &tree)
	var de *toml.DecodeError
	switch {
	case errors.As(err, &de):
		line, column := de.Position()
		if !d.columns {
			column = 0
		}
		return nil, Errors{{File: d.file, Line: line, Column: column, Key: strings.Join(de.Key(), "."), Text: strings.TrimPrefix(de.Error(), "toml: ")}}
	case err != nil:
		return nil, Errors{{File: d.file, Text: err.Error()}}
	}
	d.places = positions(text)
	return tree, nil
}

// anchor makes relative paths count from dir.
func (c *Config) anchor(dir string) {
	for _, p := range []*string{&c.DataDir, &c.TLS.CertFile, &c.TLS.KeyFile, &c.TLS.RootsFile, &c.ACME.RootsFile, &c.Sendmail.Socket, &c.Companion.Datagrams} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	for i := range c.Listen {
		for _, p := range []*string{&c.Listen[i].Socket, &c.Listen[i].ClientCA, &c.Listen[i].CertFile, &c.Listen[i].KeyFile} {
			if *p != "" && !filepath.IsAbs(*p) {
				*p = filepath.Join(dir, *p)
			}
		}
	}
	for i, p := range c.Companion.Policies {
		if path, ok := strings.CutPrefix(p, "unix:"); ok && !filepath.IsAbs(path) {
			c.Companion.Policies[i] = "unix:" + filepath.Join(dir, path)
		}
	}
}
