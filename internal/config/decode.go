package config

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/dns"
)

// decoder carries a TOML tree into the structs and keeps every fault it meets.
type decoder struct {
	file    string
	places  map[string]place
	columns bool // faults tell them
	errs    Errors
}

func (d *decoder) fault(key, format string, args ...any) {
	at := d.place(key)
	if !d.columns {
		at.column = 0
	}
	d.errs = append(d.errs, Error{File: d.file, Line: at.line, Column: at.column, Key: key, Text: fmt.Sprintf(format, args...)})
}

// all is every fault by line; nil where there is none.
func (d *decoder) all() error {
	if len(d.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(d.errs, func(a, b Error) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key)) })
	return d.errs
}

// line is the line of key, or of what encloses it; 0 where that is nowhere.
func (d *decoder) line(key string) int { return d.place(key).line }

// place is where key stands, or what encloses it.
func (d *decoder) place(key string) place {
	for key != "" {
		if p, ok := d.places[key]; ok {
			return p
		}
		i := strings.LastIndexAny(key, ".[")
		if i < 0 {
			return place{}
		}
		key = key[:i]
	}
	return place{}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// table decodes the keys of one table into a struct.
func (d *decoder) table(path string, tree map[string]any, v reflect.Value) {
	known := map[string]reflect.StructField{}
	var names []string
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if name := keyOf(f); name != "" {
			known[name] = f
			names = append(names, name)
		}
	}
	for key, raw := range tree {
		f, ok := known[key]
		if !ok {
			d.fault(join(path, key), "unknown key%s", suggest(key, names))
			continue
		}
		d.value(join(path, key), raw, v.FieldByIndex(f.Index), f.Tag)
	}
	for _, name := range names {
		required := known[name].Tag.Get("required")
		if other, ok := strings.CutPrefix(required, "unless "); ok && tree[other] != nil {
			continue
		}
		if _, ok := tree[name]; !ok && required != "" {
			d.fault(join(path, name), "missing; it is needed, as in %s = %q", name, known[name].Tag.Get("example"))
		}
	}
}

// keyOf is the key that a field is decoded from; "" for none. What follows a comma in the
// tag is for who writes the file.
func keyOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
	return name
}

// value decodes one value. The types with text forms of their own come first.
func (d *decoder) value(path string, raw any, v reflect.Value, tag reflect.StructTag) {
	switch v.Addr().Interface().(type) {
	case *time.Duration:
		decodeText(d, text{path, raw, v, tag, "a duration like \"5m\""}, ParseDuration)
		return
	case *Size:
		if n, ok := raw.(int64); ok {
			raw = strconv.FormatInt(n, 10)
		}
		decodeText(d, text{path, raw, v, tag, "a size like \"50MiB\""}, ParseSize)
		return
	case *dns.Name:
		decodeText(d, text{path, raw, v, tag, "a domain name in quotes"}, parseName)
		return
	case *netip.AddrPort:
		decodeText(d, text{path, raw, v, tag, "an address in quotes like \"[::]:25\""}, parseAddrPort)
		return
	case *netip.Prefix:
		decodeText(d, text{path, raw, v, tag, "a network in quotes like \"10.0.0.0/8\""}, parsePrefix)
		return
	}
	switch v.Kind() {
	case reflect.String:
		d.str(path, raw, v, tag)
	case reflect.Bool:
		if b, ok := raw.(bool); ok {
			v.SetBool(b != (v.Type() == reflect.TypeFor[Off]()))
			return
		}
		d.fault(path, "must be true or false, without quotes")
	case reflect.Int, reflect.Uint16:
		d.number(path, raw, v, tag)
	case reflect.Slice:
		d.slice(path, raw, v, tag)
	case reflect.Map:
		d.mapping(path, raw, v, tag)
	case reflect.Struct:
		d.sub(path, raw, v)
	}
}

// text is a value that is written as text.
type text struct {
	path string
	raw  any
	into reflect.Value
	tag  reflect.StructTag
	want string // what is to be written, in words
}

// decodeText decodes what is written as text and parsed by a function.
func decodeText[T any](d *decoder, x text, parse func(string) (T, error)) {
	s, ok := x.raw.(string)
	if !ok {
		d.fault(x.path, "must be %s", x.want)
		return
	}
	t, err := parse(s)
	if err != nil {
		d.fault(x.path, "%v", err)
		return
	}
	for _, bound := range []struct {
		name string
		sign int64
	}{{"min", 1}, {"max", -1}} {
		written := x.tag.Get(bound.name)
		if written == "" || reflect.ValueOf(t).Kind() != reflect.Int64 {
			continue
		}
		limit, err := parse(written)
		if err != nil {
			d.fault(x.path, "limit %q in the program: %v", written, err)
			continue
		}
		if n, l := reflect.ValueOf(t).Int(), reflect.ValueOf(limit).Int(); (n-l)*bound.sign < 0 {
			d.fault(x.path, "%s is not within the bounds: %simum %s", s, bound.name, written)
			return
		}
	}
	x.into.Set(reflect.ValueOf(t))
}

func (d *decoder) str(path string, raw any, v reflect.Value, tag reflect.StructTag) {
	s, ok := raw.(string)
	if !ok {
		d.fault(path, "must be text in quotes")
		return
	}
	if words := strings.Fields(tag.Get("oneof")); len(words) > 0 && !slices.Contains(words, s) {
		d.fault(path, "%q is none of %s%s", s, quoted(words), suggest(s, words))
		return
	}
	v.SetString(s)
}

