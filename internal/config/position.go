package config

import (
	"strconv"
	"strings"
)

// maxDepth bounds nested arrays and inline tables.
const maxDepth = 64

// positions finds the line of each key and array element of a TOML text that
// has been parsed without an error; the library tells lines of syntax errors
// alone. Keys are as in Error.Key: "listen[0].address", "delivery.retry[2]".
func positions(text string) map[string]int {
	p := &scanner{text: text, line: 1, lines: make(map[string]int), tables: make(map[string]int)}
	prefix := ""
	for p.space(); p.pos < len(p.text); p.space() {
		line, at := p.line, p.pos
		switch {
		case p.take("[["):
			path := p.key("")
			p.take("]]")
			n := p.tables[path]
			p.tables[path] = n + 1
			prefix = path + "[" + strconv.Itoa(n) + "]"
			p.note(prefix, line)
		case p.take("["):
			prefix = p.key("")
			p.take("]")
			p.note(prefix, line)
		default:
			p.pair(prefix, 0)
		}
		if p.pos == at { // cannot be in valid text
			break
		}
	}
	return p.lines
}

type scanner struct {
	text   string
	pos    int
	line   int
	lines  map[string]int
	tables map[string]int // tables of each array seen so far
}

// note records the first line of a key.
func (p *scanner) note(path string, line int) {
	if _, ok := p.lines[path]; !ok {
		p.lines[path] = line
	}
}

func (p *scanner) take(s string) bool {
	if !strings.HasPrefix(p.text[p.pos:], s) {
		return false
	}
	p.skip(len(s))
	return true
}

func (p *scanner) skip(n int) {
	n = min(n, len(p.text)-p.pos)
	p.line += strings.Count(p.text[p.pos:p.pos+n], "\n")
	p.pos += n
}

// space skips white space, line ends and comments.
func (p *scanner) space() {
	for p.pos < len(p.text) {
		switch p.text[p.pos] {
		case ' ', '\t', '\r', '\n':
			p.skip(1)
		case '#':
			if i := strings.IndexByte(p.text[p.pos:], '\n'); i >= 0 {
				p.skip(i)
			} else {
				p.pos = len(p.text)
			}
		default:
			return
		}
	}
}

// key reads a dotted key and returns its path under prefix. A part that names
// an array of tables means the last of them.
func (p *scanner) key(prefix string) string {
	path := prefix
	for {
		p.space()
		part := p.keyPart()
		if path != "" {
			path += "."
		}
		path += part
		p.space()
		if !p.take(".") {
			return path
		}
		if n := p.tables[path]; n > 0 {
			path += "[" + strconv.Itoa(n-1) + "]"
		}
	}
}

func (p *scanner) keyPart() string {
	start := p.pos
	if p.pos < len(p.text) && (p.text[p.pos] == '"' || p.text[p.pos] == '\'') {
		p.str()
		raw := p.text[start:p.pos]
		if s, err := strconv.Unquote(raw); err == nil && raw[0] == '"' {
			return s
		}
		return strings.Trim(raw, `'"`)
	}
	for p.pos < len(p.text) && !strings.ContainsRune(" \t\r\n.=]#,}", rune(p.text[p.pos])) {
		p.pos++
	}
	return p.text[start:p.pos]
}

// pair reads key = value.
func (p *scanner) pair(prefix string, depth int) {
	line := p.line
	path := p.key(prefix)
	p.note(path, line)
	p.space()
	p.take("=")
	p.value(path, depth)
}

func (p *scanner) value(path string, depth int) {
	p.space()
	if p.pos >= len(p.text) || depth > maxDepth {
		p.pos = len(p.text)
		return
	}
	switch p.text[p.pos] {
	case '"', '\'':
		p.str()
	case '[':
		n := 0
		p.items("]", func() {
			element := path + "[" + strconv.Itoa(n) + "]"
			n++
			p.note(element, p.line)
			p.value(element, depth+1)
		})
	case '{':
		p.items("}", func() { p.pair(path, depth+1) })
	default:
		for p.pos < len(p.text) && !strings.ContainsRune(",]}\n#", rune(p.text[p.pos])) {
			p.pos++
		}
	}
}

// items reads what stands between brackets, parted by commas.
func (p *scanner) items(end string, item func()) {
	p.skip(1)
	for {
		p.space()
		at := p.pos
		if p.pos >= len(p.text) || p.take(end) {
			return
		}
		item()
		p.space()
		p.take(",")
		if p.pos == at {
			return
		}
	}
}

// str skips one string of any of the four kinds.
func (p *scanner) str() {
	quote := p.text[p.pos : p.pos+1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(p.text[p.pos:], triple) {
		quote = triple
	}
	p.skip(len(quote))
	for p.pos < len(p.text) {
		switch {
		case p.text[p.pos] == '\\' && quote[0] == '"':
			p.skip(2)
		case strings.HasPrefix(p.text[p.pos:], quote):
			p.skip(len(quote))
			// Up to two quotes may stand before the closing three.
			for len(quote) == 3 && p.pos < len(p.text) && p.text[p.pos] == quote[0] {
				p.pos++
			}
			return
		default:
			p.skip(1)
		}
	}
}
