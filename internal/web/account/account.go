// Package account is the pages on which people see to their own account (MAIL-7): password, second factors, passwords of programs,
// sessions, who logged in, storage, addresses, rules, and how a mail program is set up. A page calls what the command of the
// same purpose calls, for the account of the session alone, and names that command. All of it works without JavaScript,
// passkeys apart.
package account

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"waxwing/clientconfig"
	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/factors"
	"waxwing/internal/login"
	"waxwing/internal/mailboxes"
	"waxwing/internal/scripts"
	"waxwing/internal/text"
	"waxwing/internal/web/pages"
	"waxwing/internal/web/signin"
	"waxwing/internal/websession"
)

// Path is where the pages are.
const Path = "/account/"

// Rooms are what the pages show.
type Rooms struct {
	Accounts *accounts.Store
	Boxes    *mailboxes.Store
	Journal  *login.Journal
	Factors  *factors.Store
	Scripts  *scripts.Store
	// Settings are what mail programs of a domain are told; false for one that is not hosted here.
	Settings func(ctx context.Context, domain dns.Name) (clientconfig.Settings, bool, error)
	TempDir  string // for long messages that are taken in
}

// Handler serves all below Path. Its fields are set before its first use.
type Handler struct {
	Rooms    Rooms
	In       *signin.Entrance
	Sessions *websession.Store
	Logins   *login.Checker
	Host     string        // name of the server
	Others   []pages.Place // named in the head of each page
	Now      func() time.Time
	Log      *slog.Logger

	setup sync.Once
	site  pages.Site
	mux   http.Handler
	busy  busy
}

// asked is a request of somebody who has logged in.
type asked struct {
	*http.Request
	w http.ResponseWriter
	x websession.Session
}

// who is the account that a page is about: never another one's than the session's.
func (a *asked) who() string { return a.x.Account }

// act is what a form has done.
type act struct {
	Command string      // that does the same
	Outcome string      // a sentence
	Back    string      // the path to go on with
	Show    *pages.Page // what is shown this once, in place of Back; nil: nothing
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.setup.Do(h.prepare)
	pages.SetHeaders(w.Header())
	h.mux.ServeHTTP(w, r)
}

func (h *Handler) prepare() {
	h.site = pages.Site{Name: "Waxwing", Host: h.Host, Home: Path, LogOut: h.In.LogOut(), Groups: groups(), Others: h.Others, Now: h.Now}
	mux := http.NewServeMux()
	for _, p := range places() {
		mux.HandleFunc("GET "+p.pattern(), h.shows(p))
	}
	for path, do := range acts() {
		mux.Handle("POST "+Path+path, http.MaxBytesHandler(h.does(do), maxBody))
	}
	mux.HandleFunc("GET "+Path+"transfer/export", h.export)
	mux.HandleFunc("POST "+Path+"transfer/import", h.take)
	mux.HandleFunc(Path, func(w http.ResponseWriter, r *http.Request) {
		h.In.In(w, r, func(x websession.Session) { h.write(&asked{r, w, x}, "", missing()) })
	})
	h.mux = http.NewCrossOriginProtection().Handler(mux)
}

// maxBody bounds what a form may have, in octets; that which takes mail in has a bound of its own.
const maxBody = 256 << 10

func missing() pages.Page {
	return pages.Page{Title: "There is no such page", Status: http.StatusNotFound, Blocks: []pages.Block{pages.Prose{Body: "The address leads nowhere, or to what is there no more.", Link: Path, Says: "Go to the overview."}}}
}

// shows serves one page.
func (h *Handler) shows(p place) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h.In.In(w, r, func(x websession.Session) {
			a := &asked{r, w, x}
			page, err := p.show(h, a)
			if err != nil {
				h.failed(a, err)
				return
			}
			page.Blocks = done(r, page.Blocks)
			h.write(a, p.path, page)
		})
	}
}

// fault is an error of the person who filled in a form: they are told of it, and nobody else.
type fault struct{ error }

func faultOf(text string) error { return fault{errors.New(text)} }

