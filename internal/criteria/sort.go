package criteria

import (
	"cmp"
	"strings"
	"time"

	"waxwing/imap"
	"waxwing/internal/mailbox"
	"waxwing/message"
	"waxwing/structure"
)

// Sortable is what SORT compares of a message.
type Sortable struct {
	received, sent time.Time
	size           int64
	text           map[string]string // by key
}

// Compare says which of two messages comes first; 0: the order of the mailbox decides (RFC 5256 §3).
func (x *Sortable) Compare(o *Sortable, by []imap.SortKey) int {
	for _, k := range by {
		n := x.compare(o, k.Name)
		if k.Reverse {
			n = -n
		}
		if n != 0 {
			return n
		}
	}
	return 0
}

// NewSortable is what SORT compares of a message by some keys.
func NewSortable(m *mailbox.Message, built *structure.Message, by []imap.SortKey) Sortable {
	e := &built.Envelope
	x := Sortable{received: m.Received, size: m.Size, text: map[string]string{}}
	var ok bool
	if x.sent, ok = e.Sent(); !ok {
		x.sent = m.Received // RFC 5256 §2.2
	}
	for _, k := range by {
		switch k.Name {
		case "SUBJECT":
			base, _ := structure.BaseSubject(e.Subject)
			x.text[k.Name] = sortKey(base)
		case "FROM":
			x.text[k.Name] = sortKey(firstMailbox(e.From))
		case "TO":
			x.text[k.Name] = sortKey(firstMailbox(e.To))
		case "CC":
			x.text[k.Name] = sortKey(firstMailbox(e.Cc))
		case "DISPLAYFROM":
			x.text[k.Name] = sortKey(firstName(e.From))
		case "DISPLAYTO":
			x.text[k.Name] = sortKey(firstName(e.To))
		}
	}
	return x
}

// firstMailbox is the local part of the first address, or the name of the group.
func firstMailbox(list []structure.Address) string {
	if len(list) == 0 {
		return ""
	}
	return list[0].Mailbox
}

// firstName is the first address as it is shown (RFC 5957 §3).
func firstName(list []structure.Address) string {
	if len(list) == 0 {
		return ""
	}
	a := list[0]
	switch {
	case a.Kind == structure.GroupStart:
		return message.DecodeWords(a.Mailbox)
	case a.Name != "":
		return message.DecodeWords(a.Name)
	case a.Host != "":
		return a.Mailbox + "@" + a.Host
	}
	return a.Mailbox
}

func (x *Sortable) compare(o *Sortable, key string) int {
	switch key {
	case "ARRIVAL":
		return x.received.Compare(o.received)
	case "DATE":
		return x.sent.Compare(o.sent)
	case "SIZE":
		return cmp.Compare(x.size, o.size)
	}
	return strings.Compare(x.text[key], o.text[key])
}

// sortKey makes texts comparable as i;unicode-casemap does (RFC 5051), which goes by
// capitals.
func sortKey(s string) string { return strings.ToUpper(fold(s)) }
