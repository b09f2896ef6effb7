package dmarcfailure

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"waxwing/message"
)

// Redactor makes what could name a person unreadable (RFC 6590): the same local part gives the
// same word under one key.
type Redactor struct{ Key []byte }

// maxHeader is how much of a header a report shows, in octets.
const maxHeader = 16 << 10

// shown are the fields of a message that a report shows. Subject and all that readers wrote is
// left out, and so is who the message is for.
var shown = map[string]bool{"from": true, "sender": true, "reply-to": true, "date": true, "message-id": true, "mime-version": true, "list-id": true,
	"received": true, "dkim-signature": true, "arc-seal": true, "arc-message-signature": true, "arc-authentication-results": true, "authentication-results": true}

var words = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func (r Redactor) word(local string) string {
	m := hmac.New(sha256.New, r.Key)
	m.Write([]byte(strings.ToLower(local)))
	return words.EncodeToString(m.Sum(nil)[:5])
}

// Address is an address with another local part. What is no address is taken for a local part.
func (r Redactor) Address(a string) string {
	if a == "" {
		return ""
	}
	at := strings.LastIndexByte(a, '@')
	if at < 0 {
		return r.word(a)
	}
	return r.word(a[:at]) + a[at:]
}

// Header is what a report shows of a message's header.
func (r Redactor) Header(h message.Header) []byte {
	var b bytes.Buffer
	for _, f := range h.Fields {
		name := strings.ToLower(f.Name)
		if !shown[name] {
			continue
		}
		value := f.Value()
		switch name {
		case "from", "sender", "reply-to":
			value = r.list(value)
		case "message-id", "date", "mime-version", "list-id": // nobody's name, and the message is found by them
		case "received":
			value = r.Text(without(value))
		default:
			value = r.Text(value)
		}
		line := message.Fold(f.Name, ascii(value))
		if b.Len()+len(line) > maxHeader {
			break
		}
		b.Write(line)
	}
	return b.Bytes()
}

// list is an address list without names, each address redacted.
func (r Redactor) list(value string) string {
	all, err := message.ParseAddressList(value)
	if err != nil {
		return "unreadable" // what of it is an address nobody can tell
	}
	var out []string
	for _, a := range all {
		out = append(out, r.Address(a.Addr()))
	}
	return strings.Join(out, ", ")
}

// without is text without what stands in quotes or comments, where people write what they like.
func without(s string) string {
	var b strings.Builder
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && (quoted || depth > 0):
			i++
			continue
		case c == '"' && depth == 0:
			quoted = !quoted
			b.WriteByte(' ')
			continue
		case c == '(' && !quoted:
			depth++
			continue
		case c == ')' && !quoted && depth > 0:
			depth--
			continue
		}
		if !quoted && depth == 0 {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Text is text in which each local part before an @ is redacted.
func (r Redactor) Text(s string) string {
	var b strings.Builder
	for {
		at := strings.IndexByte(s, '@')
		if at < 0 {
			b.WriteString(s)
			return b.String()
		}
		begin := at
		for begin > 0 && strings.IndexByte(" \t\r\n<>()[],;:=\"", s[begin-1]) < 0 {
			begin--
		}
		b.WriteString(s[:begin])
		if begin < at {
			b.WriteString(r.word(s[begin:at]))
		}
		b.WriteByte('@')
		s = s[at+1:]
	}
}

// ascii has a question mark for what is not ASCII: it is not read by people.
func ascii(s string) string {
	return strings.Map(func(c rune) rune {
		if c > 0x7e {
			return '?'
		}
		return c
	}, s)
}
