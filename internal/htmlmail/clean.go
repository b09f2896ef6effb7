package htmlmail

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/microcosm-cc/bluemonday"
	"golang.org/x/net/html"
)

// Bounds of what is shown.
const (
	MaxHTML   = 2 << 20  // octets of HTML that are read
	maxInline = 10 << 20 // octets of pictures that are put into a document
	maxOut    = 8 << 20  // octets that are written, without pictures
	maxHosts  = 50       // that are named
	maxDepth  = 512      // elements in each other
)

// Words are what is written beside a mail's own text, in the reader's language.
type Words struct {
	Quoted string // what a folded quote is called
	Lies   string // before the host that a link's text named, where it leads to another
}

// Options say how HTML is shown.
type Options struct {
	// Remote has pictures loaded from elsewhere, by https.
	Remote bool
	// Picture is the part of the mail that a cid: or a location names; no data: there is none.
	Picture func(name string) (mediaType string, data []byte)
	Words   Words
	// Open leaves quotes open, as on paper.
	Open bool
}

// Document is HTML that may be shown.
type Document struct {
	HTML  string // stands in an element of class "mail"
	Style string // a style sheet for it
	// Remote is how many things would be loaded from elsewhere, and Hosts from where.
	Remote int
	Hosts  []string
	Cut    bool // it is longer than what is read
}

// Clean makes HTML of a mail fit to be shown.
func Clean(source string, o Options) Document {
	w := &cleaner{o: o}
	if len(source) > MaxHTML {
		source, w.doc.Cut = strings.ToValidUTF8(source[:MaxHTML], ""), true
	}
	w.css = &css{remote: w.remote, rules: maxRules, scope: ".mail"}
	root, err := html.ParseWithOptions(strings.NewReader(source), html.ParseOptionEnableScripting(false))
	if err != nil { // too deep
		w.doc.HTML = Text(Lines(source), TextOptions{Words: o.Words})
		return w.doc
	}
	w.node(root, 0)
	w.doc.HTML = second(o.Remote).Sanitize(w.out.String())
	slices.Sort(w.doc.Hosts)
	return w.doc
}

// cleaner writes a document.
type cleaner struct {
	o      Options
	css    *css
	out    strings.Builder
	doc    Document
	inline int // octets of pictures
	folded int // quotes around what is written
}

func (w *cleaner) node(n *html.Node, depth int) {
	if depth > maxDepth || w.out.Len() > maxOut+w.inline*2 {
		w.doc.Cut = true
		return
	}
	switch {
	case n.Type == html.TextNode:
		w.out.WriteString(html.EscapeString(n.Data))
	case n.Type == html.DocumentNode:
		w.children(n, depth)
	case n.Type != html.ElementNode:
	case n.Data == "style" && n.Namespace == "":
		w.sheet(n)
	case n.Namespace != "" || gone[n.Data]:
		w.lost(n, depth)
	case n.Data == "body":
		w.body(n, depth)
	case !elements[n.Data]:
		w.children(n, depth)
	case quotes(n) && w.folded == 0:
		w.fold(n, depth)
	case n.Data == "a":
		w.anchor(n, depth)
	case n.Data == "img":
		w.picture(n)
	default:
		w.element(n, depth)
	}
}

func (w *cleaner) children(n *html.Node, depth int) {
	for c := range n.ChildNodes() {
		w.node(c, depth+1)
	}
}

func (w *cleaner) element(n *html.Node, depth int) {
	w.out.WriteString("<" + n.Data + w.attributes(n) + ">")
	if void[n.Data] {
		return
	}
	w.children(n, depth)
	w.out.WriteString("</" + n.Data + ">")
}

// body is the body's background and direction, on an element that stands for it.
func (w *cleaner) body(n *html.Node, depth int) {
	w.out.WriteString("<div" + w.attributes(n) + ">")
	w.children(n, depth)
	w.out.WriteString("</div>")
}

