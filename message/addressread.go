package message

import (
	"errors"
	"fmt"
	"mime"
	"strings"
	"unicode/utf8"

	"waxwing/internal/foreign"
)

// mailbox is an address with the place of its addr-spec in the text. Domain is
// empty where only a local name stands there.
type mailbox struct {
	Address
	start, end int
	group      int // the number of the group that it stands in; 0: none
}

// addressReader reads an address list by the grammar of RFC 5322 §3.4 and §4.4.
// No text is nested too deep for it: comments are counted, groups hold no groups.
type addressReader struct {
	s      string
	pos    int
	boxes  []mailbox
	names  []namePart // of people and groups, and comments
	group  bool       // between a group's ":" and ";"
	groups int        // begun so far
	// comment is the text of the last one that was skipped: "joe@x (Joe)" is how
	// names were written before RFC 822.
	comment string
}

// namePart is text that is for people only, and where it stands.
type namePart struct {
	text       string
	start, end int
	comment    bool
}

// encoded is the text as encoded words.
func (n namePart) encoded() string {
	if !n.comment {
		return EncodePhrase(n.text)
	}
	if strings.ContainsAny(n.text, `()\\"`) { // RFC 2047 §5 (2)
		return "(" + mime.BEncoding.Encode("utf-8", n.text) + ")"
	}
	return "(" + EncodeWord(n.text) + ")"
}

// piece is a word or a dot of a phrase or a local part.
type piece struct {
	text       string // a quoted string's content, else as written
	start, end int
	quoted     bool
	apart      bool // white space or a comment stands before it
}

func readAddresses(s string) (*addressReader, error) {
	if len(s) > maxAddressList {
		return nil, fmt.Errorf("address list is longer than %d octets", maxAddressList)
	}
	r := &addressReader{s: s}
	if err := r.list(); err != nil {
		return nil, fmt.Errorf("invalid address list: %w", err)
	}
	return r, nil
}

// list is address-list with obs-addr-list, whose members may be empty.
func (r *addressReader) list() error {
	any := false // an address or a group was there
	for {
		r.comment = ""
		before := len(r.boxes)
		found, err := r.address()
		if err != nil {
			return err
		}
		any = any || found
		for i := before; i < len(r.boxes) && r.group; i++ {
			r.boxes[i].group = r.groups
		}
		if len(r.boxes) > maxAddresses {
			return fmt.Errorf("more than %d addresses", maxAddresses)
		}
		switch c := r.peek(); {
		case c == ',':
			r.pos++
		case c == ';' && r.group:
			r.pos++
			r.group = false
			if err := r.skip(); err != nil {
				return err
			}
			if c := r.peek(); c != ',' && c != 0 {
				return r.unexpected("after the group")
			}
		case c == 0 && r.pos >= len(r.s):
			if r.group {
				return errors.New("a group without its \";\"")
			}
			if !any {
				return errors.New("no address")
			}
			return nil
		default:
			return r.unexpected("after an address")
		}
	}
}

// address reads a mailbox or the start of a group, up to the "," or ";" behind
// it. found is false where nothing stands there.
func (r *addressReader) address() (found bool, err error) {
	words, err := r.pieces()
	if err != nil {
		return false, err
	}
	switch r.peek() {
	case '@':
		return true, r.addrSpec(words)
	case '<':
		return true, r.angle(r.name(words))
	case ':':
		if len(words) == 0 || r.group {
			return false, r.unexpected("before a group's name")
		}
		r.name(words)
		r.pos++
		r.group = true
		r.groups++
		_, err := r.address() // an empty group, or its first address
		return true, err
	}
	if len(words) == 0 {
		return false, nil
	}
	return true, r.localName(words)
}

// addrSpec is words "@" domain without angle brackets.
func (r *addressReader) addrSpec(words []piece) error {
	r.comment = ""
	m, err := r.spec(words)
	if err != nil {
		return err
	}
	if err := r.skip(); err != nil {
		return err
	}
	m.Name = r.comment
	r.boxes = append(r.boxes, m)
	return nil
}