// does serves one form that changes something.
func (h *Handler) does(do func(*Handler, *asked) (act, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h.In.In(w, r, func(x websession.Session) {
			a := &asked{r, w, x}
			if err := r.ParseForm(); err != nil {
				h.write(a, "", refused("The form could not be read: "+err.Error()))
				return
			}
			d, err := do(h, a)
			if errors.As(err, new(fault)) {
				h.write(a, "", refused(err.Error()))
				return
			}
			if err != nil {
				h.failed(a, err)
				return
			}
			h.note(a, d)
			if d.Show != nil {
				h.write(a, "", *d.Show)
				return
			}
			http.Redirect(w, r, d.Back+"?done="+url.QueryEscape(d.Outcome), http.StatusSeeOther)
		})
	}
}

// note keeps what was changed, as that on the admin pages is kept.
func (h *Handler) note(a *asked, d act) {
	if err := h.Sessions.Note(a.Context(), a.x, d.Command, d.Outcome); err != nil {
		h.Log.Error("an act on the account pages was not noted", "account", a.who(), "command", d.Command, "error", err)
	}
	h.Log.Info("changed on the account pages", "account", a.who(), "remote", a.x.Remote, "command", d.Command, "result", d.Outcome)
}

func refused(why string) pages.Page {
	return pages.Page{Title: "That was not done", Status: http.StatusUnprocessableEntity, Blocks: []pages.Block{pages.Notice{Tone: pages.Bad, What: sentence(why), Cure: "Go back, change what you typed, and try again."}}}
}

// failed is an answer where something of ours does not work: what, is for the log.
func (h *Handler) failed(a *asked, err error) {
	if a.Context().Err() != nil {
		return
	}
	h.Log.Error("an account page could not be made", "account", a.who(), "path", a.URL.Path, "error", err)
	h.write(a, "", pages.Page{Title: "This page cannot be shown now", Status: http.StatusInternalServerError,
		Blocks: []pages.Block{pages.Notice{Tone: pages.Bad, What: "Something does not work on this server.", Cure: "Try again in a moment. Its operator finds more in the log."}}})
}

func (h *Handler) write(a *asked, here string, p pages.Page) {
	if err := h.site.Write(a.w, pages.View{Here: here, Visitor: a.who()}, p); err != nil {
		h.Log.Debug("an account page was not written", "error", err)
	}
}

// done is the notice of what a form has just done, which stands in the address.
func done(r *http.Request, blocks []pages.Block) []pages.Block {
	if s := r.URL.Query().Get("done"); s != "" && len(s) < 300 {
		return append([]pages.Block{pages.Notice{Tone: pages.Good, What: sentence(s)}}, blocks...)
	}
	return blocks
}

// sentence begins with a capital letter and has a full stop.
func sentence(s string) string {
	if s == "" {
		return s
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// waxwing is a command with the account's name.
func waxwing(words ...string) string {
	for i, w := range words {
		if i > 0 {
			words[i] = text.ShellWord(w)
		}
	}
	return "waxwing " + strings.Join(words, " ")
}

// ownPassword are the fields in which a form asks for the password once more: what decides who gets in must not be changed by
// somebody who has found a browser open. The account stands before it, or a program that keeps passwords takes the field
// before it, such as a device's name, for the account's.
func ownPassword(a *asked) []pages.Field {
	return []pages.Field{whose(a), {Name: "own", Label: "Your password", Help: "once more, to be sure that it is you", Kind: "password", Required: true, Complete: "current-password"}}
}

// whose is the account, for programs that keep passwords.
func whose(a *asked) pages.Field {
	return pages.Field{Name: "account", Label: "Account", Value: a.who(), Fixed: true, Complete: "username"}
}

// sure checks that field, under the bounds on guesses that all passwords have.
func (h *Handler) sure(a *asked) error {
	name, err := h.Logins.Typed(a.Context(), login.Person{From: signin.Remote(a.Request), User: a.who(), Password: a.PostFormValue("own")})
	switch {
	case err == nil && name == a.who():
		return nil
	case err == nil:
		return faultOf("that is not the password of this account")
	case signin.Sentence(err) == signin.WrongPassword:
		return faultOf("that is not the password of this account")
	case signin.Sentence(err) != "":
		return faultOf(signin.Sentence(err))
	}
	return err
}
