package htmlmail

import (
	"strings"
	"unicode"
)

// css writes declarations and style sheets anew from what is known to be harmless. Nothing of what it writes can name an
// address but by remote, or leave the attribute or the element in which it stands.
type css struct {
	// remote is what becomes of an address from which something would be loaded; false: nothing is.
	remote func(address string) (string, bool)
	rules  int // that may still come
	scope  string
}

// Bounds of style sheets.
const (
	maxRules        = 5000
	maxSheet        = 512 << 10
	maxDeclarations = 200 // of one rule or attribute
	maxFunctions    = 5   // in each other
)

// properties are those that are kept. None of them loads anything but by a value that remote has seen, runs anything, or
// puts what it is about over something else (position).
var properties = set(`background background-color background-image background-position background-repeat background-size border border-bottom
	border-bottom-color border-bottom-left-radius border-bottom-right-radius border-bottom-style border-bottom-width border-collapse border-color
	border-left border-left-color border-left-style border-left-width border-radius border-right border-right-color border-right-style
	border-right-width border-spacing border-style border-top border-top-color border-top-left-radius border-top-right-radius border-top-style
	border-top-width border-width box-shadow box-sizing caption-side clear color column-count column-gap direction display empty-cells flex
	flex-basis flex-direction flex-grow flex-shrink flex-wrap float font font-family font-size font-stretch font-style font-variant font-weight
	gap height hyphens justify-content align-items align-content align-self letter-spacing line-height list-style list-style-position
	list-style-type margin margin-bottom margin-left margin-right margin-top max-height max-width min-height min-width object-fit opacity
	order overflow overflow-wrap overflow-x overflow-y padding padding-bottom padding-left padding-right padding-top row-gap table-layout
	text-align text-decoration text-decoration-color text-decoration-line text-decoration-style text-indent text-overflow text-shadow
	text-transform unicode-bidi vertical-align visibility white-space width word-break word-spacing word-wrap mso-line-height-rule`)

// functions are those that only reckon.
var functions = set("rgb rgba hsl hsla calc min max clamp linear-gradient radial-gradient repeating-linear-gradient repeating-radial-gradient")

// plain is a style sheet without comments.
func plain(s string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "/*")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		if _, s, found = strings.Cut(rest, "*/"); !found {
			return b.String()
		}
		b.WriteByte(' ')
	}
}

// declarations is what is left of the declarations in an attribute or a rule.
func (c *css) declarations(s string) string {
	var out []string
	for n := 0; s != "" && n < maxDeclarations; n++ {
		var one string
		one, s = upTo(s, ";")
		name, value, ok := strings.Cut(one, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		if !ok || !properties[name] {
			continue
		}
		if v, ok := c.value(value); ok {
			out = append(out, name+":"+v)
		}
	}
	return strings.Join(out, ";")
}

// upTo is what stands before the first of some characters that is not in quotes or brackets, and what follows it.
func upTo(s, ends string) (before, after string) {
	quote, depth := byte(0), 0
	for i := 0; i < len(s); i++ {
		switch ch := s[i]; {
		case quote != 0:
			if ch == quote || ch == '\n' {
				quote = 0
			}
		case ch == '"' || ch == '\'':
			quote = ch
		case depth == 0 && strings.IndexByte(ends, ch) >= 0:
			return s[:i], s[i+1:]
		case ch == '(' || ch == '{':
			depth++
		case ch == ')' || ch == '}':
			depth = max(0, depth-1)
		}
	}
	return s, ""
}

// value is a declaration's value, token by token; false: it has one that is not known.
func (c *css) value(s string) (string, bool) {
	v := &value{css: c, in: strings.TrimSpace(s)}
	ok := v.tokens(0)
	out := strings.TrimSpace(v.out.String())
	return out, ok && v.in == "" && out != ""
}

// value reads one.
type value struct {
	*css
	in  string
	out strings.Builder
}

// tokens reads up to the end, or in a function up to its bracket.
func (v *value) tokens(depth int) bool {
	for v.in != "" {
		switch ch := v.in[0]; {
		case ch == ')' && depth > 0:
			return true
		case ch == ' ' || ch == '\t' || ch == '\n' || ch == '\r' || ch == '\f':
			v.in = strings.TrimLeft(v.in, " \t\n\r\f")
			v.out.WriteByte(' ')
		case ch == ',' || ch == '/' || depth > 0 && strings.IndexByte("*+-", ch) >= 0:
			v.out.WriteByte(ch)
			v.in = v.in[1:]
		case ch == '!':
			if len(v.in) < 10 || !strings.EqualFold(strings.TrimSpace(v.in[1:]), "important") {
				return false
			}
			v.out.WriteString("!important")
			v.in = ""
		case ch == '"' || ch == '\'':
			if !v.quoted(ch) {
				return false
			}
		default:
			if !v.word(depth) {
				return false
			}
		}
	}
	return depth == 0
}

// quoted is a string of letters, digits and blanks, as the names of fonts are.
func (v *value) quoted(quote byte) bool {
	s, rest, found := strings.Cut(v.in[1:], string(quote))
	if !found || strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" -_.", r)
	}) {
		return false
	}
	v.out.WriteString("'" + s + "'")
	v.in = rest
	return true
}

