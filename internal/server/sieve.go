package server

import (
	"context"

	"waxwing/internal/accounts"
	"waxwing/internal/allowance"
	"waxwing/internal/config"
	"waxwing/internal/mailboxes"
	"waxwing/internal/scripts"
	"waxwing/internal/sifting"
	"waxwing/internal/signing"
)

// sifting makes the room that runs the scripts of accounts.
func (b *builder) sifting(users *accounts.Store, quota *allowance.Store, boxes *mailboxes.Store, keys *signing.Service) *sifting.Room {
	kept := &scripts.Store{DB: users.DB, Now: b.Now}
	b.everyHour("what scripts had in mind was not forgotten", kept.Tidy)
	return &sifting.Room{
		Scripts: kept, Accounts: users, Allowance: quota, Keys: keys,
		Boxes: func(ctx context.Context, account string) ([]sifting.Box, error) {
			all, err := boxes.Boxes(ctx, account)
			out := make([]sifting.Box, len(all))
			for i, box := range all {
				out[i] = sifting.Box{Name: box.Name, Use: box.Use}
			}
			return out, err
		},
		Hostname: b.cfg.Hostname, Version: b.Version, Now: b.Now, Log: b.area(config.LogSieve), Guard: b.guard,
	}
}
