package email

import (
	"strconv"
	"strings"

	"waxwing/structure"
)

// part is a part of a message with its number; "" for what has parts.
type part struct {
	*structure.Part
	number string
	sub    []*part
}

// tree numbers the parts of a message (RFC 9051 §6.4.5.1). A message in it is one part: what it has is its own.
func tree(root *structure.Part) *part {
	p := number(root, "")
	if p.number == "" && !root.IsMultipart() {
		p.number = "1"
	}
	return p
}

func number(s *structure.Part, prefix string) *part {
	p := &part{Part: s}
	if !s.IsMultipart() {
		p.number = prefix
		return p
	}
	for i, in := range s.Parts {
		n := strconv.Itoa(i + 1)
		if prefix != "" {
			n = prefix + "." + n
		}
		p.sub = append(p.sub, number(in, n))
	}
	return p
}

// mediaType is the part's type in lower case.
func (p *part) mediaType() string { return strings.ToLower(valid(p.Type + "/" + p.Subtype)) }

func (p *part) isText() bool { return strings.EqualFold(p.Type, "text") && !p.IsMultipart() }

// lists are the parts as people see them (RFC 8621 §4.1.4).
type lists struct{ text, html, attached []*part }

// flatten puts parts into lists as RFC 8621 §4.1.4 does; what it names textBody and htmlBody may be absent there, when only the
// other of two alternatives is looked at: then it is nil.
type flatten struct {
	lists
	noText, noHTML bool
}

func (f *flatten) addText(p *part) {
	if !f.noText {
		f.text = append(f.text, p)
	}
}

func (f *flatten) addHTML(p *part) {
	if !f.noHTML {
		f.html = append(f.html, p)
	}
}

func listsOf(root *part) lists {
	f := &flatten{}
	f.walk([]*part{root}, "mixed", false)
	return f.lists
}

// inlineMedia are the types that are shown where they stand.
func inlineMedia(mediaType string) bool {
	return strings.HasPrefix(mediaType, "image/") || strings.HasPrefix(mediaType, "audio/") || strings.HasPrefix(mediaType, "video/")
}

func (f *flatten) walk(parts []*part, multipart string, inAlternative bool) {
	noText, noHTML := f.noText, f.noHTML
	defer func() { f.noText, f.noHTML = noText, noHTML }()
	textLength, htmlLength := -1, -1
	if !f.noText {
		textLength = len(f.text)
	}
	if !f.noHTML {
		htmlLength = len(f.html)
	}
	for i, p := range parts {
		switch isInline := f.isInline(p, i, multipart); {
		case p.IsMultipart():
			sub := strings.ToLower(p.Subtype)
			f.walk(p.sub, sub, inAlternative || sub == "alternative")
		case isInline:
			f.inline(p, multipart, inAlternative)
		default:
			f.attached = append(f.attached, p)
		}
	}
	if multipart == "alternative" && textLength >= 0 && htmlLength >= 0 {
		switch { // one of the two alone was there: it stands for both
		case textLength == len(f.text) && htmlLength != len(f.html):
			f.text = append(f.text, f.html[htmlLength:]...)
		case htmlLength == len(f.html) && textLength != len(f.text):
			f.html = append(f.html, f.text[textLength:]...)
		}
	}
}

func (f *flatten) isInline(p *part, i int, multipart string) bool {
	m := p.mediaType()
	shown := m == "text/plain" || m == "text/html" || inlineMedia(m)
	return !strings.EqualFold(p.Disposition, "attachment") && shown &&
		(i == 0 || multipart != "related" && (inlineMedia(m) || p.Filename() == ""))
}

func (f *flatten) inline(p *part, multipart string, inAlternative bool) {
	m := p.mediaType()
	if multipart == "alternative" {
		switch m {
		case "text/plain":
			f.addText(p)
		case "text/html":
			f.addHTML(p)
		default:
			f.attached = append(f.attached, p)
		}
		return
	}
	if inAlternative {
		switch m {
		case "text/plain":
			f.noHTML = true
		case "text/html":
			f.noText = true
		}
	}
	f.addText(p)
	f.addHTML(p)
	if (f.noText || f.noHTML) && inlineMedia(m) {
		f.attached = append(f.attached, p)
	}
}

// HasAttachment tells whether a message has what a program is to offer for download (RFC 8621 §4.1.4).
func HasAttachment(m *structure.Message) bool {
	for _, p := range listsOf(tree(m.Root)).attached {
		if !strings.EqualFold(p.Disposition, "inline") {
			return true
		}
	}
	return false
}
