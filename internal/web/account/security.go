package account

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	nouns "waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/factors"
	"waxwing/internal/web/pages"
	"waxwing/internal/websession"
	"waxwing/otp"
	"waxwing/webauthn"
)

func passwordPage(_ *Handler, a *asked) (pages.Page, error) {
	return pages.Page{Title: "Password", Lead: "A new one ends all other sessions. App passwords stay.", Command: waxwing("account password", a.who()), Blocks: []pages.Block{
		pages.Form{Method: "post", Action: Path + "password", Submit: "Change the password", Fields: []pages.Field{
			whose(a),
			{Name: "own", Label: "The password of today", Kind: "password", Required: true, Complete: "current-password"},
			{Name: "new", Label: "The new one", Help: "at least 8 characters", Kind: "password", Required: true, Complete: "new-password"},
			{Name: "again", Label: "The new one, once more", Kind: "password", Required: true, Complete: "new-password"},
		}}}}, nil
}

func changePassword(h *Handler, a *asked) (act, error) {
	next := a.PostFormValue("new")
	if next != a.PostFormValue("again") {
		return act{}, faultOf("the new password was typed in two ways")
	}
	if err := h.sure(a); err != nil {
		return act{}, err
	}
	if err := nouns.CheckPassword(next); err != nil {
		return act{}, fault{err}
	}
	if err := h.Rooms.Accounts.SetPassword(a.Context(), a.who(), next); err != nil {
		return act{}, err
	}
	if err := h.Sessions.RevokeOthers(a.Context(), a.who(), 0); err != nil {
		return act{}, err
	}
	return act{Command: waxwing("account password", a.who()), Outcome: "the password was changed", Back: Path + "password"}, h.In.Renew(a.w, a.Request, a.x)
}

func appPasswordsPage(h *Handler, a *asked) (pages.Page, error) {
	all, err := h.Rooms.Accounts.AppPasswords(a.Context(), a.who())
	if err != nil {
		return pages.Page{}, err
	}
	t := pages.TableOf(nouns.AppPasswordListing(), all, nil)
	t.None = "You have none."
	add := pages.Form{Title: "A new one", Method: "post", Action: Path + "app-passwords/add", Submit: "Make it", Fields: []pages.Field{
		{Name: "name", Label: "Name", Help: "of the program or device: small letters, digits and hyphens", Required: true, Complete: "off"},
		{Name: "for", Label: "What it is for", Kind: "select", Options: []string{"all", "imap", "smtp", "jmap"}, Value: "all"},
		{Name: "expires", Label: "Ends on", Help: "at the beginning of this day (UTC); empty: never", Kind: "date"},
	}}
	add.Fields = append(add.Fields, ownPassword(a)...)
	end := pages.Actions{Title: "End one"}
	for _, p := range all {
		end.Forms = append(end.Forms, pages.Form{Method: "post", Action: Path + "app-passwords/remove", Submit: p.Name, Danger: true, Fields: []pages.Field{{Name: "name", Kind: "hidden", Value: p.Name}}})
	}
	p := pages.Page{Title: "App passwords", Lead: "A password for each mail program: one that is lost is ended without the others. None of them opens these pages.",
		Command: waxwing("account app-password list", a.who()), Blocks: []pages.Block{t, add}}
	if len(end.Forms) > 0 {
		p.Blocks = append(p.Blocks, end)
	}
	return p, nil
}

func addAppPassword(h *Handler, a *asked) (act, error) {
	p := nouns.AppPassword{Account: a.who(), Name: a.PostFormValue("name")}
	words := []string{"account app-password add", p.Account, p.Name, "--for", a.PostFormValue("for")}
	var err error
	if p.Protocols, err = nouns.ParseProtocols(a.PostFormValue("for")); err != nil {
		return act{}, fault{err}
	}
	if day := a.PostFormValue("expires"); day != "" {
		if p.Expires, err = time.Parse(time.DateOnly, day); err != nil {
			return act{}, faultOf("the day on which it ends is written as 2027-01-31")
		}
		words = append(words, "--expires", day)
	}
	if err := p.Check(h.Now()); err != nil {
		return act{}, fault{err}
	}
	if err := h.sure(a); err != nil {
		return act{}, err
	}
	secret := nouns.NewSecret()
	err = h.Rooms.Accounts.AddAppPassword(a.Context(), p, secret)
	if errors.Is(err, accounts.ErrExists) {
		return act{}, faultOf("there is an app password of this name already")
	}
	return act{Command: waxwing(words...), Outcome: "app password " + p.Name + " made", Show: &pages.Page{
		Title: "App password " + p.Name, Lead: "Type it into the program now: nobody can show it again.",
		Blocks: []pages.Block{pages.Text{Title: "The password", Body: secret}, pages.Prose{Link: Path + "app-passwords", Says: "Back to the app passwords"}}}}, err
}

