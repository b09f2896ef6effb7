package config

import (
	"bytes"
	"sort"
	"strconv"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
)

// place is where something stands in a text: line and column from 1, the column in characters.
type place struct{ line, column int }

// positions finds the place of each key and array element of a TOML text that
// has been decoded without an error: decoding into a tree keeps no positions.
// Keys are as in Error.Key: "listen[0].address", "delivery.retry[2]".
func positions(text []byte) map[string]place {
	p := locator{text: text, places: make(map[string]place), tables: make(map[string]int)}
	for at := 0; ; {
		p.starts = append(p.starts, at)
		n := bytes.IndexByte(text[at:], '\n')
		if n < 0 {
			break
		}
		at += n + 1
	}
	p.parser.Reset(text)
	prefix := ""
	for p.parser.NextExpression() {
		switch e := p.parser.Expression(); e.Kind {
		case unstable.ArrayTable:
			path := p.key("", e.Key())
			n := p.tables[path]
			p.tables[path] = n + 1
			prefix = path + "[" + strconv.Itoa(n) + "]"
			p.note(prefix, e.Child())
		case unstable.Table:
			prefix = p.key("", e.Key())
			p.note(prefix, e.Child())
		case unstable.KeyValue:
			p.pair(prefix, e)
		}
	}
	return p.places
}

type locator struct {
	parser unstable.Parser
	text   []byte
	starts []int // offset of each line
	places map[string]place
	tables map[string]int // tables of each array seen so far
}

// note records the first place of a path.
func (p *locator) note(path string, n *unstable.Node) {
	if _, ok := p.places[path]; !ok {
		p.places[path] = p.at(int(n.Raw.Offset))
	}
}

// at is the place of an offset. The parser's own Shape counts from the beginning of the
// text each time, which long texts would feel.
func (p *locator) at(offset int) place {
	line := sort.SearchInts(p.starts, offset+1)
	return place{line, utf8.RuneCount(p.text[p.starts[line-1]:offset]) + 1}
}

// key is the path of a dotted key under prefix. A part that names an array of
// tables means the last of them.
func (p *locator) key(prefix string, parts unstable.Iterator) string {
	path := prefix
	for parts.Next() {
		if n := p.tables[path]; n > 0 && path != prefix {
			path += "[" + strconv.Itoa(n-1) + "]"
		}
		path = join(path, string(parts.Node().Data))
	}
	return path
}

func (p *locator) pair(prefix string, e *unstable.Node) {
	parts := e.Key()
	path := p.key(prefix, parts)
	p.note(path, e.Value().Next())
	p.value(path, e.Value())
}

func (p *locator) value(path string, v *unstable.Node) {
	children := v.Children()
	switch v.Kind {
	case unstable.Array:
		for n := 0; children.Next(); n++ {
			element := path + "[" + strconv.Itoa(n) + "]"
			if at := placed(children.Node()); at != nil {
				p.note(element, at)
			}
			p.value(element, children.Node())
		}
	case unstable.InlineTable:
		for children.Next() {
			p.pair(path, children.Node())
		}
	}
}

// placed is n or the first node in it that has a place of its own: a list has
// none. Nil for an empty list.
func placed(n *unstable.Node) *unstable.Node {
	for n.Valid() && n.Kind == unstable.Array {
		n = n.Child()
	}
	if !n.Valid() {
		return nil
	}
	return n
}
