package jmap

import (
	"encoding/json"
	"slices"
	"strings"
)

// Patch is what is to change of a record (RFC 8620 §5.3): values by JSON pointer without the slash at its beginning.
type Patch map[string]json.RawMessage

// Step is one change of a Patch.
type Step struct {
	Path  []string // the name of a property, and what is meant in it
	Value json.RawMessage
}

// IsNull tells that what Path names is to go, or to have its default.
func (s Step) IsNull() bool { return isNull(s.Value) }

// Steps takes a patch apart, in the order of its paths. The error is InvalidPatch: no path may lead into what another
// one sets.
func (p Patch) Steps() ([]Step, *SetError) {
	var out []Step
	for path, value := range p {
		s := Step{Value: value}
		for part := range strings.SplitSeq(path, "/") {
			s.Path = append(s.Path, unescape.Replace(part))
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Step) int { return slices.Compare(a.Path, b.Path) })
	for i := range out[:max(0, len(out)-1)] {
		a, b := out[i].Path, out[i+1].Path
		if len(a) <= len(b) && slices.Equal(a, b[:len(a)]) {
			return nil, SetErrorf(InvalidPatch, nil, "%q lies in %q, which is set, too", strings.Join(b, "/"), strings.Join(a, "/"))
		}
	}
	return out, nil
}
