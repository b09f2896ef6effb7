package dnscheck_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"waxwing/internal/dnsfinding"
)

// TestNeverOKUnseen (DNS-C): with any one fact taken away, as if it had not been looked
// at, something is told as not seen, and less is told as well than before.
func TestNeverOKUnseen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	well := count(dnsfinding.Decide(w.checker.Look(t.Context(), w.wanted)), dnsfinding.OK)
	places := 0
	for {
		facts := w.checker.Look(t.Context(), w.wanted)
		at, ok := blind(reflect.ValueOf(&facts).Elem(), "", &places)
		if !ok {
			break
		}
		found := dnsfinding.Decide(facts)
		if count(found, dnsfinding.OK) >= well || count(found, dnsfinding.Unknown) == 0 {
			t.Errorf("without %s: %d are well of %d, %d not seen", at, count(found, dnsfinding.OK), well, count(found, dnsfinding.Unknown))
		}
	}
	if places < 25 {
		t.Errorf("only %d facts were taken away", places)
	}
	if n := count(dnsfinding.Decide(dnsfinding.Facts{Now: w.now, Wanted: w.wanted}), dnsfinding.OK); n > 0 {
		t.Errorf("%d things are well of which nothing was seen", n)
	}
}

func count(found []dnsfinding.Finding, l dnsfinding.Level) int {
	return len(slices.DeleteFunc(slices.Clone(found), func(f dnsfinding.Finding) bool { return f.Level != l }))
}

// blind zeroes the next fact that says that it was looked at: the one after as many as
// *done, which it counts up. ok is false where there is none.
func blind(v reflect.Value, at string, done *int) (where string, ok bool) {
	skip := *done
	var walk func(v reflect.Value, at string) (string, bool)
	walk = func(v reflect.Value, at string) (string, bool) {
		switch v.Kind() {
		case reflect.Struct:
			if at == ".Policy.A" {
				return "", false // it only says why a policy could not be fetched
			}
			if asked := v.FieldByName("Asked"); asked.IsValid() && v.CanSet() {
				if skip == 0 {
					blindOne(v)
					*done++
					return at, true
				}
				skip--
			}
			for i := range v.NumField() {
				if name := v.Type().Field(i).Name; v.Type().Field(i).IsExported() && name != "Wanted" && name != "Answer" && name != "Chain" && name != "Outcome" {
					if w, ok := walk(v.Field(i), at+"."+name); ok {
						return w, true
					}
				}
			}
		case reflect.Slice:
			for i := range v.Len() {
				if w, ok := walk(v.Index(i), fmt.Sprintf("%s[%d]", at, i)); ok {
					return w, true
				}
			}
		case reflect.Map:
			if v.Type().Elem().Kind() != reflect.Struct {
				return "", false
			}
			for _, k := range sortedKeys(v) {
				one := reflect.New(v.Type().Elem()).Elem()
				one.Set(v.MapIndex(k))
				w, ok := walk(one, fmt.Sprintf("%s[%s]", at, k))
				v.SetMapIndex(k, one)
				if ok {
					return w, true
				}
			}
		}
		return "", false
	}
	return walk(v, at)
}

// blindOne is a fact that nobody looked at; of what it is about it keeps the name.
func blindOne(v reflect.Value) {
	for i := range v.NumField() {
		switch v.Type().Field(i).Name {
		case "Addr", "Name", "Source", "Helo", "Address":
		default:
			v.Field(i).SetZero()
		}
	}
}

func sortedKeys(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		if a.String() < b.String() {
			return -1
		}
		return 1
	})
	return keys
}
