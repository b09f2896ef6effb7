package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"

	"waxwing/internal/text"
)

// Show prints rows as JSON or as a table.
func Show[T any](p *Program, rows []T, l text.List[T]) error {
	if p.JSON {
		return p.PrintJSON(rows)
	}
	t := l.Table(rows)
	t.Now = p.Now()
	left, err := t.Write(p.Stdout, p.Terminal)
	if err != nil {
		return err
	}
	return p.TellLeft(left)
}

// TellLeft says which columns a table had no room for.
func (p *Program) TellLeft(left []string) error {
	if len(left) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(p.Stdout, "Not shown for want of room: %s (--json has all).\n", strings.Join(left, ", "))
	return err
}

// Answer prints v as JSON, or a line of text.
func (p *Program) Answer(v any, format string, args ...any) error {
	if p.JSON {
		return p.PrintJSON(v)
	}
	_, err := fmt.Fprintf(p.Stdout, format+"\n", args...)
	return err
}

// Prose prints v as JSON, or what write writes, with long lines broken as the terminal
// wants it: for text with few or no columns.
func (p *Program) Prose(v any, write func(io.Writer)) error {
	if p.JSON {
		return p.PrintJSON(v)
	}
	out := text.NewProse(p.Stdout, p.Terminal)
	write(out)
	return out.Flush()
}

// PrintJSON prints v indented. An empty list is [], never null.
func (p *Program) PrintJSON(v any) error {
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice && r.IsNil() {
		v = []any{}
	}
	enc := json.NewEncoder(p.Stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
