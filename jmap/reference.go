package jmap

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// maxReferred is how many values a reference may name.
const maxReferred = 100_000

// Resolve puts the results that arguments refer to into their place (RFC 8620 §3.7): "#ids" becomes
// "ids". done are the responses so far. The error is InvalidResultReference, or InvalidArguments for
// an argument that is given both ways.
func Resolve(args map[string]json.RawMessage, done []Result) (map[string]json.RawMessage, *Error) {
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
		v, err := resolve(raw, done)
		if err != nil {
			return nil, err
		}
		out[plain] = v
	}
	return out, nil
}

func resolve(raw json.RawMessage, done []Result) (json.RawMessage, *Error) {
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
		v, ok := Point(r.Args, path)
		if !ok {
			return nil, Errorf(InvalidResultReference, "there is nothing at %.200q in the response to %.100q", path, of)
		}
		return v, nil
	}
	return nil, Errorf(InvalidResultReference, "there is no earlier response to the call %.100q", of)
}

// Point finds a value by a JSON pointer (RFC 6901) in which "*" is each item of an array (RFC 8620
// §3.7): what these have is put into one array, arrays taken apart.
func Point(value json.RawMessage, path string) (json.RawMessage, bool) {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil, false
	}
	if path != "" && path[0] != '/' {
		return nil, false
	}
	var steps []string
	if path != "" {
		steps = strings.Split(path[1:], "/")
	}
	left := maxReferred
	found, ok := point(v, steps, &left)
	if !ok {
		return nil, false
	}
	out, err := json.Marshal(found)
	return out, err == nil
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

func point(v any, steps []string, left *int) (any, bool) {
	if len(steps) == 0 {
		return v, true
	}
	step := unescape.Replace(steps[0])
	switch v := v.(type) {
	case map[string]any:
		in, ok := v[step]
		if !ok {
			return nil, false
		}
		return point(in, steps[1:], left)
	case []any:
		if step == "*" {
			return each(v, steps[1:], left)
		}
		n, err := strconv.Atoi(step)
		if err != nil || n < 0 || n >= len(v) || strconv.Itoa(n) != step {
			return nil, false
		}
		return point(v[n], steps[1:], left)
	}
	return nil, false
}

// each follows a pointer from each item of an array.
func each(items []any, steps []string, left *int) (any, bool) {
	out := []any{}
	for _, item := range items {
		in, ok := point(item, steps, left)
		if !ok {
			return nil, false
		}
		some, isArray := in.([]any)
		if !isArray {
			some = []any{in}
		}
		if *left -= len(some); *left < 0 {
			return nil, false
		}
		out = append(out, some...)
	}
	return out, true
}
