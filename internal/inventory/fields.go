package inventory

import (
	"fmt"
	"reflect"
	"strings"
)

// field is one field of an entry, as text; "": it is not set.
type field struct {
	name, text  string
	key, secret bool
}

func fieldsOf(e Entry) (all []field) {
	v := reflect.ValueOf(e)
	for i := range v.NumField() {
		f := v.Type().Field(i)
		text := ""
		if !v.Field(i).IsZero() {
			text = fmt.Sprint(v.Field(i).Interface())
			if list, ok := v.Field(i).Interface().([]string); ok {
				text = strings.Join(list, " ")
			}
		}
		all = append(all, field{tomlName(f), text, f.Tag.Get("key") != "", f.Tag.Get("secret") != ""})
	}
	return all
}

// WithoutSecrets is the inventory as it may be shown to everybody.
func (inv *Inventory) WithoutSecrets() *Inventory {
	out := &Inventory{Version: inv.Version}
	for _, s := range sections() {
		entries, told := s.of(inv)
		if !told {
			continue
		}
		for i, e := range entries {
			v := reflect.New(reflect.TypeOf(e)).Elem()
			v.Set(reflect.ValueOf(e))
			for n := range v.NumField() {
				if v.Type().Field(n).Tag.Get("secret") != "" {
					v.Field(n).SetZero()
				}
			}
			entries[i] = v.Interface().(Entry)
		}
		s.set(out, entries)
	}
	return out
}
