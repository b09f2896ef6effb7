package finding

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"waxwing/jmap"
)

// Node is a mailbox in the tree of an account's.
type Node struct {
	ID, Parent jmap.ID // Parent "": none
	Name, Role string  // Role "": none
	SortOrder  int
	Subscribed bool
}

// Tree are all mailboxes of an account, and how they are looked for (RFC 8621 §2.3).
type Tree struct {
	Nodes      []Node
	AsTree     bool // those below a mailbox follow it
	FilterTree bool // one is found only if its parent is
}

// Query is the mailboxes that are found, in order. The error is InvalidArguments, UnsupportedFilter or UnsupportedSort.
func (t *Tree) Query(f *jmap.Filter, by []jmap.Comparator) ([]jmap.ID, *jmap.Error) {
	var fault *jmap.Error
	_ = f.Conditions(func(c *jmap.Filter) error {
		for name, raw := range c.Condition {
			if fault = checkNode(name, raw); fault != nil {
				return fault
			}
		}
		return nil
	})
	for _, c := range by {
		if c.Property != "sortOrder" && c.Property != "name" && c.Property != "parentId" {
			return nil, jmap.Errorf(jmap.UnsupportedSort, "mailboxes cannot be sorted by %.100q", c.Property)
		}
	}
	if fault != nil {
		return nil, fault
	}
	slices.SortFunc(t.Nodes, func(a, b Node) int { return compareNodes(a, b, by) })
	if t.AsTree {
		t.Nodes = t.walk("", nil)
	}
	byID := map[jmap.ID]*Node{}
	for i := range t.Nodes {
		byID[t.Nodes[i].ID] = &t.Nodes[i]
	}
	out := []jmap.ID{}
	for i := range t.Nodes {
		n := &t.Nodes[i]
		found := n.matches(f)
		for p := byID[n.Parent]; found && t.FilterTree && p != nil; p = byID[p.Parent] {
			found = p.matches(f)
		}
		if found {
			out = append(out, n.ID)
		}
	}
	return out, nil
}

// walk has those below a mailbox follow it.
func (t *Tree) walk(parent jmap.ID, out []Node) []Node {
	for _, n := range t.Nodes {
		if n.Parent == parent {
			out = t.walk(n.ID, append(out, n))
		}
	}
	return out
}

func checkNode(name string, raw json.RawMessage) *jmap.Error {
	var into any
	switch name {
	case "parentId":
		into = new(*jmap.ID)
	case "name":
		into = new(string)
	case "role":
		into = new(*string)
	case "hasAnyRole", "isSubscribed":
		into = new(bool)
	default:
		return jmap.Errorf(jmap.UnsupportedFilter, "there is no condition %.100q", name)
	}
	if json.Unmarshal(raw, into) != nil {
		return badFilter(name, "of another type")
	}
	return nil
}

func (n *Node) matches(f *jmap.Filter) bool {
	return f.Find(func(c *jmap.Filter) jmap.Finding {
		for name, raw := range c.Condition {
			if !n.test(name, raw) {
				return jmap.No
			}
		}
		return jmap.Yes
	}) == jmap.Yes
}

// test looks at a condition that checkNode has let pass.
func (n *Node) test(name string, raw json.RawMessage) bool {
	var text string
	_ = json.Unmarshal(raw, &text) // "" of null, which is "none" here too
	var is bool
	switch name {
	case "parentId":
		return n.Parent == jmap.ID(text)
	case "name":
		return strings.Contains(strings.ToLower(n.Name), strings.ToLower(text))
	case "role":
		return n.Role == text
	case "hasAnyRole":
		return json.Unmarshal(raw, &is) == nil && is == (n.Role != "")
	}
	return json.Unmarshal(raw, &is) == nil && is == n.Subscribed
}

func compareNodes(a, b Node, by []jmap.Comparator) int {
	for _, c := range by {
		n := 0
		switch c.Property {
		case "sortOrder":
			n = cmp.Compare(a.SortOrder, b.SortOrder)
		case "name":
			n = strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
		case "parentId":
			n = cmp.Compare(a.Parent, b.Parent)
		}
		if c.Descending {
			n = -n
		}
		if n != 0 {
			return n
		}
	}
	return cmp.Or(cmp.Compare(a.SortOrder, b.SortOrder), strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.ID, b.ID))
}
