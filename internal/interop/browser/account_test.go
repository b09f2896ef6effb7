package browser

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"waxwing/internal/lab"
)

// MAIL-7, WEB-3: somebody goes through the pages of their account, by keyboard where they log in.
func TestAccount(t *testing.T) {
	v := open(t, "")
	l, err := lab.New(t.Context(), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	v.base = strings.TrimSuffix(l.Sender.Pages(), "/")
	v.everyWay("/login")
	v.goTo("/account/rules")
	v.do("log in", chromedp.Focus(chromedp.CSS("input[name=user]")), chromedp.KeyEvent(l.Sender.Account), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(l.Sender.Password), chromedp.KeyEvent(kb.Enter),
		chromedp.WaitReady(chromedp.CSS("nav")))
	if at := value[string](v, "location.pathname"); at != "/account/rules" {
		t.Fatalf("a login leads to %s", at)
	}
	v.do("forward", chromedp.Focus(chromedp.CSS(`form[action="/account/rules/forward"] textarea`)), chromedp.KeyEvent("me@example.net"),
		chromedp.Click(chromedp.CSS(`form[action="/account/rules/forward"] button`)))
	v.await("The forwarding was saved")
	for _, path := range value[[]string](v, `[...document.querySelectorAll("nav a")].map(a => a.getAttribute("href"))`) {
		if path == "/account/" || path == "/account/rules" || path == "/account/factors" {
			v.everyWay(path)
			continue
		}
		v.look(path, 400, "dark")
	}
}
