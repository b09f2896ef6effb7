package sieve

import (
	"slices"
	"strings"

	"waxwing/internal/foreign"
)

// Program is a compiled script. It is not changed by Run and may be run by
// several goroutines at once.
type Program struct {
	commands []*call
	requires map[string]bool
}

// Requires reports that the script requires a capability.
func (p *Program) Requires(capability string) bool { return p.requires[capability] }

// call is a command or test whose shape is right.
type call struct {
	name  string
	line  int
	tags  map[string]argument // of tags that take nothing, an empty argument
	args  []argument          // by the spec's positions; missing optional ones have no strings
	given int                 // of args
	tests []*call
	block []*call
	body  bool
	ihave bool       // an ihave test that is true at run time: what it names is known
	regex []*pattern // of constant keys of :regex; nil entries are of others
}

// Compile parses a script and checks all of it: names, arguments, and that what
// it uses is required. The error is an *Error.
func Compile(script string) (*Program, error) {
	nodes, err := parse(script)
	if err != nil {
		return nil, err
	}
	c := &compiler{specs: specs(), required: map[string]bool{}, known: map[string]bool{}}
	for _, k := range Capabilities() {
		c.known[k] = true
	}
	calls, err := c.commands(nodes, 0)
	if err != nil {
		return nil, err
	}
	return &Program{calls, c.required}, nil
}

type compiler struct {
	specs    map[string]*spec
	required map[string]bool
	known    map[string]bool
	begun    bool // a command other than require was seen
	patterns map[string]*pattern
}

// builtin capabilities need not be required.
func (c *compiler) has(capability string) bool {
	return capability == "" || c.required[capability] || capability == "comparator-i;octet" || capability == "comparator-i;ascii-casemap" ||
		capability == "reject" && c.required["ereject"]
}

