package jmap

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// What the references of a request may cost, all together: each looks through a response, and what it finds there is a copy.
const (
	maxReferred = 100_000   // values that one may name
	maxRead     = 256 << 20 // octets of responses that are looked through
	maxTaken    = 32 << 20  // octets of what is found in them
)

// Resolver follows the references of one request's calls. Its zero value is ready.
type Resolver struct {
	read, taken int // octets so far
}

// Resolve puts the results that arguments refer to into their place (RFC 8620 §3.7): "#ids" becomes
// "ids". done are the responses so far. The error is InvalidResultReference, or InvalidArguments for
// an argument that is given both ways.
func (x *Resolver) Resolve(args map[string]json.RawMessage, done []Result) (map[string]json.RawMessage, *Error) {
	out := make(map[string]json.RawMessage, len(args))
	for name, raw := range args {
		if !strings.HasPrefix(name, "#") {
			out[name] = raw
		}
	}
	for name, raw := range args {
		plain, refers := strings.CutPrefix(name, "#")
		if !refers {
			continue
		}
		if _, twice := out[plain]; twice {
			return nil, Errorf(InvalidArguments, "%q is given twice, as a value and as a reference", plain)
		}
		v, err := x.resolve(raw, done)
		if err != nil {
			return nil, err
		}
		out[plain] = v
	}
	return out, nil
}

func (x *Resolver) resolve(raw json.RawMessage, done []Result) (json.RawMessage, *Error) {
	ref, err := members(raw)
	if err != nil {
		return nil, Errorf(InvalidResultReference, "a reference is an object of resultOf, name and path")
	}
	var of, name, path string
	for member, into := range map[string]*string{"resultOf": &of, "name": &name, "path": &path} {
		if json.Unmarshal(ref[member], into) != nil || isNull(ref[member]) {
			return nil, Errorf(InvalidResultReference, "a reference has a text as its %s", member)
		}
	}
	for _, r := range done {
		if r.ID != of {
			continue
		}
		if r.Name != name {
			return nil, Errorf(InvalidResultReference, "the call %.100q was answered by %.100q, not by %.100q", of, r.Name, name)
		}
		return x.find(r.Args, of, path)
	}
	return nil, Errorf(InvalidResultReference, "there is no earlier response to the call %.100q", of)
}

// find is what a response has at a path.
func (x *Resolver) find(response json.RawMessage, of, path string) (json.RawMessage, *Error) {
	if x.read += len(response); x.read > maxRead {
		return nil, Errorf(InvalidResultReference, "the references of the request look through more than %d octets of responses", maxRead)
	}
	v, ok := Point(response, path)
	if !ok {
		return nil, Errorf(InvalidResultReference, "there is nothing at %.200q in the response to %.100q", path, of)
	}
	if x.taken += len(v); x.taken > maxTaken {
		return nil, Errorf(InvalidResultReference, "what the references of the request name has more than %d octets", maxTaken)
	}
	return v, nil
}

// Point finds a value by a JSON pointer (RFC 6901) in which "*" is each item of an array (RFC 8620
// §3.7): what these have is put into one array, arrays taken apart. Only what lies on its way is read.
func Point(value json.RawMessage, path string) (json.RawMessage, bool) {
	if path != "" && path[0] != '/' || !json.Valid(value) {
		return nil, false
	}
	var steps []string
	if path != "" {
		steps = strings.Split(path[1:], "/")
	}
	left := maxReferred
	return point(value, steps, &left)
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

func point(v json.RawMessage, steps []string, left *int) (json.RawMessage, bool) {
	v = bytes.TrimSpace(v)
	if len(steps) == 0 {
		return v, true
	}
	step := unescape.Replace(steps[0])
	switch v[0] {
	case '{':
		m, err := members(v)
		in, ok := m[step]
		if err != nil || !ok {
			return nil, false
		}
		return point(in, steps[1:], left)
	case '[':
		items, ok := itemsOf(v)
		if ok && step == "*" {
			return each(items, steps[1:], left)
		}
		n, err := strconv.Atoi(step)
		if err != nil || n < 0 || n >= len(items) || strconv.Itoa(n) != step {
			return nil, false
		}
		return point(items[n], steps[1:], left)
	}
	return nil, false
}

// itemsOf are those of an array; false: the value is none.
func itemsOf(v json.RawMessage) (items []json.RawMessage, ok bool) {
	if v[0] != '[' {
		return nil, false
	}
	err := json.Unmarshal(v, &items)
	return items, err == nil
}

// each follows a pointer from each item of an array.
func each(items []json.RawMessage, steps []string, left *int) (json.RawMessage, bool) {
	out := []json.RawMessage{}
	for _, item := range items {
		in, ok := point(item, steps, left)
		if !ok {
			return nil, false
		}
		some, isArray := itemsOf(in)
		if !isArray {
			some = []json.RawMessage{in}
		}
		if *left -= len(some); *left < 0 {
			return nil, false
		}
		out = append(out, some...)
	}
	b, err := json.Marshal(out)
	return b, err == nil
}
