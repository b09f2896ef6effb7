package sieve

import (
	"cmp"
	"strconv"
	"strings"
)

// comparators of RFC 4790, as three-way comparisons.
var comparators = map[string]func(a, b string) int{
	"i;octet":         strings.Compare,
	"i;ascii-casemap": func(a, b string) int { return strings.Compare(asciiUpper(a), asciiUpper(b)) },
	"i;ascii-numeric": numeric,
}

func asciiUpper(s string) string {
	for i := range len(s) {
		if c := s[i]; c >= 'a' && c <= 'z' {
			b := []byte(s)
			for j := range b {
				if b[j] >= 'a' && b[j] <= 'z' {
					b[j] -= 32
				}
			}
			return string(b)
		}
	}
	return s
}

// numeric is i;ascii-numeric (RFC 4790 §9.1): what is no number is infinite.
func numeric(a, b string) int {
	x, xok := leadingNumber(a)
	y, yok := leadingNumber(b)
	switch {
	case !xok && !yok:
		return 0
	case !xok:
		return 1
	case !yok:
		return -1
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y))
}

func leadingNumber(s string) (string, bool) {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return strings.TrimLeft(s[:n], "0"), n > 0
}

// relation is :value and :count (RFC 5231 §4).
func relation(op string, c int) bool {
	switch strings.ToLower(op) {
	case "gt":
		return c > 0
	case "ge":
		return c >= 0
	case "lt":
		return c < 0
	case "le":
		return c <= 0
	case "eq":
		return c == 0
	}
	return c != 0
}

// glob is :matches (RFC 5228 §2.7.1): "*" is any text, "?" one character, "\"
// takes the next as it is. groups is what each wildcard stood for, as little as
// possible from the left (RFC 5229 §3.2). text is s, folded where fold is true. steps is the work that
// was done; beyond most it is given up.
func glob(pattern, s, text string, fold bool, most int) (groups []string, ok bool, steps int) {
	p := globTokens(pattern, fold)
	// starts[i] is where the wildcard i begins, of those matched so far.
	type mark struct{ token, at, end int } // a "*" with what it stands for
	var last *mark
	spans := make([][2]int, len(p))
	i, at := 0, 0
	for {
		if steps++; steps > most {
			return nil, false, steps
		}
		switch {
		case i < len(p) && p[i].star:
			last = &mark{i, at, at}
			spans[i] = [2]int{at, at}
			i++
			continue
		case i < len(p) && at < len(text) && p[i].any:
			n := runeLen(s[at:])
			spans[i] = [2]int{at, at + n}
			i, at = i+1, at+n
			continue
		case i < len(p) && at < len(text) && !p[i].any && text[at] == p[i].c:
			i, at = i+1, at+1
			continue
		case i == len(p) && at == len(text):
			for k := range p {
				if p[k].star || p[k].any {
					groups = append(groups, s[spans[k][0]:spans[k][1]])
				}
			}
			return groups, true, steps
		case last == nil || last.end == len(text):
			return nil, false, steps
		}
		last.end += runeLen(s[last.end:])
		spans[last.token][1] = last.end
		i, at = last.token+1, last.end
	}
}

func runeLen(s string) int {
	for i := range s {
		if i > 0 {
			return i
		}
	}
	return len(s)
}

type globToken struct {
	c         byte
	star, any bool
}

func globTokens(pattern string, fold bool) []globToken {
	if fold {
		pattern = asciiUpper(pattern)
	}
	var out []globToken
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\' && i+1 < len(pattern):
			i++
			out = append(out, globToken{c: pattern[i]})
		case c == '*':
			out = append(out, globToken{star: true})
		case c == '?':
			out = append(out, globToken{any: true})
		default:
			out = append(out, globToken{c: c})
		}
	}
	return out
}

// match is one comparison of a value with the keys of a test.
func (r *run) match(k *call, keys []string, value string) bool {
	fold := k.insensitive()
	compare := comparators[k.comparator()]
	folded := value
	if fold && (k.has("contains") || k.has("matches")) {
		folded = r.fold(value)
	}
	for i, key := range keys {
		if r.spend(1 + len(value)/24 + len(key)/3) {
			return false
		}
		var groups []string
		ok := false
		switch {
		case k.has("contains"):
			ok = contains(folded, key, fold)
		case k.has("matches"):
			if r.spend(20 + 2*len(key)) {
				return false
			}
			var steps int
			groups, ok, steps = glob(key, value, folded, fold, 3*r.steps)
			r.spend(steps / 3)
		case k.has("regex"):
			groups, ok = r.matchRegex(k, i, key, value)
		case k.has("value"):
			ok = relation(k.tags["value"].strings[0], compare(value, key))
		default:
			ok = compare(value, key) == 0
		}
		if ok {
			if (k.has("matches") || k.has("regex")) && k.name != "body" { // RFC 5173 §6
				r.setGroups(value, groups, k.has("regex"))
			}
			return true
		}
	}
	return false
}

// fold is asciiUpper; long values are remembered: many rules look at the same text.
func (r *run) fold(value string) string {
	if len(value) < 256 {
		return asciiUpper(value)
	}
	if v, ok := r.folded[value]; ok {
		r.spend(len(value) / 256)
		return v
	}
	if r.spend(len(value) / 16) {
		return value
	}
	if r.folded == nil {
		r.folded = map[string]string{}
	}
	v := asciiUpper(value)
	r.folded[value] = v
	return v
}

// contains looks for a key in a value that is folded where fold is true.
func contains(value, key string, fold bool) bool {
	if fold {
		key = asciiUpper(key)
	}
	return strings.Contains(value, key)
}

// setGroups sets ${0}, ${1}, … (RFC 5229 §3.2).
func (r *run) setGroups(value string, groups []string, whole bool) {
	if !r.p.requires["variables"] {
		return
	}
	if !whole {
		groups = append([]string{value}, groups...)
	}
	r.groups = groups[:min(len(groups), 10)]
}

// count is :count: the number of values against each key.
func (r *run) count(k *call, keys []string, n int) bool {
	compare := comparators["i;ascii-numeric"]
	if c := k.comparator(); k.has("comparator") {
		compare = comparators[c]
	}
	if r.spend(2 * len(keys)) {
		return false
	}
	for _, key := range keys {
		if relation(k.tags["count"].strings[0], compare(strconv.Itoa(n), key)) {
			return true
		}
	}
	return false
}

// matchAny compares values with keys.
func (r *run) matchAny(k *call, keys, values []string) bool {
	if k.has("count") {
		return r.count(k, keys, len(values))
	}
	for _, v := range values {
		if r.match(k, keys, v) {
			return true
		}
		if r.err != nil {
			return false
		}
	}
	return false
}
