package logline

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"waxwing/internal/config"
	"waxwing/internal/text"
)

// Choice is all that decides the levels of the areas (OPS-1).
type Choice struct {
	Base      slog.Level                    // log.level
	Areas     map[config.LogArea]slog.Level // log.areas
	Temporary map[config.LogArea]Temporary  // set by a command
	Verbose   time.Time                     // until then everything is logged (SIGUSR1); zero: not
}

// Temporary is a level that an area has for a while.
type Temporary struct {
	Level slog.Level
	Until time.Time // zero: until the server ends
}

// Source says what gave an area its level.
type Source string

// The sources, the strongest last.
const (
	ByLevel   Source = "log.level"
	ByAreas   Source = "log.areas"
	ByCommand Source = "command"
	BySignal  Source = "SIGUSR1"
)

// AreaLevel is an area with the level that it has now.
type AreaLevel struct {
	Area  config.LogArea `json:"area"`
	Level Level          `json:"level"`
	By    Source         `json:"by"`
	Until time.Time      `json:"until,omitzero"` // zero: nothing ends
	What  string         `json:"what"`           // what the area logs
}

// Level is a slog.Level that is written as it is in waxwing.toml: "debug".
type Level slog.Level

// String is its name.
func (l Level) String() string { return strings.ToLower(slog.Level(l).String()) }

// MarshalText writes its name.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads its name. Errors: another word.
func (l *Level) UnmarshalText(b []byte) error { return (*slog.Level)(l).UnmarshalText(b) }

// Decide is the level of an area at a time. It is pure.
func (c Choice) Decide(a config.LogArea, now time.Time) AreaLevel {
	out := AreaLevel{Area: a, Level: Level(c.Base), By: ByLevel}
	if l, ok := c.Areas[a]; ok {
		out.Level, out.By = Level(l), ByAreas
	}
	if t, ok := c.Temporary[a]; ok && (t.Until.IsZero() || now.Before(t.Until)) {
		out.Level, out.By, out.Until = Level(t.Level), ByCommand, t.Until
	}
	if now.Before(c.Verbose) && out.Level > Level(slog.LevelDebug) {
		out.Level, out.By, out.Until = Level(slog.LevelDebug), BySignal, c.Verbose
	}
	return out
}

// Next is the first moment after now at which an area's level may change by itself; zero: none.
func (c Choice) Next(now time.Time) (next time.Time) {
	ends := []time.Time{c.Verbose}
	for _, t := range c.Temporary {
		ends = append(ends, t.Until)
	}
	for _, at := range ends {
		if at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// choiceOf is what a configuration chooses. What it holds was checked.
func choiceOf(c config.Log) Choice {
	out := Choice{Base: levelOf(c.Level), Areas: map[config.LogArea]slog.Level{}, Temporary: map[config.LogArea]Temporary{}}
	for a, l := range c.Areas {
		out.Areas[a] = levelOf(l)
	}
	return out
}

func levelOf(s string) slog.Level {
	level := slog.LevelInfo
	if err := level.UnmarshalText([]byte(s)); err != nil {
		return slog.LevelInfo
	}
	return level
}

// Levels are the least levels of what is logged, by area. They can change while the server
// runs, by any goroutine; a line that is not logged costs one atomic read.
type Levels struct {
	now  func() time.Time
	vars map[config.LogArea]*slog.LevelVar // all areas; never changed
	wake chan struct{}                     // a change that Run has not seen yet

	mu     sync.Mutex
	choice Choice
}

// NewLevels are those of a configuration.
func NewLevels(c config.Log, now func() time.Time) *Levels {
	l := &Levels{now: now, vars: map[config.LogArea]*slog.LevelVar{}, wake: make(chan struct{}, 1), choice: choiceOf(c)}
	for _, a := range config.LogAreas() {
		l.vars[a.Area] = new(slog.LevelVar)
	}
	l.apply()
	return l
}

// Of is the level of the lines with a field area. Lines of other areas, which only panics
// have, go by that of the server's.
func (l *Levels) Of(area string) slog.Leveler {
	if v := l.vars[config.LogArea(area)]; v != nil {
		return v
	}
	return l.vars[config.LogServer]
}

// Configure takes over what another configuration chooses. What a command has set stays.
func (l *Levels) Configure(c config.Log) {
	l.change(func(now *Choice) {
		next := choiceOf(c)
		now.Base, now.Areas = next.Base, next.Areas
	})
}

// Set gives areas a level until a time; zero: until the server ends.
func (l *Levels) Set(areas []config.LogArea, t Temporary) {
	l.change(func(c *Choice) {
		for _, a := range areas {
			c.Temporary[a] = t
		}
	})
}

// Reset gives areas back the level of the configuration.
func (l *Levels) Reset(areas []config.LogArea) {
	l.change(func(c *Choice) {
		for _, a := range areas {
			delete(c.Temporary, a)
		}
	})
}

// Verbose has everything logged until a time.
func (l *Levels) Verbose(until time.Time) { l.change(func(c *Choice) { c.Verbose = until }) }

// List are all areas with their levels, by name.
func (l *Levels) List() (out []AreaLevel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for _, a := range config.LogAreas() {
		at := l.choice.Decide(a.Area, now)
		at.What = a.What
		out = append(out, at)
	}
	return out
}

func (l *Levels) change(fn func(*Choice)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn(&l.choice)
	l.apply()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// apply has the areas obey the choice, forgets what has ended, and says when that changes by
// itself. The lock is held, or nobody else knows l.
func (l *Levels) apply() (next time.Time) {
	now := l.now()
	maps.DeleteFunc(l.choice.Temporary, func(_ config.LogArea, t Temporary) bool { return !t.Until.IsZero() && !now.Before(t.Until) })
	for a, v := range l.vars {
		v.Set(slog.Level(l.choice.Decide(a, now).Level))
	}
	return l.choice.Next(now)
}

// turn has the areas obey the choice, and says how long until that changes by itself; 0: it
// does not.
func (l *Levels) turn() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	next := l.apply()
	if next.IsZero() {
		return 0
	}
	return max(next.Sub(now), 1)
}

// Run puts levels back when their time is over, until ctx ends, and logs it.
func (l *Levels) Run(ctx context.Context, log *slog.Logger) {
	for {
		in := l.turn()
		timer := time.NewTimer(cmp.Or(in, time.Hour))
		if in == 0 {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-l.wake:
			timer.Stop()
		case <-timer.C:
			l.turn()
			log.Info("the log is back at its level", "level", l.Of(string(config.LogServer)).Level().String())
		}
	}
}

// AreasOf are the areas that a word means: one by name, or "all". It is pure.
func AreasOf(word string) (areas []config.LogArea, ok bool) {
	for _, a := range config.LogAreas() {
		areas = append(areas, a.Area)
	}
	if word == "all" {
		return areas, true
	}
	return []config.LogArea{config.LogArea(word)}, slices.Contains(areas, config.LogArea(word))
}

// Listing is how levels are listed for people.
func Listing() text.List[AreaLevel] {
	return text.List[AreaLevel]{Columns: text.Columns("AREA|LEVEL|BY|UNTIL|WHAT IT LOGS", "WHAT IT LOGS", "BY"), Cells: func(l *AreaLevel) []any {
		return []any{string(l.Area), l.Level.String(), string(l.By), l.Until, l.What}
	}}
}
