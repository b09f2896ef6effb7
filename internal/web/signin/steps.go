package signin

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"

	"waxwing/internal/factors"
	"waxwing/internal/login"
	"waxwing/internal/web/pages"
	"waxwing/internal/websession"
	"waxwing/sasl"
	"waxwing/webauthn"
)

func (e *Entrance) askPassword(w http.ResponseWriter, r *http.Request) {
	e.write(w, e.passwordPage(r.URL.Query().Get("next"), "", ""))
}

// passwordPage asks for name and password; wrong is why the last ones did not do.
func (e *Entrance) passwordPage(next, user, wrong string) pages.Page {
	p := pages.Page{Title: "Log in", Lead: e.Lead}
	if wrong != "" {
		p.Status = http.StatusForbidden
		p.Blocks = append(p.Blocks, pages.Notice{Tone: pages.Bad, What: wrong})
	}
	p.Blocks = append(p.Blocks, pages.Form{Method: "post", Action: e.Base + "login", Submit: "Log in", Fields: []pages.Field{
		{Name: "user", Label: "Account or address", Value: user, Required: true, Complete: "username"},
		{Name: "password", Label: "Password", Kind: "password", Required: true, Complete: "current-password"},
		{Name: "next", Kind: "hidden", Value: next},
	}})
	return p
}

// takePassword lets somebody in, or has them show a second factor where their account has one.
func (e *Entrance) takePassword(w http.ResponseWriter, r *http.Request) {
	user, next := r.PostFormValue("user"), e.next(r.PostFormValue("next"))
	account, err := e.Logins.Typed(r.Context(), login.Person{From: Remote(r), User: user, Password: r.PostFormValue("password")})
	var refusal string
	var has bool
	if err == nil {
		refusal, err = e.May(r.Context(), account)
	}
	if err == nil {
		has, err = e.Factors.Has(r.Context(), account)
	}
	switch {
	case Sentence(err) != "":
		refusal = Sentence(err)
	case err != nil:
		e.failed(w, r, err)
		return
	case refusal == "" && e.Strict && !has:
		refusal = e.NeedsFactor
	}
	switch {
	case refusal != "":
		e.write(w, e.passwordPage(next, user, refusal))
	case has:
		e.begin(w, r, websession.Session{Account: account, Scope: websession.Step, Challenge: websession.NewChallenge()}, e.second()+"?next="+url.QueryEscape(next))
	default:
		e.begin(w, r, websession.Session{Account: account, Scope: e.Scope}, next)
	}
}

