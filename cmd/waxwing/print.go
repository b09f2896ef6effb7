package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"waxwing/internal/cli"
)

// list is a command that lists: rows that fetch finds, as JSON or as a table.
func list[S, T any](p *program, on func(func(context.Context, S, []string) error) action, fetch func(context.Context, S, []string) ([]T, error), l cli.List[T]) action {
	return on(func(ctx context.Context, s S, args []string) error {
		rows, err := fetch(ctx, s, args)
		if err != nil {
			return err
		}
		return show(p, rows, l)
	})
}

// show prints rows as JSON or as a table.
func show[T any](p *program, rows []T, l cli.List[T]) error {
	if p.json {
		return printJSON(p.stdout, rows)
	}
	t := l.Table(rows)
	t.Now = p.now()
	left, err := t.Write(p.stdout, p.terminal)
	if err != nil {
		return err
	}
	return p.tellLeft(left)
}

// tellLeft says which columns a table had no room for.
func (p *program) tellLeft(left []string) error {
	if len(left) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(p.stdout, "Not shown for want of room: %s (--json has all).\n", strings.Join(left, ", "))
	return err
}

// columns are those of the heads, whose texts may take several lines. The columns named
// in giveWay are left out of a narrow terminal, the first of them first.
func columns(heads string, giveWay ...string) (out []cli.Column) {
	const narrowest = 12
	for h := range strings.SplitSeq(heads, "|") {
		c := cli.Column{Head: h, Wrap: narrowest}
		for i, g := range giveWay {
			if g == h {
				c.Rank = len(giveWay) - i
			}
		}
		out = append(out, c)
	}
	return out
}

// answer prints v as JSON, or a line of text.
func (p *program) answer(v any, format string, args ...any) error {
	if p.json {
		return printJSON(p.stdout, v)
	}
	_, err := fmt.Fprintf(p.stdout, format+"\n", args...)
	return err
}

// prose prints v as JSON, or what write writes, with long lines broken as the terminal
// wants it: for text with few or no columns.
func (p *program) prose(v any, write func(io.Writer)) error {
	if p.json {
		return printJSON(p.stdout, v)
	}
	out := cli.NewProse(p.stdout, p.terminal)
	write(out)
	return out.Flush()
}

// printJSON writes v indented. An empty list is [], never null.
func printJSON(w io.Writer, v any) error {
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice && r.IsNil() {
		v = []any{}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func moment(t time.Time) string { return cli.Moment(t, time.Time{}) }

// number counts things in words: "1 fault", "3 faults".
func number(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// words joins those that are there.
func words(all ...string) string {
	return strings.Join(strings.Fields(strings.Join(all, " ")), " ")
}
