package finding

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Terms are words of which it is shown where they stand, in small letters.
type Terms [][]rune

// maxTerms is how many words are marked.
const maxTerms = 50

// TermsOf are the words that a filter looks for in a field ("subject" or "body").
func TermsOf(texts []*Text, field string) (out Terms) {
	for _, t := range texts {
		if t.Field != field && t.Field != "text" {
			continue
		}
		for _, w := range strings.FieldsFunc(t.Value, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) }) {
			if len(out) < maxTerms {
				out = append(out, []rune(strings.ToLower(w)))
			}
		}
	}
	slices.SortFunc(out, func(a, b []rune) int { return len(b) - len(a) })
	return out
}

// at is how long the word is that begins at a place of a text; 0: none does.
func (t Terms) at(text []rune) int {
	for _, w := range t {
		if len(w) > len(text) {
			continue
		}
		same := true
		for i := range w {
			if unicode.ToLower(text[i]) != w[i] {
				same = false
				break
			}
		}
		if same {
			return len(w)
		}
	}
	return 0
}

// maxLooked is how much of a text is looked through.
const maxLooked = 256 << 10

// escaped is how HTML has what would be taken for it (RFC 8621 §5).
var escaped = map[rune]string{'<': "&lt;", '>': "&gt;", '&': "&amp;", '"': "&#34;", '\'': "&#39;", '\n': " ", '\r': " ", '\t': " "}

// Mark is up to most octets of a text from a little before the first of the words, each of them in <mark>; "" if none stands in it.
func (t Terms) Mark(text string, most int) string {
	if len(t) == 0 {
		return ""
	}
	text = strings.ToValidUTF8(text[:min(len(text), maxLooked)], "")
	all := []rune(text)
	first := -1
	for i := range all {
		if t.at(all[i:]) > 0 {
			first = i
			break
		}
	}
	if first < 0 {
		return ""
	}
	const before = 40 // characters
	begin := 0
	if len(text) > most {
		begin = max(0, first-before)
		for i := begin; i < first; i++ { // at a word, if there is one
			if unicode.IsSpace(all[i]) {
				begin = i + 1
				break
			}
		}
	}
	var b strings.Builder
	left := most
	for i := begin; i < len(all); {
		n := t.at(all[i:])
		word := string(all[i : i+max(n, 1)])
		size := len(word)
		if n > 0 {
			size += len("<mark></mark>")
			word = "<mark>" + word + "</mark>" // letters and digits alone
		} else if e, ok := escaped[all[i]]; ok {
			word, size = e, len(e)
		}
		if left -= size; left < 0 && n+i > first+1 {
			break
		}
		b.WriteString(word)
		i += max(n, 1)
	}
	if !utf8.ValidString(b.String()) {
		return ""
	}
	return b.String()
}
