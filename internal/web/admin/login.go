package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"waxwing/internal/turns"
	"waxwing/internal/web/pages"
	"waxwing/internal/websession"
	"waxwing/sasl"
	"waxwing/smtp"
)

// cookieName has the prefix with which browsers take a cookie over TLS from this host alone. Without
// TLS, on a loopback address, there is no such prefix.
func (h *Handler) cookieName() string {
	if h.Plain {
		return "waxwing-admin"
	}
	return "__Host-waxwing-admin"
}

func (h *Handler) cookie(token string, age int) *http.Cookie {
	return &http.Cookie{Name: h.cookieName(), Value: token, Path: "/", MaxAge: age, Secure: !h.Plain, HttpOnly: true, SameSite: http.SameSiteStrictMode}
}

// session is that of a request, of an account that may administer; websession.ErrOver.
func (h *Handler) session(r *http.Request) (websession.Session, error) {
	c, err := r.Cookie(h.cookieName())
	if err != nil {
		return websession.Session{}, websession.ErrOver
	}
	x, err := h.Sessions.Find(r.Context(), c.Value, websession.Admin)
	if err != nil {
		return websession.Session{}, err
	}
	may, err := h.mayAdmin(r.Context(), x.Account)
	if err == nil && !may {
		err = websession.ErrOver
	}
	return x, err
}

func (h *Handler) mayAdmin(ctx context.Context, account string) (bool, error) {
	a, err := h.Rooms.Accounts.Access(ctx, account)
	return a.Admin, err
}

func (h *Handler) askLogin(w http.ResponseWriter, r *http.Request) {
	h.write(w, websession.Session{}, "", loginPage(r.URL.Query().Get("to"), "", ""))
}

// loginPage asks for name and password; wrong is why the last ones did not do.
func loginPage(to, user, wrong string) pages.Page {
	p := pages.Page{Title: "Log in", Lead: "These pages are for those who run this server."}
	if wrong != "" {
		p.Status = http.StatusForbidden
		p.Blocks = append(p.Blocks, pages.Notice{Tone: pages.Bad, What: wrong})
	}
	p.Blocks = append(p.Blocks, pages.Form{Method: "post", Action: Path + "login", Submit: "Log in", Fields: []pages.Field{
		{Name: "user", Label: "Account or address", Value: user, Required: true, Complete: "username"},
		{Name: "password", Label: "Password", Kind: "password", Required: true, Complete: "current-password"},
		{Name: "to", Kind: "hidden", Value: to},
	}})
	return p
}

// logIn begins a session, of a new token always: one that somebody else has given the browser is
// worth nothing.
func (h *Handler) logIn(w http.ResponseWriter, r *http.Request) {
	user, to := r.PostFormValue("user"), local(r.PostFormValue("to"))
	again := func(why string) { h.write(w, websession.Session{}, "", loginPage(to, user, why)) }
	account, err := h.Logins.Typed(r.Context(), loginOf(r, user))
	if err == nil {
		var may bool
		if may, err = h.mayAdmin(r.Context(), account); err == nil && !may {
			again("This account does not administer the server. Who may: waxwing account rules ACCOUNT --admin yes.")
			return
		}
	}
	var reply *smtp.Reply
	switch {
	case errors.Is(err, sasl.ErrFailed):
		again("Name and password do not belong together.")
		return
	case errors.As(err, &reply):
		again("You cannot log in now: " + reply.Text())
		return
	case errors.Is(err, turns.ErrBusy):
		again("Too many log in at this moment. Try again in a minute.")
		return
	case err != nil:
		h.failed(w, r, websession.Session{}, err)
		return
	}
	_, token, err := h.Sessions.Begin(r.Context(), websession.Session{Account: account, Scope: websession.Admin, Remote: remote(r).String(), Agent: r.UserAgent()})
	if err != nil {
		h.failed(w, r, websession.Session{}, err)
		return
	}
	http.SetCookie(w, h.cookie(token, 0))
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// local is a path of these pages, and the overview in place of all else: nobody is sent elsewhere.
func local(to string) string {
	if !strings.HasPrefix(to, Path) || strings.ContainsAny(to, "\\\r\n") || strings.HasPrefix(to, Path+"log") {
		return Path
	}
	return to
}

func (h *Handler) logOut(w http.ResponseWriter, r *http.Request) {
	h.within(w, r, func(x websession.Session) {
		if err := h.Sessions.Revoke(r.Context(), x.Account, x.ID); err != nil && !errors.Is(err, websession.ErrOver) {
			h.failed(w, r, x, err)
			return
		}
		http.SetCookie(w, h.cookie("", -1))
		http.Redirect(w, r, Path+"login", http.StatusSeeOther)
	})
}

// sessionsPage lists who has logged in, and ends what should not go on (WEB-3).
func (h *Handler) sessionsPage(r *http.Request) (pages.Page, error) {
	all, err := h.Sessions.List(r.Context(), "")
	if err != nil {
		return pages.Page{}, err
	}
	end := pages.Actions{Title: "End a session"}
	for _, x := range all {
		end.Forms = append(end.Forms, pages.Form{Method: "post", Action: Path + "sessions/revoke", Submit: x.ID.String() + " of " + x.Account, Danger: true,
			Fields: []pages.Field{{Name: "id", Kind: "hidden", Value: x.ID.String()}, {Name: "account", Kind: "hidden", Value: x.Account}}})
	}
	return pages.Page{Title: "Sessions", Lead: "Who has logged in to these pages.", Blocks: []pages.Block{pages.TableOf(websession.Listing(), all, nil), end}}, nil
}
