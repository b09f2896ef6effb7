package browser

import (
	"regexp"
	"strings"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"waxwing/internal/lab"
)

// newcomer goes where the lab's last words lead: each address is opened, with the login that stands there. Then it sees a story's mail as a
// timeline, what was reported with its plot, how a mail to a domain of a story will travel while it is written, and how it did.
func (v *visit) newcomer(l *lab.Lab) {
	v.t.Helper()
	hint := l.Hint("waxwing")
	places := regexp.MustCompile(`http://([0-9.:]+)(/[a-z/]*)`).FindAllStringSubmatch(hint, -1)
	password := regexp.MustCompile(`The password is (\S+)\.\n`).FindStringSubmatch(hint)
	if len(places) != 6 || password == nil {
		v.t.Fatalf("the lab says\n%s", hint)
	}
	for i, p := range places {
		m := []*lab.Machine{l.Sender, l.Receiver}[i%2]
		if v.base = "http://" + p[1]; v.base+"/" != m.Pages() || !strings.Contains(hint, m.Account) {
			v.t.Fatalf("%s is no address of %s:\n%s", p[0], m.Account, hint)
		}
		v.do("open "+p[0], chromedp.Navigate(p[0]), chromedp.WaitReady(chromedp.CSS("main, .app, .shell")))
		if path := value[string](v, "location.pathname"); strings.HasSuffix(path, "/login") {
			v.do("log in", chromedp.Focus(chromedp.CSS("input[name=user]")), chromedp.KeyEvent(m.Account), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(password[1]), chromedp.KeyEvent(kb.Enter), chromedp.WaitReady(chromedp.CSS("nav")))
		}
		want := map[string]string{"/": "/admin/", "/mail/": "/mail/", "/account/": "/account/"}[p[2]]
		if at := value[string](v, "location.pathname"); !strings.HasPrefix(at, want) || strings.Contains(at, "login") {
			v.t.Errorf("%s leads to %s", p[0], at)
		}
		v.quiet(p[0])
	}

	v.base = strings.TrimSuffix(l.Sender.Pages(), "/")
	v.goTo("/admin/queue?state=delivered&domain=sts-enforce.test")
	v.goTo(v.first())
	v.has("How it travelled", "sts-enforce.test", "to be verified by", "TLS1.3")
	v.goTo("/admin/trends")
	for _, title := range []string{"Sessions by verification", "TLS failures by type", "Time to delivery", "Queue", "Disk"} {
		v.has(title)
	}
	if n := value[int](v, `[...document.querySelectorAll("section:has(svg.plot)")].filter(s => s.querySelector("rect.bar") && s.querySelector("details table")).length`); n < 4 { // nothing may wait just now
		v.t.Errorf("%d plots have bars, and a table", n)
	}
	v.mail("/mail/compose?to=you@sts-enforce.test")
	v.until("five bars", `document.querySelectorAll(".secrow[data-whole=true] .secbar").length == 5`)
	v.do("the subject", chromedp.Focus(chromedp.CSS("#compose-subject")))
	v.press("From the lab")
	v.do("the text", chromedp.Focus(chromedp.CSS("#compose-text")))
	v.press("Hello.")
	value[bool](v, `localStorage.setItem("waxwing-undo", "0"); true`)
	v.ctrl(kb.Enter)
	v.until("it is sent", toast("Sent.")+` && !document.querySelector(".composer")`)
	v.do("where it is", chromedp.Click(chromedp.CSS(".toast:last-child button")))
	v.until("it is delivered", `document.querySelector('.travel [data-state=delivered]')`)
	v.has("Handed to", "TLS 1.3", "MTA-STS")
	v.quiet("a newcomer")
}
