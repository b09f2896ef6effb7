package browser

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"waxwing/internal/lab"
)

//go:embed testdata/axe.min.js
var axe string

// visit is one tab of a browser, at one address.
type visit struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu   sync.Mutex
	said []string // what the browser complained of
}

// open starts a browser; the test is skipped where there is none.
func open(t *testing.T, base string, more ...chromedp.ExecAllocatorOption) *visit {
	t.Helper()
	if testing.Short() {
		t.Skip("pages: a browser goes through them only without -short")
	}
	if _, err := exec.LookPath("chromium"); err != nil {
		if os.Getenv("WAXWING_INTEROP") == "required" {
			t.Fatal("chromium is not installed")
		}
		t.Skip("pages: chromium is not installed")
	}
	ctx, end := chromedp.NewExecAllocator(t.Context(), append(more, chromedp.Headless, chromedp.NoSandbox, chromedp.NoFirstRun, chromedp.DisableGPU)...)
	t.Cleanup(end)
	return tab(t, ctx, base)
}

// tab opens one in a browser, or a browser with one.
func tab(t *testing.T, ctx context.Context, base string) *visit {
	t.Helper()
	ctx, end := chromedp.NewContext(ctx)
	t.Cleanup(end)
	v := &visit{t: t, ctx: ctx, base: strings.TrimSuffix(base, "/")}
	if err := chromedp.Listen(ctx, v.hear); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, log.Enable, struct{}{}); err != nil {
		t.Fatal(err)
	}
	return v
}

// hear notes what the browser complains of: violated policies, failed requests, exceptions.
func (v *visit) hear(ev any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e := ev.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelInfo || strings.Contains(e.Entry.Text, "icon from the Manifest") {
			return // no complaint: that a logout had it forget what pages kept, that a page was left before an icon had come
		}
		v.said = append(v.said, fmt.Sprintf("%s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL))
	case *runtime.EventExceptionThrown:
		v.said = append(v.said, e.ExceptionDetails.Text)
	}
}

// do runs steps, each in bounded time.
func (v *visit) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	for _, s := range steps {
		ctx, end := context.WithTimeout(v.ctx, time.Minute)
		err := chromedp.Do(ctx, s)
		end()
		if err != nil {
			v.t.Fatalf("%s: %v\nat %s: %s\n%s", what, err, value[string](v, "location.href"), value[string](v, "document.title"), strings.Join(v.said, "\n"))
		}
	}
}

// value is what an expression comes to on the page.
func value[T any](v *visit, expression string, opts ...chromedp.EvaluateOption) T {
	v.t.Helper()
	ctx, end := context.WithTimeout(v.ctx, time.Minute)
	defer end()
	x, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, opts...))
	if err != nil {
		v.t.Fatalf("%.100s: %v", expression, err)
	}
	return x
}

// goTo opens a page, and fails where it is not what was asked for or the browser complains.
func (v *visit) goTo(path string) {
	v.t.Helper()
	v.do("open "+path, chromedp.Navigate(v.base+path), chromedp.WaitReady(chromedp.CSS("main h1")))
	v.quiet(path)
}

func (v *visit) quiet(where string) {
	v.t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.said {
		v.t.Errorf("%s: the browser says %s", where, s)
	}
	v.said = nil
}

// has fails where the page does not show all texts.
func (v *visit) has(texts ...string) {
	v.t.Helper()
	body := value[string](v, "document.body.innerText")
	for _, want := range texts {
		if !strings.Contains(strings.ToLower(body), strings.ToLower(want)) {
			v.t.Errorf("%s lacks %q:\n%s", value[string](v, "location.href"), want, body)
		}
	}
}

// await waits until a page with that text is loaded, after a click.
func (v *visit) await(want string) {
	v.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		there, err := chromedp.Run(v.ctx, chromedp.Evaluate[bool](fmt.Sprintf(`document.readyState == "complete" && document.body.innerText.toLowerCase().includes(%q)`, strings.ToLower(want))))
		if err == nil && there { // an error is that the page goes away just now
			return
		}
	}
	v.has(want)
	v.t.FailNow()
}

// logIn does so by keyboard alone.
func (v *visit) logIn(user, password string) {
	v.t.Helper()
	v.enter("/admin/queue", user, password)
}

// enter opens a page to which a login leads.
func (v *visit) enter(path, user, password string) {
	v.t.Helper()
	v.goTo(path)
	v.do("log in", chromedp.Focus(chromedp.CSS("input[name=user]")), chromedp.KeyEvent(user), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(password), chromedp.KeyEvent(kb.Enter),
		chromedp.WaitReady(chromedp.CSS("nav")))
	if at := value[string](v, "location.pathname"); at != path {
		v.t.Fatalf("a login leads to %s", at)
	}
}

