package call

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"

	"waxwing/jmap"
)

// Decode reads the arguments into a struct, in which those that cannot be left out have the tag must:"be". The error is InvalidArguments.
func (a Args) Decode(into any) *jmap.Error {
	raw, err := json.Marshal(map[string]json.RawMessage(a))
	if err != nil {
		return jmap.Errorf(jmap.InvalidArguments, "%v", err)
	}
	if name := unknown(raw, reflect.TypeOf(into)); name != "" {
		return jmap.Errorf(jmap.InvalidArguments, "there is no argument %.100q", name)
	}
	for _, f := range reflect.VisibleFields(reflect.TypeOf(into).Elem()) {
		if v := a[f.Tag.Get("json")]; f.Tag.Get("must") == "be" && (len(v) == 0 || string(v) == "null") {
			return jmap.Errorf(jmap.InvalidArguments, "%s is missing", f.Tag.Get("json"))
		}
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return jmap.Errorf(jmap.InvalidArguments, "%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// Record reads what a client wants to be created into a struct. The error is InvalidProperties, with the property that is wrong.
func Record(raw json.RawMessage, into any) *jmap.SetError {
	if !isObject(raw) {
		return jmap.SetErrorf(jmap.InvalidProperties, nil, "what is created is an object")
	}
	if name := unknown(raw, reflect.TypeOf(into)); name != "" {
		return jmap.SetErrorf(jmap.InvalidProperties, []string{strings.Split(name, ".")[0]}, "there is no property %.100q that can be set", name)
	}
	err := json.Unmarshal(raw, into)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		return jmap.SetErrorf(jmap.InvalidProperties, []string{strings.Split(wrong.Field, ".")[0]}, "%.100q has a wrong type", wrong.Field)
	case err != nil:
		return jmap.SetErrorf(jmap.InvalidProperties, nil, "%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

func isObject(raw json.RawMessage) bool { return bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) }

// unknown is the name in a value that its type does not have, with the names above it; "": there is none. JSON is case sensitive (RFC 8620 §1.5), and
// Go's decoder is not: it would read "IDS" as "ids".
func unknown(raw json.RawMessage, t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case !hasNames(t):
		return ""
	case t.Kind() == reflect.Struct:
		return unknownIn(raw, fieldsOf(t))
	case t.Kind() == reflect.Map:
		return unknownIn(raw, func(string) reflect.Type { return t.Elem() })
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		return "" // a wrong type, which is found out later
	}
	for _, item := range items {
		if name := unknown(item, t.Elem()); name != "" {
			return name
		}
	}
	return ""
}

// unknownIn is unknown for an object whose members have the types that of says; nil: there is no such member.
func unknownIn(raw json.RawMessage, of func(name string) reflect.Type) string {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return ""
	}
	for name, v := range members {
		t := of(name)
		if t == nil {
			return name
		}
		if below := unknown(v, t); below != "" {
			return name + "." + below
		}
	}
	return ""
}

// fieldsOf are the types of a struct's fields, by their names in JSON.
func fieldsOf(t reflect.Type) func(name string) reflect.Type {
	all := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			all[name] = f.Type
		}
	}
	return func(name string) reflect.Type { return all[name] }
}

// hasNames tells whether values of a type are read by names that it knows.
func hasNames(t reflect.Type) bool {
	for {
		if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
			return false
		}
		switch t.Kind() {
		case reflect.Struct:
			return true
		case reflect.Pointer, reflect.Slice, reflect.Map:
			t = t.Elem()
		default:
			return false
		}
	}
}
