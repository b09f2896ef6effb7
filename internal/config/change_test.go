package config

import (
	"reflect"
	"slices"
	"testing"

	"waxwing/dns"
)

// alter gives a value another one.
func alter(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint16:
		v.SetUint(v.Uint() + 1)
	case reflect.Slice:
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
	case reflect.Map:
		m := reflect.MakeMap(v.Type())
		key := reflect.ValueOf(dns.MustParse("altered.example"))
		if v.Type().Key() == reflect.TypeFor[LogArea]() {
			key = reflect.ValueOf(LogQueue)
		}
		m.SetMapIndex(key, reflect.Zero(v.Type().Elem()))
		v.Set(m)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[dns.Name]() {
			v.Set(reflect.ValueOf(dns.MustParse("altered.example")))
			return
		}
		t.Fatalf("a %s is not altered by this test", v.Type())
	default:
		t.Fatalf("a %s is not altered by this test", v.Kind())
	}
}

// TestChanges: every key's change is noticed, alone, and is either taken over while
// running or said to need a restart (OPS-10). What With takes over is what is said so.
func TestChanges(t *testing.T) {
	t.Parallel()
	n, all := 0, map[string]bool{}
	var walk func(path string, index []int)
	walk = func(path string, index []int) {
		at := reflect.ValueOf(*Default())
		if len(index) > 0 {
			at = at.FieldByIndex(index)
		}
		for i := range at.NumField() {
			f := at.Type().Field(i)
			name := f.Tag.Get("toml")
			if name == "" {
				continue
			}
			here, key := append(slices.Clone(index), i), join(path, name)
			if table, list := tableOf(f.Type); table != nil && !list {
				walk(key, here)
				continue
			}
			n++
			all[key] = true
			if slices.Contains(live, key) == slices.Contains(restart, key) {
				t.Errorf("%s: decide in change.go whether a running server takes it over, or needs a restart", key)
			}
			old, next := Default(), Default()
			alter(t, reflect.ValueOf(next).Elem().FieldByIndex(here))
			c := Changes(old, next)
			if got := append(c.Live, c.Restart...); !slices.Equal(got, []string{key}) {
				t.Errorf("%s altered: %v", key, got)
			}
			isLive := slices.Contains(live, key)
			if isLive != (len(c.Live) == 1) {
				t.Errorf("%s: %+v", key, c)
			}
			left := Changes(old.With(next), next)
			if isLive != (len(left.Live)+len(left.Restart) == 0) {
				t.Errorf("%s: With leaves %+v", key, left)
			}
		}
	}
	walk("", nil)
	for _, key := range slices.Concat(live, restart) {
		if !all[key] {
			t.Errorf("change.go decides about %s, which is no key", key)
		}
	}
	if n < 60 {
		t.Errorf("only %d keys were found", n)
	}
	if c := Changes(Default(), Default()); c.Live != nil || c.Restart != nil {
		t.Errorf("nothing altered: %+v", c)
	}
}
