package datadir

import (
	"context"

	"waxwing/dns/validate/proof"
	"waxwing/internal/anchors"
	"waxwing/internal/config"
)

// Anchors learns from the store that cfg names, if there is one, what trust anchors of DNSSEC have
// come to (VAL-3). It is for commands that have not opened the store.
func Anchors(cfg *config.Config) func(context.Context, []proof.Anchor) ([]proof.Anchor, error) {
	return func(ctx context.Context, base []proof.Anchor) ([]proof.Anchor, error) {
		db, err := PeekStore(ctx, cfg)
		if err != nil {
			return nil, err
		}
		defer db.Close()
		known, err := anchors.Stored(db)(ctx, base)
		if owned := Adopt(cfg); err == nil { // what SQLite may have made as root
			err = owned
		}
		return known, err
	}
}
