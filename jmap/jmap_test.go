package jmap_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/jmap"
)

// RFC 8620 §3.6.1: what is no request is refused by the right word.
func TestParseRequest(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"using": [], "methodCalls": [["Core/echo", {}, "0"]]}`:             "",
		`{"using": [], "methodCalls": [["Core/echo", {}, "0"]], "extra": 1}`: "",
		`{"using": [], "methodCalls": [], "createdIds": {"a": "b"}}`:         "",
		``: "notJSON", `{`: "notJSON", `{} {}`: "notJSON", "\xff": "notJSON", `{"a": 1, "a": 2}`: "notJSON", `{"a": "\ud800"}`: "notJSON", `{"a": "\udc00x"}`: "notJSON",
		strings.Repeat("[", 65) + strings.Repeat("]", 65): "notJSON", `{"using": [],}`: "notJSON",
		`[]`: "notRequest", `null`: "notRequest", `{}`: "notRequest", `{"using": null, "methodCalls": []}`: "notRequest", `{"Using": [], "methodCalls": []}`: "notRequest",
		`{"using": [], "methodCalls": [["a", {}]]}`: "notRequest", `{"using": [], "methodCalls": [["a", [], "0"]]}`: "notRequest", `{"using": [], "methodCalls": [[1, {}, "0"]]}`: "notRequest",
		`{"using": [], "methodCalls": [["a", null, "0"]]}`: "notRequest", `{"using": [], "methodCalls": [["a", {}, null]]}`: "notRequest", `{"using": [1], "methodCalls": []}`: "notRequest",
		`{"using": [], "methodCalls": [], "createdIds": {"a b": "c"}}`:                                  "notRequest",
		`{"using": [], "methodCalls": [["a", {}, "0"], ["a", {}, "1"], ["a", {}, "2"]]}`:                "limit",
		`{"using": ["\ud83d\ude00", "\\ud800"], "methodCalls": [["a", {"b": {"b": [{"b": 1}]}}, "0"]]}`: "",
	} {
		_, p := jmap.ParseRequest([]byte(text), 2)
		got := ""
		if p != nil {
			got = strings.TrimPrefix(p.Type, "urn:ietf:params:jmap:error:")
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// RFC 8620 §3.7: the example of the RFC, and each way in which a reference can be wrong.
func TestResolve(t *testing.T) {
	t.Parallel()
	done := []jmap.Result{
		{Name: "Foo/changes", ID: "t0", Args: json.RawMessage(`{"created": ["f1", "f4"], "a/b": {"~": 1}}`)},
		{Name: "Foo/get", ID: "t1", Args: json.RawMessage(`{"list": [{"ids": ["a", "b"], "id": "x"}, {"ids": ["c"], "id": "y"}], "none": []}`)},
	}
	for _, c := range []struct{ of, name, path, want string }{
		{"t0", "Foo/changes", "/created", `["f1", "f4"]`}, {"t0", "Foo/changes", "/created/1", `"f4"`}, {"t0", "Foo/changes", "/a~1b/~0", `1`},
		{"t1", "Foo/get", "/list/*/ids", `["a","b","c"]`}, {"t1", "Foo/get", "/list/*/id", `["x","y"]`}, {"t1", "Foo/get", "/list/*/ids/0", `["a","c"]`}, {"t1", "Foo/get", "/none/*/x", `[]`},
		{"t0", "Foo/get", "/created", ""}, {"t2", "Foo/get", "/x", ""}, {"t0", "Foo/changes", "/created/2", ""}, {"t0", "Foo/changes", "/created/01", ""},
		{"t0", "Foo/changes", "/created/-1", ""}, {"t0", "Foo/changes", "created", ""}, {"t0", "Foo/changes", "/nothing", ""}, {"t1", "Foo/get", "/list/*/ids/1", ""}, {"t1", "Foo/get", "/*", ""},
	} {
		ref, err := json.Marshal(map[string]string{"resultOf": c.of, "name": c.name, "path": c.path})
		if err != nil {
			t.Fatal(err)
		}
		got, fault := new(jmap.Resolver).Resolve(map[string]json.RawMessage{"#ids": ref, "other": json.RawMessage("1")}, done)
		if c.want == "" {
			if fault == nil || fault.Type != jmap.InvalidResultReference {
				t.Errorf("%v: %v", c, fault)
			}
			continue
		}
		if fault != nil || string(got["ids"]) != c.want || string(got["other"]) != "1" {
			t.Errorf("%v: %s, %v", c, got["ids"], fault)
		}
	}
	for raw, want := range map[string]string{`null`: jmap.InvalidResultReference, `{"resultOf": 1}`: jmap.InvalidResultReference} {
		if _, fault := new(jmap.Resolver).Resolve(map[string]json.RawMessage{"#a": json.RawMessage(raw)}, done); fault == nil || fault.Type != want {
			t.Errorf("%s: %v", raw, fault)
		}
	}
	if _, fault := new(jmap.Resolver).Resolve(map[string]json.RawMessage{"#a": json.RawMessage(`{}`), "a": json.RawMessage(`1`)}, done); fault == nil || fault.Type != jmap.InvalidArguments {
		t.Errorf("given twice: %v", fault)
	}
}

// RFC 8620 §3.7: however many references name however much, what they cost is bounded for the whole request.
func TestResolverBound(t *testing.T) {
	t.Parallel()
	long := `"` + strings.Repeat("x", 1<<20) + `"`
	done := []jmap.Result{{Name: "Core/echo", ID: "0", Args: json.RawMessage(`{"a": ` + long + `, "b": 1}`)}}
	ref := func(path string) json.RawMessage {
		return json.RawMessage(`{"resultOf": "0", "name": "Core/echo", "path": "` + path + `"}`)
	}
	x := &jmap.Resolver{}
	copies := 0
	for ; copies < 1000; copies++ {
		if _, fault := x.Resolve(map[string]json.RawMessage{"#a": ref("/a")}, done); fault != nil {
			if fault.Type != jmap.InvalidResultReference {
				t.Errorf("%v", fault)
			}
			break
		}
	}
	if copies < 10 || copies > 40 {
		t.Errorf("%d copies of a MiB were made", copies)
	}
	x = &jmap.Resolver{}
	looks := 0
	for ; looks < 1000; looks++ {
		if _, fault := x.Resolve(map[string]json.RawMessage{"#b": ref("/b")}, done); fault != nil {
			break
		}
	}
	if looks < 100 || looks > 260 {
		t.Errorf("a MiB was looked through %d times", looks)
	}
}

// RFC 8620 §5.6: what Difference says makes of the old results the new ones, and is least: nothing is moved that need not be.
func TestDifference(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		var old, now []jmap.ID
		for i := range r.IntN(9) {
			old = append(old, jmap.ID('a'+rune(i)))
		}
		for i := range r.IntN(9) {
			now = append(now, jmap.ID('a'+rune(i+r.IntN(2)*20)))
		}
		now = slices.Compact(now)
		r.Shuffle(len(now), func(i, j int) { now[i], now[j] = now[j], now[i] })
		removed, added := jmap.Difference(old, now)
		got := slices.DeleteFunc(slices.Clone(old), func(id jmap.ID) bool { return slices.Contains(removed, id) })
		for _, a := range added {
			got = slices.Insert(got, int(a.Index), a.ID)
		}
		if !slices.Equal(got, now) {
			t.Fatalf("%v to %v: -%v +%v gives %v", old, now, removed, added, got)
		}
		if slices.Equal(old, now) && len(removed)+len(added) > 0 {
			t.Fatalf("%v: -%v +%v", old, removed, added)
		}
	}
}

// RFC 8620 §5.5: every window over a list.
func TestCut(t *testing.T) {
	t.Parallel()
	all := []jmap.ID{"a", "b", "c", "d", "e"}
	for _, c := range []struct {
		w    jmap.Window
		at   int64
		want string
	}{
		{jmap.Window{Limit: 2}, 0, "a b"}, {jmap.Window{Position: 3, Limit: 9}, 3, "d e"}, {jmap.Window{Position: 9, Limit: 9}, 9, ""}, {jmap.Window{Position: -2, Limit: 9}, 3, "d e"},
		{jmap.Window{Position: -9, Limit: 1}, 0, "a"}, {jmap.Window{Anchor: "c", Limit: 1}, 2, "c"}, {jmap.Window{Anchor: "c", AnchorOffset: -1, Limit: 2}, 1, "b c"},
		{jmap.Window{Anchor: "c", AnchorOffset: -9, Limit: 1}, 0, "a"}, {jmap.Window{Anchor: "c", AnchorOffset: 9, Limit: 1}, 11, ""}, {jmap.Window{Limit: 0}, 0, ""},
	} {
		at, ids, err := jmap.Cut(all, c.w)
		var got []string
		for _, id := range ids {
			got = append(got, string(id))
		}
		if err != nil || at != c.at || strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %d %v %v", c.w, at, got, err)
		}
	}
	if _, _, err := jmap.Cut(all, jmap.Window{Anchor: "x", Limit: 1}); err == nil || err.Type != jmap.AnchorNotFound {
		t.Errorf("no anchor: %v", err)
	}
}

// RFC 8620 §5.5: operators, over all that two conditions can be.
func TestFind(t *testing.T) {
	t.Parallel()
	for op, want := range map[string]func(a, b bool) bool{
		jmap.And: func(a, b bool) bool { return a && b }, jmap.Or: func(a, b bool) bool { return a || b }, jmap.Not: func(a, b bool) bool { return !a && !b },
	} {
		f, err := jmap.ParseFilter(json.RawMessage(`{"operator": "` + op + `", "conditions": [{"a": 1}, {"b": 1}]}`))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range []bool{false, true} {
			for _, b := range []bool{false, true} {
				got := f.Find(func(c *jmap.Filter) jmap.Finding {
					_, isA := c.Condition["a"]
					return jmap.Is(isA && a || !isA && b)
				})
				if got != jmap.Is(want(a, b)) {
					t.Errorf("%s %v %v: %v", op, a, b, got)
				}
			}
		}
	}
	for _, text := range []string{`[]`, `{"operator": "XOR", "conditions": []}`, `{"operator": "AND"}`, `{"operator": "AND", "conditions": [], "x": 1}`, `{"operator": "AND", "conditions": [null]}`,
		`{"operator": "AND", "conditions": [` + strings.Repeat(`{},`, jmap.MaxFilters) + `{}]}`} {
		if _, err := jmap.ParseFilter(json.RawMessage(text)); err == nil {
			t.Errorf("%.60s is a filter", text)
		}
	}
}

// RFC 8620 §5.3: a patch whose paths lie in each other is none.
func TestPatch(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{`{"a/b": 1, "a/c": null, "ab": 2}`: "", `{"a": 1, "a/b": 2}`: jmap.InvalidPatch, `{"a": 1, "a0": 1, "a/b/c": 2}`: jmap.InvalidPatch, `{"a~1b": 1, "a/b": 1}`: ""} {
		var p jmap.Patch
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatal(err)
		}
		_, fault := p.Steps()
		if got := ""; fault != nil && fault.Type != want || fault == nil && got != want {
			t.Errorf("%s: %v, want %q", text, fault, want)
		}
	}
}

// RFC 8620 §1.4: dates as they are written, and no others.
func TestDates(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{`"2014-10-30T06:12:00Z"`: true, `"2014-10-30T06:12:00.5Z"`: true, `"2014-10-30T14:12:00+08:00"`: false, `"2014-10-30"`: false, `1`: false} {
		var d jmap.UTCDate
		if err := json.Unmarshal([]byte(text), &d); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	at := time.Date(2014, 10, 30, 14, 12, 0, 0, time.FixedZone("", 8*3600))
	if b, err := json.Marshal([]any{jmap.UTCDate{Time: at}, jmap.Date{Time: at}, jmap.UTCDate{}}); err != nil || string(b) != `["2014-10-30T06:12:00Z","2014-10-30T14:12:00+08:00",null]` {
		t.Errorf("%s %v", b, err)
	}
}

// FuzzRequest: whatever comes, it is a request or a problem; what is a request is I-JSON for Go's decoder too, and each of its
// arguments is resolved or refused.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{`{"using": ["urn:ietf:params:jmap:core"], "methodCalls": [["Core/echo", {"#a": {"resultOf": "0", "name": "x", "path": "/a/*/b"}}, "0"]]}`, `{"using": [], "methodCalls": [["a", {"filter": {"operator": "NOT", "conditions": [{"x": 1}]}, "sort": [{"property": "x"}]}, "0"]]}`, `{"\ud800": 1}`, `[[[[`} {
		f.Add([]byte(s))
	}
	done := []jmap.Result{{Name: "x", ID: "0", Args: json.RawMessage(`{"a": [{"b": [1, 2]}, {"b": 3}]}`)}}
	f.Fuzz(func(t *testing.T, data []byte) {
		req, p := jmap.ParseRequest(data, 16)
		if (req == nil) == (p == nil) {
			t.Fatalf("%v and %v", req, p)
		}
		if p != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("%q was taken", data)
		}
		for _, c := range req.Calls {
			args, fault := new(jmap.Resolver).Resolve(c.Args, done)
			if fault != nil {
				continue
			}
			for _, raw := range args {
				if f, err := jmap.ParseFilter(raw); err == nil {
					f.Find(func(*jmap.Filter) jmap.Finding { return jmap.Unknown })
				}
				_, _ = jmap.ParseSort(raw) // it does not panic
			}
			_, _ = jmap.Patch(args).Steps() // nor does this
		}
	})
}