// attributes are those of an element that are kept.
func (w *cleaner) attributes(n *html.Node) string {
	var b strings.Builder
	seen := map[string]bool{}
	style := ""
	for _, a := range n.Attr {
		if a.Namespace != "" || seen[a.Key] || len(seen) > 40 {
			continue
		}
		seen[a.Key] = true
		switch a.Key {
		case "style":
			style = w.css.declarations(plain(a.Val)) + style
		case "background":
			if to, ok := w.remote(a.Val); ok && !strings.ContainsAny(to, `\"'()<>;`) {
				style += ";background-image:url('" + to + "')"
			}
		default:
			if check := attributes[a.Key]; check != nil {
				if v, ok := check(a.Val); ok {
					write(&b, a.Key, v)
				}
			}
		}
	}
	if style = strings.TrimPrefix(style, ";"); style != "" {
		write(&b, "style", style)
	}
	return b.String()
}

func write(b *strings.Builder, name, value string) {
	b.WriteString(" " + name + `="` + html.EscapeString(value) + `"`)
}

// remote counts what would be loaded from elsewhere, and says from where it may be.
func (w *cleaner) remote(address string) (string, bool) {
	u := web(address)
	if u == nil {
		return "", false
	}
	w.doc.Remote++
	if h := strings.ToLower(u.Hostname()); len(w.doc.Hosts) < maxHosts && len(h) < 256 && !slices.Contains(w.doc.Hosts, h) {
		w.doc.Hosts = append(w.doc.Hosts, h)
	}
	if !w.o.Remote || u.User != nil {
		return "", false
	}
	u.Scheme = "https"
	return u.String(), true
}

// lost counts what would have been loaded by an element that goes.
func (w *cleaner) lost(n *html.Node, depth int) {
	for _, a := range n.Attr {
		switch a.Key {
		case "src", "href", "data", "poster", "srcset":
			w.remote(a.Val)
		}
	}
	if depth > maxDepth {
		return
	}
	for c := range n.ChildNodes() {
		if c.Type == html.ElementNode {
			w.lost(c, depth+1)
		}
	}
}

// sheet takes a style sheet in.
func (w *cleaner) sheet(n *html.Node) {
	if left := maxSheet - len(w.doc.Style); left > 0 && n.FirstChild != nil {
		w.doc.Style += cut(w.css.sheet(n.FirstChild.Data), left)
	}
}

// anchor is a link: it opens elsewhere and tells nobody where it was followed. Where its text names another host than the one to
// which it leads, the right one takes the place of that text: what would be said beside it, a mail's style sheet could hide.
func (w *cleaner) anchor(n *html.Node, depth int) {
	href, host, ok := link(attribute(n, "href"))
	w.out.WriteString("<a" + w.attributes(n))
	switch {
	case ok && strings.HasPrefix(href, "#"):
		write(&w.out, "href", href)
	case ok:
		write(&w.out, "href", href)
		w.out.WriteString(` target="_blank" rel="noopener noreferrer nofollow"`)
		if attribute(n, "title") == "" {
			write(&w.out, "title", cut(href, maxAttribute))
		}
	}
	w.out.WriteString(">")
	if said := elsewhere(words(n, maxAttribute), host); said != "" {
		w.out.WriteString(html.EscapeString(host) + `</a><span class="waxwing-lies"> [` + html.EscapeString(w.o.Words.Lies+" "+said) + `]</span>`)
		return
	}
	w.children(n, depth)
	w.out.WriteString("</a>")
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name && a.Namespace == "" {
			return a.Val
		}
	}
	return ""
}

// words is the text in an element, up to so many octets.
func words(n *html.Node, most int) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
		if b.Len() > most {
			break
		}
	}
	return b.String()
}

// inlineData is a picture that stands in its own address.
var inlineData = regexp.MustCompile(`^data:image/(?:gif|jpeg|png|webp);base64,[A-Za-z0-9+/=]+$`)

// pictures are the media types that are shown in a document. SVG is a document of its own, and is not.
var pictures = set("image/gif image/jpeg image/png image/webp")

