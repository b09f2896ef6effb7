package structure

import "strings"

// Addresses reads the value of an address field as far as it can be read, up to a bound.
func Addresses(value string) []Address { return appendAddresses(nil, value, maxAddresses) }

// appendAddresses reads an address field as far as it can be read, up to limit addresses.
// What is no address is skipped to the next comma, or taken for an address that lacks
// something, so that a client shows at least what was written.
func appendAddresses(list []Address, value string, limit int) []Address {
	a := addressReader{scanner: scanner{s: value}, list: list, limit: len(list) + limit}
	for a.space(); !a.done() && len(a.list) < a.limit; a.space() {
		if a.take(',') || a.take(';') {
			continue
		}
		from := a.i
		if !a.group() {
			a.i = from
			a.mailbox(",")
		}
	}
	return a.list
}

type addressReader struct {
	scanner
	list  []Address
	limit int
}

func (a *addressReader) add(adr Address) {
	if len(a.list) < a.limit {
		a.list = append(a.list, adr)
	}
}

// group reads "name: a, b;".
func (a *addressReader) group() bool {
	name, ok := a.phrase()
	if !ok || !a.take(':') {
		return false
	}
	a.add(Address{Kind: GroupStart, Mailbox: name})
	for a.space(); !a.done() && !a.take(';'); a.space() {
		if !a.take(',') {
			a.mailbox(",;")
		}
	}
	a.add(Address{Kind: GroupEnd})
	return true
}

// mailbox reads "name <local@domain>" or "local@domain (name)". What cannot be read up to
// one of the octets in stop is skipped.
func (a *addressReader) mailbox(stop string) {
	from := a.i
	name, ok := a.phrase()
	if ok && a.peek() == '<' || a.peek() == '<' && from == a.i {
		a.angle(name)
	} else if a.i = from; a.strayName(stop) {
		name = strings.TrimSpace(a.s[from:a.i])
		a.angle(name)
	} else {
		a.bare()
	}
	a.space()
	for !a.done() && strings.IndexByte(stop, a.peek()) < 0 {
		switch a.peek() {
		case '"':
			a.quoted()
		case '(':
			a.skipComment()
		default:
			a.i++
		}
	}
}

// strayName goes to the "<" behind a name that may not stand there unquoted, such as
// another address.
func (a *addressReader) strayName(stop string) bool {
	i := strings.IndexAny(a.s[a.i:], "<\"("+stop)
	if i <= 0 || a.s[a.i+i] != '<' {
		return false
	}
	a.i += i
	return true
}

// angle reads "<@route:local@domain>". What is no address is parted at its last "@".
func (a *addressReader) angle(name string) {
	for a.take('<') {
		a.space()
	}
	from := a.i
	adr := Address{Name: name, Route: a.route()}
	adr.Mailbox = a.local()
	if a.take('@') {
		adr.Host = a.domain()
	}
	a.space()
	if end := strings.IndexByte(a.ahead(), '>'); end > 0 && strings.IndexByte(a.s[from:a.i+end], ',') < 0 {
		text := strings.TrimSpace(a.s[from : a.i+end])
		at := strings.LastIndexByte(text, '@')
		adr = Address{Name: name, Mailbox: text}
		if at >= 0 {
			adr.Mailbox, adr.Host = text[:at], text[at+1:]
		}
		a.i += end
	}
	for a.take('>') {
		a.space()
	}
	a.add(adr)
}

// route reads "@a,@b:" (RFC 5322 §4.4).
func (a *addressReader) route() string {
	var b strings.Builder
	from := a.i
	for {
		a.space()
		switch {
		case a.take(','):
			if b.Len() > 0 {
				b.WriteByte(',')
			}
		case a.take('@'):
			b.WriteByte('@')
			b.WriteString(a.domain())
		case b.Len() > 0 && a.take(':'):
			a.space()
			return b.String()
		default:
			a.i = from
			return ""
		}
	}
}

// bare reads "local@domain (name)".
func (a *addressReader) bare() {
	from := a.i
	a.comment = ""
	adr := Address{Mailbox: a.local()}
	if a.take('@') {
		adr.Host = a.domain()
	}
	a.space()
	adr.Name = strings.TrimSpace(a.comment)
	if a.i > from && (adr.Mailbox != "" || adr.Host != "") {
		a.add(adr)
	}
}

// phrase reads words up to what is none, with one space between them. Dots may stand in it
// (RFC 5322 §4.1). It is not ok where nothing follows that makes it a name.
func (a *addressReader) phrase() (string, bool) {
	first := ""
	var b strings.Builder
	words := 0
	for {
		a.space()
		var word string
		switch c := a.peek(); {
		case a.done():
			return "", false
		case c == '"':
			word = a.quoted()
		case atomChar(c) || c == '.':
			word = a.dotAtom()
		case words == 1:
			return first, true
		default:
			return b.String(), words > 0
		}
		if words++; words == 1 {
			first = word
			continue
		}
		if words == 2 {
			b.WriteString(first)
		}
		b.WriteByte(' ')
		b.WriteString(word)
	}
}

// atomChar is atext of RFC 5322 §3.2.3, with all beyond ASCII (RFC 6532).
func atomChar(c byte) bool { return atomChars[c] }

var atomChars = without(`()<>[]:;@\,."`)

func (a *addressReader) dotAtom() string {
	from := a.i
	for a.i < len(a.s) && (atomChar(a.s[a.i]) || a.s[a.i] == '.') {
		a.i++
	}
	return a.s[from:a.i]
}

// local reads a local part, with white space around its dots (RFC 5322 §4.4).
func (a *addressReader) local() string {
	return a.dotted(func() string {
		if a.peek() == '"' {
			return a.quoted()
		}
		return a.dotAtom()
	})
}

// maxSeek is how far the end of a domain literal, or of an address that cannot be read, is looked for.
const maxSeek = 1000

// ahead is what follows, as far as an end is looked for in it.
func (a *addressReader) ahead() string { return a.s[a.i:min(len(a.s), a.i+maxSeek)] }

// domain reads a domain or a domain literal.
func (a *addressReader) domain() string {
	a.space()
	if a.peek() != '[' {
		return a.dotted(a.dotAtom)
	}
	end := strings.IndexByte(a.ahead(), ']')
	if end < 0 {
		return a.dotted(a.dotAtom)
	}
	s := a.s[a.i : a.i+end+1]
	a.i += end + 1
	a.space()
	return s
}

// dotted joins what stands on both sides of a dot.
func (a *addressReader) dotted(word func() string) string {
	a.space()
	last := word()
	first, all := last, []byte(nil) // all is empty while there is one word
	for last != "" {
		a.space()
		if a.peek() != '.' && last[len(last)-1] != '.' {
			break
		}
		if last = word(); last != "" {
			if all == nil {
				all = append(all, first...)
			}
			all = append(all, last...)
		}
	}
	if all == nil {
		return first
	}
	return string(all)
}
