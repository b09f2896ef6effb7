package search

import (
	"slices"
	"strings"
)

// Field is where a text is to stand.
type Field uint8

// The fields. Any is each of them; Header is all header fields but those that have a Field of their own
// and those of machines (HasField).
const (
	Any Field = iota
	Subject
	From
	To
	Cc
	Bcc
	Body
	Names // of attachments
	Header
	fields
)

// Parts is the text and the names of attachments: what IMAP calls the body.
const Parts = fields

// in are the fields that make up one.
func (f Field) in() []Field {
	switch f {
	case Any:
		return []Field{Subject, From, To, Cc, Bcc, Body, Names, Header}
	case Parts:
		return []Field{Body, Names}
	}
	return []Field{f}
}

// columns are the fields in the index.
var columns = [fields]string{Subject: "subject", From: "sender", To: "recipients", Cc: "copies", Bcc: "blind", Body: "body", Names: "names", Header: "header"}

// Condition is a text that is to stand in a field.
type Condition struct {
	Field Field
	Text  string
	// Words says that the first word of the text is not to be the end of a longer one, and the last one not
	// the beginning unless the text ends in "*".
	Words bool
}

// Query is what a mail is to be found by: all conditions hold.
type Query []Condition

// maxQueryWords bounds a query.
const maxQueryWords = 100

// phrase is a condition taken apart.
type phrase struct {
	field  Field
	words  []word
	whole  bool // the first word is whole
	prefix bool // the last one may be the beginning of a longer one
}

func (c Condition) phrase() phrase {
	p := phrase{field: c.Field, words: appendWords(nil, c.Text, maxQueryWords)}
	p.whole, p.prefix = c.Words, !c.Words || strings.HasSuffix(c.Text, "*")
	return p
}

// Unsearchable tells whether a condition has no words, such as one of punctuation alone: the index cannot
// answer it.
func (c Condition) Unsearchable() bool { return len(c.phrase().words) == 0 }

// within tells whether words may be the end of the first one, or stand anywhere in the only one.
func (p *phrase) within() bool { return !p.whole && !p.words[0].pair }

// Doc is the words of one mail.
type Doc struct{ fields [fields][]word }

// Matches tells whether a mail is found.
func (q Query) Matches(d *Doc) bool {
	for _, c := range q {
		p := c.phrase()
		if !p.matches(d) {
			return false
		}
	}
	return true
}

func (p *phrase) matches(d *Doc) bool {
	if len(p.words) == 0 {
		return false
	}
	return slices.ContainsFunc(p.field.in(), func(f Field) bool { return p.in(d.fields[f]) })
}

func (p *phrase) in(words []word) bool {
	for len(words) >= len(p.words) {
		if p.at(words) {
			return true
		}
		words = words[1:]
	}
	return false
}

// at tells whether the phrase begins at the first of words.
func (p *phrase) at(words []word) bool {
	last := len(p.words) - 1
	for i, want := range p.words {
		has := words[i].text
		first := i == 0 && p.within()
		open := i == last && p.prefix
		switch {
		case first && open:
			if !strings.Contains(has, want.text) {
				return false
			}
		case first:
			if !strings.HasSuffix(has, want.text) {
				return false
			}
		case open:
			if !strings.HasPrefix(has, want.text) {
				return false
			}
		case has != want.text:
			return false
		}
	}
	return true
}
