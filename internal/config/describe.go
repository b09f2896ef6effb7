package config

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"waxwing/dns"
)

// FormatDuration is a duration as one writes it in the file: "5m", "8h", "5d".
func FormatDuration(t time.Duration) string {
	if t >= 48*time.Hour && t%(24*time.Hour) == 0 {
		return strconv.FormatInt(int64(t/(24*time.Hour)), 10) + "d"
	}
	s := t.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// section is one table of the file.
type section struct {
	path  string // "delivery"; empty: the top
	list  bool   // [[listen]]
	spare bool   // a list that may be empty: the example has it commented out
	doc   string
	keys  []key
}

// key is one key as the reference shows it.
type key struct {
	name     string
	kind     string // in words
	def      string // TOML; empty: none
	example  string // TOML; empty: none
	doc      string
	required bool
	secret   bool
}

// sections is the reference as data, from the structs and Default.
func sections() []section {
	top := section{doc: "Keys before the first table."}
	var rest []section
	collect(&top, &rest, "", reflect.ValueOf(*Default()))
	return append([]section{top}, rest...)
}

func collect(into *section, rest *[]section, path string, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := f.Tag.Get("toml")
		if name == "" {
			continue
		}
		table, list := tableOf(f.Type)
		if table == nil {
			into.keys = append(into.keys, newKey(name, f, v.Field(i)))
			continue
		}
		sub := section{path: join(path, name), list: list, spare: list && path != "", doc: f.Tag.Get("doc")}
		value := reflect.New(table).Elem()
		if !list {
			value = v.Field(i)
		}
		var below []section
		collect(&sub, &below, sub.path, value)
		*rest = append(append(*rest, sub), below...)
	}
}

// tableOf is the struct that a field is decoded into as a table; nil for
// fields that are values.
func tableOf(t reflect.Type) (table reflect.Type, list bool) {
	if t.Kind() == reflect.Slice {
		t, list = t.Elem(), true
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[dns.Name]() || t == reflect.TypeFor[netip.AddrPort]() || t == reflect.TypeFor[netip.Prefix]() {
		return nil, false
	}
	return t, list
}

func newKey(name string, f reflect.StructField, v reflect.Value) key {
	k := key{name: name, doc: f.Tag.Get("doc"), required: f.Tag.Get("required") != "", secret: f.Tag.Get("secret") != ""}
	k.kind = kindOf(f)
	if !k.required {
		k.def = literal(v)
	}
	if e := f.Tag.Get("example"); e != "" {
		k.example = e
		if t := f.Type.Kind(); t != reflect.Map && t != reflect.Slice && t != reflect.Int {
			k.example = strconv.Quote(e)
		}
	}
	return k
}

// kindOf says in words what is to be written.
func kindOf(f reflect.StructField) string {
	t, list := f.Type, ""
	if t.Kind() == reflect.Slice {
		t, list = t.Elem(), "list: "
	}
	low, high := f.Tag.Get("min"), f.Tag.Get("max")
	within := ""
	switch {
	case low != "" && high != "":
		within = fmt.Sprintf(", %s to %s", low, high)
	case high != "":
		within = ", at most " + high
	}
	words := quoted(strings.Fields(f.Tag.Get("oneof")))
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return list + "duration" + within
	case t == reflect.TypeFor[Size]():
		return list + "size" + within
	case t == reflect.TypeFor[dns.Name]():
		return list + "domain name"
	case t == reflect.TypeFor[netip.AddrPort]():
		return list + "IP address and port"
	case t == reflect.TypeFor[netip.Prefix]():
		return list + "network"
	case t == reflect.TypeFor[map[LogArea]string]():
		return "table: one of " + quoted(logAreaNames()) + " = one of " + words
	case t.Kind() == reflect.Map:
		return "table: domain name = one of " + words
	case words != "":
		return list + "one of " + words
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String:
		return list + "text"
	}
	return list + "whole number" + within
}

// literal is a value in TOML.
func literal(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return strconv.Quote(FormatDuration(x))
	case Size:
		return strconv.Quote(x.String())
	case Off:
		return strconv.FormatBool(!bool(x))
	case dns.Name:
		return strconv.Quote(x.ASCII())
	}
	switch v.Kind() {
	case reflect.String:
		return strconv.Quote(v.String())
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = literal(v.Index(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case reflect.Map:
		return "{}"
	case reflect.Struct:
		return `""`
	}
	return fmt.Sprint(v.Interface())
}

// Describe writes the reference of all keys, in Markdown.
func Describe(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString(`# Configuration

<!-- Made by "waxwing config describe" from the structs in internal/config; do not edit. -->

` + "`waxwing.toml`" + ` holds what belongs to one machine. Domains, accounts, addresses and
keys live in the store, where all machines share them.

The file is TOML, and read strictly: an unknown key is an error, and all errors
are told at once, each with its line. ` + "`waxwing config check`" + ` looks for them;
` + "`waxwing config example`" + ` prints a complete file to start from.

Durations are text like ` + "`\"30s\"`, `\"5m\"`, `\"4h\"`, `\"5d\"`" + `. Sizes are text like ` + "`\"64KiB\"`, `\"50MiB\"`" + `,
or a number of octets.
`)
	for _, s := range sections() {
		switch {
		case s.path == "":
			b.WriteString("\n## Top of the file\n")
		case s.list:
			fmt.Fprintf(&b, "\n## `[[%s]]`\n", s.path)
		default:
			fmt.Fprintf(&b, "\n## `[%s]`\n", s.path)
		}
		fmt.Fprintf(&b, "\n%s\n", s.doc)
		for _, k := range s.keys {
			k.describe(&b)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (k key) describe(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n### `%s`\n\n", k.name)
	b.WriteString(strings.ToUpper(k.kind[:1]) + k.kind[1:] + ".")
	switch {
	case k.required:
		b.WriteString(" Required.")
	case k.def != `""` && k.def != "":
		b.WriteString(" Default `" + k.def + "`.")
	}
	if k.example != "" {
		b.WriteString(" Example: `" + k.example + "`.")
	}
	if k.secret {
		b.WriteString(" It may hold a password: let nobody else read the file.")
	}
	b.WriteString("\n\n" + k.doc + "\n")
}

// Example is a complete file with every key and its default, commented. It
// parses as it stands.
func Example() string {
	var b strings.Builder
	b.WriteString("# waxwing.toml: what belongs to this machine. Keys that are commented out show\n# their default. \"waxwing config describe\" says more.\n")
	for _, s := range sections() {
		switch {
		case s.spare:
			fmt.Fprintf(&b, "\n#[[%s]]\n", s.path)
		case s.list:
			fmt.Fprintf(&b, "\n[[%s]]\n", s.path)
		case s.path != "":
			fmt.Fprintf(&b, "\n[%s]\n", s.path)
		}
		for _, k := range s.keys {
			comment(&b, k.doc)
			value, mark := k.def, "#"
			if k.required {
				value = k.example
				if !s.spare {
					mark = ""
				}
			} else if k.example != "" && (value == `""` || value == "{}") {
				value = k.example
			}
			fmt.Fprintf(&b, "%s%s = %s\n", mark, k.name, value)
		}
	}
	return b.String()
}

// comment writes text as TOML comments of about 80 columns.
func comment(b *strings.Builder, text string) {
	b.WriteString("\n")
	line := "#"
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > 80 {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}