// localName is words that no "@" follows: a user of this machine.
func (r *addressReader) localName(words []piece) error {
	local, err := localPart(words)
	if err != nil {
		return err
	}
	m := mailbox{start: words[0].start, end: words[len(words)-1].end}
	m.Local, m.Name = local, r.comment
	r.boxes = append(r.boxes, m)
	return nil
}

// angle is angle-addr; a source route is dropped (RFC 5322 §4.4).
func (r *addressReader) angle(name string) error {
	r.pos++
	words, err := r.pieces()
	if err != nil {
		return err
	}
	if len(words) == 0 && (r.peek() == '@' || r.peek() == ',') {
		if err := r.route(); err != nil {
			return err
		}
		if words, err = r.pieces(); err != nil {
			return err
		}
	}
	if len(words) == 0 {
		return r.unexpected("in angle brackets")
	}
	m := mailbox{start: words[0].start, end: words[len(words)-1].end}
	if r.peek() == '@' {
		m, err = r.spec(words)
	} else {
		m.Local, err = localPart(words)
	}
	if err != nil {
		return err
	}
	if err := r.skip(); err != nil {
		return err
	}
	if r.peek() != '>' {
		return r.unexpected("in angle brackets")
	}
	r.pos++
	m.Name = name
	r.boxes = append(r.boxes, m)
	return r.skip()
}

// route is obs-route: "@" domains with commas between, and a colon.
func (r *addressReader) route() error {
	for {
		switch r.peek() {
		case '@':
			r.pos++
			if _, _, err := r.domain(); err != nil {
				return err
			}
		case ',':
			r.pos++
		case ':':
			r.pos++
			return nil
		default:
			return r.unexpected("in a source route")
		}
		if err := r.skip(); err != nil {
			return err
		}
	}
}

// spec is an addr-spec whose local part has been read.
func (r *addressReader) spec(words []piece) (m mailbox, err error) {
	if m.Local, err = localPart(words); err != nil {
		return m, err
	}
	m.start = words[0].start
	r.pos++
	m.Domain, m.end, err = r.domain()
	return m, err
}

