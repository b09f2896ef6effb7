package structure

import (
	"html"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
)

// toUTF8 reads text of a charset as far as it can be read. A charset that is not known, or none, is
// taken for UTF-8 if the text is that, and else for Windows-1252, of which ISO 8859-1 is a part.
func toUTF8(charset string, b []byte) string {
	if ascii(b) && !shifted(charset) {
		return string(b)
	}
	e := charsetOf(charset)
	if e == nil {
		if s := cutRune(string(b)); utf8.ValidString(s) {
			return s
		}
		if e, _ = htmlindex.Get("windows-1252"); e == nil || isUTF8(charset) {
			return strings.ToValidUTF8(string(b), "\uFFFD")
		}
	}
	out, err := e.NewDecoder().Bytes(b)
	if err != nil {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return string(out)
}

// cutRune takes off a character that ends too early, as at the end of a sample.
func cutRune(s string) string {
	for i := len(s) - 1; i >= 0 && i >= len(s)-3; i-- {
		if c := s[i]; c >= 0xc0 {
			if !utf8.FullRuneInString(s[i:]) {
				return s[:i]
			}
			break
		} else if c < 0x80 {
			break
		}
	}
	return s
}

func isUTF8(charset string) bool { return equalFold(charset, "utf-8") || equalFold(charset, "utf8") }

// shifted tells whether text of a charset may be something else than the ASCII that it looks like.
func shifted(charset string) bool {
	return len(charset) > 2 && (equalFold(charset[:3], "iso") && !strings.HasPrefix(strings.ToLower(charset), "iso-8859") ||
		equalFold(charset[:3], "utf") && !isUTF8(charset) || equalFold(charset[:2], "hz"))
}

// charsetOf is nil for UTF-8, US-ASCII and what is not known.
func charsetOf(charset string) encoding.Encoding {
	if charset == "" || isUTF8(charset) || equalFold(charset, "us-ascii") || equalFold(charset, "ascii") {
		return nil
	}
	if e, err := htmlindex.Get(charset); err == nil { // as browsers do: they meet the same liars
		return e
	}
	if e, err := ianaindex.MIME.Encoding(charset); err == nil {
		return e
	}
	return nil
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// sampleSize is of how many octets of a part the preview is made; 0: of none.
func sampleSize(p *Part) int {
	switch {
	case equalFold(p.Disposition, "attachment"):
		return 0
	case p.Is("text/plain"):
		return 2 << 10
	case p.Is("text/html"):
		return 64 << 10 // style sheets may stand before the text
	}
	return 0
}

// maxPreview is how many characters a preview has (RFC 8970 §3.3).
const maxPreview = 200

// preview makes a preview of the sample of a part's body.
func (p *parser) preview(part *Part) string {
	body := p.sample
	if d := transferOf(part.Encoding); d != nil {
		p.scratch = d.append(p.scratch[:0], body, true)
		body = p.scratch
	} else if !identity(part.Encoding) {
		return ""
	}
	text := toUTF8(part.Param("charset"), body)
	if part.Is("text/html") {
		return squeeze(stripTags(text, 16*maxPreview))
	}
	if s := squeeze(withoutQuotes(text)); s != "" {
		return s
	}
	return squeeze(text)
}

// withoutQuotes leaves out the lines that are quoted from another message.
func withoutQuotes(text string) string {
	if !strings.Contains(text, ">") {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line[0] != '>' {
			b.WriteString(line)
		}
	}
	return b.String()
}

// squeeze is the first maxPreview characters of a text, with one space for all white space
// together.
func squeeze(text string) string {
	var b strings.Builder
	b.Grow(min(len(text), maxPreview+maxPreview/4))
	space, n := false, 0
	for _, c := range text {
		if unicode.IsSpace(c) || !unicode.IsPrint(c) { // also what has no width
			space = true
			continue
		}
		if space && n > 0 && n < maxPreview-1 {
			b.WriteByte(' ')
			n++
		} else if space && n > 0 {
			break
		}
		space = false
		if n == maxPreview {
			break
		}
		b.WriteRune(c)
		n++
	}
	return b.String()
}

// stripTags is what a reader sees of HTML, up to about limit octets: text and its line breaks, without
// what stands in style, script, head's title and comments.
func stripTags(s string, limit int) string {
	var b strings.Builder
	for s != "" && b.Len() < limit {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			b.WriteString(html.UnescapeString(s))
			break
		}
		b.WriteString(html.UnescapeString(s[:i]))
		s = afterTag(&b, s[i:])
	}
	return b.String()
}

// inlineTags do not part words.
var inlineTags = map[string]bool{"a": true, "b": true, "i": true, "u": true, "s": true, "em": true, "strong": true, "span": true,
	"font": true, "small": true, "big": true, "sub": true, "sup": true, "code": true, "tt": true, "abbr": true, "mark": true, "wbr": true, "o:p": true}

// hiddenTags are elements whose content is not read.
var hiddenTags = map[string]bool{"style": true, "script": true, "title": true, "template": true, "noscript": true}

// afterTag reads what begins with "<" and gives what follows it.
func afterTag(b *strings.Builder, s string) string {
	if strings.HasPrefix(s, "<!--") {
		return behind(s[4:], "-->")
	}
	if len(s) < 2 || !(s[1] == '/' || s[1] == '!' || s[1] == '?' || isLetter(s[1])) {
		b.WriteByte('<')
		return s[1:]
	}
	name, closing := tagName(s)
	rest := behindTag(s)
	if !inlineTags[name] && !hiddenTags[name] {
		b.WriteByte('\n')
	}
	if hiddenTags[name] && !closing {
		rest = behindElement(rest, name)
	}
	return rest
}

func isLetter(c byte) bool { c = lower(c); return c >= 'a' && c <= 'z' }

// tagName reads the name of a tag, in lower case.
func tagName(s string) (name string, closing bool) {
	s = s[1:]
	s, closing = strings.CutPrefix(s, "/")
	n := 0
	for n < len(s) && n < 16 && s[n] > ' ' && s[n] != '>' && s[n] != '/' {
		n++
	}
	return strings.ToLower(s[:n]), closing
}

// behind is what follows the end; nothing where it does not come.
func behind(s, end string) string {
	_, s, _ = strings.Cut(s, end)
	return s
}

// behindTag is what follows a tag. A ">" in a quoted attribute does not end it.
func behindTag(s string) string {
	for i := 1; i < len(s); i++ {
		switch c := s[i]; c {
		case '>':
			return s[i+1:]
		case '"', '\'':
			if s[i-1] != '=' && s[i-1] != ' ' {
				continue
			}
			end := strings.IndexByte(s[i+1:], c)
			if end < 0 {
				return behind(s[i:], ">")
			}
			i += end + 1
		}
	}
	return ""
}

// behindElement is what follows the end tag of an element.
func behindElement(s, name string) string {
	for {
		i := strings.Index(s, "</")
		if i < 0 {
			return ""
		}
		s = s[i:]
		if end, _ := tagName(s); end == name {
			return behindTag(s)
		}
		s = s[2:]
	}
}
