package server

import (
	"context"

	"waxwing/internal/datadir"
	"waxwing/internal/store/storetest"
)

// newServer is New on a store that is made where there is none.
func newServer(ctx context.Context, o Options) (*Server, error) {
	if o.Config.Postgres == "" {
		if err := storetest.Lay(datadir.StoreFiles(o.Config)[0]); err != nil {
			return nil, err
		}
	}
	if _, err := datadir.InitStore(ctx, o.Config, nil); err != nil {
		return nil, err
	}
	return New(ctx, o)
}
