package intake

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/alert"
	"waxwing/internal/outbox"
	"waxwing/internal/outbox/outboxtest"
	"waxwing/internal/reportbox"
	"waxwing/internal/store"
)

// saturday is the day that reports are about.
var saturday = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// rig is a service with everything around it under the test's hand.
type rig struct {
	*Service
	alerts *alert.Service
	hook   *outbox.Box // of the alerts
	clock  *outboxtest.Clock
	dns    *dnstest.Resolver
	out    *outboxtest.Queue
}

func newRig(t *testing.T, s *store.Store) *rig {
	r := &rig{clock: &outboxtest.Clock{}, dns: &dnstest.Resolver{T: t, Replies: map[string]any{}}, out: &outboxtest.Queue{}}
	r.clock.Set(saturday.Add(12 * time.Hour))
	log, host := slog.New(slog.DiscardHandler), dns.MustParse("mx.sender.example")
	r.hook = &outbox.Box{Store: s, Enqueuer: r.out, Hostname: host, Now: r.clock.Now, Log: log}
	r.alerts = alert.New(r.hook, nil)
	r.Service = &Service{DNS: r.dns, Hostname: host, Alerts: r.alerts,
		Box: &reportbox.Box{Sort: Sort(), Store: s, Now: r.clock.Now, Log: log,
			Outbox: &outbox.Box{Family: outbox.Family{Local: "tls-reports"}, Store: s, Hostname: host, Now: r.clock.Now, Log: log}},
		Hosted: func(_ context.Context, d dns.Name) (bool, error) {
			return d.ASCII() == "sender.example" || d.ASCII() == "example", nil
		},
	}
	return r
}
