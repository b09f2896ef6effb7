package managesieve

import (
	"bytes"
	"fmt"
	"strings"
)

// Answer is the end of what a server says to a command.
type Answer struct {
	Word string // OK, NO or BYE
	Code string // without parentheses: NONEXISTENT, QUOTA/MAXSIZE, SASL "…"; "" none
	Text string // for people; "" none
}

// Write is the answer as it is sent.
func (a Answer) Write() []byte {
	b := []byte(a.Word)
	if a.Code != "" {
		b = append(b, " ("+a.Code+")"...)
	}
	if a.Text != "" {
		b = append(append(b, ' '), Quote(a.Text)...)
	}
	return append(b, "\r\n"...)
}

// Quote is a string as it is sent: in quotes where it is short and of one line, else as a literal.
func Quote(s string) []byte {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= 1024 && !strings.ContainsAny(s, "\r\n\x00") {
		return []byte(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`)
	}
	return fmt.Appendf(nil, "{%d}\r\n%s", len(s), s)
}

// Literal is a string as a literal, as scripts are sent.
func Literal(s string) []byte { return fmt.Appendf(nil, "{%d}\r\n%s", len(s), s) }

// Lines joins strings of one line, each as Quote has it.
func Lines(words ...string) []byte {
	var b bytes.Buffer
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.Write(Quote(w))
	}
	b.WriteString("\r\n")
	return b.Bytes()
}