// word is a keyword, a number with its unit, a colour or a function.
func (v *value) word(depth int) bool {
	n := 0
	for n < len(v.in) && (letter(rune(v.in[n])) || strings.IndexByte("_.%#+-", v.in[n]) >= 0) {
		n++
	}
	if n == 0 || n > 100 {
		return false
	}
	w := v.in[:n]
	if n == len(v.in) || v.in[n] != '(' {
		v.out.WriteString(w)
		v.in = v.in[n:]
		return true
	}
	v.in = v.in[n+1:]
	name := strings.ToLower(w)
	if name == "url" {
		return v.address()
	}
	if !functions[name] || depth >= maxFunctions {
		return false
	}
	v.out.WriteString(name + "(")
	if !v.tokens(depth+1) || v.in == "" {
		return false
	}
	v.in = v.in[1:]
	v.out.WriteByte(')')
	return true
}

// address is what stands in url( ).
func (v *value) address() bool {
	s, rest, found := strings.Cut(v.in, ")")
	s = strings.Trim(strings.TrimSpace(s), `"'`)
	if !found || strings.ContainsAny(s, "\\\"'(") {
		return false
	}
	to, ok := v.remote(s)
	if v.in = rest; !ok {
		return true // the rest of the value stays, such as a colour
	}
	if strings.ContainsAny(to, "\\\"'()<>{};@ \n") {
		return false
	}
	v.out.WriteString("url('" + to + "')")
	return true
}

// marks are what style sheets may begin and end with, and mean nothing.
var marks = strings.NewReplacer("<!--", " ", "-->", " ")

// sheet is what is left of a style sheet: rules for what stands in scope, and those under @media.
func (c *css) sheet(s string) string {
	if len(s) > maxSheet {
		s = s[:maxSheet]
	}
	s = marks.Replace(plain(s))
	return c.block(s, true)
}

// block is the rules of a sheet, or of an @media in it.
func (c *css) block(s string, outer bool) string {
	var b strings.Builder
	for c.rules > 0 {
		if s = strings.TrimSpace(s); s == "" {
			break
		}
		c.rules--
		head, rest := upTo(s, "{;}")
		if end := len(head); end == len(s) || s[end] != '{' {
			s = rest // @import and what else has no block
			continue
		}
		var body string
		body, s = upTo(rest, "}")
		head = strings.TrimSpace(head)
		if query, is := strings.CutPrefix(strings.ToLower(head), "@media"); is {
			if in := ""; outer && mediaQuery(query) {
				if in = c.block(body, false); in != "" {
					b.WriteString("@media" + query + "{" + in + "}\n")
				}
			}
			continue
		}
		if on, do := c.selectors(head), c.declarations(body); on != "" && do != "" {
			b.WriteString(on + "{" + do + "}\n")
		}
	}
	return b.String()
}

// mediaQuery tells whether a query asks for the size or the kind of the screen. What a mail wants in the dark is left out: it is
// shown on white.
func mediaQuery(q string) bool {
	return len(q) < 300 && !strings.Contains(q, "prefers") &&
		!strings.ContainsFunc(q, func(r rune) bool { return !letter(r) && !strings.ContainsRune(" \n:().,-", r) })
}

// selectors are those of a rule, each for what stands in scope alone; "": one of them is not known.
func (c *css) selectors(s string) string {
	if len(s) > 2000 {
		return ""
	}
	var out []string
	for one := range strings.SplitSeq(s, ",") {
		one = strings.Join(strings.Fields(one), " ")
		if one == "" || strings.ContainsFunc(one, func(r rune) bool { return !letter(r) && !strings.ContainsRune(" .#*>+~:-_[]='\"", r) }) || strings.Contains(one, "::") {
			return ""
		}
		first, rest, _ := strings.Cut(one, " ")
		switch strings.ToLower(first) {
		case "html", "body", ":root", "*":
			one = strings.TrimSpace(c.scope + " " + rest)
		default:
			one = c.scope + " " + one
		}
		if strings.Count(one, "[") != strings.Count(one, "]") || strings.Count(one, `"`)%2 != 0 || strings.Count(one, "'")%2 != 0 {
			return ""
		}
		out = append(out, one)
	}
	return strings.Join(out, ",")
}
