package sieve

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"strings"

	"waxwing/internal/foreign"
)

// What a regular expression may be. Go's take time in proportion to the length of the text and to the
// size of the compiled expression, at worst.
const (
	maxPattern  = 1000 // octets
	maxSize     = 300  // instructions, by and large
	maxPatterns = 200  // different ones of a script
	maxMatched  = 8 << 10
)

// pattern is a regular expression with what it costs.
type pattern struct {
	*regexp.Regexp
	size int
}

var errPatternSize = errors.New("it is too large, or repeats too often")

// newPattern compiles one.
func newPattern(s string, insensitive bool) (*pattern, error) {
	if len(s) > maxPattern {
		return nil, errPatternSize
	}
	if insensitive {
		s = "(?i)" + s
	}
	tree, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return nil, err
	}
	size := sizeOf(tree)
	if size > maxSize {
		return nil, errPatternSize
	}
	re, err := regexp.Compile(s)
	return &pattern{re, size}, err
}

// sizeOf is about how many instructions an expression comes to, before anybody makes them.
func sizeOf(re *syntax.Regexp) int {
	n := 1
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpCharClass:
		n = 1 + len(re.Rune)/8
	}
	for _, sub := range re.Sub {
		if n += sizeOf(sub); n > maxSize {
			return maxSize + 1
		}
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Min, re.Max, 1)
	}
	return min(n, maxSize+1)
}

// compileRegex compiles constant keys, so that a fault is told at once.
func (c *compiler) compileRegex(k *call) error {
	for _, s := range k.args[len(k.args)-1].strings {
		if strings.Contains(s, "${") {
			k.regex = append(k.regex, nil)
			continue
		}
		key := k.comparator() + " " + s
		re := c.patterns[key]
		if re == nil {
			var err error
			if re, err = newPattern(s, k.insensitive()); err != nil {
				return fault(k.line, "%q is no regular expression that can be used: %v", foreign.Clip(s, 60), err)
			}
			if len(c.patterns) == maxPatterns {
				return fault(k.line, "the script has more than %d regular expressions", maxPatterns)
			}
			if c.patterns == nil {
				c.patterns = map[string]*pattern{}
			}
			c.patterns[key] = re
		}
		k.regex = append(k.regex, re)
	}
	return nil
}

// matchRegex matches a value, its first octets at least, with a key.
func (r *run) matchRegex(k *call, i int, key, value string) ([]string, bool) {
	var re *pattern
	if i < len(k.regex) {
		re = k.regex[i]
	}
	if re == nil { // the key has variables
		if r.spend(1000) {
			return nil, false
		}
		var err error
		if re, err = newPattern(key, k.insensitive()); err != nil {
			return nil, false
		}
	}
	value = value[:min(len(value), maxMatched)]
	if r.spend(1 + len(value)*re.size/2) {
		return nil, false
	}
	if !r.p.requires["variables"] { // nobody looks at the groups
		return nil, re.MatchString(value)
	}
	m := re.FindStringSubmatch(value)
	return m, m != nil
}
