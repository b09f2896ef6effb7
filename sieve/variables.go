package sieve

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"waxwing/internal/foreign"
)

// expand replaces variables and encoded characters in a string. Without the
// extensions a string is what it is.
func (r *run) expand(s string) string {
	if r.p.requires["encoded-character"] && strings.Contains(s, "${") {
		r.spend(len(s))
		s = encoded(s)
	}
	if !r.p.requires["variables"] || !strings.Contains(s, "${") {
		return s
	}
	var b strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			break
		}
		end := strings.IndexByte(s[i:], '}')
		name := ""
		if end > 0 {
			name = strings.ToLower(s[i+2 : i+end])
		}
		n, err := strconv.Atoi(name)
		digits := err == nil && name[0] != '+' && name[0] != '-'
		if !digits && !variableName(name, false) { // RFC 5229 §3: no variable, so it stays
			b.WriteString(s[:i+2])
			s = s[i+2:]
			continue
		}
		b.WriteString(s[:i])
		if digits {
			if n < len(r.groups) {
				b.WriteString(r.groups[n])
			}
		} else {
			b.WriteString(r.variable(name))
		}
		s = s[i+end+1:]
		if r.spend(1+b.Len()/64) || b.Len() > maxString {
			break
		}
	}
	b.WriteString(s)
	return foreign.Cut(b.String(), maxString)
}

func (r *run) expandAll(list []string) []string {
	r.spend(len(list) / 2)
	if !r.p.requires["variables"] && !r.p.requires["encoded-character"] {
		return list
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = r.expand(s)
	}
	return out
}

func (r *run) variable(name string) string {
	if rest, ok := strings.CutPrefix(name, "global."); ok {
		return r.globals[rest]
	}
	if r.shared[name] {
		return r.globals[name]
	}
	return r.vars[name]
}

func (r *run) declareGlobal(name string, line int) {
	if !variableName(name, true) || strings.Contains(name, ".") {
		r.fail(line, "%q is no name of a variable", foreign.Clip(name, 60))
		return
	}
	if r.shared == nil {
		r.shared = map[string]bool{}
	}
	r.shared[name] = true
}

// set is RFC 5229 §4: modifiers work from the highest precedence down.
func (r *run) set(k *call) {
	name, v := strings.ToLower(k.args[0].strings[0]), r.expand(k.args[1].strings[0])
	r.spend(len(v) / 4)
	for _, m := range []string{"lower", "upper", "lowerfirst", "upperfirst", "quotewildcard", "quoteregex", "encodeurl", "length"} {
		if k.has(m) {
			v = modify(m, v)
		}
	}
	v = foreign.Cut(v, 16<<10)
	into := r.vars
	if rest, ok := strings.CutPrefix(name, "global."); ok {
		name, into = rest, r.global()
	} else if r.shared[name] {
		into = r.global()
	}
	r.memory -= len(name) + len(v) - len(into[name])
	if r.memory < 0 && r.err == nil {
		r.err = ErrBudget
		return
	}
	into[name] = v
}

func (r *run) global() map[string]string {
	if r.globals == nil {
		r.globals = map[string]string{}
	}
	return r.globals
}

func modify(m, v string) string {
	switch m {
	case "lower":
		return strings.ToLower(v)
	case "upper":
		return strings.ToUpper(v)
	case "lowerfirst", "upperfirst":
		c, n := utf8.DecodeRuneInString(v)
		if n == 0 {
			return v
		}
		if m == "lowerfirst" {
			return string(unicode.ToLower(c)) + v[n:]
		}
		return string(unicode.ToUpper(c)) + v[n:]
	case "quotewildcard":
		return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`).Replace(v)
	case "quoteregex":
		return regexp.QuoteMeta(v)
	case "encodeurl":
		return encodeURL(v)
	}
	return strconv.Itoa(utf8.RuneCountInString(v))
}

// encoded is RFC 5228 §2.4.2.4: ${hex:…} and ${unicode:…}; what is malformed stays.
func encoded(s string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		end := strings.IndexByte(s[i:], '}')
		if end < 0 {
			b.WriteString(s)
			return b.String()
		}
		text, ok := character(s[i+2 : i+end])
		if !ok {
			b.WriteString(s[:i+2])
			s = s[i+2:]
			continue
		}
		b.WriteString(s[:i])
		b.WriteString(text)
		s = s[i+end+1:]
	}
}

func character(s string) (string, bool) {
	kind, list, ok := strings.Cut(strings.ToLower(s), ":")
	words := strings.Fields(list)
	if !ok || len(words) == 0 || kind != "hex" && kind != "unicode" {
		return "", false
	}
	var out []byte
	for _, w := range words {
		n, err := strconv.ParseUint(w, 16, 32)
		switch {
		case err != nil, kind == "hex" && (n > 255 || len(w) > 2), kind == "unicode" && !utf8.ValidRune(rune(n)):
			return "", false
		case kind == "hex":
			out = append(out, byte(n))
		default:
			out = utf8.AppendRune(out, rune(n))
		}
	}
	return string(out), true
}

// flagList is the flags that strings name.
func (r *run) flagList(list []string) []string {
	for _, s := range list {
		if r.spend(1 + 4*len(s)) {
			return nil
		}
	}
	return flagList(list)
}

// flagList splits "\\Seen $Label" and the like into flags, each once (RFC 5232 §2).
func flagList(list []string) []string {
	var out []string
	for _, s := range list {
		for f := range strings.FieldsSeq(s) {
			if !slices.ContainsFunc(out, func(o string) bool { return strings.EqualFold(o, f) }) && len(out) < 100 && len(f) <= 255 {
				out = append(out, f)
			}
		}
	}
	return out
}

// flagsOf are the flags for keep and fileinto: those of :flags, or the variable's.
func (r *run) flagsOf(k *call) []string {
	if a, ok := k.tags["flags"]; ok {
		return r.flagList(r.expandAll(a.strings))
	}
	return slices.Clone(r.flags)
}

// changeFlags is setflag, addflag and removeflag, on the internal variable or a named one.
func (r *run) changeFlags(k *call) {
	name := ""
	if k.given == 2 {
		name = strings.ToLower(r.expand(k.args[0].strings[0]))
	}
	old := r.flags
	if name != "" {
		old = r.flagList([]string{r.variable(name)})
	}
	list := r.flagList(r.expandAll(k.args[1].strings))
	r.spend(20 + len(list)*len(old) + 4*len(list))
	switch k.name {
	case "addflag":
		list = flagList(append(slices.Clone(old), list...))
	case "removeflag":
		gone := list
		list = slices.DeleteFunc(slices.Clone(old), func(f string) bool {
			return slices.ContainsFunc(gone, func(g string) bool { return strings.EqualFold(f, g) })
		})
	}
	if name == "" {
		r.flags = list
		return
	}
	r.vars[name] = strings.Join(list, " ")
}

// encodeURL is RFC 5435 §6: all but the unreserved characters of RFC 3986 as %XX.
func encodeURL(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if identifierByte(c, false) || c == '-' || c == '.' || c == '~' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
