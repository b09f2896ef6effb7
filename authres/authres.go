// Package authres writes and reads the Authentication-Results header field (RFC 8601): what
// a server found out about a message when it took it. It holds no state.
package authres

import (
	"strings"

	"waxwing/dns"
	"waxwing/message"
)

// Name is the field's name.
const Name = "Authentication-Results"

// Results is one field: what the server ID says.
type Results struct {
	ID      string // the authserv-id, usually the server's host name
	Results []Result
}

// Result is what one method came to. What is written is made fit for the field: control
// characters become spaces, what is not ASCII question marks, and comments lose their
// parentheses and backslashes.
type Result struct {
	Method     string // "spf", "dkim", "dmarc", "iprev", "arc", "auth"
	Value      string // "pass", "fail", …, of the method
	Reason     string // in words; "" none
	Properties []Property
	Comment    string // stands at the end, in parentheses; "" none
}

// Property says on what part of the message a result rests: smtp.mailfrom=example.org.
type Property struct {
	Type  string // "smtp", "header", "policy", "body"
	Name  string // "mailfrom", "d", "from"
	Value string
}

// Field is the whole field, folded, with CRLF at its end.
func (r Results) Field() []byte {
	var b strings.Builder
	b.WriteString(value(r.ID))
	if len(r.Results) == 0 {
		b.WriteString("; none")
	}
	for _, x := range r.Results {
		b.WriteString("; " + x.Method + "=" + x.Value)
		if x.Reason != "" {
			b.WriteString(" reason=" + quoted(x.Reason))
		}
		for _, p := range x.Properties {
			b.WriteString(" " + p.Type + "." + p.Name + "=" + propertyValue(p.Value))
		}
		if x.Comment != "" {
			b.WriteString(" (" + uncommented.Replace(printable(x.Comment)) + ")")
		}
	}
	return message.Fold(Name, b.String())
}

var uncommented = strings.NewReplacer("(", "[", ")", "]", `\`, "/")

// printable is s without control characters, and with a question mark for what is not ASCII:
// the field alone must not make a message one of 8 bits, or one that needs SMTPUTF8.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r == 0x7f:
			return ' '
		case r > 0x7f:
			return '?'
		}
		return r
	}, s)
}

// value is a token where s is one, else a quoted string (RFC 2045 §5.1).
func value(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return r > 0x7e || !isToken(byte(r)) }) < 0 {
		return s
	}
	return quoted(s)
}

// propertyValue is a value, or an address as it stands: local-part@domain-name.
func propertyValue(s string) string {
	local, domain, ok := strings.Cut(s, "@")
	if ok && value(domain) == domain && (local == "" || value(local) == local) {
		return s
	}
	return value(s)
}

func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(printable(s)) + `"`
}

// isToken is whether a token may hold c.
func isToken(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(`()<>@,;:\"/[]?=`, c) < 0
}

// ID is the authserv-id of a field's value as a name to compare: in lower case, A-labels,
// without a final dot. It is read however oddly it is written, with comments, quotes and
// quoted pairs, folds, and a version behind it, since a forger may write it in any way that
// some reader takes for ours (RFC 8601 §5). "" where there is none.
func ID(fieldValue string) string {
	l := lexer{s: fieldValue}
	l.space()
	id, _ := l.loose(" \t\r\n;(")
	id = strings.ToLower(strings.TrimRight(strings.TrimSpace(id), "."))
	if n, err := dns.ParseName(id); err == nil {
		return n.ASCII()
	}
	return id
}