// picture is one of the mail's own, or one from elsewhere where that is wanted; else a place for one.
func (w *cleaner) picture(n *html.Node) {
	src := bare(attribute(n, "src"))
	to := ""
	switch {
	case src == "":
	case inlineData.MatchString(src):
		if w.inline+len(src) <= maxInline {
			to = src
			w.inline += len(src)
		}
	default:
		if to = w.own(src); to == "" {
			to, _ = w.remote(src)
		}
	}
	if attribute(n, "srcset") != "" && src == "" {
		w.doc.Remote++
	}
	w.out.WriteString("<img" + w.attributes(n))
	if to != "" {
		write(&w.out, "src", to)
	}
	w.out.WriteString(">")
}

// own is a picture in the mail, as an address that holds it.
func (w *cleaner) own(src string) string {
	if w.o.Picture == nil {
		return ""
	}
	name := src
	if len(src) > 4 && strings.EqualFold(src[:4], "cid:") {
		name = src[4:]
		if s, err := url.PathUnescape(name); err == nil {
			name = s
		}
	}
	media, data := w.o.Picture(name)
	media = strings.ToLower(media)
	if media == "image/jpg" || media == "image/pjpeg" {
		media = "image/jpeg"
	}
	if len(data) == 0 || !pictures[media] || w.inline+len(data)*4/3 > maxInline {
		return ""
	}
	w.inline += len(data) * 4 / 3
	return "data:" + media + ";base64," + base64.StdEncoding.EncodeToString(data)
}

// quotes tells whether an element holds what an answer quotes, as mail programs write it.
func quotes(n *html.Node) bool {
	switch n.Data {
	case "blockquote":
		return strings.EqualFold(attribute(n, "type"), "cite") || strings.Contains(attribute(n, "class"), "gmail_quote") || strings.Contains(attribute(n, "class"), "protonmail_quote")
	case "div":
		return strings.Contains(attribute(n, "class"), "yahoo_quoted")
	}
	return false
}

// fold puts a quote into what is opened with a click, without a script.
func (w *cleaner) fold(n *html.Node, depth int) {
	open := ""
	if w.o.Open || len(words(n, shortQuote)) < shortQuote {
		open = ` open=""`
	}
	w.out.WriteString(`<details class="waxwing-quote"` + open + `><summary>` + html.EscapeString(w.o.Words.Quoted) + `</summary>`)
	w.folded++
	w.element(n, depth)
	w.folded--
	w.out.WriteString(`</details>`)
}

// shortQuote is the length, in octets, up to which a quote is left open.
const shortQuote = 400

var (
	walls = [2]func() *bluemonday.Policy{
		sync.OnceValue(func() *bluemonday.Policy { return wall(`data:image/(?:gif|jpeg|png|webp);base64,[A-Za-z0-9+/=]+`) }),
		sync.OnceValue(func() *bluemonday.Policy {
			return wall(`(?:https://[^\s"'<>]+|data:image/(?:gif|jpeg|png|webp);base64,[A-Za-z0-9+/=]+)`)
		}),
	}
	// dressed is a style attribute as css writes it.
	dressed = regexp.MustCompile(`^[^<>\\@{}"]*$`)
	safe    = regexp.MustCompile(`^[^<>]*$`)
)

func second(remote bool) *bluemonday.Policy {
	if remote {
		return walls[1]()
	}
	return walls[0]()
}

// wall is the policy of the second reading: sources are of one form.
func wall(source string) *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	var names []string
	for e := range elements {
		names = append(names, e)
	}
	names = append(names, "details", "summary")
	p.AllowElements(names...)
	p.AllowNoAttrs().OnElements(names...)
	for a := range attributes {
		p.AllowAttrs(a).Globally()
	}
	p.AllowAttrs("style").Matching(dressed).Globally()
	p.AllowAttrs("open").OnElements("details")
	p.AllowAttrs("href").OnElements("a")
	p.AllowAttrs("target").Matching(regexp.MustCompile(`^_blank$`)).OnElements("a")
	p.AllowAttrs("rel").Matching(safe).OnElements("a")
	p.AllowAttrs("src").Matching(regexp.MustCompile(`^` + source + `$`)).OnElements("img")
	p.AllowDataURIImages()
	p.AllowURLSchemes("http", "https", "mailto", "tel")
	p.AllowRelativeURLs(true)
	p.RequireParseableURLs(true)
	return p
}