// localPart is dot-atom, quoted-string or obs-local-part. Dots at its ends and
// two in a row are read too: addresses like that are in use, and written with
// quotes they are as good as others.
func localPart(words []piece) (string, error) {
	var b strings.Builder
	joined := true // a dot stands before
	for _, w := range words {
		dot := w.text == "." && !w.quoted
		if !dot && !joined {
			return "", fmt.Errorf("%q stands before an address without angle brackets", foreign.Clip(b.String(), 60))
		}
		joined = dot
		b.WriteString(w.text)
	}
	local := b.String()
	switch {
	case strings.Trim(local, ".") == "" && (len(words) != 1 || !words[0].quoted || local == ""):
		return "", errors.New("an address without a local part")
	case !utf8.ValidString(local):
		return "", errors.New("an address that is not UTF-8")
	case strings.ContainsFunc(local, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return "", errors.New("a control character in an address")
	}
	return local, nil
}

// domain is dot-atom, obs-domain or domain-literal, and where it ends.
func (r *addressReader) domain() (name string, end int, err error) {
	if err := r.skip(); err != nil {
		return "", 0, err
	}
	if r.peek() == '[' {
		return r.literal()
	}
	words, err := r.pieces()
	if err != nil {
		return "", 0, err
	}
	if len(words) == 0 {
		return "", 0, r.unexpected("instead of a domain")
	}
	var b strings.Builder
	dot := true
	for i, w := range words {
		switch {
		case w.quoted:
			return "", 0, fmt.Errorf("the domain %q is quoted", foreign.Clip(w.text, 60))
		case (w.text == ".") == dot:
			if !dot { // two atoms: what follows is no part of the domain
				return "", 0, fmt.Errorf("%q stands behind an address", foreign.Clip(w.text, 60))
			}
			return "", 0, errors.New("a domain with an empty label")
		}
		dot = w.text == "."
		b.WriteString(w.text)
		if dot && i == len(words)-1 {
			return "", 0, errors.New("a domain that ends in a dot")
		}
	}
	if !utf8.ValidString(b.String()) {
		return "", 0, errors.New("a domain that is not UTF-8")
	}
	return b.String(), words[len(words)-1].end, nil
}

// literal is domain-literal, without the white space that may stand in it.
func (r *addressReader) literal() (name string, end int, err error) {
	var b strings.Builder
	b.WriteByte('[')
	for i := r.pos + 1; i < len(r.s); i++ {
		switch c := r.s[i]; {
		case c == ']':
			r.pos = i + 1
			b.WriteByte(']')
			return b.String(), r.pos, nil
		case white(c):
		case c <= ' ' || c == '[' || c == '\\' || c >= 0x7f:
			return "", 0, fmt.Errorf("%q in a domain literal", c)
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, errors.New("a domain literal without its \"]\"")
}

// pieces reads words and dots, up to another character.
func (r *addressReader) pieces() ([]piece, error) {
	var all []piece
	for {
		before := r.pos
		if err := r.skip(); err != nil {
			return nil, err
		}
		p := piece{start: r.pos, apart: r.pos > before}
		switch c := r.peek(); {
		case c == '"':
			text, err := r.quoted()
			if err != nil {
				return nil, err
			}
			p.text, p.quoted = text, true
		case c == '.':
			r.pos++
			p.text = "."
		case atext(c):
			for r.pos < len(r.s) && atext(r.s[r.pos]) {
				r.pos++
			}
			p.text = r.s[p.start:r.pos]
		default:
			return all, nil
		}
		p.end = r.pos
		all = append(all, p)
	}
}

// quoted is the content of the quoted string at pos.
func (r *addressReader) quoted() (string, error) {
	var b strings.Builder
	for i := r.pos + 1; i < len(r.s); i++ {
		c := r.s[i]
		switch {
		case c == '"':
			r.pos = i + 1
			return b.String(), nil
		case c == '\\' && i+1 < len(r.s):
			i++
			c = r.s[i]
		}
		if c != '\r' && c != '\n' {
			b.WriteByte(c)
		}
	}
	return "", errors.New("a quoted string without end")
}

// skip passes over comments and folding white space (CFWS, RFC 5322 §3.2.2).
func (r *addressReader) skip() error {
	for r.pos < len(r.s) {
		switch c := r.s[r.pos]; {
		case white(c):
			r.pos++
		case c == '(':
			end := commentEnd(r.s[r.pos:])
			if end < 0 {
				return errors.New("a comment without end")
			}
			r.comment = commentText(r.s[r.pos+1 : r.pos+end-1])
			r.names = append(r.names, namePart{r.comment, r.pos, r.pos + end, true})
			r.pos += end
		default:
			return nil
		}
	}
	return nil
}

// commentEnd is the length of the comment that s begins with, those within it
// included; -1 if it does not end.
func commentEnd(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// commentText is a comment's content as a name.
func commentText(in string) string {
	var b strings.Builder
	for ; in != ""; in = in[1:] {
		if in[0] == '\\' && len(in) > 1 {
			in = in[1:]
		}
		b.WriteByte(in[0])
	}
	return DecodeWords(b.String())
}

// name is a display name, and notes where it stands.
func (r *addressReader) name(words []piece) string {
	if len(words) == 0 {
		return ""
	}
	text := phrase(words)
	r.names = append(r.names, namePart{text, words[0].start, words[len(words)-1].end, false})
	return text
}

// peek is the character at pos; 0 at the end.
func (r *addressReader) peek() byte {
	if r.pos < len(r.s) {
		return r.s[r.pos]
	}
	return 0
}

func (r *addressReader) unexpected(where string) error {
	if r.pos >= len(r.s) {
		return fmt.Errorf("an end where none can be, %s", where)
	}
	return fmt.Errorf("%q %s", r.s[r.pos], where)
}

func white(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// phrase is a display name: words with a space between, encoded words decoded
// but not those in quotes (RFC 2047 §5).
func phrase(words []piece) string {
	var d wordDecoder
	var b strings.Builder
	quoted := false
	flush := func() {
		if b.Len() > 0 {
			d.add(b.String(), quoted)
		}
		b.Reset()
		quoted = false
	}
	for _, w := range words {
		if w.apart {
			flush()
		}
		quoted = quoted || w.quoted
		b.WriteString(w.text)
	}
	flush()
	return strings.TrimSpace(foreign.Line(d.String()))
}
