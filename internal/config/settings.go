package config

import (
	"fmt"
	"reflect"
)

// Setting is one key as it was read.
type Setting struct {
	Key   string `json:"key"`   // with the tables that it stands in
	Value string `json:"value"` // of a secret only that there is one
	Given bool   `json:"given"` // it has another value than without the file
}

// Settings are all keys with what holds, in the order of the reference. Secrets are left out.
func (c *Config) Settings() (all []Setting) {
	settings(&all, "", reflect.ValueOf(c).Elem(), reflect.ValueOf(Default()).Elem())
	return all
}

// settings adds those of a table; usual is the table of a configuration without a file, invalid where there is none.
func settings(all *[]Setting, path string, v, usual reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := f.Tag.Get("toml")
		if name == "" {
			continue
		}
		key, value, before := join(path, name), v.Field(i), reflect.Value{}
		if usual.IsValid() {
			before = usual.Field(i)
		}
		table, list := tableOf(f.Type)
		switch {
		case table != nil && list:
			for k := range value.Len() {
				settings(all, fmt.Sprintf("%s[%d]", key, k), value.Index(k), reflect.Value{})
			}
		case table != nil:
			settings(all, key, value, before)
		case f.Tag.Get("secret") != "":
			if !value.IsZero() {
				*all = append(*all, Setting{key, "set, and not shown", true})
			}
		default:
			given := !before.IsValid() && !value.IsZero() || before.IsValid() && !reflect.DeepEqual(value.Interface(), before.Interface())
			*all = append(*all, Setting{key, literal(value), given})
		}
	}
}
