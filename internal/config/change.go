package config

import (
	"reflect"
	"slices"
)

// live are the keys whose change a running server can take over (OPS-10). Every
// other key needs a restart.
var live = []string{"log.level", "delivery.minimum", "delivery.exceptions"}

// Change is what differs between two configurations.
type Change struct {
	Live    []string // keys that can be taken over while running
	Restart []string // keys that need a restart
}

// Changes compares two configurations. It is pure.
func Changes(old, next *Config) Change {
	var c Change
	diff("", reflect.ValueOf(old).Elem(), reflect.ValueOf(next).Elem(), func(key string) {
		if slices.Contains(live, key) {
			c.Live = append(c.Live, key)
		} else {
			c.Restart = append(c.Restart, key)
		}
	})
	return c
}

// diff calls differs with each key that has another value: lists are compared as a
// whole.
func diff(path string, a, b reflect.Value, differs func(key string)) {
	for i := range a.NumField() {
		f := a.Type().Field(i)
		name := f.Tag.Get("toml")
		if name == "" {
			continue
		}
		key := join(path, name)
		if table, list := tableOf(f.Type); table != nil && !list {
			diff(key, a.Field(i), b.Field(i), differs)
			continue
		}
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			differs(key)
		}
	}
}

// With returns c with the keys taken over from next that can be.
func (c *Config) With(next *Config) *Config {
	out := *c
	out.Log.Level = next.Log.Level
	out.Delivery.Minimum, out.Delivery.Exceptions = next.Delivery.Minimum, next.Delivery.Exceptions
	return &out
}
