// Package signin is how people come in to pages (WEB-3): the page that asks for their name and password, the one that asks
// for a second factor, and who a request comes from. A face with pages of its own asks an Entrance.
//
// A session begins with the last step, with a token that nobody had before. Until then there is a session of scope Step,
// which reaches nothing and lasts for minutes.
package signin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"waxwing/internal/factors"
	"waxwing/internal/login"
	"waxwing/internal/turns"
	"waxwing/internal/web/pages"
	"waxwing/internal/websession"
	"waxwing/sasl"
	"waxwing/smtp"
	"waxwing/webauthn"
)

// Entrance is a way in, to the pages of one scope. Its fields are set before its first use.
type Entrance struct {
	Sessions *websession.Store
	Logins   *login.Checker
	Factors  *factors.Store
	Site     *pages.Site
	Now      func() time.Time
	Log      *slog.Logger

	Scope  websession.Scope
	Lead   string   // for whom the pages are, a sentence
	Base   string   // path of the entrance, with a slash at its end: it has "login" and "logout" below
	Home   string   // path that a login leads to
	Within []string // what else it may lead to: paths, and all below those that end with a slash
	Cookie string   // its name, without a prefix
	Plain  bool     // without TLS, on a loopback address
	Host   string   // name of the server, for passkeys

	// Strict lets nobody in without a second factor; NeedsFactor says then how to come by one.
	Strict      bool
	NeedsFactor string
	// May says why an account does not come in although its password is right, in a sentence; "" is that it does.
	May func(ctx context.Context, account string) (refusal string, err error)
}

// Handle serves the entrance's own pages. What stands before mux bounds requests and refuses those of other sites.
func (e *Entrance) Handle(mux *http.ServeMux) {
	mux.HandleFunc("GET "+e.Base+"login", e.askPassword)
	mux.HandleFunc("POST "+e.Base+"login", e.takePassword)
	mux.HandleFunc("GET "+e.second(), e.askFactor)
	mux.HandleFunc("POST "+e.second(), e.takeFactor)
	mux.HandleFunc("POST "+e.Base+"logout", e.logOut)
}

func (e *Entrance) second() string { return e.Base + "login/second" }

// cookieName has the prefix with which browsers take a cookie over TLS, from this host alone. Without TLS there is no such prefix, and the
// server's name instead: a browser tells the servers of one machine not apart by their ports.
func (e *Entrance) cookieName(scope websession.Scope) string {
	name := e.Cookie
	if scope == websession.Step {
		name += "-step"
	}
	if e.Plain {
		return name + "." + e.Host
	}
	return "__Host-" + name
}

func (e *Entrance) cookie(scope websession.Scope, token string) *http.Cookie {
	c := &http.Cookie{Name: e.cookieName(scope), Value: token, Path: "/", Secure: !e.Plain, HttpOnly: true, SameSite: http.SameSiteStrictMode}
	if token == "" {
		c.MaxAge = -1
	}
	return c
}

// Session is that of a request; websession.ErrOver where there is none, where it has ended, and where its account may not
// come in any more.
func (e *Entrance) Session(r *http.Request) (websession.Session, error) {
	x, err := e.find(r, e.Scope)
	if err != nil {
		return x, err
	}
	why, err := e.May(r.Context(), x.Account)
	if err == nil && (why != "" || e.Strict && x.Factor == "") {
		err = websession.ErrOver
	}
	return x, err
}

func (e *Entrance) find(r *http.Request, scope websession.Scope) (websession.Session, error) {
	c, err := r.Cookie(e.cookieName(scope))
	if err != nil {
		return websession.Session{}, websession.ErrOver
	}
	return e.Sessions.Find(r.Context(), c.Value, scope)
}

// Look is Session for what a browser does by itself, without its user: it is no use of the session, which it tells only of an error.
func (e *Entrance) Look(r *http.Request) error {
	c, err := r.Cookie(e.cookieName(e.Scope))
	if err != nil {
		return websession.ErrOver
	}
	_, err = e.Sessions.Look(r.Context(), c.Value, e.Scope)
	return err
}

