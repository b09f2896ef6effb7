package htmlmail

import (
	"strings"
)

// void are elements without content, which are written without an end tag.
var void = set("br hr img wbr col")

// elements are those that are kept; of others what is in them is kept, but of those in gone.
var elements = set(`a abbr address article aside b bdi bdo big blockquote br caption center cite code col colgroup dd del dfn div dl dt em
	figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main mark nav ol p pre q rp rt ruby s samp section small span
	strike strong sub sup table tbody td tfoot th thead time tr tt u ul var wbr`)

// gone are elements that go with all that is in them.
var gone = set(`applet audio base bgsound button canvas datalist dialog embed fencedframe frame frameset iframe input link math meta noembed
	noframes object option optgroup param portal script select style svg template textarea title track video xml isindex keygen menuitem`)

// simple are the elements of what is quoted in an answer; of others, what is in them.
var simple = set("a b blockquote br code em h1 h2 h3 i li ol p pre s strong u ul")

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// attributes are what may stand in an attribute, by its name and, where it is not for all, the element's.
var attributes = map[string]func(string) (string, bool){
	"align": word, "bgcolor": colour, "border": number, "cellpadding": number, "cellspacing": number, "class": word, "color": colour,
	"colspan": number, "dir": word, "face": word, "height": number, "id": word, "lang": word, "nowrap": word, "reversed": word, "rowspan": number,
	"scope": word, "size": number, "span": number, "start": number, "summary": free, "alt": free, "title": free, "type": word, "valign": word, "value": number, "width": number,
}

const maxAttribute = 1000 // octets

// word is a text of letters, digits and what stands between words.
func word(s string) (string, bool) {
	s = strings.TrimSpace(s)
	return s, len(s) <= maxAttribute && !strings.ContainsFunc(s, func(r rune) bool { return !letter(r) && !strings.ContainsRune(" \t\n_-.,", r) })
}

func letter(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

func number(s string) (string, bool) {
	s = strings.TrimSpace(s)
	return s, len(s) <= 12 && !strings.ContainsFunc(s, func(r rune) bool { return !letter(r) && !strings.ContainsRune("%.+-", r) })
}

func colour(s string) (string, bool) {
	s = strings.TrimSpace(s)
	return s, len(s) <= 30 && !strings.ContainsFunc(strings.TrimPrefix(s, "#"), func(r rune) bool { return !letter(r) })
}

// free is any text.
func free(s string) (string, bool) { return cut(s, maxAttribute), true }
