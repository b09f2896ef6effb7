package jmap

import (
	"encoding/json"
	"fmt"
)

// Operators of filters (RFC 8620 §5.5).
const (
	And = "AND"
	Or  = "OR"
	Not = "NOT"
)

// Filter is what a query finds records by: a condition, or an operator with filters.
type Filter struct {
	Operator string // "": a condition
	Filters  []Filter
	// Condition is what the type of the records says of it.
	Condition map[string]json.RawMessage
}

// MaxFilters is how many conditions and operators a filter may have.
const MaxFilters = 200

// ParseFilter reads a filter; null is nil, which finds everything.
func ParseFilter(raw json.RawMessage) (*Filter, error) {
	if len(raw) == 0 || isNull(raw) {
		return nil, nil
	}
	left := MaxFilters
	f, err := parseFilter(raw, &left)
	return &f, err
}

func parseFilter(raw json.RawMessage, left *int) (f Filter, err error) {
	if *left--; *left < 0 {
		return f, fmt.Errorf("a filter has %d conditions and operators at most", MaxFilters)
	}
	m, err := members(raw)
	if err != nil {
		return f, fmt.Errorf("a filter is an object")
	}
	op, is := m["operator"]
	if !is {
		f.Condition = m
		return f, nil
	}
	if err := json.Unmarshal(op, &f.Operator); err != nil || f.Operator != And && f.Operator != Or && f.Operator != Not {
		return f, fmt.Errorf("the operator of a filter is AND, OR or NOT")
	}
	var all []json.RawMessage
	if err := json.Unmarshal(m["conditions"], &all); err != nil || all == nil || len(m) != 2 {
		return f, fmt.Errorf("an operator has conditions, an array, and nothing else")
	}
	for _, c := range all {
		in, err := parseFilter(c, left)
		if err != nil {
			return f, err
		}
		f.Filters = append(f.Filters, in)
	}
	return f, nil
}

// Finding is what is known of a record.
type Finding int8

// The findings, in this order: of what must all be so, the least is known.
const (
	No Finding = iota
	Unknown
	Yes
)

// Is is a finding of what is known.
func Is(b bool) Finding {
	if b {
		return Yes
	}
	return No
}

// Find says whether a record is found, from what each condition says of it. AND of nothing is true, OR of nothing
// false; NOT is that none of them is so.
func (f *Filter) Find(condition func(f *Filter) Finding) Finding {
	if f == nil {
		return Yes
	}
	if f.Operator == "" {
		return condition(f)
	}
	all, some := Yes, No
	for i := range f.Filters {
		is := f.Filters[i].Find(condition)
		all, some = min(all, is), max(some, is)
		if f.Operator == And && is == No || f.Operator != And && is == Yes {
			break
		}
	}
	switch f.Operator {
	case And:
		return all
	case Or:
		return some
	}
	return Yes - some
}

// Conditions calls fn for each condition.
func (f *Filter) Conditions(fn func(f *Filter) error) error {
	if f == nil {
		return nil
	}
	if f.Operator == "" {
		return fn(f)
	}
	for i := range f.Filters {
		if err := f.Filters[i].Conditions(fn); err != nil {
			return err
		}
	}
	return nil
}

// Comparator is by what records are sorted (RFC 8620 §5.5).
type Comparator struct {
	Property   string
	Descending bool
	Collation  string
	Keyword    string // of RFC 8621 §4.4.2
}

// MaxComparators is by how many properties records may be sorted.
const MaxComparators = 20

// ParseSort reads by what records are to be sorted; null is nothing.
func ParseSort(raw json.RawMessage) (out []Comparator, err error) {
	if len(raw) == 0 || isNull(raw) {
		return nil, nil
	}
	var all []json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("sort is an array of comparators")
	}
	if len(all) > MaxComparators {
		return nil, fmt.Errorf("records are sorted by %d properties at most", MaxComparators)
	}
	for _, one := range all {
		m, err := members(one)
		if err != nil {
			return nil, fmt.Errorf("a comparator is an object")
		}
		c, ascending := Comparator{}, true
		for name, into := range map[string]any{"property": &c.Property, "isAscending": &ascending, "collation": &c.Collation, "keyword": &c.Keyword} {
			if raw, ok := m[name]; ok && json.Unmarshal(raw, into) != nil {
				return nil, fmt.Errorf("%s of a comparator has a wrong type", name)
			}
		}
		if c.Property == "" {
			return nil, fmt.Errorf("a comparator has a property")
		}
		c.Descending = !ascending
		out = append(out, c)
	}
	return out, nil
}

// Window is which part of a query's results a client wants (RFC 8620 §5.5).
type Window struct {
	Position     int64
	Anchor       ID // "": Position counts
	AnchorOffset int64
	Limit        int // at most so many
}

// Cut finds the window in all results. The error is AnchorNotFound.
func Cut(all []ID, w Window) (position int64, ids []ID, err *Error) {
	n := int64(len(all))
	at := w.Position
	switch {
	case w.Anchor != "":
		at = -1
		for i, id := range all {
			if id == w.Anchor {
				at = int64(i)
				break
			}
		}
		if at < 0 {
			return 0, nil, Errorf(AnchorNotFound, "%s is not among the results", w.Anchor)
		}
		at = max(0, at+w.AnchorOffset)
	case at < 0:
		at = max(0, n+at)
	}
	if at >= n {
		return at, []ID{}, nil
	}
	return at, all[at:min(n, at+int64(w.Limit))], nil
}
