package server

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"

	"waxwing/internal/account"
	"waxwing/internal/config"
	"waxwing/internal/login"
	"waxwing/internal/scripts"
	pageaccount "waxwing/internal/web/account"
	"waxwing/internal/web/admin"
	"waxwing/internal/web/gate"
	"waxwing/internal/web/mail"
	"waxwing/internal/web/pages"
	"waxwing/internal/web/signin"
	"waxwing/internal/websession"
)

// people serves those who come with a browser (WEB-2): how they log in, the pages of their account, and the admin pages. Over
// HTTPS that is for the host's own name alone, so that a cookie of one name is never about another; plain is
// on a loopback address, without TLS.
func (f *front) people(mux *gate.Mux, plain bool) {
	in, host := f.ways[plain], f.cfg.Hostname.ASCII()
	handle := func(h http.Handler, patterns ...string) {
		if !plain {
			h = gate.On(host, h)
		}
		h = gate.Counted(f.rooms.Metrics.Requested, "pages", h)
		for _, p := range patterns {
			mux.Handle(p, h)
		}
	}
	own := http.NewServeMux()
	in.Handle(own)
	own.HandleFunc("GET "+pages.StylePath(), pages.ServeStyle)
	own.HandleFunc("GET "+pages.ScriptPath(), pages.ServeScript)
	handle(http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(own, 64<<10)), "/login", "/login/", "/logout", "/assets/")
	var others []pages.Place
	if f.cfg.JMAP.Enabled {
		others = []pages.Place{{Name: "Your mail", Path: mail.Path}}
	}
	handle(&pageaccount.Handler{Rooms: f.accountRooms(), In: in, Others: others, Sessions: f.web, Logins: f.logins, Host: host, Now: f.Now, Log: f.area(config.LogHTTP)}, pageaccount.Path)
	handle(&admin.Handler{Rooms: f.adminRooms(), Sessions: f.web, Logins: f.logins, Factors: f.factors, Host: host, Plain: plain, Now: f.Now, Log: f.area(config.LogHTTP)}, admin.Path)
	if f.cfg.JMAP.Enabled {
		handle(&mail.Handler{Only: in.Only, LogIn: in.Base + "login", LogOut: in.Base + "logout", TLS: !plain}, mail.Path)
	}
	if !plain {
		handle(http.RedirectHandler(in.Home, http.StatusSeeOther), "GET /{$}")
	}
	f.jmap(mux)
}

// entrance is the way in for people to what is theirs.
func (f *front) entrance(plain bool) *signin.Entrance {
	host, first := f.cfg.Hostname.ASCII(), pageaccount.Path
	if f.cfg.JMAP.Enabled {
		first = mail.Path
	}
	return &signin.Entrance{Sessions: f.web, Logins: f.logins, Factors: f.factors, Site: &pages.Site{Name: "Waxwing", Host: host, Home: first, Now: f.Now}, Now: f.Now, Log: f.area(config.LogHTTP),
		Scope: websession.Person, Lead: "To your mail, and to what is set up for your account.", Base: "/", Home: first, Within: []string{mail.Path, pageaccount.Path}, Cookie: "waxwing", Plain: plain, Host: host,
		May: func(context.Context, string) (string, error) { return "", nil }}
}

// way is the entrance that a request came by, if it did.
func (f *front) way(r *http.Request) *signin.Entrance { return f.ways[r.TLS == nil] }

// webSessions are those of people's browsers. They end when the password of their account changes, and when it may not log in any more, or not from there.
func (f *front) webSessions() *websession.Store {
	s := &websession.Store{DB: f.rooms.Store, Now: f.Now, Proof: func(ctx context.Context, name, remote string) (string, error) {
		from, err := netip.ParseAddr(remote)
		if err != nil {
			return "", fmt.Errorf("the session of %s began at %q, which is no address: %w", name, remote, err)
		}
		return f.logins.Mark(ctx, name, account.Proven{By: account.ByPassword, Protocol: account.Web, From: from})
	}}
	f.everyHour("web sessions that have ended were not forgotten", s.Tidy)
	f.everyHour("the oldest acts on web pages were not forgotten", s.TidyActs)
	return s
}

func (f *front) accountRooms() pageaccount.Rooms {
	r := f.rooms
	return pageaccount.Rooms{Accounts: r.Accounts, Boxes: r.Mailboxes, Journal: &login.Journal{DB: r.Store, Now: f.Now}, Factors: f.factors, Scripts: &scripts.Store{DB: r.Store, Now: f.Now}, TempDir: f.door.TempDir,
		Settings: f.settings}
}
