package htmlmail

import (
	"strings"

	"golang.org/x/net/html"
)

// Node is simple HTML, as a page builds it element by element and never reads it as HTML: a text, or an element with
// what is in it.
type Node struct {
	Tag  string  `json:"tag,omitempty"`
	Text string  `json:"text,omitempty"`
	Href string  `json:"href,omitempty"`
	In   []*Node `json:"in,omitempty"`
}

// Bounds of a quote.
const (
	maxNodes  = 20_000
	maxLevels = 100
)

// Quote is what an answer quotes of HTML: its text, headings, lists and links; no pictures, no styles.
func Quote(source string) []*Node {
	if len(source) > MaxHTML {
		source = strings.ToValidUTF8(source[:MaxHTML], "")
	}
	root, err := html.ParseWithOptions(strings.NewReader(source), html.ParseOptionEnableScripting(false))
	if err != nil {
		return QuoteText(Lines(source))
	}
	q := &quoter{left: maxNodes}
	to := &Node{}
	q.node(to, root, 0)
	return tidy(to.In)
}

// QuoteText is the same of plain text.
func QuoteText(lines []Line) []*Node {
	root := &Node{}
	at := []*Node{root}
	for i, l := range lines {
		if i > maxNodes/2 {
			break
		}
		for len(at)-1 > l.Depth {
			at = at[:len(at)-1]
		}
		for len(at)-1 < l.Depth {
			q := &Node{Tag: "blockquote"}
			at[len(at)-1].In = append(at[len(at)-1].In, q)
			at = append(at, q)
		}
		p := &Node{Tag: "p", In: []*Node{{Text: l.Text}}}
		if l.Text == "" {
			p.In = []*Node{{Tag: "br"}}
		}
		at[len(at)-1].In = append(at[len(at)-1].In, p)
	}
	return root.In
}

type quoter struct{ left int }

// blocks are elements that begin a line of their own.
var blocks = set(`address article aside center dd dir div dl dt fieldset figcaption figure footer form h4 h5 h6 header hr main nav section table
	tbody tfoot thead tr caption details summary`)

func (q *quoter) node(to *Node, n *html.Node, depth int) {
	if q.left--; q.left < 0 || depth > maxDepth {
		return
	}
	switch {
	case n.Type == html.TextNode:
		if s := squeeze(n); s != "" {
			to.In = append(to.In, &Node{Text: s})
		}
	case n.Type == html.DocumentNode:
		q.children(to, n, depth)
	case n.Type != html.ElementNode || n.Namespace != "" || gone[n.Data]:
	case n.Data == "img":
		if alt := strings.TrimSpace(cut(attribute(n, "alt"), maxAttribute)); alt != "" {
			to.In = append(to.In, &Node{Text: "[" + alt + "]"})
		}
	case depth > maxLevels:
		q.children(to, n, depth)
	case simple[n.Data]:
		in := &Node{Tag: n.Data}
		if n.Data == "a" {
			href, _, ok := link(attribute(n, "href"))
			if !ok || strings.HasPrefix(href, "#") {
				q.children(to, n, depth)
				return
			}
			in.Href = href
		}
		q.children(in, n, depth)
		to.In = append(to.In, in)
	case blocks[n.Data]:
		in := &Node{Tag: "p"}
		q.children(in, n, depth)
		to.In = append(to.In, in)
	case n.Data == "td" || n.Data == "th":
		q.children(to, n, depth)
		to.In = append(to.In, &Node{Text: " "})
	default:
		q.children(to, n, depth)
	}
}

func (q *quoter) children(to *Node, n *html.Node, depth int) {
	for c := range n.ChildNodes() {
		q.node(to, c, depth+1)
	}
}

// squeeze is a text with one blank for all white space together, but in pre.
func squeeze(n *html.Node) string {
	if n.Parent != nil && n.Parent.Data == "pre" {
		return n.Data
	}
	s := strings.Join(strings.FieldsFunc(n.Data, blank), " ")
	if s == "" {
		if n.PrevSibling == nil || n.NextSibling == nil {
			return ""
		}
		return " "
	}
	if blank(rune(n.Data[0])) {
		s = " " + s
	}
	if blank(rune(n.Data[len(n.Data)-1])) {
		s += " "
	}
	return s
}

func blank(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == '\f' }

// tidy lifts what stands in paragraphs of paragraphs, which layout by tables leaves, and drops those in which is nothing.
func tidy(all []*Node) []*Node {
	var out []*Node
	for _, n := range all {
		if n.Tag == "" {
			out = append(out, n)
			continue
		}
		n.In = tidy(n.In)
		switch {
		case n.Tag == "p" && holdsBlocks(n):
			out = append(out, n.In...)
		case n.Tag != "br" && !says(n):
		default:
			out = append(out, n)
		}
	}
	return out
}

func holdsBlocks(n *Node) bool {
	for _, c := range n.In {
		switch c.Tag {
		case "p", "blockquote", "ul", "ol", "pre", "h1", "h2", "h3":
			return true
		}
	}
	return false
}

// says tells whether there is text in a node.
func says(n *Node) bool {
	if strings.TrimSpace(n.Text) != "" || n.Tag == "br" {
		return true
	}
	for _, c := range n.In {
		if says(c) {
			return true
		}
	}
	return false
}

// Plain is the text of a quote, a line or a paragraph each.
func Plain(all []*Node) []Line {
	p := &plainer{}
	p.nodes(all, 0)
	p.end(0)
	return p.lines
}

type plainer struct {
	lines []Line
	line  strings.Builder
}

func (p *plainer) end(depth int) {
	if s := strings.TrimSpace(p.line.String()); s != "" {
		p.lines = append(p.lines, Line{min(depth, maxQuotes), s})
	}
	p.line.Reset()
}

func (p *plainer) nodes(all []*Node, depth int) {
	for _, n := range all {
		switch n.Tag {
		case "":
			p.line.WriteString(n.Text)
		case "br":
			if p.line.Len() == 0 {
				p.lines = append(p.lines, Line{Depth: min(depth, maxQuotes)})
			}
			p.end(depth)
		case "blockquote":
			p.end(depth)
			p.nodes(n.In, depth+1)
			p.end(depth + 1)
		case "p", "ul", "ol", "h1", "h2", "h3", "pre":
			p.end(depth)
			p.nodes(n.In, depth)
			p.end(depth)
		case "li":
			p.end(depth)
			p.line.WriteString("- ")
			p.nodes(n.In, depth)
			p.end(depth)
		case "a":
			p.nodes(n.In, depth)
			if says(n) && n.Href != "" && !strings.Contains(text(n), strings.TrimSuffix(strings.TrimPrefix(n.Href, "mailto:"), "/")) {
				p.line.WriteString(" <" + n.Href + ">")
			}
		default:
			p.nodes(n.In, depth)
		}
	}
}

func text(n *Node) string {
	var b strings.Builder
	b.WriteString(n.Text)
	for _, c := range n.In {
		b.WriteString(text(c))
	}
	return b.String()
}
