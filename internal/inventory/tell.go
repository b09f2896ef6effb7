package inventory

import (
	"fmt"
	"strings"

	"waxwing/internal/foreign"
)

// Field is one field that a change sets. Secrets are told of without their values.
type Field struct {
	Name   string `json:"name"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	Secret bool   `json:"secret,omitempty"`

	key bool // the change's key says it
}

// Fields are what differs between before and after.
func (c *Change) Fields() (out []Field) {
	var before, after []field
	if c.Before != nil {
		before = fieldsOf(c.Before)
	}
	if c.After != nil {
		after = fieldsOf(c.After)
	}
	for i := range max(len(before), len(after)) {
		var f Field
		if i < len(before) {
			f = Field{Name: before[i].name, Before: before[i].text, Secret: before[i].secret, key: before[i].key}
		}
		if i < len(after) {
			f = Field{Name: after[i].name, Before: f.Before, After: after[i].text, Secret: after[i].secret, key: after[i].key}
		}
		if f.Before == f.After {
			continue
		}
		if f.Secret {
			f.Before, f.After = "", ""
		}
		out = append(out, f)
	}
	return out
}

// Row is a change as programs and people are shown it.
type Row struct {
	Action  Action   `json:"action"`
	Section string   `json:"section"`
	Key     string   `json:"key"`
	Fields  []Field  `json:"fields"`
	Breaks  []string `json:"breaks,omitempty"` // what would break
	Line    string   `json:"-"`
}

// Rows are the changes as they are shown.
func (p *Plan) Rows() []Row {
	rows := make([]Row, len(p.Changes))
	for i := range p.Changes {
		c := &p.Changes[i]
		rows[i] = Row{c.Action, c.Section, c.Key, c.Fields(), c.Breaks, c.String()}
	}
	return rows
}

// signs are what a line of a change begins with.
var signs = map[Action]string{Add: "+", Modify: "~", Remove: "-"}

// maxShown bounds a value in a line, in octets; --json has the whole.
const maxShown = 60

// String is the change as a line.
func (c *Change) String() string {
	s := signs[c.Action] + " " + c.Section + " " + c.Key
	var parts []string
	for _, f := range c.Fields() {
		if part := c.part(f); part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) > 0 && c.Action != Remove {
		s += ": " + strings.Join(parts, ", ")
	}
	return s
}

// part is a field in the line; "" where the key says it, or nobody may see it.
func (c *Change) part(f Field) string {
	shown := func(text string) string {
		if text == "" {
			return "unset"
		}
		if n := strings.Count(strings.TrimSpace(text), "\n"); n > 0 {
			return fmt.Sprintf("of %d lines", n+1)
		}
		return foreign.Clip(text, maxShown)
	}
	switch {
	case f.Secret && c.Action == Modify:
		return f.Name + " is another"
	case c.Action == Modify:
		return fmt.Sprintf("%s %s → %s", f.Name, shown(f.Before), shown(f.After))
	case f.Secret, f.key:
		return ""
	}
	return f.Name + " " + shown(f.After)
}
