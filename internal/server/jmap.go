package server

import (
	"context"
	"errors"
	"net/http"

	"waxwing/internal/config"
	"waxwing/internal/delivery"
	"waxwing/internal/explain"
	"waxwing/internal/jmapserver"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/catalog"
	"waxwing/internal/jmapserver/mails"
	"waxwing/internal/jmapserver/sending"
	"waxwing/internal/jmapserver/travel"
	"waxwing/internal/jmapserver/uploads"
	"waxwing/internal/receive"
	"waxwing/internal/store"
	"waxwing/internal/web/gate"
	"waxwing/jmap"
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
	r, lim := f.rooms, f.cfg.Limits
	out := &sending.Room{DB: r.Store, Boxes: r.Mailboxes, Accounts: r.Accounts, Queue: r.Queue, MaxHold: maxHold, MaxSize: int64(lim.MaxMessageSize), Recipients: lim.MaxRecipients, Now: f.Now, Hand: f.handJMAP()}
	h := &jmapserver.Server{
		Hostname: f.cfg.Hostname.ASCII(), Boxes: r.Mailboxes, TempDir: f.door.TempDir, Now: f.Now, Log: f.area(config.LogJMAP),
		Mails: &mails.Room{Boxes: r.Mailboxes, Catalog: &catalog.Store{DB: r.Store, Boxes: r.Mailboxes}, Search: r.Search, Uploads: r.Uploads,
			Hostname: f.cfg.Hostname, TempDir: f.door.TempDir, Now: f.Now},
		Rooms:        append([]jmapserver.Capability{{URI: sending.Capability, Session: map[string]any{}, Account: out.Account(), Methods: out.Methods(), States: out.States}}, f.travel(out)...),
		Authenticate: jmapserver.Passwords(f.logins), Limits: jmapserver.DefaultLimits(int64(lim.MaxMessageSize)),
	}
	served := gate.Counted(r.Metrics.Requested, "jmap", h)
	mux.Handle(jmapserver.WellKnown, served)
	mux.Handle(jmapserver.Path, served)
}

// handJMAP takes mail of JMAP clients in as that of submission.
func (f *front) handJMAP() func(ctx context.Context, m sending.Outgoing) error {
	door := f.submitted()
	return func(ctx context.Context, m sending.Outgoing) error {
		err := door.Hand(ctx, receive.Handed{Caller: receive.Caller{Account: m.Account, Name: "jmap", Remote: m.Remote, TLS: m.TLS}, Mail: m.Mail, Rcpts: m.Rcpts, Data: m.Data, Queue: m.Queue})
		var refused receive.RefusedRecipients
		if !errors.As(err, &refused) {
			return err
		}
		out := &sending.Refused{Why: refused[0].Reply.Text()}
		for _, r := range refused {
			out.Addresses = append(out.Addresses, r.Address)
		}
		return out
	}
}

// travel is how mail travelled, and will travel (JMP-2), and what accounts may keep (JMP-3).
func (f *front) travel(out *sending.Room) []jmapserver.Capability {
	r := f.rooms
	t := &travel.Room{DB: r.Store, Boxes: r.Mailboxes, Sent: out.SentAs, Mail: func(id jmap.ID) (int64, bool) { return call.Number(call.EmailKind, id) }, Became: r.TLSReport.Became, Seen: r.Posture,
		Explain: func(ctx context.Context, account string, d delivery.RecipientDomain) (*explain.Explanation, error) {
			if hosted, err := r.Accounts.IsHosted(ctx, d.Name); err != nil || hosted {
				return nil, err
			}
			e := r.explainer(r.Store).Domain(ctx, explain.Request{Domain: d, Account: account})
			return &e, nil
		}}
	return []jmapserver.Capability{{URI: travel.Capability, Session: map[string]any{}, Account: travel.Account(), Methods: t.Methods()},
		{URI: travel.QuotaCapability, Session: map[string]any{}, Account: map[string]any{}, Methods: t.QuotaMethods()}}
}
