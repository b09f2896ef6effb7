package logline

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"waxwing/internal/foreign"
	"waxwing/internal/text"
)

// A terminal shows a line as "15:04:05.000 WARN  queue: deferred message=1x3rty56lyo0 …": what
// every line has stands in columns, without keys.

const (
	timeOfDay  = "15:04:05.000"
	levelWidth = 5 // "ERROR"
)

func (h *Handler) onTerminal() bool { return h.o.Terminal != nil && !h.o.JSON && !h.o.Journal }

// leads reports that a field stands in front of the others, without its key.
func (h *Handler) leads(a slog.Attr) bool {
	switch a.Key {
	case slog.LevelKey:
		_, level := a.Value.Any().(slog.Level)
		return level
	case slog.MessageKey:
		return a.Value.Kind() == slog.KindString
	}
	return false
}

// spoken is the line for a terminal, without its colours.
func (h *Handler) spoken(r slog.Record, attrs []slog.Attr, most int) []byte {
	area := ""
	rest := slices.Clone(attrs)
	if i := slices.IndexFunc(rest, func(a slog.Attr) bool { return a.Key == areaField }); i >= 0 {
		area = foreign.Shown(clip(rest[i].Value.String(), most)) + ": "
		rest = slices.Delete(rest, i, i+1)
	}
	line := fmt.Sprintf("%s %-*s %s%s", r.Time.Format(timeOfDay), levelWidth, r.Level.String(), area, foreign.Shown(clip(r.Message, most)))
	if fields := strings.TrimSpace(string(h.fields(r, rest, most))); fields != "" {
		line += " " + fields
	}
	return []byte(line)
}

// paint gives the level of a line on a terminal its colour.
func (h *Handler) paint(l slog.Level, line string) string {
	end := len(timeOfDay) + 1 + levelWidth
	if !h.onTerminal() || len(line) < end {
		return line
	}
	tone := text.Plain
	switch {
	case l >= slog.LevelError:
		tone = text.Bad
	case l >= slog.LevelWarn:
		tone = text.Waits
	case l >= slog.LevelInfo:
		tone = text.Good
	}
	return line[:len(timeOfDay)+1] + h.o.Terminal.Paint(line[len(timeOfDay)+1:end], tone) + line[end:]
}
