package server

import (
	"net/http"

	"waxwing/internal/config"
	"waxwing/internal/jmapserver"
	"waxwing/internal/jmapserver/catalog"
	"waxwing/internal/jmapserver/mails"
	"waxwing/internal/jmapserver/uploads"
	"waxwing/internal/store"
	"waxwing/internal/web/gate"
)

// uploads makes the room of what JMAP clients upload.
func (b *builder) uploads(db *store.Store) *uploads.Store {
	u := &uploads.Store{DB: db, Now: b.Now}
	b.everyHour("old uploads of JMAP clients were not removed", u.Tidy)
	return u
}

// jmap serves programs with which people read their mail (JMP-1) beside what else a mux has.
func (f *front) jmap(mux *http.ServeMux) {
	if !f.cfg.JMAP.Enabled {
		return
	}
	r := f.rooms
	h := &jmapserver.Server{
		Hostname: f.cfg.Hostname.ASCII(), Boxes: r.Mailboxes, Uploads: r.Uploads, TempDir: f.door.TempDir, Now: f.Now, Log: f.area(config.LogJMAP),
		Mails:        &mails.Room{Boxes: r.Mailboxes, Catalog: &catalog.Store{DB: r.Store, Boxes: r.Mailboxes}, Search: r.Search},
		Authenticate: jmapserver.Passwords(f.logins), Limits: jmapserver.DefaultLimits(int64(f.cfg.Limits.MaxMessageSize)),
	}
	served := gate.Counted(r.Metrics.Requested, "jmap", h)
	mux.Handle(jmapserver.WellKnown, served)
	mux.Handle(jmapserver.Path, served)
}
