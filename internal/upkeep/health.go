package upkeep

import (
	"context"
	"time"

	"waxwing/internal/checkup"
	"waxwing/internal/control"
	"waxwing/internal/datadir"
	"waxwing/internal/dnspublish"
	"waxwing/internal/health"
	"waxwing/internal/server"
	"waxwing/internal/store"
)

// Health looks at a server from outside, without changing anything: also at one that
// does not run, or whose store is away (OPS-5).
func Health(ctx context.Context, o server.Options) health.Facts {
	if o.Now == nil {
		o.Now = time.Now
	}
	room := checkup.Room{Config: o.Config, Now: o.Now,
		Running: func(ctx context.Context) error {
			_, err := control.Dial(ctx, o.Config.DataDir)
			return err
		},
		Answers: func(ctx context.Context) map[string]health.MilterAnswer {
			running, err := control.Dial(ctx, o.Config.DataDir)
			if err != nil {
				return nil
			}
			last, err := running.MilterAnswers(ctx)
			if err != nil { // a server of an older version does not know: nothing is shown then
				return nil
			}
			return last
		},
		DNSSEC: func(ctx context.Context) (d health.DNSSEC) {
			if running, err := control.Dial(ctx, o.Config.DataDir); err == nil {
				d, _ = running.DNSSEC(ctx) // a server of an older version does not know: nothing is said then
			}
			return d
		},
		OnStore: func(ctx context.Context, fn func(*store.Store) error) error {
			db, err := datadir.PeekStore(ctx, o.Config)
			if err != nil {
				return err
			}
			defer db.Close()
			return fn(db)
		},
		Publishing: dnspublish.Health(o.Config.Hostname),
		Certificates: func(ctx context.Context, db *store.Store) ([]health.Certificate, error) {
			room, err := server.CertificateRoom(o, db)
			if err != nil {
				return nil, err
			}
			return room.Issued(ctx)
		}}
	return room.Look(ctx)
}