// begin begins a session, of a new token always: one that somebody else has given the browser is worth nothing. The one
// that the browser had before ends.
func (e *Entrance) begin(w http.ResponseWriter, r *http.Request, x websession.Session, next string) {
	if old, err := e.find(r, x.Scope); err == nil {
		if err := e.Sessions.Revoke(r.Context(), old.Account, old.ID); err != nil && !errors.Is(err, websession.ErrOver) {
			e.failed(w, r, err)
			return
		}
	}
	x.Remote, x.Agent = Remote(r).String(), r.UserAgent()
	_, token, err := e.Sessions.Begin(r.Context(), x)
	if err != nil {
		e.failed(w, r, err)
		return
	}
	http.SetCookie(w, e.cookie(x.Scope, token))
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// Renew begins the session of a browser anew, after a change that has ended all others: that of the password.
func (e *Entrance) Renew(w http.ResponseWriter, r *http.Request, x websession.Session) error {
	_, token, err := e.Sessions.Begin(r.Context(), websession.Session{Account: x.Account, Scope: x.Scope, Factor: x.Factor, Remote: Remote(r).String(), Agent: r.UserAgent()})
	if err == nil {
		http.SetCookie(w, e.cookie(x.Scope, token))
	}
	return err
}

// step calls fn for somebody whose password was right, and sends all others to begin.
func (e *Entrance) step(w http.ResponseWriter, r *http.Request, fn func(websession.Session)) {
	x, err := e.find(r, websession.Step)
	switch {
	case errors.Is(err, websession.ErrOver):
		http.Redirect(w, r, e.Base+"login?next="+url.QueryEscape(e.next(r.FormValue("next"))), http.StatusSeeOther)
	case err != nil:
		e.failed(w, r, err)
	default:
		fn(x)
	}
}

func (e *Entrance) askFactor(w http.ResponseWriter, r *http.Request) {
	e.step(w, r, func(x websession.Session) { e.factorPage(w, r, x, "") })
}

// factorPage asks for a second factor; wrong is why the last one did not do.
func (e *Entrance) factorPage(w http.ResponseWriter, r *http.Request, x websession.Session, wrong string) {
	next := pages.Field{Name: "next", Kind: "hidden", Value: e.next(r.FormValue("next"))}
	p := pages.Page{Title: "Second factor", Lead: "The password was right. This account is protected by more than that."}
	if wrong != "" {
		p.Status = http.StatusForbidden
		p.Blocks = append(p.Blocks, pages.Notice{Tone: pages.Bad, What: wrong})
	}
	ids, err := e.Factors.PasskeyIDs(r.Context(), x.Account)
	if err != nil {
		e.failed(w, r, err)
		return
	}
	if challenge, ok := octets(x.Challenge); ok && len(ids) > 0 && !e.Plain {
		p.Blocks = append(p.Blocks, pages.Passkey{Title: "With a passkey", Action: e.second(), Submit: "Use a passkey", Options: e.Party(r).ToGet(challenge, ids), Fields: []pages.Field{next}})
	}
	p.Blocks = append(p.Blocks, pages.Form{Title: "With a code", Method: "post", Action: e.second(), Submit: "Go on", Fields: []pages.Field{
		{Name: "code", Label: "Code", Help: "the six digits of your authenticator app, or a recovery code", Required: true, Complete: "one-time-code"}, next}})
	e.write(w, p)
}

func (e *Entrance) takeFactor(w http.ResponseWriter, r *http.Request) {
	e.step(w, r, func(x websession.Session) {
		var kind factors.Kind
		err := e.Logins.Second(r.Context(), Remote(r), x.Account, func(ctx context.Context) (bool, error) {
			var err error
			kind, err = e.check(ctx, r, x)
			if errors.Is(err, factors.ErrWrong) {
				return false, nil
			}
			return err == nil, err
		})
		switch {
		case errors.Is(err, sasl.ErrFailed):
			if err := e.Sessions.Wrong(r.Context(), x); err != nil {
				e.failed(w, r, err)
				return
			}
			e.factorPage(w, r, x, "That was not right, or it was used before.")
			return
		case Sentence(err) != "":
			e.factorPage(w, r, x, Sentence(err))
			return
		case err != nil:
			e.failed(w, r, err)
			return
		}
		if err := e.Sessions.Revoke(r.Context(), x.Account, x.ID); err != nil { // also where another request was first
			e.step(w, r, func(websession.Session) { e.failed(w, r, err) })
			return
		}
		http.SetCookie(w, e.cookie(websession.Step, ""))
		e.begin(w, r, websession.Session{Account: x.Account, Scope: e.Scope, Factor: string(kind)}, e.next(r.PostFormValue("next")))
	})
}

// check finds which second factor a form shows. factors.ErrWrong: none.
func (e *Entrance) check(ctx context.Context, r *http.Request, x websession.Session) (factors.Kind, error) {
	if code := r.PostFormValue("code"); code != "" {
		return e.Factors.Code(ctx, x.Account, code)
	}
	challenge, ok := octets(x.Challenge)
	if !ok || e.Plain {
		return "", factors.ErrWrong
	}
	s := webauthn.Signed{}
	for name, to := range map[string]*[]byte{"id": &s.ID, "client": &s.Client, "data": &s.Authenticator, "signature": &s.Signature} {
		if *to, ok = octets(r.PostFormValue(name)); !ok {
			return "", factors.ErrWrong
		}
	}
	return factors.Passkey, e.Factors.Signed(ctx, x.Account, e.Party(r), challenge, s)
}

// octets reads base64url, as forms and challenges have it.
func octets(s string) ([]byte, bool) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	return b, err == nil && len(b) > 0
}

func (e *Entrance) logOut(w http.ResponseWriter, r *http.Request) {
	e.In(w, r, func(x websession.Session) {
		if err := e.Sessions.Revoke(r.Context(), x.Account, x.ID); err != nil && !errors.Is(err, websession.ErrOver) {
			e.failed(w, r, err)
			return
		}
		http.SetCookie(w, e.cookie(e.Scope, ""))
		if r.URL.Query().Has(forgetting) {
			w.Header().Set("Clear-Site-Data", `"storage"`)
		}
		http.Redirect(w, r, e.Base+"login", http.StatusSeeOther)
	})
}

// forgetting has a browser forget what pages have kept in it.
const forgetting = "forget"

// LogOut is the path that a POST goes to which ends the session. Pages without a script ask the browser to forget what the
// webmail has kept in it; the webmail does so itself, and keeps what its reader has chosen.
func (e *Entrance) LogOut() string { return e.Base + "logout?" + forgetting }
