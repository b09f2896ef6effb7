package finding

import (
	"cmp"
	"strings"

	"waxwing/jmap"
)

// Order is by what mails are sorted.
type Order struct {
	by    []jmap.Comparator
	known Known
	// NeedsFacts and NeedsThreads are what the mails, and Known, must have.
	NeedsFacts, NeedsThreads bool
}

// SortOptions are the properties by which mails can be sorted (RFC 8621 §4.4.2).
func SortOptions() []string {
	return []string{"receivedAt", "size", "from", "to", "subject", "sentAt", "hasKeyword", "allInThreadHaveKeyword", "someInThreadHaveKeyword"}
}

// Collations are the collations that are served; "" is the first of them.
func Collations() []string { return []string{"i;unicode-casemap", "i;ascii-casemap"} }

// NewOrder makes it ready; without comparators, the newest come first. The error is UnsupportedSort.
func NewOrder(by []jmap.Comparator, known Known) (*Order, *jmap.Error) {
	o := &Order{by: by, known: known}
	if len(by) == 0 {
		o.by = []jmap.Comparator{{Property: "receivedAt", Descending: true}}
	}
	for _, c := range o.by {
		switch c.Property {
		case "receivedAt", "size":
		case "from", "to", "subject", "sentAt":
			o.NeedsFacts = true
		case "hasKeyword", "allInThreadHaveKeyword", "someInThreadHaveKeyword":
			if !IsKeyword(c.Keyword) {
				return nil, jmap.Errorf(jmap.InvalidArguments, "a comparator by %s has a keyword", c.Property)
			}
			o.NeedsThreads = o.NeedsThreads || c.Property != "hasKeyword"
		default:
			return nil, jmap.Errorf(jmap.UnsupportedSort, "mails cannot be sorted by %.100q", c.Property)
		}
		if c.Collation != "" && !strings.EqualFold(c.Collation, "i;unicode-casemap") && !strings.EqualFold(c.Collation, "i;ascii-casemap") {
			return nil, jmap.Errorf(jmap.UnsupportedSort, "there is no collation %.100q", c.Collation)
		}
	}
	return o, nil
}

// IsByReceived tells that the newest come first and nothing else counts.
func (o *Order) IsByReceived() bool {
	return len(o.by) == 1 && o.by[0].Property == "receivedAt" && o.by[0].Descending
}

// Compare says which of two mails comes first. It is never 0 for two mails: of those that are alike, the newer comes first.
func (o *Order) Compare(a, b *Email) int {
	for i := range o.by {
		n := o.compare(&o.by[i], a, b)
		if o.by[i].Descending {
			n = -n
		}
		if n != 0 {
			return n
		}
	}
	return Newer(a, b)
}

// Newer has the newest first.
func Newer(a, b *Email) int {
	return cmp.Or(cmp.Compare(b.Received, a.Received), cmp.Compare(b.ID, a.ID))
}

func (o *Order) compare(c *jmap.Comparator, a, b *Email) int {
	switch c.Property {
	case "receivedAt":
		return cmp.Compare(a.Received, b.Received)
	case "size":
		return cmp.Compare(a.Size, b.Size)
	case "hasKeyword", "allInThreadHaveKeyword", "someInThreadHaveKeyword":
		return o.has(c, a) - o.has(c, b)
	}
	if a.Facts == nil || b.Facts == nil {
		return 0
	}
	switch c.Property {
	case "from":
		return strings.Compare(a.Facts.From, b.Facts.From)
	case "to":
		return strings.Compare(a.Facts.To, b.Facts.To)
	case "subject":
		return strings.Compare(a.Facts.Subject, b.Facts.Subject)
	}
	return cmp.Compare(a.Facts.Sent, b.Facts.Sent)
}

// has is 1 for a mail, or thread, that has a keyword: true comes after false (RFC 8620 §5.5).
func (o *Order) has(c *jmap.Comparator, e *Email) int {
	bit, in := BitOf(c.Keyword, o.known.Words), e.Flags()
	if c.Property != "hasKeyword" {
		t := o.known.Threads[e.Thread]
		if t == nil {
			return 0
		}
		if in = t.All; c.Property == "someInThreadHaveKeyword" {
			in = t.Some
		}
	}
	if in&bit != 0 {
		return 1
	}
	return 0
}
