// Package logline writes the server's log: lines that fit a screen, without empty
// fields, and as the journal wants them where it listens.
package logline

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"waxwing/internal/config"
	"waxwing/internal/text"
)

// Longest is how many characters a line has at most. A stack is not counted: in text
// it follows on lines of its own, each of them no longer.
const Longest = 300

const (
	shortest   = 12       // what a clipped value keeps at least
	maxStack   = 64 << 10 // octets
	stackField = "stack"
	areaField  = "area"
)

// Options say how lines are written.
type Options struct {
	Level slog.Leveler // nil: info
	// Areas are the levels of the lines with a field area, each of its own, instead of
	// Level; nil: all have Level.
	Areas   *Levels
	JSON    bool
	Journal bool // behind "<3>" and without a time: the journal has its own
	// Terminal has text written for somebody who reads along: the time of day, level and
	// area in columns, in colour where the terminal has it.
	Terminal *text.Terminal
}

// Handler is a slog.Handler. It is safe for concurrent use.
type Handler struct {
	o     Options
	out   *output
	level slog.Leveler
	attrs []slog.Attr // of With, in order, with the names of their groups in front
	group string      // "", or "name." of all groups that are open
}

type output struct {
	mu sync.Mutex
	w  io.Writer
}

// New returns a handler that writes each line by one Write.
func New(w io.Writer, o Options) *Handler {
	if o.Level == nil {
		o.Level = slog.LevelInfo
	}
	if o.Areas != nil {
		o.Level = o.Areas.Of(string(config.LogServer))
	}
	return &Handler{o: o, level: o.Level, out: &output{w: w}}
}

// Enabled reports whether lines of a level are written.
func (h *Handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// WithAttrs returns a handler whose lines all have attrs.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = slices.Clip(c.attrs)
	for _, a := range attrs {
		c.attrs = flatten(c.attrs, h.group, a)
		if a.Key == areaField && h.group == "" && h.o.Areas != nil {
			c.level = h.o.Areas.Of(a.Value.String())
		}
	}
	return &c
}

// WithGroup returns a handler that puts name in front of the fields that come.
func (h *Handler) WithGroup(name string) slog.Handler {
	c := *h
	c.group += name + "."
	return &c
}

// Handle writes one line.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	attrs := slices.Clone(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		attrs = flatten(attrs, h.group, a)
		return true
	})
	b := h.fit(r, attrs)
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	_, err := h.out.w.Write(b)
	return err
}

// flatten appends a, unless it says nothing. Groups become fields.
func flatten(to []slog.Attr, group string, a slog.Attr) []slog.Attr {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, b := range v.Group() {
			to = flatten(to, group, b)
		}
		return to
	}
	if empty(v) {
		return to
	}
	return append(to, slog.Attr{Key: group + a.Key, Value: v})
}

func empty(v slog.Value) bool {
	switch v.Kind() {
	case slog.KindString:
		return v.String() == ""
	case slog.KindTime:
		return v.Time().IsZero()
	case slog.KindAny:
		x := reflect.ValueOf(v.Any())
		switch x.Kind() {
		case reflect.Invalid:
			return true
		case reflect.Slice, reflect.Map:
			return x.Len() == 0
		case reflect.Pointer, reflect.Interface, reflect.Func, reflect.Chan:
			return x.IsNil()
		case reflect.String:
			return x.Len() == 0
		}
	}
	return false
}

// fit is the line with values clipped until it is short enough: the longest first,
// each to the same length.
func (h *Handler) fit(r slog.Record, attrs []slog.Attr) []byte {
	stack := ""
	attrs = slices.DeleteFunc(attrs, func(a slog.Attr) bool {
		if a.Key == stackField {
			stack = a.Value.String()
		}
		return a.Key == stackField
	})
	most := Longest
	for {
		line := h.format(r, attrs, most)
		over := utf8.RuneCount(line) - Longest
		if over <= 0 || most == shortest {
			return h.finish(r.Level, line, stack)
		}
		// Quotes and escapes make a value longer than it is: come closer step by step.
		most = max(shortest, min(most, longestValue(attrs, r.Message, most))-max(1, over/(len(attrs)+1)))
	}
}