// look has the page seen as people with a screen of that width and that theme see it; axe-core must find
// nothing, and nothing may stand out beyond the screen.
func (v *visit) look(path string, width int64, theme string) {
	v.t.Helper()
	v.screen(width, theme)
	v.goTo(path)
	value[int](v, `document.querySelectorAll("details").forEach(d => d.open = true), 0`) // what is folded is looked at too
	v.examine(path, width, theme)
}

// screen is one of that width, in the hands of somebody who prefers that theme.
func (v *visit) screen(width int64, theme string) {
	v.t.Helper()
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"}}}
	if _, err := chromedp.Call(v.ctx, emulation.SetEmulatedMedia, media); err != nil {
		v.t.Fatal(err)
	}
	v.do("width", chromedp.EmulateViewport(width, 900))
}

// examine looks at the page as it is now.
func (v *visit) examine(path string, width int64, theme string) {
	v.t.Helper()
	v.fits(path, width)
	value[bool](v, axe+"; true")
	for _, f := range value[[]string](v, `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.map(x => x.id + ": " + x.help + ": " + x.nodes.slice(0, 3).map(n => n.html + " " + n.failureSummary).join(" | ")))`,
		chromedp.EvalAwaitPromise) {
		v.t.Errorf("%s, %d, %s: %s", path, width, theme, f)
	}
	v.picture(path, width, theme)
}

// fits fails where something stands out beyond the screen, in either direction of writing; with the narrow screen and the wide one
// those that are narrower and wider still are tried (WEB-4: 320 to 2,560 pixels).
func (v *visit) fits(path string, width int64) {
	v.t.Helper()
	widths := []int64{width}
	switch width {
	case 400:
		widths = []int64{320, 400}
	case 1280:
		widths = []int64{2560, 1280}
	}
	for _, w := range widths {
		if len(widths) > 1 {
			v.do("width", chromedp.EmulateViewport(w, 900))
		}
		for _, dir := range []string{"rtl", "ltr"} {
			for _, out := range value[[]string](v, fmt.Sprintf(`(document.documentElement.dir = %q, document.documentElement.scrollWidth > innerWidth ? ["the page: " + document.documentElement.scrollWidth] : [])
				.concat([...document.querySelectorAll(".scroller, .letterpane, .mail .rail, .composer .scroll, dialog[open]")].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => "." + e.className + ": " + e.scrollWidth + " by " + [...e.querySelectorAll("*")].filter(x => x.scrollWidth > x.clientWidth + 1 || x.getBoundingClientRect().width > e.clientWidth).slice(-3).map(x => x.outerHTML.slice(0, 120)).join(" | ")))`, dir)) {
				v.t.Errorf("%s on a screen of %d, %s: wider than it is %s", path, w, dir, out)
			}
			if w == 400 && dir == "rtl" {
				v.picture(path+" rtl", w, "light")
			}
		}
		value[bool](v, `document.documentElement.removeAttribute("dir") ?? true`)
	}
}

// picture keeps what the page looks like in the directory WAXWING_SCREENSHOTS.
func (v *visit) picture(path string, width int64, theme string) {
	v.t.Helper()
	dir := os.Getenv("WAXWING_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(v.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		name := strings.Trim(regexp.MustCompile(`[^a-z0-9-]+`).ReplaceAllString(path, "_"), "_")
		err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, width, theme)), png, 0o644)
	}
	if err != nil {
		v.t.Error(err)
	}
}

// everyWay looks at a page in both widths and both themes.
func (v *visit) everyWay(path string) {
	v.t.Helper()
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int64{400, 1280} {
			v.look(path, width, theme)
		}
	}
}

// fill opens the form that goes to a path, types into its fields, and sends it by the keyboard.
func (v *visit) fill(action string, typed ...string) {
	v.t.Helper()
	form := `form[action="` + action + `"]`
	value[int](v, `document.querySelectorAll("details").forEach(d => d.open = true), 0`)
	for i := 0; i+1 < len(typed); i += 2 {
		v.do("type", chromedp.Focus(chromedp.CSS(form+` [name="`+typed[i]+`"]`)), chromedp.KeyEvent(typed[i+1]))
	}
	v.do("send", chromedp.Focus(chromedp.CSS(form+" button")), chromedp.KeyEvent(kb.Enter))
}

