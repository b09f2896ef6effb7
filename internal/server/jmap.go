package server

import (
	"net/http"

	"waxwing/internal/config"
	"waxwing/internal/correspondents"
	"waxwing/internal/guard"
	"waxwing/internal/jmapserver"
	"waxwing/internal/jmapserver/catalog"
	"waxwing/internal/jmapserver/invitation"
	"waxwing/internal/jmapserver/mails"
	"waxwing/internal/jmapserver/people"
	"waxwing/internal/jmapserver/push"
	"waxwing/internal/jmapserver/sending"
	"waxwing/internal/jmapserver/sorting"
	"waxwing/internal/jmapserver/travel"
	"waxwing/internal/jmapserver/unsubscribe"
	"waxwing/internal/jmapserver/uploads"
	"waxwing/internal/store"
	"waxwing/internal/web/gate"
	"waxwing/internal/web/letter"
)

// uploads makes the room of what JMAP clients upload.
func (b *builder) uploads(db *store.Store) *uploads.Store {
	u := &uploads.Store{DB: db, Now: b.Now}
	b.everyHour("old uploads of JMAP clients were not removed", u.Tidy)
	return u
}

// jmap serves programs with which people read their mail (JMP-1), and browsers that have logged in, beside what else a mux has.
func (f *front) jmap(mux *gate.Mux) {
	if !f.cfg.JMAP.Enabled {
		return
	}
	if f.programs == nil { // one for all listeners
		h := f.jmapServer()
		served := gate.Counted(f.rooms.Metrics.Requested, "jmap", h)
		f.programs = map[string]http.Handler{jmapserver.WellKnown: served, jmapserver.Path: served, letter.Path: f.letters(h)}
	}
	for path, h := range f.programs {
		mux.Handle(path, h)
	}
}

// unsubscribing posts to the addresses of lists that people leave.
func (f *front) unsubscribing(h *jmapserver.Server) *unsubscribe.Room {
	r := f.rooms
	return &unsubscribe.Room{Mails: h.Mails, Boxes: r.Mailboxes, DNS: r.DNS, AllowPrivate: f.cfg.Delivery.AllowPrivate, Roots: f.roots, Dial: f.Dialer.DialContext, Now: f.Now, Log: h.Log, Guard: f.guard}
}

func (f *front) jmapServer() *jmapserver.Server {
	r, lim := f.rooms, f.cfg.Limits
	known := &catalog.Store{DB: r.Store, Boxes: r.Mailboxes}
	h := &jmapserver.Server{
		Hostname: f.cfg.Hostname.ASCII(), Boxes: r.Mailboxes, TempDir: f.door.TempDir, Now: f.Now, Log: f.area(config.LogJMAP),
		Mails:        &mails.Room{Boxes: r.Mailboxes, Catalog: known, Search: r.Search, Uploads: r.Uploads, Hostname: f.cfg.Hostname, TempDir: f.door.TempDir, Now: f.Now},
		Authenticate: jmapserver.Browsers(f.way, jmapserver.Passwords(f.logins)), Standing: jmapserver.Standing(f.way, f.logins), Lookout: f.lookout, Limits: jmapserver.DefaultLimits(int64(lim.MaxMessageSize)),
	}
	h.Push = &push.Room{DB: r.Store, DNS: r.DNS, Accounts: r.Accounts, States: h.States, AllowPrivate: f.cfg.API.PrivateWebhooks, Roots: f.roots, Dial: f.Dialer.DialContext, Contact: "mailto:postmaster@" + f.cfg.Hostname.ASCII(), Now: f.Now, Log: h.Log, Guard: f.guard}
	sorted := &sorting.Room{Scripts: r.Sieve.Scripts, Blob: h.Mails.Blob, Changed: h.Changed}
	h.Mails.Scripts = sorted.Text
	out := &sending.Room{DB: r.Store, Boxes: r.Mailboxes, Accounts: r.Accounts, Queue: r.Queue, MaxHold: maxHold, MaxSize: int64(lim.MaxMessageSize), Recipients: lim.MaxRecipients, Now: f.Now, Door: f.submitted(), Changed: h.Changed}
	how := &travel.Room{DB: r.Store, Boxes: r.Mailboxes, Sent: out.SentAs, Became: r.TLSReport.Became, Seen: r.Posture, Explainer: r.explainer(r.Store), Accounts: r.Accounts}
	who := &people.Room{Catalog: known, Correspondents: &correspondents.Store{DB: r.Store, Now: f.Now}, Now: f.Now}
	h.Rooms = append(append(how.Served(), out.Served(), who.Served()), sorted.Served()...)
	h.Rooms = append(h.Rooms, f.unsubscribing(h).Served(), (&invitation.Room{Mails: h.Mails, Uploads: r.Uploads, Own: out.Own, Now: f.Now}).Served())
	f.run("JMAP push", guard.Push, h.Push.Run)
	f.everyHour("JMAP push subscriptions that have ended were not removed", h.Push.Tidy)
	f.everyHour("JMAP submissions of long ago were not removed", out.Tidy)
	f.face("JMAP connections", guard.HTTPS, h.Run)
	return h
}