// HasCookie reports that a request says it belongs to a session, true or not.
func (e *Entrance) HasCookie(r *http.Request) bool {
	_, err := r.Cookie(e.cookieName(e.Scope))
	return err == nil
}

// In calls fn for somebody who has logged in, and sends all others to do so.
func (e *Entrance) In(w http.ResponseWriter, r *http.Request, fn func(websession.Session)) {
	x, err := e.Session(r)
	switch {
	case errors.Is(err, websession.ErrOver) && r.Method == http.MethodGet:
		http.Redirect(w, r, e.Base+"login?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
	case errors.Is(err, websession.ErrOver):
		http.Redirect(w, r, e.Base+"login", http.StatusSeeOther)
	case err != nil:
		e.failed(w, r, err)
	default:
		fn(x)
	}
}

// key is that of a session in a request's context.
type key struct{}

// Only has h serve those who have logged in; From says who they are.
func (e *Entrance) Only(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.In(w, r, func(x websession.Session) { h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, x))) })
	})
}

// From is the session that a request belongs to which came through Only.
func From(ctx context.Context) websession.Session {
	x, _ := ctx.Value(key{}).(websession.Session)
	return x
}

// Who is the account that a request of a page's script or frame is about; where it is nobody's, or a page of another
// origin made it, it has been answered.
func (e *Entrance) Who(w http.ResponseWriter, r *http.Request) (account string, ok bool) {
	asked := *r
	asked.Method = http.MethodPost // a method that is looked at
	if http.NewCrossOriginProtection().Check(&asked) != nil {
		http.Error(w, "requests of other sites are not served", http.StatusForbidden)
		return "", false
	}
	x, err := e.Session(r)
	switch {
	case errors.Is(err, websession.ErrOver):
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return "", false
	case err != nil:
		e.failed(w, r, err)
		return "", false
	}
	return x.Account, true
}

// Remote is the address that a request came from.
func Remote(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// Party is this site, as a passkey knows it.
func (e *Entrance) Party(r *http.Request) webauthn.Party {
	return webauthn.Party{ID: e.Host, Origin: "https://" + r.Host}
}

// next is where somebody is led after a login: one of the entrance's own pages. Whatever else is asked for, nobody is sent elsewhere.
func (e *Entrance) next(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsFunc(to, func(r rune) bool { return r == '\\' || r < ' ' || r == 0x7f }) ||
		strings.Contains(u.Path, "..") || strings.Contains(u.Path, "//") || strings.HasPrefix(u.Path, e.Base+"log") {
		return e.Home
	}
	for _, p := range e.Within {
		if u.Path == p || strings.HasSuffix(p, "/") && strings.HasPrefix(u.Path, p) {
			return to
		}
	}
	return e.Home
}

// WrongPassword is the sentence of a wrong one.
const WrongPassword = "Name and password do not belong together."

// Sentence is what somebody is told who could not log in, or give a right password; "" for an error that is ours.
func Sentence(err error) string {
	var reply *smtp.Reply
	switch {
	case errors.Is(err, sasl.ErrFailed):
		return WrongPassword
	case errors.As(err, &reply):
		return "You cannot log in now: " + reply.Text()
	case errors.Is(err, turns.ErrBusy):
		return "Too many log in at this moment. Try again in a minute."
	}
	return ""
}

func (e *Entrance) failed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return
	}
	e.Log.Error("a login page could not be made", "path", r.URL.Path, "error", err)
	e.write(w, pages.Page{Title: "This page cannot be shown now", Status: http.StatusInternalServerError,
		Blocks: []pages.Block{pages.Notice{Tone: pages.Bad, What: "Something does not work on this server.", Cure: "Try again in a moment; the log of the server says more."}}})
}

func (e *Entrance) write(w http.ResponseWriter, p pages.Page) {
	if err := e.Site.Write(w, pages.View{}, p); err != nil {
		e.Log.Debug("a login page was not written", "error", err)
	}
}