// changes are what an operator does on pages: adds a domain with a key, an alias and a route, rolls the key over, and sees
// what was done (ADM-4).
func (v *visit) changes() {
	v.t.Helper()
	v.goTo("/admin/domains")
	v.fill("/admin/domains/add", "domain", "added.test")
	v.await("it is hosted now")
	v.fill("/admin/dkim/add", "selector", "first")
	v.await("To be published")
	v.goTo("/admin/domain/added.test")
	v.fill("/admin/dkim/sign")
	v.await("the key signs")
	v.fill("/admin/dkim/rollover")
	v.await("To be published")
	v.goTo("/admin/domain/added.test")
	v.has("waiting to replace first")
	v.goTo("/admin/aliases")
	v.fill("/admin/aliases/add", "address", "team@added.test", "members", "someone@elsewhere.test")
	v.await("alias team@added.test is there")
	v.goTo("/admin/holds")
	v.fill("/admin/holds/add", "domain", "far.test", "note", "ask first")
	v.await("mail to far.test is held")
	v.goTo("/admin/webhooks")
	v.fill("/admin/webhooks/add", "url", "https://shop.example.net/mail-events", "domain", "added.test", "note", "our shop")
	v.await("which is shown this once")
	v.goTo("/admin/acts")
	v.has("waxwing domain add --no-check added.test", "waxwing dkim rollover added.test", "waxwing alias add team@added.test", "waxwing hold add --domain far.test")
	v.quiet("changes")
}

// first is the address of the first link to a message on the page.
func (v *visit) first() string {
	v.t.Helper()
	return value[string](v, `document.querySelector('a[href^="/admin/message/"]').getAttribute("href")`)
}

// ADM-2, ADM-4: an operator goes through the pages after the stories of the lab.
func TestAdmin(t *testing.T) {
	v := open(t, "")
	l, err := lab.New(t.Context(), lab.Stories(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	v.base = strings.TrimSuffix(l.Sender.Pages(), "/")
	v.everyWay("/admin/login")
	v.logIn(l.Sender.Account, l.Sender.Password)
	v.everyWay("/admin/")
	v.everyWay("/admin/style")
	v.goTo("/admin/queue?state=delivered")
	message := v.first()
	v.everyWay(message)
	v.has("How it travelled", "to be verified by", "because", "Session with", "TLS1.3")

	v.goTo("/admin/queue?state=waiting")
	waiting := v.first()
	v.goTo(waiting)
	v.do("hold it", chromedp.Click(chromedp.CSS(`form:has(input[value="hold"]) button`)))
	v.await("1 recipient held")
	v.do("let it go", chromedp.Click(chromedp.CSS(`form:has(input[value="unhold"]) button`)))
	v.await("1 recipient released")
	v.quiet("hold and let go")
	v.goTo("/admin/acts")
	v.has("waxwing queue hold", "waxwing queue unhold")

	v.everyWay("/admin/explain?to=dane-mismatch.test")
	v.has("dane-mismatch.test", "Hosts, in the order")
	v.changes()
	v.goTo("/admin/webhooks")
	hook := value[string](v, `document.querySelector('a[href^="/admin/webhook/"]').getAttribute("href")`)
	v.goTo("/admin/")
	paths := value[[]string](v, `[...document.querySelectorAll("nav a")].map(a => a.getAttribute("href"))`)
	for i, path := range append(paths, "/admin/account/"+l.Sender.Account, "/admin/alias/team@added.test", "/admin/domain/sender.test", "/admin/security/sts-enforce.test", hook) {
		if os.Getenv("WAXWING_PAGES") == "every-way" {
			v.everyWay(path)
			continue
		}
		themes := []string{"light", "dark"}
		v.look(path, 400, themes[i%2])
		v.look(path, 1280, themes[1-i%2])
	}

	v.base = strings.TrimSuffix(l.Receiver.Pages(), "/")
	v.logIn(l.Receiver.Account, l.Receiver.Password)
	v.everyWay("/admin/tlsrpt")
	if bars := value[int](v, `document.querySelectorAll("svg.plot rect.bar").length`); bars == 0 {
		t.Error("the plot of the reports has no bars")
	}
	v.goTo(value[string](v, `document.querySelector('a[href^="/admin/tlsrpt/"]').getAttribute("href")`))
	v.has("In words", "As it came", "policy-type")

	v.goTo("/admin/domain/dane-mismatch.test")
	v.do("look at DNS", chromedp.Click(chromedp.CSS(`form[action="/admin/domain/check"] button`)))
	v.await(" not seen, ")
	v.has("tlsa-mismatch")
	v.quiet("look at DNS")

	v.proofs(l)
	v.newcomer(l)
}
