package server

import (
	"context"
	"fmt"

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
			return alerts.Tell(ctx, disabledHook(h, note))
		},
		Count: b.metrics.EventPosted, Log: b.area(config.LogWebhook), Guard: b.guard}
	b.run("webhooks", guard.Webhook, s.Run)
	b.everyHour("old posts to webhooks were not removed", s.Prune)
	return s
}

// disabledHook is what the operator is told, once, of a webhook that was disabled.
func disabledHook(h webhooks.Hook, note string) alert.Notice {
	return alert.Notice{What: fmt.Sprintf("webhook %s %d", h.ID, h.Failing.Unix()), Event: "webhook.disabled", Subject: "The webhook " + h.ID.String() + " was disabled",
		Text: fmt.Sprintf("Events can no longer be posted to %s, so the webhook %s was disabled. What happens now it is not told.\n\nThe last answer: %s\n\n"+
			"See: waxwing webhook deliveries %s\nWhen it is mended: waxwing webhook enable %s\n", h.URL, h.ID, note, h.ID, h.ID)}
}

// Webhooks makes the room of webhooks for commands.
func Webhooks(o Options, db *store.Store) (*webhooks.Service, error) {
	r, err := commandRooms(o, db)
	if err != nil {
		return nil, err
	}
	return r.Webhooks, nil
}