func (d *decoder) number(path string, raw any, v reflect.Value, tag reflect.StructTag) {
	n, ok := raw.(int64)
	if !ok {
		d.fault(path, "must be a whole number, without quotes")
		return
	}
	low, high := bound(tag, "min", 0), bound(tag, "max", math.MaxInt32)
	if n < low || n > high {
		d.fault(path, "%d is not within %d and %d", n, low, high)
		return
	}
	if v.Kind() == reflect.Uint16 {
		v.SetUint(uint64(n))
		return
	}
	v.SetInt(n)
}

func bound(tag reflect.StructTag, name string, fallback int64) int64 {
	n, err := strconv.ParseInt(tag.Get(name), 10, 64)
	if err != nil {
		return fallback
	}
	return n
}

func (d *decoder) slice(path string, raw any, v reflect.Value, tag reflect.StructTag) {
	list := reflect.ValueOf(raw)
	if list.Kind() != reflect.Slice {
		if v.Type().Elem().Kind() == reflect.Struct {
			d.fault(path, "must be written as [[%s]], once for each", path)
		} else {
			d.fault(path, "must be a list in brackets")
		}
		return
	}
	out := reflect.MakeSlice(v.Type(), list.Len(), list.Len())
	for i := range list.Len() {
		d.value(fmt.Sprintf("%s[%d]", path, i), list.Index(i).Interface(), out.Index(i), tag)
	}
	v.Set(out)
}

// mapping decodes a table whose keys are domain names, or areas of the log.
func (d *decoder) mapping(path string, raw any, v reflect.Value, tag reflect.StructTag) {
	tree, ok := raw.(map[string]any)
	if !ok {
		d.fault(path, "must be a table, as in [%s]", path)
		return
	}
	out := reflect.MakeMap(v.Type())
	for key, raw := range tree {
		name, err := mapKey(v.Type().Key(), key)
		if err != nil {
			d.fault(join(path, key), "%v", err)
			continue
		}
		if _, nested := raw.(map[string]any); nested {
			d.fault(join(path, key), "put the domain in quotes, or its dots make tables: \"example.org\" = …")
			continue
		}
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(join(path, key), raw, element, tag)
		out.SetMapIndex(name, element)
	}
	v.Set(out)
}

// mapKey reads a key of a table that is decoded into a map.
func mapKey(t reflect.Type, s string) (reflect.Value, error) {
	if t == reflect.TypeFor[LogArea]() {
		if names := logAreaNames(); !slices.Contains(names, s) {
			return reflect.Value{}, fmt.Errorf("%q is no area of the log%s", s, suggest(s, names))
		}
		return reflect.ValueOf(LogArea(s)), nil
	}
	name, err := dns.ParseName(s)
	return reflect.ValueOf(name), err
}

func (d *decoder) sub(path string, raw any, v reflect.Value) {
	tree, ok := raw.(map[string]any)
	if !ok {
		d.fault(path, "must be a table, as in [%s]", path)
		return
	}
	d.table(path, tree, v)
}

func parseName(s string) (dns.Name, error) {
	if s == "" {
		return dns.Name{}, nil
	}
	return dns.ParseName(s)
}

// parseAddrPort reads what a listener binds. A port alone is every address, as in
// package net; an IPv4 address is one however it is written.
func parseAddrPort(s string) (netip.AddrPort, error) {
	text := s
	if strings.HasPrefix(s, ":") {
		text = "[::]" + s
	}
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		return a, fmt.Errorf("%q is no IP address with a port; write \"192.0.2.1:25\", \"[2001:db8::1]:25\", \"0.0.0.0:25\" for every IPv4 address, or \"[::]:25\" for every address", s)
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), nil
}

// parsePrefix reads a network, or an address as the network of it alone.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return p, fmt.Errorf("%q is neither a network like \"10.0.0.0/8\" nor an IP address", s)
	case p != p.Masked():
		return p, fmt.Errorf("%q has bits behind its length; write %q", s, p.Masked())
	case p.Addr().Is4In6() && p.Bits() >= 96: // addresses are compared without the mapping
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96), nil
	}
	return p, nil
}

// ParseDuration reads a duration: time.ParseDuration's form, or whole days
// ("5d"). Negative ones are refused.
func ParseDuration(s string) (time.Duration, error) {
	text := s
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			text = strconv.FormatUint(n*24, 10) + "h"
		}
	}
	t, err := time.ParseDuration(text)
	if err != nil || t < 0 {
		return 0, fmt.Errorf("%q is no duration; write it like \"30s\", \"5m\", \"4h\" or \"5d\"", s)
	}
	return t, nil
}

func quoted(words []string) string {
	q := make([]string, len(words))
	for i, w := range words {
		q[i] = strconv.Quote(w)
	}
	return strings.Join(q, ", ")
}

// suggest names the word that was probably meant.
func suggest(word string, known []string) string {
	best, at := "", len(word)/2+1
	for _, k := range known {
		if n := distance(strings.ToLower(word), k); n < at {
			best, at = k, n
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is Levenshtein's, of words cut to 40 octets.
func distance(a, b string) int {
	a, b = a[:min(len(a), 40)], b[:min(len(b), 40)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
