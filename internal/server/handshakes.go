package server

import (
	"context"

	"waxwing/internal/alert"
	"waxwing/internal/config"
	"waxwing/internal/guard"
	"waxwing/internal/handshakes"
	"waxwing/internal/store"
)

// handshakes has the operator told of mail servers that cannot begin TLS any more (INB-9).
func (b *builder) handshakes(db *store.Store, alerts *alert.Service) *handshakes.Watch {
	w := &handshakes.Watch{DB: db, Machine: b.cfg.Hostname.ASCII(), Now: b.Now, Log: b.area(config.LogSMTP), Tell: func(ctx context.Context, n handshakes.Notice) error {
		return alerts.Tell(ctx, alert.Notice{What: n.What, Event: "tls.inbound-fails", Subject: n.Subject, Text: n.Text})
	}}
	b.run("TLS handshakes of others", guard.Watcher, w.Run)
	b.everyHour("networks without TLS handshakes were not forgotten", w.Tidy)
	return w
}
