package config

import (
	"strconv"

	"github.com/pelletier/go-toml/v2/unstable"
)

// positions finds the line of each key and array element of a TOML text that
// has been decoded without an error: decoding into a tree keeps no positions.
// Keys are as in Error.Key: "listen[0].address", "delivery.retry[2]".
func positions(text []byte) map[string]int {
	p := locator{lines: make(map[string]int), tables: make(map[string]int)}
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
	return p.lines
}

type locator struct {
	parser unstable.Parser
	lines  map[string]int
	tables map[string]int // tables of each array seen so far
}

// note records the first line of a path.
func (p *locator) note(path string, n *unstable.Node) {
	if _, ok := p.lines[path]; !ok {
		p.lines[path] = p.parser.Shape(n.Raw).Start.Line
	}
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
