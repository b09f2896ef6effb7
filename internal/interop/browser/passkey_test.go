package browser

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"waxwing/internal/config"
	"waxwing/internal/factors"
	"waxwing/internal/lab"
)

// holder is somebody with an authenticator, at the pages of a machine.
type holder struct {
	*visit
	m      *lab.Machine
	device webauthn.AuthenticatorID
}

// call has the browser do something that succeeds.
func call[P, R any](v *visit, cmd cdp.Command[P, R], params P) R {
	v.t.Helper()
	r, err := chromedp.Call(v.ctx, cmd, params)
	if err != nil {
		v.t.Fatal(err)
	}
	return r
}

// take has the holder take an authenticator in place of the one before, with these keys in it.
func (h *holder) take(keys ...*webauthn.Credential) {
	h.t.Helper()
	if h.device != "" {
		call(h.visit, webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: h.device})
	}
	h.device = call(h.visit, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{Protocol: webauthn.AuthenticatorProtocolCtap2,
		Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true, HasCmtgKey: true}}).AuthenticatorID
	for _, k := range keys {
		call(h.visit, webauthn.AddCredential, webauthn.AddCredentialParams{AuthenticatorID: h.device, Credential: &webauthn.Credential{CredentialID: k.CredentialID,
			IsResidentCredential: k.IsResidentCredential, RpID: k.RpID, PrivateKey: k.PrivateKey, UserHandle: k.UserHandle, SignCount: k.SignCount}})
	}
}

// keys are those in the authenticator.
func (h *holder) keys() []*webauthn.Credential {
	h.t.Helper()
	return call(h.visit, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: h.device}).Credentials
}

// half logs in with the password, which leads to the page that asks for more.
func (h *holder) half(path string) {
	h.t.Helper()
	h.goTo(path)
	h.do("log in", chromedp.Focus(chromedp.CSS("input[name=user]")), chromedp.KeyEvent(h.m.Account), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(h.m.Password), chromedp.KeyEvent(kb.Enter))
	h.until("a second factor is asked for", `location.pathname.endsWith("/login/second") && document.readyState == "complete"`)
	h.quiet("a second factor is asked for")
}

// touch uses the passkey.
func (h *holder) touch() {
	h.t.Helper()
	h.do("use a passkey", chromedp.Click(chromedp.CSS("[data-passkey] button")))
}

// in fails where the holder does not come in.
func (h *holder) in(path string) {
	h.t.Helper()
	h.until("a passkey opens "+path, fmt.Sprintf(`location.pathname == %q && document.readyState == "complete"`, path))
	h.quiet(path)
}

// forget drops what the browser has said of a refusal, whose status it takes for a failure.
func (h *holder) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.said = slices.DeleteFunc(h.said, func(s string) bool { return strings.Contains(s, "403") })
}

func (h *holder) logOut() {
	h.t.Helper()
	h.do("log out", chromedp.Click(chromedp.CSS(`header form[action*="logout"] button`)))
	h.until("logged out", `location.pathname.endsWith("/login") && document.readyState == "complete"`)
}

// scripts has the browser run those of pages, or not.
func (v *visit) scripts(run bool) {
	v.t.Helper()
	call(v, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !run})
}

