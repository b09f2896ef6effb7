// Package threads puts messages into threads as RFC 5256 §3 says: by their references, or
// by their subjects.
package threads

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Message is what threads are made of.
type Message struct {
	Number     uint32 // what it is called in the result
	ID         string // Message-ID, without brackets; "": none
	References []string
	Subject    string // base subject (RFC 5256 §2.1)
	Reply      bool   // the subject is that of a reply or a forward
	Sent       time.Time
	Order      int // place in the mailbox, where dates are the same
}

// Node is a message with those below it. Without a message it holds threads together
// whose parent is not there.
type Node struct {
	Message  *Message // nil: it is not there
	Children []*Node
}

// node is a Node that is being put together.
type node struct {
	Node
	parent *node
	below  []*node
}

// BySubject is THREAD=ORDEREDSUBJECT: a thread is all messages of one subject, the first
// one with all others below it.
func BySubject(messages []Message) []*Node {
	bySubject := map[string][]*Message{}
	for i := range messages {
		key := strings.ToLower(messages[i].Subject)
		bySubject[key] = append(bySubject[key], &messages[i])
	}
	var out []*Node
	for _, some := range bySubject {
		slices.SortFunc(some, earlier)
		first := &Node{Message: some[0]}
		for _, m := range some[1:] {
			first.Children = append(first.Children, &Node{Message: m})
		}
		out = append(out, first)
	}
	slices.SortFunc(out, func(a, b *Node) int { return earlier(a.Message, b.Message) })
	return out
}

func earlier(a, b *Message) int {
	return cmp.Or(a.Sent.Compare(b.Sent), cmp.Compare(a.Order, b.Order))
}

// ByReferences is THREAD=REFERENCES.
func ByReferences(messages []Message) []*Node {
	root := &node{}
	for _, n := range linked(messages) { // (1), (2)
		if n.parent == nil {
			root.below = append(root.below, n)
			n.parent = root
		}
	}
	root.prune(true) // (3)
	sortByDate(root.below)
	gather(root) // (5)
	var out []*Node
	for _, n := range root.below { // (4), (6)
		n.finish()
	}
	sortByDate(root.below)
	for _, n := range root.below {
		out = append(out, n.result())
	}
	return out
}

// linked are the nodes of all messages and of those that they refer to, linked as parents
// and children: steps (1) and (2).
func linked(messages []Message) []*node {
	byID := map[string]*node{}
	var all []*node
	get := func(id string) *node {
		n := byID[id]
		if n == nil {
			n = &node{}
			byID[id] = n
			all = append(all, n)
		}
		return n
	}
	for i := range messages {
		m := &messages[i]
		var n *node
		if known := byID[m.ID]; m.ID == "" || known != nil && known.Message != nil {
			n = &node{} // (1) of two with one id, the second has one of its own
			all = append(all, n)
		} else {
			n = get(m.ID)
		}
		n.Message = m
		var above *node
		for _, id := range m.References {
			r := get(id)
			if r.parent == nil && above != nil && r != above && !above.under(r) {
				r.parent = above
			}
			above = r
		}
		if above != nil && (above == n || above.under(n)) {
			above = nil // it would be below itself
		}
		n.parent = above
	}
	for _, n := range all {
		if n.parent != nil {
			n.parent.below = append(n.parent.below, n)
		}
	}
	return all
}

// maxDepth bounds how deep threads are followed; what is beyond is no child any more.
const maxDepth = 10_000

// under reports that n is below other.
func (n *node) under(other *node) bool {
	depth := 0
	for p := n.parent; p != nil; p = p.parent {
		if depth++; p == other || depth > maxDepth {
			return true
		}
	}
	return false
}

