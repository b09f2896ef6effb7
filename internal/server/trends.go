package server

import (
	"context"

	"waxwing/internal/checkup"
	"waxwing/internal/config"
	"waxwing/internal/guard"
	"waxwing/internal/store"
	"waxwing/internal/trends"
)

// trends makes what remembers how the server does, hour by hour (ADM-3).
func (b *builder) trends(db *store.Store) *trends.Recorder {
	r := &trends.Recorder{DB: db, Now: b.Now, Log: b.area(config.LogQueue), Look: func(ctx context.Context) ([]trends.Measure, error) {
		return checkup.Measures(ctx, b.cfg, db, b.Now())
	}}
	b.run("trends", guard.Posture, r.Run)
	b.everyHour("how the server did long ago was not forgotten", r.Tidy)
	return r
}
