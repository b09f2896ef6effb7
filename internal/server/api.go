package server

import (
	"waxwing/internal/apikeys"
	"waxwing/internal/config"
	"waxwing/internal/store"
	"waxwing/internal/web/api"
	"waxwing/internal/web/gate"
)

// apiKeys makes the room of the keys of programs (OPS-8).
func (b *builder) apiKeys(db *store.Store) *apikeys.Store {
	k := &apikeys.Store{DB: db, Now: b.Now}
	b.everyHour("old idempotency keys were not removed", k.Sweep)
	return k
}

// api serves programs beside what else a mux has, if the configuration wants it.
func (f *front) api(mux *gate.Mux) {
	if f.cfg.API.Enabled {
		mux.Handle(api.Path, gate.Counted(f.rooms.Metrics.Requested, "api", f.apiHandler()))
	}
}

// apiHandler is the API. Its mail comes in as that of submission.
func (f *front) apiHandler() *api.Handler {
	r, lim := f.rooms, f.cfg.Limits
	return &api.Handler{Store: r.Store, Keys: r.APIKeys, Logins: f.logins, Submission: f.submitted(), Queue: r.Queue, Suppressions: r.Suppression,
		Mailboxes: r.Mailboxes, Became: r.TLSReport.Became, Limits: api.Limits{MessageSize: int64(lim.MaxMessageSize), Recipients: lim.MaxRecipients, Hold: maxHold},
		Version: f.Version, Now: f.Now, Log: f.area(config.LogAPI)}
}
