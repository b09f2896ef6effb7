// Package admin is the pages on which an operator sees how the server does and changes it (ADM). A
// page calls what the command of the same purpose calls, and names that command (ADM-1); it decides
// nothing. All of it works without JavaScript.
package admin

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/alert"
	"waxwing/internal/desk"
	"waxwing/internal/dmarcreport"
	dmarcintake "waxwing/internal/dmarcreport/intake"
	"waxwing/internal/explain"
	"waxwing/internal/factors"
	"waxwing/internal/listing"
	"waxwing/internal/login"
	"waxwing/internal/logline"
	"waxwing/internal/posture"
	"waxwing/internal/store"
	"waxwing/internal/tlsreport"
	"waxwing/internal/tlsreport/intake"
	"waxwing/internal/trends"
	"waxwing/internal/web/deeds"
	"waxwing/internal/web/pages"
	"waxwing/internal/web/signin"
	"waxwing/internal/websession"
)

// Path is where the pages are.
const Path = "/admin/"

// Rooms are what the pages show.
type Rooms struct {
	DB          *store.Store
	Desk        desk.Desk
	Accounts    *accounts.Store
	TLSReport   *tlsreport.Service
	TLSIntake   *intake.Service
	DMARCReport *dmarcreport.Service
	DMARCIntake *dmarcintake.Service
	Explainer   *explain.Explainer
	// Status says how the server does.
	Status func(ctx context.Context) listing.Status
	Trends *trends.Recorder
	// Posture is what deliveries have shown of the domains that mail goes to.
	Posture *posture.Recorder
	Alerts  *alert.Service
	Levels  *logline.Levels
	// Subjects are the pages of other rooms, and what can be done there.
	Subjects []deeds.Subject
}

// Handler serves all below Path, and the style. Its fields are set before its first use.
type Handler struct {
	Rooms    Rooms
	Sessions *websession.Store
	Logins   *login.Checker
	Factors  *factors.Store
	Host     string // name of the server
	Plain    bool   // without TLS, on a loopback address
	Now      func() time.Time
	Log      *slog.Logger

	setup sync.Once
	site  pages.Site
	in    *signin.Entrance
	mux   http.Handler
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.setup.Do(h.prepare)
	pages.SetHeaders(w.Header())
	h.mux.ServeHTTP(w, r)
}

func (h *Handler) prepare() {
	h.site = pages.Site{Name: "Waxwing", Host: h.Host, Home: Path, LogOut: Path + "logout", Groups: groups(h.places()), Now: h.Now}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pages.StylePath(), pages.ServeStyle)
	mux.HandleFunc("GET "+pages.ScriptPath(), pages.ServeScript)
	h.in = h.entrance()
	h.in.Handle(mux)
	for _, p := range h.places() {
		mux.HandleFunc("GET "+pattern(p), h.shows(p))
	}
	for _, d := range h.deeds() {
		mux.HandleFunc("POST "+d.Path, h.does(d))
	}
	mux.HandleFunc(Path, func(w http.ResponseWriter, r *http.Request) {
		h.in.In(w, r, func(x websession.Session) { h.write(w, x, deeds.Place{}, missing()) })
	})
	h.mux = http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(mux, maxBody))
}

// maxBody bounds what a form may have, in octets.
const maxBody = 256 << 10

func missing() pages.Page {
	return pages.Page{Title: "There is no such page", Status: http.StatusNotFound, Blocks: []pages.Block{pages.Prose{Body: "The address leads nowhere, or to what is there no more.", Link: Path, Says: "Go to the overview."}}}
}

// shows serves one page.
func (h *Handler) shows(p deeds.Place) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h.in.In(w, r, func(x websession.Session) {
			page, err := p.Show(r)
			page.Blocks = done(r, page.Blocks)
			switch {
			case errors.Is(err, deeds.ErrMissing):
				page = missing()
			case err != nil:
				h.failed(w, r, x, err)
				return
			}
			h.write(w, x, p, page)
		})
	}
}

// does serves one form that changes something.
func (h *Handler) does(d deeds.Deed) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h.in.In(w, r, func(x websession.Session) {
			if err := r.ParseForm(); err != nil {
				h.write(w, x, deeds.Place{}, refused("the form could not be read: "+err.Error()))
				return
			}
			a, err := d.Run(r.Context(), deeds.Values{Values: r.PostForm})
			outcome := a.Outcome
			if err != nil {
				outcome = "not done: " + err.Error()
			}
			if a.Command != "" { // it was understood
				if nerr := h.Sessions.Note(r.Context(), x, a.Command, outcome); nerr != nil {
					h.Log.Error("an act on the admin pages was not noted", "account", x.Account, "command", a.Command, "error", nerr)
				}
				h.Log.Info("changed on the admin pages", "account", x.Account, "remote", x.Remote, "command", a.Command, "result", outcome)
			}
			if err != nil {
				h.write(w, x, deeds.Place{}, refused(err.Error()))
				return
			}
			if len(a.Blocks) > 0 {
				h.write(w, x, deeds.Place{}, pages.Page{Title: upper(a.Outcome), Command: a.Command, Blocks: a.Blocks})
				return
			}
			back, _ := url.Parse(a.Back)
			q := back.Query()
			q.Set("done", a.Outcome)
			back.RawQuery = q.Encode()
			http.Redirect(w, r, back.String(), http.StatusSeeOther)
		})
	}
}

func refused(why string) pages.Page {
	return pages.Page{Title: "That was not done", Status: http.StatusUnprocessableEntity, Blocks: []pages.Block{pages.Notice{Tone: pages.Bad, What: why, Cure: "Go back, change what you typed, and try again."}}}
}

// failed is an answer where something of ours does not work.
func (h *Handler) failed(w http.ResponseWriter, r *http.Request, x websession.Session, err error) {
	if r.Context().Err() != nil {
		return
	}
	h.Log.Error("an admin page could not be made", "path", r.URL.Path, "error", err)
	h.write(w, x, deeds.Place{}, pages.Page{Title: "This page cannot be shown now", Status: http.StatusInternalServerError,
		Blocks: []pages.Block{pages.Notice{Tone: pages.Bad, What: err.Error(), Cure: "The log of the server may say more. Try again in a moment."}}})
}

func (h *Handler) write(w http.ResponseWriter, x websession.Session, here deeds.Place, p pages.Page) {
	if err := h.site.Write(w, pages.View{Here: cmp.Or(here.Under, here.Path), Within: here.Under != "", Visitor: x.Account}, p); err != nil {
		h.Log.Debug("an admin page was not written", "error", err)
	}
}

// done is the notice of what a form has just done, which stands in the address.
func done(r *http.Request, blocks []pages.Block) []pages.Block {
	if s := r.URL.Query().Get("done"); s != "" && len(s) < 300 {
		return append([]pages.Block{pages.Notice{Tone: pages.Good, What: upper(s)}}, blocks...)
	}
	return blocks
}

// upper is a text as the beginning of a sentence.
func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
