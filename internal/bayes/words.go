// Package bayes reads the words of a message and, from how often an account has met each in
// mail that it keeps and in junk, says which of the two the message is like (JNK-1): the
// method of Robinson, with Fisher's way of combining. It does no I/O.
package bayes

import (
	"bytes"
	"net/url"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"

	"waxwing/message"
)

// Bounds of what is read of a message. Whoever writes a long one says at its beginning what
// they want.
const (
	maxText  = 64 << 10 // octets of text, decoded
	maxWord  = 40       // runes; what is longer is no word
	maxWords = 200      // different ones; also what is stored of a message
	maxParts = 20
)

// Word is the hash of a word and the place where it stands.
type Word int64

// reader collects the words of one message.
type reader struct {
	words []Word
	seen  map[Word]bool
	later []string // pairs of words, for which there is room behind the words
	left  int      // octets of text that may yet be read
}

// Words are the different words of a message, those of its header first: of its subject and
// its author, of its text, alone and in pairs, the hosts of its links and the kinds of its
// attachments. Text in scripts without spaces counts by pairs of characters.
func Words(msg []byte) []Word {
	r := &reader{seen: map[Word]bool{}, left: maxText}
	h, _, _ := message.SplitHeader(msg) // what could be read of it
	r.text("subject", message.DecodeWords(h.Get("Subject")))
	if from, err := message.From(h); err == nil {
		for _, a := range from[:min(len(from), 3)] {
			r.text("from", a.Name)
			r.add("from-domain", strings.ToLower(a.Domain))
		}
	}
	for _, name := range []string{"Reply-To", "List-Id", "X-Mailer", "User-Agent"} {
		if v := h.Get(name); v != "" {
			r.text(name, message.DecodeWords(v))
		}
	}
	_ = message.Walk(msg, message.Limits{Parts: maxParts, Size: 4 * maxText}, r.part) // what could be read of it
	for _, pair := range r.later {
		r.add("pair", pair)
	}
	return r.words
}

// part reads one part.
func (r *reader) part(p message.Part) error {
	r.add("type", p.MediaType)
	if p.Filename != "" {
		r.add("attachment", strings.ToLower(path.Ext(p.Filename)))
	}
	if !strings.HasPrefix(p.MediaType, "text/") || r.left <= 0 || r.full() {
		return nil
	}
	raw, _ := p.Body() // a broken encoding ends the text
	raw = raw[:min(len(raw), r.left)]
	text := string(raw)
	if cs := p.Params["charset"]; cs != "" {
		if decoded, ok := message.DecodeCharset(cs, raw); ok {
			text = decoded
		}
	}
	if p.MediaType == "text/html" {
		r.html(text)
	} else {
		r.text("", text)
	}
	r.left -= len(raw)
	return nil
}

// html reads what a reader sees, and where links and pictures lead.
func (r *reader) html(text string) {
	z := html.NewTokenizer(strings.NewReader(text))
	z.SetMaxBuf(maxText)
	var seen bytes.Buffer
	hidden := false
	for {
		switch z.Next() {
		case html.ErrorToken:
			r.text("", seen.String())
			return
		case html.TextToken:
			if !hidden {
				seen.Write(z.Text())
				seen.WriteByte(' ')
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			hidden = string(name) == "style" || string(name) == "script"
			for more {
				var key, value []byte
				key, value, more = z.TagAttr()
				if k := string(key); k == "href" || k == "src" || k == "action" {
					r.link(string(value))
				}
			}
		case html.EndTagToken:
			hidden = false
		}
	}
}

// link notes the host that a link leads to.
func (r *reader) link(s string) {
	if u, err := url.Parse(strings.TrimSpace(s)); err == nil && u.Host != "" {
		r.add("link", strings.ToLower(u.Hostname()))
	}
}

// text reads words and pairs of words.
func (r *reader) text(where, s string) {
	last := ""
	for w := range strings.FieldsFuncSeq(s, between) {
		if r.full() {
			return
		}
		if strings.HasPrefix(w, "http://") || strings.HasPrefix(w, "https://") {
			r.link(w)
			continue
		}
		w = strings.Trim(strings.ToLower(w), "!'’-.:/@")
		n := utf8.RuneCountInString(w)
		switch {
		case n == 0, n > maxWord:
			continue
		case unspaced(w):
			r.pairs(where, w)
			continue
		case n > 1:
			r.add(where, w)
		}
		if last != "" && len(r.later) < maxWords {
			r.later = append(r.later, last+" "+w)
		}
		last = w
	}
}

// between is whether a character stands between words.
func between(c rune) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return false
	case strings.ContainsRune("$€£%!'’-.:/@", c):
		return false
	case c < utf8.RuneSelf:
		return true
	}
	return !unicode.IsLetter(c) && !unicode.IsDigit(c) && !unicode.IsMark(c)
}

var unspacedScripts = []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar}

// unspaced is whether a word is of a script that is written without spaces. None of these has a
// character before U+0E00.
func unspaced(w string) bool {
	return strings.ContainsFunc(w, func(c rune) bool {
		return c >= 0x0e00 && unicode.In(c, unspacedScripts...)
	})
}

func (r *reader) pairs(where, w string) {
	runes := []rune(w)
	for i := range len(runes) - 1 {
		r.add(where, string(runes[i:i+2]))
	}
}

// full is whether there is no room for another word; what follows is not looked at.
func (r *reader) full() bool { return len(r.words) >= maxWords }

func (r *reader) add(where, w string) {
	if r.full() || w == "" {
		return
	}
	if k := hash(where, w); !r.seen[k] {
		r.seen[k] = true
		r.words = append(r.words, k)
	}
}

// hash is FNV-1a with 64 bits of both, with a NUL between them.
func hash(where, w string) Word {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(where) {
		h = (h ^ uint64(where[i])) * prime
	}
	h *= prime
	for i := range len(w) {
		h = (h ^ uint64(w[i])) * prime
	}
	return Word(h)
}
