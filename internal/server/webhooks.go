package server

import (
	"context"

	"waxwing/dns"
	"waxwing/internal/alert"
	"waxwing/internal/config"
	"waxwing/internal/guard"
	"waxwing/internal/store"
	"waxwing/internal/webhooks"
)

// webhooks makes the room that tells programs of events (OPS-8).
func (b *builder) webhooks(db *store.Store, resolver *dns.Client, alerts *alert.Service) *webhooks.Service {
	s := &webhooks.Service{Store: &webhooks.Store{DB: db, Now: b.Now}, DNS: resolver, AllowPrivate: b.cfg.API.PrivateWebhooks, Roots: b.roots, Dial: b.Dialer.DialContext,
		Tell: func(ctx context.Context, h webhooks.Hook, note string) error {
			return alerts.Tell(ctx, alert.WebhookDisabled(h, note))
		},
		Count: b.metrics.EventPosted, Log: b.area(config.LogWebhook), Guard: b.guard}
	b.run("webhooks", guard.Webhook, s.Run)
	b.everyHour("old posts to webhooks were not removed", s.Prune)
	return s
}

// Webhooks makes the room of webhooks for commands.
func Webhooks(o Options, db *store.Store) (*webhooks.Service, error) {
	r, err := commandRooms(o, db)
	if err != nil {
		return nil, err
	}
	return r.Webhooks, nil
}
