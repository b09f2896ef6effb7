package control

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"waxwing/dns"
	"waxwing/internal/config"
	"waxwing/internal/health"
	"waxwing/internal/logline"
	"waxwing/internal/smtptrace"
)

// Running is what only a server that runs can be asked. It is safe for concurrent use.
type Running struct {
	Levels *logline.Levels // of its log
	Traces *smtptrace.Hub
	DNS    dns.Resolver
	// DNSSEC is whose word on DNSSEC counts now.
	DNSSEC func(ctx context.Context) health.DNSSEC
	// Milters are the last answers of the milters, by name.
	Milters func() map[string]health.MilterAnswer
	Now     func() time.Time
	Log     *slog.Logger
}

// LevelChange gives areas of the log a level (OPS-1).
type LevelChange struct {
	Area  string        `json:"area"`          // by name, or "all"
	Level *slog.Level   `json:"level"`         // nil: that of the configuration
	For   time.Duration `json:"for,omitempty"` // 0: until the server ends
}

// Parse is what it means; the error says what is wrong with it. It is pure.
func (c *LevelChange) Parse() ([]config.LogArea, error) {
	areas, ok := logline.AreasOf(c.Area)
	switch {
	case !ok:
		return nil, fmt.Errorf("there is no area %q of the log; \"waxwing log list\" shows those there are", c.Area)
	case c.For < 0:
		return nil, fmt.Errorf("a level cannot hold for %s", c.For)
	}
	return areas, nil
}

// LogLevels are the levels of all areas.
func (r *Running) LogLevels(context.Context, struct{}) ([]logline.AreaLevel, error) {
	return r.Levels.List(), nil
}

// SetLogLevel changes levels, and returns those of all areas.
func (r *Running) SetLogLevel(_ context.Context, c LevelChange) ([]logline.AreaLevel, error) {
	areas, err := c.Parse()
	if err != nil {
		return nil, err
	}
	if c.Level == nil {
		r.Levels.Reset(areas)
		r.Log.Info("the log is back at its level", "of", c.Area)
		return r.Levels.List(), nil
	}
	t := logline.Temporary{Level: *c.Level}
	if c.For > 0 {
		t.Until = r.Now().Add(c.For)
	}
	r.Levels.Set(areas, t)
	r.Log.Info("log level set", "of", c.Area, "level", c.Level.String(), "until", t.Until)
	return r.Levels.List(), nil
}

// LogLevels are the levels of the log of a running server, of all areas.
func (c *Client) LogLevels(ctx context.Context) ([]logline.AreaLevel, error) {
	return ask[[]logline.AreaLevel](ctx, c, "log/levels", struct{}{})
}

// SetLogLevel changes levels of the log of a running server, and returns those of all areas.
func (c *Client) SetLogLevel(ctx context.Context, change LevelChange) ([]logline.AreaLevel, error) {
	return ask[[]logline.AreaLevel](ctx, c, "log/set", change)
}

// MilterAnswers are the last answers of the milters of a running server, by name.
func (c *Client) MilterAnswers(ctx context.Context) (map[string]health.MilterAnswer, error) {
	return ask[map[string]health.MilterAnswer](ctx, c, "milters/last", struct{}{})
}

// DNSSEC is whose word on DNSSEC counts with a running server.
func (c *Client) DNSSEC(ctx context.Context) (health.DNSSEC, error) {
	return ask[health.DNSSEC](ctx, c, "dnssec/source", struct{}{})
}