func removeAppPassword(h *Handler, a *asked) (act, error) {
	name := a.PostFormValue("name")
	err := h.Rooms.Accounts.RemoveAppPassword(a.Context(), a.who(), name)
	if errors.Is(err, accounts.ErrNoSuchApp) {
		return act{}, faultOf("there is no such app password")
	}
	return act{Command: waxwing("account app-password remove", a.who(), name), Outcome: "app password " + name + " ended", Back: Path + "app-passwords"}, err
}

// factorsPage lists second factors, and adds and removes them.
func factorsPage(h *Handler, a *asked) (pages.Page, error) {
	ctx, who := a.Context(), a.who()
	all, err := h.Rooms.Factors.List(ctx, who)
	left, err2 := h.Rooms.Factors.CodesLeft(ctx, who)
	if err := errors.Join(err, err2); err != nil {
		return pages.Page{}, err
	}
	t := pages.TableOf(factors.Listing(), all, nil)
	t.None = "You have none: the password alone opens your account."
	p := pages.Page{Title: "Second factors", Lead: "What is asked for beside your password when you log in to these pages. Mail programs then need app passwords: your own password lets none in.",
		Command: waxwing("account factor list", who), Blocks: []pages.Block{t}}
	passkey, err := h.passkeyForm(a)
	if err != nil {
		return pages.Page{}, err
	}
	p.Blocks = append(p.Blocks, passkey...)
	key := otp.NewKey()
	p.Blocks = append(p.Blocks, pages.QR{Title: "Add an authenticator app", Of: otp.URI(h.Host, who, key), Says: "A code for the app; the key below says the same"},
		pages.Form{Method: "post", Action: Path + "factors/app", Submit: "Add the app", Fields: append([]pages.Field{
			{Name: "key", Label: "Key", Help: "for an app that cannot scan", Value: otp.Text(key), Fixed: true, Wide: true, Complete: "off"},
			{Name: "name", Label: "Name", Help: "of the device", Required: true, Complete: "off"},
			{Name: "code", Label: "Code", Help: "the six digits that the app shows", Required: true, Complete: "one-time-code"},
		}, ownPassword(a)...)})
	if len(all) == 0 {
		return p, nil
	}
	p.Blocks = append(p.Blocks, pages.Form{Title: fmt.Sprintf("Recovery codes: %d left", left), Method: "post", Action: Path + "factors/codes", Submit: "Make new ones in place of these", Fields: ownPassword(a)})
	var names []string
	for _, f := range all {
		names = append(names, f.Name)
	}
	p.Blocks = append(p.Blocks, pages.Form{Title: "Remove one", Method: "post", Action: Path + "factors/remove", Submit: "Remove it", Danger: true,
		Fields: append([]pages.Field{{Name: "name", Label: "Which", Kind: "select", Options: names}}, ownPassword(a)...)})
	return p, nil
}

// passkeyForm asks the browser for a new passkey, for a challenge that the session keeps.
func (h *Handler) passkeyForm(a *asked) ([]pages.Block, error) {
	if h.In.Plain {
		return []pages.Block{pages.Prose{Title: "Passkeys", Body: "They are added over HTTPS alone."}}, nil
	}
	ids, err := h.Rooms.Factors.PasskeyIDs(a.Context(), a.who())
	if err != nil {
		return nil, err
	}
	challenge := websession.NewChallenge()
	if err := h.Sessions.SetChallenge(a.Context(), a.x, challenge); err != nil {
		return nil, err
	}
	raw, err := base64.RawURLEncoding.DecodeString(challenge)
	if err != nil {
		return nil, err
	}
	return []pages.Block{pages.Passkey{Title: "Add a passkey", Action: Path + "factors/passkey", Submit: "Make a passkey", Options: h.In.Party(a.Request).ToCreate(raw, a.who(), ids),
		Fields: append([]pages.Field{{Name: "name", Label: "Name", Help: "of the device or key", Required: true, Complete: "off"}}, ownPassword(a)...)}}, nil
}

