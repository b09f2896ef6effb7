package authres

import (
	"errors"
	"fmt"
	"strings"
)

// Bounds of Parse.
const (
	maxField      = 64 << 10 // octets
	maxResults    = 100
	maxProperties = 50 // of one result
	// maxWord is how many octets a word has at most: three of them, which is what stands together, go on a line (RFC 5322 §2.1.1).
	maxWord = 325
)

var errTooLong = errors.New("Authentication-Results: too long")

// Parse reads a field's value, with or without folds (RFC 8601 §2.2). Its comments are
// dropped, but for the last of each result, which is its Comment.
func Parse(fieldValue string) (Results, error) {
	if len(fieldValue) > maxField {
		return Results{}, errTooLong
	}
	l := lexer{s: fieldValue}
	var out Results
	var err error
	l.space()
	if out.ID, err = l.value(); err != nil {
		return out, fmt.Errorf("Authentication-Results: the server's name: %w", err)
	}
	l.space()
	l.token() // the version
	for l.space(); !l.end(); l.space() {
		if !l.take(';') {
			return out, fmt.Errorf("Authentication-Results: %q where a semicolon should be", l.rest())
		}
		l.space()
		if l.end() {
			break // a semicolon too many
		}
		r, err := l.result()
		if err != nil {
			return out, fmt.Errorf("Authentication-Results: %w", err)
		}
		if r.Method == "" {
			continue // "none"
		}
		if out.Results = append(out.Results, r); len(out.Results) > maxResults {
			return out, errTooLong
		}
	}
	if l.long {
		return out, errTooLong
	}
	return out, nil
}

// lexer reads a field's value from the front. comment is the last one that was passed over; long is that a word was longer
// than maxWord.
type lexer struct {
	s       string
	comment string
	long    bool
}

// word notes how long the words of what was read are.
func (l *lexer) word(s string) string {
	for w := range strings.FieldsSeq(s) {
		l.long = l.long || len(w) > maxWord
	}
	return s
}

func (l *lexer) end() bool { return l.s == "" }

// rest is what is left, for an error.
func (l *lexer) rest() string { return l.s[:min(len(l.s), 20)] }

func (l *lexer) take(c byte) bool {
	if l.end() || l.s[0] != c {
		return false
	}
	l.s = l.s[1:]
	return true
}

// space passes over white space, folds and comments (RFC 5322 §3.2.2).
func (l *lexer) space() {
	for !l.end() {
		switch l.s[0] {
		case ' ', '\t', '\r', '\n':
			l.s = l.s[1:]
		case '(':
			l.comment = l.skipComment()
		default:
			return
		}
	}
}

// skipComment returns the text of the comment that begins here; comments nest.
func (l *lexer) skipComment() string {
	var b strings.Builder
	depth := 0
	for i := 0; i < len(l.s); i++ {
		c := l.s[i]
		switch {
		case c == '\\' && i+1 < len(l.s):
			i++
			b.WriteByte(l.s[i])
			continue
		case c == '(':
			if depth++; depth == 1 {
				continue
			}
		case c == ')':
			if depth--; depth == 0 {
				l.s = l.s[i+1:]
				return b.String()
			}
		}
		b.WriteByte(c)
	}
	l.s = "" // it has no end
	return b.String()
}

// token reads what may be a token, perhaps nothing.
func (l *lexer) token() string {
	i := 0
	for i < len(l.s) && isToken(l.s[i]) {
		i++
	}
	t := l.word(l.s[:i])
	l.s = l.s[i:]
	return t
}

// keyword reads a word in which there is no dot: the name of a method or property.
func (l *lexer) keyword() string {
	i := 0
	for i < len(l.s) && isToken(l.s[i]) && l.s[i] != '.' {
		i++
	}
	k := strings.ToLower(l.word(l.s[:i]))
	l.s = l.s[i:]
	return k
}

// value reads a token or a quoted string.
func (l *lexer) value() (string, error) {
	if !l.end() && l.s[0] == '"' {
		return l.quoted()
	}
	if t := l.token(); t != "" {
		return t, nil
	}
	return "", fmt.Errorf("%q where a word or a quoted string should be", l.rest())
}

func (l *lexer) quoted() (string, error) {
	var b strings.Builder
	for i := 1; i < len(l.s); i++ {
		switch c := l.s[i]; {
		case c == '\\' && i+1 < len(l.s):
			i++
			b.WriteByte(l.s[i])
		case c == '"':
			l.s = l.s[i+1:]
			return l.word(b.String()), nil
		case c != '\r' && c != '\n':
			b.WriteByte(c)
		}
	}
	l.s = ""
	return b.String(), errors.New("a quoted string has no end")
}

// loose reads up to one of the octets in stop: tokens, quoted strings and quoted pairs, whatever
// else stands there.
func (l *lexer) loose(stop string) (string, error) {
	var b strings.Builder
	for !l.end() && strings.IndexByte(stop, l.s[0]) < 0 {
		switch {
		case l.s[0] == '"':
			q, err := l.quoted()
			b.WriteString(q)
			if err != nil {
				return b.String(), err
			}
		case l.s[0] == '\\' && len(l.s) > 1:
			b.WriteByte(l.s[1])
			l.s = l.s[2:]
		default:
			b.WriteByte(l.s[0])
			l.s = l.s[1:]
		}
	}
	return l.word(b.String()), nil
}

// equals passes over "=" with what may stand around it.
func (l *lexer) equals() error {
	if l.space(); !l.take('=') {
		return fmt.Errorf("%q where an equals sign should be", l.rest())
	}
	l.space()
	return nil
}

// result reads "method/version = value reason = … type.name = value …" up to the next
// semicolon; a result without a method is the word "none".
func (l *lexer) result() (r Result, err error) {
	l.comment = ""
	if r.Method = l.keyword(); r.Method == "" {
		return r, fmt.Errorf("%q where a method should be", l.rest())
	}
	l.space()
	if r.Method == "none" && (l.end() || l.s[0] == ';') {
		return Result{}, nil
	}
	if l.take('/') {
		l.space()
		l.token()
	}
	if err := l.equals(); err != nil {
		return r, err
	}
	if r.Value = l.keyword(); r.Value == "" {
		return r, fmt.Errorf("%q where a result should be", l.rest())
	}
	for l.space(); !l.end() && l.s[0] != ';'; l.space() {
		if err := l.property(&r); err != nil {
			return r, err
		}
	}
	r.Comment = strings.TrimSpace(l.comment)
	return r, nil
}

// property reads a reason or a property of r.
func (l *lexer) property(r *Result) (err error) {
	p := Property{Type: l.keyword()}
	if l.space(); p.Type == "reason" && !l.end() && l.s[0] == '=' {
		if err := l.equals(); err != nil {
			return err
		}
		r.Reason, err = l.value()
		return err
	}
	if !l.take('.') || p.Type == "" {
		return fmt.Errorf("%q where a property should be", l.rest())
	}
	l.space()
	if p.Name = l.keyword(); p.Name == "" {
		return fmt.Errorf("%q where a property's name should be", l.rest())
	}
	if err := l.equals(); err != nil {
		return err
	}
	if p.Value, err = l.loose(" \t\r\n;("); err != nil {
		return err
	}
	if r.Properties = append(r.Properties, p); len(r.Properties) > maxProperties {
		return errTooLong
	}
	return nil
}