func (c *compiler) commands(nodes []*node, depth int) ([]*call, error) {
	var out []*call
	previous := ""
	for _, n := range nodes {
		if n.name == "require" {
			if c.begun || depth > 0 {
				return nil, fault(n.line, "require stands before everything else")
			}
			if err := c.require(n); err != nil {
				return nil, err
			}
			continue
		}
		c.begun = true
		if (n.name == "elsif" || n.name == "else") && previous != "if" && previous != "elsif" {
			return nil, fault(n.line, "%s without an if before it", n.name)
		}
		previous = n.name
		k, err := c.call(n, false, depth)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

func (c *compiler) require(n *node) error {
	if len(n.args) != 1 || n.args[0].kind != tokenString || len(n.tests) > 0 || n.body {
		return fault(n.line, "require takes one list of strings")
	}
	for _, s := range n.args[0].strings {
		if !c.known[s] {
			return fault(n.line, "the extension %q is not known here", foreign.Clip(s, 60))
		}
		c.required[s] = true
	}
	return nil
}

func (c *compiler) call(n *node, test bool, depth int) (*call, error) {
	s := c.specs[n.name]
	if s == nil || s.test != test {
		what := "command"
		if test {
			what = "test"
		}
		return nil, fault(n.line, "%q is no %s that is known here", foreign.Clip(n.name, 60), what)
	}
	if !c.has(s.requires) {
		return nil, fault(n.line, "%s needs require %q", n.name, s.requires)
	}
	k := &call{name: n.name, line: n.line, tags: map[string]argument{}, body: n.body}
	if err := c.arguments(k, n, s); err != nil {
		return nil, err
	}
	if err := c.shape(n, s); err != nil {
		return nil, err
	}
	for _, t := range n.tests {
		kt, err := c.call(t, true, depth+1)
		if err != nil {
			return nil, err
		}
		k.tests = append(k.tests, kt)
	}
	if n.name == "ihave" {
		k.ihave = !slices.ContainsFunc(k.args[0].strings, func(s string) bool { return !c.known[s] })
		for _, s := range k.args[0].strings {
			c.required[s] = c.required[s] || c.known[s] // RFC 5463 §4: as if required
		}
	}
	var err error
	if n.body {
		k.block, err = c.commands(n.block, depth+1)
	}
	if err == nil {
		err = c.check(k)
	}
	return k, err
}

// shape checks tests and block.
func (c *compiler) shape(n *node, s *spec) error {
	switch {
	case s.tests == 0 && len(n.tests) > 0:
		return fault(n.line, "%s takes no test", n.name)
	case s.tests == 1 && (len(n.tests) != 1 || n.list):
		return fault(n.line, "%s takes one test", n.name)
	case s.tests < 0 && !n.list:
		return fault(n.line, "%s takes a list of tests in parentheses", n.name)
	case n.body != s.block && !s.test:
		if s.block {
			return fault(n.line, "%s needs a block", n.name)
		}
		return fault(n.line, "%s takes no block", n.name)
	}
	return nil
}

// arguments sorts what was written into tags and positions.
func (c *compiler) arguments(k *call, n *node, s *spec) error {
	var positional []argument
	groups := map[string]string{}
	for i := 0; i < len(n.args); i++ {
		a := n.args[i]
		if a.kind != tokenTag {
			positional = append(positional, a)
			continue
		}
		if len(positional) > 0 {
			return fault(a.line, ":%s stands behind the other arguments of %s", a.tag, n.name)
		}
		t, ok := s.tags[a.tag]
		if !ok {
			return fault(a.line, "%s knows no :%s", n.name, foreign.Clip(a.tag, 60))
		}
		if !c.has(t.requires) {
			return fault(a.line, ":%s needs require %q", a.tag, t.requires)
		}
		if _, twice := k.tags[a.tag]; twice || t.group != "" && groups[t.group] != "" {
			return fault(a.line, ":%s stands twice, or beside one that excludes it", a.tag)
		}
		groups[t.group] = a.tag
		value := argument{kind: tokenTag, line: a.line}
		if t.takes != nothing {
			if i++; i == len(n.args) || !fits(n.args[i], t.takes) {
				return fault(a.line, ":%s needs %s behind it", a.tag, words[t.takes])
			}
			value = n.args[i]
		}
		k.tags[a.tag] = value
	}
	return position(k, n, s, positional)
}

var words = map[need]string{aNumber: "a number", aString: "a string", strings_: "a string or a list of strings"}

func fits(a argument, t need) bool {
	switch t {
	case aNumber:
		return a.kind == tokenNumber
	case aString:
		return a.kind == tokenString && !a.list
	}
	return a.kind == tokenString
}

// position puts positional arguments to their places: optional ones stand in
// front, or with optional -1, at the end.
func position(k *call, n *node, s *spec, given []argument) error {
	k.given = len(given)
	first, last := 0, len(s.args)
	switch missing := len(s.args) - len(given); {
	case missing == 0:
	case missing > 0 && missing <= s.optional:
		first = missing
	case missing == 1 && s.optional < 0:
		last--
	default:
		return fault(n.line, "%s takes %d arguments, not %d", n.name, len(s.args), len(given))
	}
	k.args = make([]argument, len(s.args))
	for i := first; i < last; i++ {
		if a := given[i-first]; fits(a, s.args[i]) {
			k.args[i] = a
			continue
		}
		return fault(n.line, "argument %d of %s must be %s", i+1, n.name, words[s.args[i]])
	}
	return nil
}

// check is what one command or test demands beyond its shape.
func (c *compiler) check(k *call) error {
	if a, ok := k.tags["comparator"]; ok {
		name := a.strings[0]
		if comparators[name] == nil || !c.has("comparator-"+name) {
			return fault(k.line, "the comparator %q is not known or not required", foreign.Clip(name, 60))
		}
		if name == "i;ascii-numeric" && (k.has("contains") || k.has("matches") || k.has("regex")) {
			return fault(k.line, "i;ascii-numeric compares numbers, not parts of texts")
		}
	}
	for _, t := range []string{"value", "count"} {
		if a, ok := k.tags[t]; ok && !slices.Contains([]string{"gt", "ge", "lt", "le", "eq", "ne"}, strings.ToLower(a.strings[0])) {
			return fault(k.line, ":%s knows gt, ge, lt, le, eq and ne, not %q", t, foreign.Clip(a.strings[0], 60))
		}
	}
	switch k.name {
	case "size":
		if len(k.tags) != 1 {
			return fault(k.line, "size takes :over or :under")
		}
	case "date", "currentdate":
		return c.checkDate(k)
	case "header", "address", "exists":
		return c.checkNames(k)
	case "set":
		if !variableName(k.args[0].strings[0], true) {
			return fault(k.line, "%q is no name of a variable", foreign.Clip(k.args[0].strings[0], 60))
		}
	}
	if k.has("regex") {
		return c.compileRegex(k)
	}
	if _, last := k.tags["last"]; last && k.name != "addheader" && k.name != "duplicate" {
		if _, ok := k.tags["index"]; !ok {
			return fault(k.line, ":last needs :index")
		}
	}
	return nil
}

func (k *call) has(tag string) bool {
	_, ok := k.tags[tag]
	return ok
}

// checkNames refuses what cannot be a header's name, but for variables.
func (c *compiler) checkNames(k *call) error {
	for _, s := range k.args[0].strings {
		if strings.Contains(s, "${") {
			continue
		}
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
			return fault(k.line, "%q is no name of a header field", foreign.Clip(s, 60))
		}
	}
	if k.has("regex") {
		return c.compileRegex(k)
	}
	return nil
}

func (k *call) comparator() string {
	if a, ok := k.tags["comparator"]; ok {
		return a.strings[0]
	}
	return "i;ascii-casemap"
}

func (k *call) insensitive() bool { return k.comparator() == "i;ascii-casemap" }

// variableName is RFC 5229 §3: an identifier, or with a namespace where set is false.
func variableName(s string, set bool) bool {
	if s == "" || len(s) > 100 {
		return false
	}
	for i, part := range strings.Split(s, ".") {
		if part == "" || i > 0 && set && i > 1 {
			return false
		}
		for j := range len(part) {
			if !identifierByte(part[j], j == 0) {
				return false
			}
		}
	}
	return !strings.Contains(s, ".") || strings.HasPrefix(s, "global.")
}