// prune takes out nodes without a message: step (3). It goes without recursion, since
// threads may be as deep as there are messages.
func (n *node) prune(isRoot bool) {
	order := []*node{n}
	for i := 0; i < len(order); i++ {
		order = append(order, order[i].below...)
	}
	for i := len(order) - 1; i >= 0; i-- {
		p := order[i]
		top := isRoot && p == n
		var kept []*node
		for _, c := range p.below {
			switch {
			case c.Message != nil:
				kept = append(kept, c)
			case len(c.below) == 0:
			case top && len(c.below) > 1:
				kept = append(kept, c)
			default:
				kept = append(kept, c.below...)
			}
		}
		p.below = kept
	}
}

// lead is the message that stands for a node: its own, or that of its first child.
func (n *node) lead() *Message {
	for n.Message == nil && len(n.below) > 0 {
		n = n.below[0]
	}
	return n.Message
}

func sortByDate(nodes []*node) {
	slices.SortStableFunc(nodes, func(a, b *node) int { return earlier(a.lead(), b.lead()) })
}

// gather puts threads of one subject together: step (5).
func gather(root *node) {
	for _, n := range root.below {
		if n.Message == nil {
			sortByDate(n.below)
		}
	}
	bySubject := map[string]*node{}
	for _, n := range root.below { // B
		key := strings.ToLower(n.lead().Subject)
		if key == "" {
			continue
		}
		old := bySubject[key]
		switch {
		case old == nil,
			n.Message == nil && old.Message != nil,
			old.Message != nil && n.Message != nil && old.Message.Reply && !n.Message.Reply:
			bySubject[key] = n
		}
	}
	place := map[*node]int{} // in root.below
	for i, n := range root.below {
		place[n] = i
	}
	gone := map[*node]bool{}
	for _, n := range root.below { // C
		key := strings.ToLower(n.lead().Subject)
		in := bySubject[key]
		if key == "" || in == nil || in == n || gone[n] {
			continue
		}
		switch {
		case in.Message == nil && n.Message == nil:
			in.below = append(in.below, n.below...)
		case in.Message == nil:
			in.below = append(in.below, n)
		case n.Message != nil && n.Message.Reply && !in.Message.Reply:
			in.below = append(in.below, n)
		default:
			both := &node{below: []*node{in, n}}
			root.below[place[in]] = both
			bySubject[key] = both
		}
		gone[n] = true
	}
	root.below = slices.DeleteFunc(root.below, func(n *node) bool { return gone[n] })
}

// finish sorts what is below a node by date: step (6).
func (n *node) finish() {
	open := []*node{n}
	for len(open) > 0 {
		p := open[len(open)-1]
		open = append(open[:len(open)-1], p.below...)
		sortByDate(p.below)
	}
}

// result makes Nodes of what is below n.
func (n *node) result() *Node {
	type pair struct {
		from *node
		to   *Node
	}
	top := &Node{Message: n.Message}
	open := []pair{{n, top}}
	for len(open) > 0 {
		p := open[len(open)-1]
		open = open[:len(open)-1]
		for _, c := range p.from.below {
			child := &Node{Message: c.Message}
			p.to.Children = append(p.to.Children, child)
			open = append(open, pair{c, child})
		}
	}
	return top
}

// Append writes a thread as IMAP has it (RFC 5256 §4): "(3 6 (4 23)(44 7 96))".
func Append(b []byte, n *Node) []byte {
	const begin, end = "(", ")"
	type step struct {
		text string // to be written
		node *Node  // or this, then
	}
	open := []step{{text: end}, {node: n}, {text: begin}}
	for len(open) > 0 {
		s := open[len(open)-1]
		open = open[:len(open)-1]
		if b = append(b, s.text...); s.node == nil {
			continue
		}
		if s.node.Message != nil {
			b = strconv.AppendUint(b, uint64(s.node.Message.Number), 10)
		}
		children := s.node.Children
		if s.node.Message != nil && len(children) > 0 {
			b = append(b, ' ')
		}
		if len(children) == 1 && s.node.Message != nil {
			open = append(open, step{node: children[0]})
			continue
		}
		for i := len(children) - 1; i >= 0; i-- {
			open = append(open, step{text: end}, step{node: children[i]}, step{text: begin})
		}
	}
	return b
}
