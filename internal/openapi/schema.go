package openapi

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Schema is a JSON Schema (2020-12), as far as it is needed.
type Schema struct {
	Ref         string             `json:"$ref,omitempty"`
	Type        any                `json:"type,omitempty"` // a word, or several
	Format      string             `json:"format,omitempty"`
	Encoding    string             `json:"contentEncoding,omitempty"`
	Description string             `json:"description,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	Minimum     *int64             `json:"minimum,omitempty"`
	Maximum     *int64             `json:"maximum,omitempty"`
	Items       *Schema            `json:"items,omitempty"`
	Properties  map[string]*Schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Values      *Schema            `json:"additionalProperties,omitempty"`
	AnyOf       []*Schema          `json:"anyOf,omitempty"`
}

// Text is the schema of a string with a description.
func Text(description string) *Schema { return &Schema{Type: "string", Description: description} }

// Schemas makes schemas of Go types as encoding/json writes them, and collects those of named
// structs. In a struct tag, doc describes a field and enum lists the words that it may hold.
// The zero value is ready for use.
type Schemas struct {
	All   map[string]*Schema
	named map[reflect.Type]string
}

var (
	timeType = reflect.TypeFor[time.Time]()
	textType = reflect.TypeFor[encoding.TextMarshaler]()
	jsonType = reflect.TypeFor[json.Marshaler]()
)

// Of is the schema of T; a reference where T is a named struct.
func Of[T any](s *Schemas) *Schema { return s.of(reflect.TypeFor[T]()) }

func (s *Schemas) of(t reflect.Type) *Schema {
	switch {
	case t == timeType:
		return &Schema{Type: "string", Format: "date-time"}
	case t.Implements(textType):
		return &Schema{Type: "string"}
	case t.Implements(jsonType):
		panic(fmt.Sprintf("openapi: %s writes JSON of its own, which has no schema", t))
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.String:
		return &Schema{Type: "string"}
	case reflect.Bool:
		return &Schema{Type: "boolean"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return &Schema{Type: "integer"}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return &Schema{Type: "string", Encoding: "base64"}
		}
		return &Schema{Type: "array", Items: s.of(t.Elem())}
	case reflect.Map:
		return &Schema{Type: "object", Values: s.of(t.Elem())}
	case reflect.Struct:
		return s.object(t)
	}
	panic(fmt.Sprintf("openapi: %s has no schema", t))
}

// object is the schema of a struct, and notes it under its name.
func (s *Schemas) object(t reflect.Type) *Schema {
	if s.All == nil {
		s.All, s.named = map[string]*Schema{}, map[reflect.Type]string{}
	}
	name, known := s.named[t]
	if !known {
		name = t.Name()
		if name == "" {
			panic(fmt.Sprintf("openapi: %s needs a name", t))
		}
		if s.All[name] != nil {
			path := strings.Split(t.PkgPath(), "/")
			name = path[len(path)-1] + "." + name
		}
		o := &Schema{Type: "object", Properties: map[string]*Schema{}}
		s.named[t], s.All[name] = name, o // before its fields, which may refer to it
		s.fields(t, o)
		slices.Sort(o.Required)
	}
	return &Schema{Ref: "#/components/schemas/" + name}
}

// fields adds those of a struct to its schema, with those of the structs in it.
func (s *Schemas) fields(t reflect.Type, o *Schema) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case tag == "-" || !f.IsExported() && !f.Anonymous:
			continue
		case f.Anonymous && name == "":
			s.fields(f.Type, o)
			continue
		case name == "":
			name = f.Name
		}
		optional := strings.Contains(options, "omit")
		o.Properties[name] = s.field(f, optional)
		if !optional {
			o.Required = append(o.Required, name)
		}
	}
}

// field is the schema of one: null, too, where encoding/json would write it.
func (s *Schemas) field(f reflect.StructField, optional bool) *Schema {
	x := s.of(f.Type)
	if words := f.Tag.Get("enum"); words != "" {
		at := x
		if x.Items != nil {
			at = x.Items
		}
		at.Enum = strings.Fields(words)
	}
	if k := f.Type.Kind(); !optional && (k == reflect.Slice || k == reflect.Map || k == reflect.Pointer) {
		if word, ok := x.Type.(string); ok {
			x.Type = []string{word, "null"}
		} else {
			x = &Schema{AnyOf: []*Schema{x, {Type: "null"}}}
		}
	}
	x.Description = f.Tag.Get("doc")
	return x
}
