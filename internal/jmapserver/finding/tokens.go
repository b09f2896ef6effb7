package finding

import (
	"strings"
	"unicode"
)

// maxTokens is how many words and phrases of a text are looked for.
const maxTokens = 50

// Tokens are the words and phrases of a text that is looked for (RFC 8621 §4.4.1): what stands in quotes is a phrase, in which a
// backslash takes the quote or the backslash behind it for what it is. A quote within a word is an apostrophe.
func Tokens(text string) (out []string) {
	for len(out) < maxTokens {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
		if text == "" {
			return out
		}
		var token string
		if text[0] == '"' || text[0] == '\'' {
			token, text = phrase(text[1:], text[0])
		} else {
			end := strings.IndexFunc(text, unicode.IsSpace)
			if end < 0 {
				end = len(text)
			}
			token, text = text[:end], text[end:]
		}
		if token != "" {
			out = append(out, token)
		}
	}
	return out
}

// phrase reads up to the quote that ends a phrase.
func phrase(text string, quote byte) (token, rest string) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text) && (text[i+1] == '\\' || text[i+1] == '\'' || text[i+1] == '"'):
			i++
			b.WriteByte(text[i])
		case c == quote:
			return b.String(), text[i+1:]
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}
