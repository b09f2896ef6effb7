package htmlmail

import (
	"regexp"
	"strings"

	"golang.org/x/net/html"
)

// Line is a line, or a paragraph, of plain text with how often it is quoted.
type Line struct {
	Depth int
	Text  string
}

// Bounds of plain text.
const (
	MaxText   = 2 << 20 // octets that are read
	maxQuotes = 20      // in each other
	longQuote = 5       // lines from which a quote is folded
)

// Lines reads plain text of fixed lines. Quotes have ">" before them, with blanks between or without.
func Lines(text string) []Line {
	var all []Line
	for raw := range strings.Lines(bound(text)) {
		s := strings.TrimRight(raw, "\r\n")
		depth := 0
		for strings.HasPrefix(s, ">") {
			depth++
			s = s[1:]
			if after, is := strings.CutPrefix(s, " "); is && strings.HasPrefix(after, ">") {
				s = after
			}
		}
		if depth > 0 {
			s = strings.TrimPrefix(s, " ")
		}
		all = append(all, Line{min(depth, maxQuotes), s})
	}
	return all
}

// Flowed reads plain text with format=flowed (RFC 3676 §4): a line that ends in a blank goes on in the next one. del is DelSp=yes:
// the blank is not part of the text.
func Flowed(text string, del bool) []Line {
	var all []Line
	open := false // the last line goes on
	for raw := range strings.Lines(bound(text)) {
		s := strings.TrimRight(raw, "\r\n")
		rest := strings.TrimLeft(s, ">")
		depth := min(len(s)-len(rest), maxQuotes)
		s = strings.TrimPrefix(rest, " ") // §4.4: space-stuffing
		signature := s == "-- "           // §4.3: is not flowed
		flows := strings.HasSuffix(s, " ") && !signature
		if flows && del {
			s = s[:len(s)-1]
		}
		if last := len(all) - 1; open && !signature && all[last].Depth == depth {
			all[last].Text += s
		} else {
			all = append(all, Line{depth, s})
		}
		open = flows
	}
	return all
}

func bound(text string) string {
	if len(text) > MaxText {
		return strings.ToValidUTF8(text[:MaxText], "")
	}
	return text
}

// TextOptions say how plain text is shown.
type TextOptions struct {
	Words Words
	Open  bool // quotes are left open
}

// Text is plain text as HTML: its quotes are folded, and what is an address is a link.
func Text(lines []Line, o TextOptions) string {
	t := &texter{o: o}
	t.block(lines, 0)
	return t.out.String()
}

type texter struct {
	o   TextOptions
	out strings.Builder
}

// block writes lines that are quoted at least so often.
func (t *texter) block(lines []Line, depth int) {
	for len(lines) > 0 {
		n := 0
		if lines[0].Depth <= depth {
			for n < len(lines) && lines[n].Depth <= depth {
				n++
			}
			t.paragraphs(lines[:n])
		} else {
			for n < len(lines) && lines[n].Depth > depth {
				n++
			}
			t.quote(lines[:n], depth+1)
		}
		lines = lines[n:]
	}
}

// quote writes a quote, folded where it is long and not in another one.
func (t *texter) quote(lines []Line, depth int) {
	if depth > 1 || len(lines) < longQuote {
		t.out.WriteString("<blockquote>")
		t.block(lines, depth)
		t.out.WriteString("</blockquote>")
		return
	}
	open := ""
	if t.o.Open {
		open = ` open=""`
	}
	t.out.WriteString(`<details class="waxwing-quote"` + open + `><summary>` + html.EscapeString(t.o.Words.Quoted) + `</summary><blockquote>`)
	t.block(lines, depth)
	t.out.WriteString("</blockquote></details>")
}

func (t *texter) paragraphs(lines []Line) {
	t.out.WriteString(`<div class="waxwing-text" dir="auto">`)
	for i, l := range lines {
		if i > 0 {
			t.out.WriteByte('\n')
		}
		marked(&t.out, l.Text)
	}
	t.out.WriteString("</div>")
}

// address is what is a link in plain text.
var address = regexp.MustCompile(`(?i)\bhttps?://[^\s<>"'` + "`" + `]+|\bwww\.[a-z0-9-]+\.[^\s<>"'` + "`" + `]+|\bmailto:[^\s<>"']+|[a-z0-9._+-]{1,64}@(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}`)

// maxLinks is how many links one line may have.
const maxLinks = 1000

// marked writes text with its links.
func marked(b *strings.Builder, s string) {
	end := 0
	for _, at := range address.FindAllStringIndex(s, maxLinks) {
		found := ending(s[at[0]:at[1]])
		to := found
		if !strings.Contains(found, ":") && strings.Contains(found, "@") {
			to = "mailto:" + found
		}
		href, _, ok := link(to)
		if !ok {
			continue
		}
		b.WriteString(html.EscapeString(s[end:at[0]]))
		b.WriteString(`<a href="` + html.EscapeString(href) + `" target="_blank" rel="noopener noreferrer nofollow">` + html.EscapeString(found) + `</a>`)
		end = at[0] + len(found)
	}
	b.WriteString(html.EscapeString(s[end:]))
}

// ending is an address without what belongs to the sentence around it.
func ending(s string) string {
	for s != "" {
		switch last := s[len(s)-1]; {
		case strings.IndexByte(".,;:!?*_", last) >= 0,
			last == ')' && strings.Count(s, "(") < strings.Count(s, ")"),
			last == ']' && strings.Count(s, "[") < strings.Count(s, "]"):
			s = s[:len(s)-1]
		default:
			return s
		}
	}
	return s
}
