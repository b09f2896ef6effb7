package finding

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"

	"waxwing/internal/mailbox"
	"waxwing/jmap"
)

// Known is what the account has, beside its mails.
type Known struct {
	Words   []string                       // its keywords, by number
	Box     func(id jmap.ID) (int64, bool) // its mailboxes
	Threads map[int64]*Thread              // only where NeedsThreads
}

// Thread is what its mails have in common.
type Thread struct {
	All, Some mailbox.Flags // flags of all of them, and of any
}

// Text is a text that is looked for: Found are to be filled in.
type Text struct {
	Field string // "text", "from", "to", "cc", "bcc", "subject", "body" or "header"
	Name  string // of the header field
	Value string
	// Any is that the header field is there, whatever its value.
	Any   bool
	Found map[int64]struct{}
}

// Program is a filter that is ready to run.
type Program struct {
	known  Known
	filter *jmap.Filter
	tests  map[*jmap.Filter][]test
	// Texts are what is to be looked for first, in an order that depends on the filter alone.
	Texts []*Text
	// NeedsFacts and NeedsThreads are what the mails, and Known, must have.
	NeedsFacts, NeedsThreads bool
}

// test is one part of a condition.
type test func(e *Email) bool

// Compile makes a filter ready. The error is UnsupportedFilter or InvalidArguments.
func Compile(f *jmap.Filter, known Known) (*Program, *jmap.Error) {
	p := &Program{known: known, filter: f, tests: map[*jmap.Filter][]test{}}
	var fault *jmap.Error
	_ = f.Conditions(func(c *jmap.Filter) error {
		for _, name := range slices.Sorted(maps.Keys(c.Condition)) {
			t, err := p.test(name, c.Condition[name])
			if err != nil {
				fault = err
				return err
			}
			p.tests[c] = append(p.tests[c], t)
		}
		return nil
	})
	return p, fault
}

// Matches tells whether a mail is found.
func (p *Program) Matches(e *Email) bool {
	return p.filter.Find(func(c *jmap.Filter) jmap.Finding {
		for _, t := range p.tests[c] {
			if !t(e) {
				return jmap.No
			}
		}
		return jmap.Yes
	}) == jmap.Yes
}

// OneBox is the mailbox in which all lies that can be found; 0: there is no such.
func (p *Program) OneBox() int64 {
	if p.filter == nil || p.filter.Operator != "" {
		return 0
	}
	var id jmap.ID
	if json.Unmarshal(p.filter.Condition["inMailbox"], &id) != nil {
		return 0
	}
	box, _ := p.known.Box(id)
	return box
}

func badFilter(name, want string) *jmap.Error {
	return jmap.Errorf(jmap.InvalidArguments, "filter: %s is %s", name, want)
}

// test reads one property of a condition.
func (p *Program) test(name string, raw json.RawMessage) (test, *jmap.Error) {
	switch name {
	case "inMailbox", "inMailboxOtherThan":
		return p.boxes(name, raw)
	case "before", "after":
		return dates(name, raw)
	case "minSize", "maxSize":
		return sizes(name, raw)
	case "hasKeyword", "notKeyword", "allInThreadHaveKeyword", "someInThreadHaveKeyword", "noneInThreadHaveKeyword":
		return p.keywords(name, raw)
	case "hasAttachment":
		var has bool
		if json.Unmarshal(raw, &has) != nil {
			return nil, badFilter(name, "a boolean")
		}
		p.NeedsFacts = true
		return func(e *Email) bool { return e.Facts != nil && e.Facts.HasAttachment == has }, nil
	case "text", "from", "to", "cc", "bcc", "subject", "body":
		var value string
		if json.Unmarshal(raw, &value) != nil {
			return nil, badFilter(name, "a text")
		}
		return p.text(&Text{Field: name, Value: value}), nil
	case "header":
		return p.header(raw)
	}
	return nil, jmap.Errorf(jmap.UnsupportedFilter, "there is no condition %.100q", name)
}

func (p *Program) boxes(name string, raw json.RawMessage) (test, *jmap.Error) {
	if name == "inMailbox" {
		var id jmap.ID
		if json.Unmarshal(raw, &id) != nil {
			return nil, badFilter(name, "the id of a mailbox")
		}
		box, ok := p.known.Box(id)
		return func(e *Email) bool { return ok && e.In(box) }, nil
	}
	var ids []jmap.ID
	if json.Unmarshal(raw, &ids) != nil {
		return nil, badFilter(name, "a list of ids of mailboxes")
	}
	not := map[int64]bool{}
	for _, id := range ids {
		if box, ok := p.known.Box(id); ok {
			not[box] = true
		}
	}
	return func(e *Email) bool {
		for _, l := range e.Places {
			if l.Flags&mailbox.Deleted == 0 && !not[l.Box] {
				return true
			}
		}
		return false
	}, nil
}

func dates(name string, raw json.RawMessage) (test, *jmap.Error) {
	var d jmap.UTCDate
	if json.Unmarshal(raw, &d) != nil {
		return nil, badFilter(name, "a UTCDate")
	}
	at := d.UnixNano()
	if year := d.Year(); year < 1678 || year > 2261 { // no mail has such a date: it is before all, or after
		at = math.MaxInt64
		if year < 1678 {
			at = math.MinInt64
		}
	}
	if name == "before" {
		return func(e *Email) bool { return e.Received < at }, nil
	}
	return func(e *Email) bool { return e.Received >= at }, nil
}

func sizes(name string, raw json.RawMessage) (test, *jmap.Error) {
	var n int64
	if json.Unmarshal(raw, &n) != nil || n < 0 || n > jmap.MaxInt {
		return nil, badFilter(name, "a number of octets")
	}
	if name == "minSize" {
		return func(e *Email) bool { return e.Size >= n }, nil
	}
	return func(e *Email) bool { return e.Size < n }, nil
}

func (p *Program) keywords(name string, raw json.RawMessage) (test, *jmap.Error) {
	var word string
	if json.Unmarshal(raw, &word) != nil || !IsKeyword(word) {
		return nil, badFilter(name, "a keyword")
	}
	bit := BitOf(word, p.known.Words)
	switch name {
	case "hasKeyword":
		return func(e *Email) bool { return e.Flags()&bit != 0 }, nil
	case "notKeyword":
		return func(e *Email) bool { return e.Flags()&bit == 0 }, nil
	}
	p.NeedsThreads = true
	return func(e *Email) bool {
		t := p.known.Threads[e.Thread]
		if t == nil {
			t = &Thread{}
		}
		switch name {
		case "allInThreadHaveKeyword":
			return t.All&bit != 0
		case "someInThreadHaveKeyword":
			return t.Some&bit != 0
		}
		return t.Some&bit == 0
	}, nil
}

func (p *Program) text(t *Text) test {
	p.Texts = append(p.Texts, t)
	return func(e *Email) bool {
		_, found := t.Found[e.ID]
		return found
	}
}

func (p *Program) header(raw json.RawMessage) (test, *jmap.Error) {
	var words []string
	if json.Unmarshal(raw, &words) != nil || len(words) < 1 || len(words) > 2 || words[0] == "" {
		return nil, badFilter("header", "the name of a header field, and a text")
	}
	t := &Text{Field: "header", Name: strings.ToLower(words[0]), Any: len(words) == 1}
	if !t.Any {
		t.Value = words[1]
	}
	return p.text(t), nil
}
