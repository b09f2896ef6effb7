package search

import (
	"strings"

	"waxwing/structure"
)

// limits are how many words of each field are looked for. PostgreSQL takes no more of one field.
var limits = [fields]int{Subject: 500, From: 1000, To: 5000, Cc: 5000, Bcc: 5000, Body: 30_000, Names: 1000, Header: 2000}

// maxOctets bounds the words of one field together.
const maxOctets = 400 << 10

// unread are fields that machines write for machines, by the beginnings of their names: nobody looks for their
// words, and each has words that no other mail has.
var unread = []string{"received", "dkim-", "arc-", "domainkey-", "authentication-results", "x-ms-exchange-", "x-microsoft-", "x-google-", "x-gm-",
	"x-forefront-", "x-spam-", "x-received", "x-face", "face", "autocrypt", "openpgp", "references", "content-type", "mime-version", "date", "feedback-id", "x-sg-"}

// FieldOf is where the value of a header field stands in the index. It is not ok where the field is not in
// it. Header has many fields: what is found there is to be verified.
func FieldOf(name string) (f Field, ok bool) {
	name = strings.ToLower(name)
	switch name {
	case "subject":
		return Subject, true
	case "from":
		return From, true
	case "to":
		return To, true
	case "cc":
		return Cc, true
	case "bcc":
		return Bcc, true
	}
	for _, u := range unread {
		if strings.HasPrefix(name, u) {
			return 0, false
		}
	}
	return Header, true
}

// NewDoc takes the words of a mail's text.
func NewDoc(t *structure.Text) *Doc {
	d := &Doc{}
	d.add(Subject, t.Subject)
	d.add(From, t.From)
	d.add(To, t.To)
	d.add(Cc, t.Cc)
	d.add(Bcc, t.Bcc)
	d.add(Body, t.Body)
	for _, n := range t.Names {
		d.add(Names, n)
	}
	for _, f := range t.Header {
		if in, ok := FieldOf(f.Name); ok && in == Header {
			d.add(Header, f.Value)
		}
	}
	return d
}

func (d *Doc) add(f Field, text string) {
	words := appendWords(d.fields[f], text, limits[f])
	octets := 0
	for i := range words {
		if octets += len(words[i].text); octets > maxOctets {
			words = words[:i]
			break
		}
	}
	d.fields[f] = words
}
