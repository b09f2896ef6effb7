package email

import "waxwing/structure"

// Leaf is a part that has no parts of its own, with its number.
type Leaf struct {
	*structure.Part
	Number string
}

// Parts are those of a message as people see them (RFC 8621 §4.1.4), and all leaves.
type Parts struct{ Text, HTML, Attached, All []Leaf }

// PartsOf finds them.
func PartsOf(m *structure.Message) Parts {
	root := tree(m.Root)
	l := listsOf(root)
	return Parts{Text: leaves(l.text), HTML: leaves(l.html), Attached: leaves(l.attached), All: below(root)}
}

func leaves(all []*part) (out []Leaf) {
	for _, p := range all {
		out = append(out, Leaf{p.Part, p.number})
	}
	return out
}

func below(p *part) (out []Leaf) {
	if p.number != "" {
		return []Leaf{{p.Part, p.number}}
	}
	for _, in := range p.sub {
		out = append(out, below(in)...)
	}
	return out
}