func addApp(h *Handler, a *asked) (act, error) {
	key, err := otp.ParseKey(a.PostFormValue("key"))
	if err != nil {
		return act{}, fault{err}
	}
	if err := h.sure(a); err != nil {
		return act{}, err
	}
	name := a.PostFormValue("name")
	codes, err := h.Rooms.Factors.AddTOTP(a.Context(), a.who(), name, key, a.PostFormValue("code"))
	if errors.Is(err, factors.ErrWrong) {
		return act{}, faultOf("the code is not the one that the app shows now: is the clock of the device right?")
	}
	return h.added(a, name, codes, err)
}

func addPasskey(h *Handler, a *asked) (act, error) {
	var said [4][]byte
	for i, name := range []string{"client", "data", "key", "challenge"} {
		text := a.PostFormValue(name)
		if name == "challenge" {
			text = a.x.Challenge // never what a form says
		}
		var err error
		if said[i], err = base64.RawURLEncoding.DecodeString(text); err != nil || len(said[i]) == 0 {
			return act{}, faultOf("the browser has made no passkey")
		}
	}
	if err := h.sure(a); err != nil {
		return act{}, err
	}
	if err := h.Sessions.SetChallenge(a.Context(), a.x, ""); err != nil { // once
		return act{}, err
	}
	c, err := h.In.Party(a.Request).Register(said[3], webauthn.Made{Client: said[0], Authenticator: said[1], Public: said[2]})
	if err != nil {
		h.Log.Info("a passkey was not taken", "account", a.who(), "error", err)
		return act{}, fault{webauthn.ErrWrong}
	}
	name := a.PostFormValue("name")
	codes, err := h.Rooms.Factors.AddPasskey(a.Context(), a.who(), name, c)
	return h.added(a, name, codes, err)
}

// added ends the other sessions, which were begun with less, and shows the recovery codes of a first factor.
func (h *Handler) added(a *asked, name string, codes []string, err error) (act, error) {
	if errors.Is(err, factors.ErrExists) || errors.Is(err, factors.ErrMany) || errors.Is(err, factors.ErrName) {
		return act{}, fault{err}
	}
	if err == nil {
		err = h.Sessions.RevokeOthers(a.Context(), a.who(), a.x.ID)
	}
	d := act{Command: waxwing("account factor list", a.who()), Outcome: "second factor " + name + " added", Back: Path + "factors"}
	if len(codes) > 0 {
		d.Show = codesPage(codes)
	}
	return d, err
}

func codesPage(codes []string) *pages.Page {
	return &pages.Page{Title: "Recovery codes", Lead: "Each lets you in once in place of a second factor, on the day on which you have lost it. Print them, or keep them where you keep papers: nobody can show them again.",
		Blocks: []pages.Block{pages.Text{Title: "The codes", Body: strings.Join(codes, "\n")}, pages.Prose{Link: Path + "factors", Says: "Back to the second factors"}}}
}

func removeFactor(h *Handler, a *asked) (act, error) {
	if err := h.sure(a); err != nil {
		return act{}, err
	}
	all, err := h.Rooms.Factors.List(a.Context(), a.who())
	if err != nil {
		return act{}, err
	}
	name := a.PostFormValue("name")
	for _, f := range all {
		if f.Name != name {
			continue
		}
		err := h.Rooms.Factors.Remove(a.Context(), a.who(), f.ID)
		return act{Command: waxwing("account factor remove", a.who(), f.ID.String()), Outcome: "second factor " + name + " removed", Back: Path + "factors"}, err
	}
	return act{}, fault{factors.ErrNone}
}

func newCodes(h *Handler, a *asked) (act, error) {
	if err := h.sure(a); err != nil {
		return act{}, err
	}
	codes, err := h.Rooms.Factors.NewCodes(a.Context(), a.who())
	if errors.Is(err, factors.ErrNone) {
		return act{}, fault{err}
	}
	return act{Command: waxwing("account factor codes", a.who()), Outcome: "new recovery codes made", Show: codesPage(codes)}, err
}

func endSession(h *Handler, a *asked) (act, error) {
	id, err := delivery.ParseID(a.PostFormValue("id"))
	if err == nil {
		err = h.Sessions.Revoke(a.Context(), a.who(), id)
	} else {
		err = websession.ErrOver
	}
	if errors.Is(err, websession.ErrOver) {
		return act{}, faultOf("there is no such session, or it has ended")
	}
	return act{Command: waxwing("account sessions", a.who(), "--end", id.String()), Outcome: "session " + id.String() + " ended", Back: Path + "sessions"}, err
}

func endOthers(h *Handler, a *asked) (act, error) {
	err := h.Sessions.RevokeOthers(a.Context(), a.who(), a.x.ID)
	return act{Command: waxwing("account sessions", a.who(), "--end", "all"), Outcome: "all other sessions ended", Back: Path + "sessions"}, err
}
