package openapi

import (
	"encoding/json"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

type inner struct {
	N int `json:"n"`
}

type outer struct {
	inner
	Text   string            `json:"text" doc:"what it says" enum:"a b"`
	Words  []string          `json:"words,omitempty" enum:"x y"`
	Never  string            `json:"-"`
	At     time.Time         `json:"at,omitzero"`
	Addr   netip.Addr        `json:"addr"`
	Raw    []byte            `json:"raw"`
	Next   *outer            `json:"next"`
	Counts map[string]inner2 `json:"counts"`
	Plain  bool
	hidden string // not written
}

type inner2 struct {
	OK bool `json:"ok"`
}

// What encoding/json writes of a type is what its schema says: the same fields, and those
// that are required always there.
func TestSchemaIsAsJSON(t *testing.T) {
	t.Parallel()
	var s Schemas
	ref := Of[outer](&s)
	if ref.Ref != "#/components/schemas/outer" || len(s.All) != 2 {
		t.Fatalf("%+v, %d named", ref, len(s.All))
	}
	o := s.All["outer"]
	b, err := json.Marshal(outer{Words: []string{"x"}, At: time.Now(), hidden: "x"})
	var written map[string]any
	if err == nil {
		err = json.Unmarshal(b, &written)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Sorted(maps.Keys(o.Properties)), slices.Sorted(maps.Keys(written)); !slices.Equal(got, want) {
		t.Errorf("described %v, written %v", got, want)
	}
	b, _ = json.Marshal(outer{})
	clear(written)
	if err := json.Unmarshal(b, &written); err != nil {
		t.Fatal(err)
	}
	if want := slices.Sorted(maps.Keys(written)); !slices.Equal(o.Required, want) {
		t.Errorf("required %v, written of nothing %v", o.Required, want)
	}
	for name, want := range map[string]string{
		"text": `{"type":"string","description":"what it says","enum":["a","b"]}`, "words": `{"type":"array","items":{"type":"string","enum":["x","y"]}}`,
		"at": `{"type":"string","format":"date-time"}`, "addr": `{"type":"string"}`, "raw": `{"type":["string","null"],"contentEncoding":"base64"}`,
		"next":   `{"anyOf":[{"$ref":"#/components/schemas/outer"},{"type":"null"}]}`,
		"counts": `{"type":["object","null"],"additionalProperties":{"$ref":"#/components/schemas/inner2"}}`,
	} {
		if got, _ := json.Marshal(o.Properties[name]); string(got) != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

type odd struct{}

func (odd) MarshalJSON() ([]byte, error) { return []byte("1"), nil }

// What has no schema is found when the description is made, which a test does.
func TestNoSchema(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(){
		"JSON of its own": func() { Of[odd](&Schemas{}) }, "a function": func() { Of[func()](&Schemas{}) }, "no name": func() { Of[struct{ A int }](&Schemas{}) },
	} {
		func() {
			defer func() {
				if v := recover(); v == nil || !strings.HasPrefix(reflect.ValueOf(v).String(), "openapi: ") {
					t.Errorf("%s: %v", name, v)
				}
			}()
			f()
		}()
	}
}