// longestValue is the length of the longest value, as far as it is shown.
func longestValue(attrs []slog.Attr, msg string, most int) int {
	n := min(utf8.RuneCountInString(msg), most)
	for _, a := range attrs {
		if s, ok := textOf(a.Value); ok {
			n = max(n, min(utf8.RuneCountInString(s), most))
		}
	}
	return n
}

// textOf is a value that can be clipped.
func textOf(v slog.Value) (string, bool) {
	switch v.Kind() {
	case slog.KindString:
		return v.String(), true
	case slog.KindAny:
		if err, ok := v.Any().(error); ok {
			return err.Error(), true
		}
		return fmt.Sprintf("%+v", v.Any()), true
	}
	return "", false
}

// format is the line with no value of more than most characters.
func (h *Handler) format(r slog.Record, attrs []slog.Attr, most int) []byte {
	if h.onTerminal() {
		return h.spoken(r, attrs, most)
	}
	return h.fields(r, attrs, most)
}

// fields is the line as key=value or JSON.
func (h *Handler) fields(r slog.Record, attrs []slog.Attr, most int) []byte {
	at := r.Time
	if h.onTerminal() {
		at = time.Time{} // it stands in front; a field of that name is another
	}
	short := slog.NewRecord(at, r.Level, clip(r.Message, most), 0)
	for _, a := range attrs {
		if s, ok := textOf(a.Value); ok && (utf8.RuneCountInString(s) > most || a.Value.Kind() == slog.KindAny && !h.o.JSON || isError(a.Value)) {
			a.Value = slog.StringValue(clip(s, most))
		}
		short.AddAttrs(a)
	}
	var b bytes.Buffer
	o := &slog.HandlerOptions{Level: slog.Level(-100), ReplaceAttr: h.replace}
	var inner slog.Handler = slog.NewTextHandler(&b, o)
	if h.o.JSON {
		inner = slog.NewJSONHandler(&b, o)
	}
	_ = inner.Handle(context.Background(), short) // writing to memory does not fail
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func isError(v slog.Value) bool {
	_, ok := v.Any().(error)
	return ok
}

func (h *Handler) replace(groups []string, a slog.Attr) slog.Attr {
	if h.o.Journal && len(groups) == 0 && a.Key == slog.TimeKey || h.onTerminal() && h.leads(a) {
		return slog.Attr{}
	}
	return a
}

// finish cuts a line of too many fields, adds the stack, and puts the journal's
// priority in front.
func (h *Handler) finish(l slog.Level, line []byte, stack string) []byte {
	if len(stack) > maxStack {
		stack = stack[:maxStack]
	}
	var out bytes.Buffer
	if h.o.JSON {
		out.WriteString(h.priority(l))
		if stack != "" {
			line = append(bytes.TrimSuffix(line, []byte("}")), fmt.Sprintf(",%q:%s}", stackField, quoteJSON(stack))...)
		}
		out.Write(line)
		out.WriteByte('\n')
		return out.Bytes()
	}
	out.WriteString(h.priority(l) + h.paint(l, clip(string(line), Longest)) + "\n")
	for s := range strings.Lines(stack) {
		out.WriteString(h.priority(l) + clip("\t"+strings.TrimRight(s, "\n"), Longest) + "\n")
	}
	return out.Bytes()
}

func (h *Handler) priority(l slog.Level) string {
	switch {
	case !h.o.Journal:
		return ""
	case l >= slog.LevelError:
		return "<3>"
	case l >= slog.LevelWarn:
		return "<4>"
	case l >= slog.LevelInfo:
		return "<6>"
	}
	return "<7>"
}

// clip is s in most characters, of which the last one then says that more was there.
func clip(s string, most int) string {
	if len(s) <= most || utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}
