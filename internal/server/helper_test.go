package server

import (
	"context"

	"waxwing/internal/datadir"
)

// newServer is New on a store that is made where there is none.
func newServer(ctx context.Context, o Options) (*Server, error) {
	if _, err := datadir.InitStore(ctx, o.Config, nil); err != nil {
		return nil, err
	}
	return New(ctx, o)
}
