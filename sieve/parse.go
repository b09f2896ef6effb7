package sieve

// node is a command or a test as written (RFC 5228 §8.2).
type node struct {
	name  string
	line  int
	args  []argument
	tests []*node // of a command or test
	list  bool    // tests stand in parentheses
	block []*node
	body  bool // there is a block
}

// argument is a tag, a number, a string or a list of strings.
type argument struct {
	kind    kind // tokenTag, tokenNumber, tokenString
	tag     string
	number  uint64
	strings []string
	list    bool // written in brackets
	line    int
}

type parser struct {
	lex   lexer
	tok   token
	nodes int
}

// parse reads a script.
func parse(script string) ([]*node, error) {
	if len(script) > maxScript {
		return nil, fault(1, "the script has more than %d octets", maxScript)
	}
	p := &parser{lex: lexer{s: script, line: 1}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	out, err := p.commands(0)
	if err == nil && p.tok.kind != tokenEnd {
		err = fault(p.tok.line, "%q has no place here", p.tok.text)
	}
	return out, err
}

func (p *parser) advance() (err error) {
	p.tok, err = p.lex.next()
	return err
}

func (p *parser) is(punctuation string) bool {
	return p.tok.kind == tokenPunctuation && p.tok.text == punctuation
}

func (p *parser) expect(punctuation string) error {
	if !p.is(punctuation) {
		return fault(p.tok.line, "%q is expected", punctuation)
	}
	return p.advance()
}

func (p *parser) commands(depth int) ([]*node, error) {
	if depth > maxNesting {
		return nil, fault(p.tok.line, "blocks are nested deeper than %d", maxNesting)
	}
	var out []*node
	for p.tok.kind == tokenIdentifier {
		n, err := p.node(0)
		if err != nil {
			return nil, err
		}
		switch {
		case p.is("{"):
			if err := p.advance(); err != nil {
				return nil, err
			}
			n.body = true
			if n.block, err = p.commands(depth + 1); err != nil {
				return nil, err
			}
			err = p.expect("}")
		default:
			err = p.expect(";")
		}
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// node reads a name with its arguments and tests.
func (p *parser) node(depth int) (*node, error) {
	if p.nodes++; p.nodes > maxNodes || depth > maxNesting {
		return nil, fault(p.tok.line, "the script is too long, or its tests are nested deeper than %d", maxNesting)
	}
	n := &node{name: p.tok.text, line: p.tok.line}
	if err := p.advance(); err != nil {
		return nil, err
	}
	for {
		a, ok, err := p.argument()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		n.args = append(n.args, a)
	}
	switch {
	case p.tok.kind == tokenIdentifier:
		t, err := p.node(depth + 1)
		n.tests = []*node{t}
		return n, err
	case p.is("("):
		n.list = true
		return n, p.testList(n, depth)
	}
	return n, nil
}

func (p *parser) testList(n *node, depth int) error {
	for {
		if err := p.advance(); err != nil { // "(" or ","
			return err
		}
		if p.tok.kind != tokenIdentifier {
			return fault(p.tok.line, "a test is expected")
		}
		t, err := p.node(depth + 1)
		if err != nil {
			return err
		}
		n.tests = append(n.tests, t)
		if !p.is(",") {
			return p.expect(")")
		}
	}
}

func (p *parser) argument() (argument, bool, error) {
	a := argument{kind: p.tok.kind, line: p.tok.line}
	switch p.tok.kind {
	case tokenTag:
		a.tag = p.tok.text
	case tokenNumber:
		a.number = p.tok.number
	case tokenString:
		a.strings = []string{p.tok.text}
	case tokenPunctuation:
		if p.tok.text != "[" {
			return a, false, nil
		}
		a.kind, a.list = tokenString, true
		return a, true, p.stringList(&a)
	default:
		return a, false, nil
	}
	return a, true, p.advance()
}

func (p *parser) stringList(a *argument) error {
	for {
		if err := p.advance(); err != nil { // "[" or ","
			return err
		}
		if p.tok.kind != tokenString {
			return fault(p.tok.line, "a string is expected")
		}
		a.strings = append(a.strings, p.tok.text)
		if err := p.advance(); err != nil {
			return err
		}
		if !p.is(",") {
			return p.expect("]")
		}
	}
}