// WEB-3, MAIL-7, ADM-4: a browser goes through account and admin pages without running scripts, and with a passkey, which
// needs one, over HTTPS.
func TestPasskeysAndWithout(t *testing.T) {
	v := open(t, "", chromedp.IgnoreCertErrors, chromedp.Flag("host-resolver-rules", "MAP mx.sender.test 127.0.0.1"))
	l, err := lab.New(t.Context(), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h := &holder{visit: v, m: l.Sender}
	h.base = fmt.Sprintf("https://mx.sender.test:%d", netip.MustParseAddrPort(h.m.Addr(config.HTTPS).String()).Port())
	h.scripts(false)
	h.begins()
	h.scripts(true)
	code := h.adds()
	h.uses()
	h.scripts(false)
	h.reads()
	h.scripts(true)
	h.lacks(code)
}

// begins logs in by password and uses a form, where no script runs.
func (h *holder) begins() {
	h.t.Helper()
	h.enter("/account/rules", h.m.Account, h.m.Password)
	h.fill("/account/rules/forward", "to", "me@example.net")
	h.await("The forwarding was saved")
	h.logOut()
}

// reads opens every page, where no script runs, and changes something there.
func (h *holder) reads() {
	h.t.Helper()
	h.goTo("/account/")
	h.all()
	h.do("open the webmail", chromedp.Navigate(h.base+"/mail/"), chromedp.WaitReady(chromedp.CSS("noscript p")))
	h.has("The webmail needs JavaScript")
	h.goTo("/admin/holds")
	h.fill("/admin/holds/add", "domain", "far.test", "note", "ask first")
	h.await("mail to far.test is held")
	h.all("/admin/style", "/admin/account/"+h.m.Account, "/admin/domain/sender.test")
	h.logOut()
	h.goTo("/account/")
	h.logOut()
}

// all opens every page that the list at the side leads to. A page has a heading, something below it that is to be seen, and
// no script but that for passkeys.
func (h *holder) all(more ...string) {
	h.t.Helper()
	paths := append(value[[]string](h.visit, `[...document.querySelectorAll("nav a")].map(a => a.getAttribute("href"))`), more...)
	if len(paths) < 10 {
		h.t.Errorf("only %q are pages", paths)
	}
	for _, path := range paths {
		h.goTo(path)
		got := value[struct {
			Title   string
			Status  int
			Seen    int
			Bare    int
			Scripts int
		}](h.visit, `({Title: document.querySelector("main h1").innerText,
			Status: performance.getEntriesByType("navigation")[0].responseStatus,
			Seen: [...document.querySelectorAll("main :is(table, svg.plot, dl, form, pre, .none, .notice, .figures, .timeline, section > p)")].filter(e => e.checkVisibility()).length,
			Bare: [...document.querySelectorAll("main details")].filter(d => !d.querySelector(":scope > summary")?.checkVisibility()).length,
			Scripts: document.scripts.length})`)
		if got.Title == "" || got.Status != 200 || got.Seen == 0 || got.Bare > 0 || (got.Scripts > 0) != (path == "/account/factors" || path == "/admin/style") {
			h.t.Errorf("%s without scripts: %+v", path, got)
		}
	}
}

// adds adds a passkey, and no second one of the same device. It returns a recovery code.
func (h *holder) adds() (code string) {
	h.t.Helper()
	call(h.visit, webauthn.Enable, webauthn.EnableParams{})
	h.take()
	h.enter("/account/factors", h.m.Account, h.m.Password)
	const form = "/account/factors/passkey"
	h.fill(form, "name", "phone", "own", h.m.Password)
	h.await("nobody can show them again")
	h.quiet("add a passkey")
	code, _, _ = strings.Cut(value[string](h.visit, `document.querySelector("pre").innerText`), "\n")
	h.look("/account/factors", 400, "light")
	h.look("/account/factors", 1280, "dark")
	h.has("phone", "passkey", "never")
	h.fill(form, "name", "again", "own", h.m.Password)
	h.until("the device has one already", `document.querySelector("[data-passkey] [role=alert]").innerText.includes("has a passkey for the account already")`)
	if k := h.keys(); len(k) != 1 || k[0].RpID != "mx.sender.test" {
		h.t.Errorf("the authenticator has %+v", k)
	}
	h.logOut()
	return code
}

// uses logs in with the passkey, to the account and to the admin pages, and not with a signature that is none.
func (h *holder) uses() {
	h.t.Helper()
	h.half("/account/factors")
	h.screen(400, "dark")
	h.examine("/login/second", 400, "dark")
	bogus := true
	call(h.visit, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: h.device, IsBogusSignature: &bogus})
	h.touch()
	h.await("That was not right")
	h.forget()
	bogus = false
	call(h.visit, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: h.device, IsBogusSignature: &bogus})
	h.touch()
	h.in("/account/factors")
	if row := value[string](h.visit, `[...document.querySelectorAll("tbody tr")].find(r => r.innerText.includes("phone")).innerText`); strings.Contains(row, "never") {
		h.t.Errorf("the use of the passkey was not noted: %s", row)
	}
	h.half("/admin/sessions")
	h.touch()
	h.in("/admin/sessions")
}

// lacks has the device taken away, and then the passkey on it removed from the account: neither lets anybody in.
func (h *holder) lacks(code string) {
	h.t.Helper()
	const refused = `document.querySelector("[data-passkey] [role=alert]").innerText.includes("There was no passkey") && !document.querySelector("[data-passkey] button").disabled`
	lost := h.keys()
	h.half("/account/factors")
	h.take()
	h.touch()
	h.until("another device has no passkey", refused)

	h.scripts(false) // the code is for somebody without passkey and script
	h.do("again", chromedp.Reload(), chromedp.WaitReady(chromedp.CSS("noscript p")))
	h.has("Passkeys need JavaScript")
	h.do("a recovery code", chromedp.Focus(chromedp.CSS("input[name=code]")), chromedp.KeyEvent(code), chromedp.KeyEvent(kb.Enter))
	h.until("the code lets in", `location.pathname.startsWith("/account/") || location.pathname.startsWith("/mail/")`)
	h.scripts(true)
	h.goTo("/account/factors")
	h.fill("/account/factors/passkey", "name", "laptop", "own", h.m.Password)
	h.await("Second factor laptop added")
	h.logOut()

	h.half("/account/factors")
	store := &factors.Store{DB: h.m.Store, Accounts: h.m.Accounts, Now: time.Now}
	all, err := store.List(h.t.Context(), h.m.Account)
	if err != nil || len(all) != 2 {
		h.t.Fatalf("%+v, %v", all, err)
	}
	for _, f := range all {
		if f.Name == "phone" {
			err = store.Remove(h.t.Context(), h.m.Account, f.ID)
		}
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.take(lost...)
	h.touch()
	h.await("That was not right")
	h.forget()
	h.touch()
	h.until("the removed one is not asked for", refused)
	if at := value[string](h.visit, "location.pathname"); at != "/login/second" {
		h.t.Errorf("a removed passkey leads to %s", at)
	}
	h.quiet("a removed passkey")
}
