package browser

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"waxwing/internal/htmlmail/hostile"
	"waxwing/internal/web/letter"
	"waxwing/jmap"
)

// trap is where hostile mail would have a browser ask, and what it ran there. What is asked of names no host answers: the browser's own
// log of its network has every look-up and every request that was begun.
type trap struct {
	t     *testing.T
	forms []hostile.Form
	site  *httptest.Server // documents
	there *httptest.Server // what the forms ask for

	mu    sync.Mutex
	asked map[string]bool
	ran   map[string]bool
}

func (x *trap) note(into map[string]bool, name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	into[name] = true
}

// Blob has each form as a mail.
func (x *trap) Blob(_ context.Context, _ string, id jmap.ID) (io.ReadCloser, string, error) {
	var n int
	whole, part, is := strings.Cut(string(id), "-")
	if _, err := fmt.Sscanf(whole, "B%d", &n); err != nil || n >= len(x.forms) || is && part != "1" {
		return nil, "", err
	}
	if is {
		return io.NopCloser(strings.NewReader(x.forms[n].HTML)), "text/html", nil
	}
	return io.NopCloser(strings.NewReader("Content-Type: text/html\r\n\r\n" + x.forms[n].HTML)), "message/rfc822", nil
}

func newTrap(t *testing.T) *trap {
	x := &trap{t: t, asked: map[string]bool{}, ran: map[string]bool{}}
	x.there = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { x.note(x.asked, strings.Trim(r.URL.Path, "/")) }))
	t.Cleanup(x.there.Close)
	x.forms = hostile.Tracking(func(name string) string { return x.there.URL + "/" + name })
	x.forms = append(x.forms, hostile.Tracking(func(name string) string { return "http://" + name + ".track.test/" })...)
	x.forms = append(x.forms, hostile.Scripts(func(name string) string { return "console.log(`ran " + name + "`)" })...)
	shown := &letter.Handler{Mails: x, Log: slog.New(slog.DiscardHandler), Who: func(http.ResponseWriter, *http.Request) (string, bool) { return "joe", true }}
	mux := http.NewServeMux()
	mux.Handle(letter.Path, shown)
	made := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		shown.ServeHTTP(w, httptest.NewRequest("GET", letter.Path+path, nil))
		return w
	}
	// What the form is without any wall, behind the headers alone, and as it was made harmless, without the headers.
	mux.HandleFunc("GET /bare/{n}", func(w http.ResponseWriter, r *http.Request) { x.raw(w, r) })
	mux.HandleFunc("GET /headers/{n}", func(w http.ResponseWriter, r *http.Request) {
		for name, v := range made("B" + r.PathValue("n") + "/html").Header() {
			w.Header()[name] = v
		}
		x.raw(w, r)
	})
	mux.HandleFunc("GET /made/{kind}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		body := regexp.MustCompile(`(?s)<body>(.*)</body>`)
		style := regexp.MustCompile(`(?s)<style>.*?</style>`)
		for n := range x.forms {
			doc := made(fmt.Sprintf("B%d/%s", n, r.PathValue("kind"))).Body.Bytes()
			for _, s := range style.FindAll(doc, -1) {
				_, _ = w.Write(s)
			}
			_, _ = w.Write(body.FindSubmatch(doc)[1])
		}
	})
	x.site = httptest.NewServer(mux)
	t.Cleanup(x.site.Close)
	return x
}

func (x *trap) raw(w http.ResponseWriter, r *http.Request) {
	var n int
	if _, err := fmt.Sscan(r.PathValue("n"), &n); err != nil || n >= len(x.forms) {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, x.forms[n].HTML)
}

// walk has a browser go to pages, and is what of the forms' names its network log has.
func (x *trap) walk(paths []string) (names map[string]bool) {
	x.t.Helper()
	log := filepath.Join(x.t.TempDir(), "net.json")
	ctx, end := chromedp.NewExecAllocator(x.t.Context(), chromedp.Headless, chromedp.NoSandbox, chromedp.NoFirstRun, chromedp.DisableGPU, chromedp.Flag("log-net-log", log), chromedp.Flag("disable-features", "PreconnectToSearch"))
	defer end()
	ctx, over := chromedp.NewContext(ctx)
	defer over()
	if err := chromedp.Listen(ctx, func(ev any) {
		e, ok := ev.(*runtime.EventConsoleAPICalled)
		if !ok {
			return
		}
		for _, a := range e.Args {
			if name, ran := strings.CutPrefix(strings.Trim(string(a.Value), `"`), "ran "); ran {
				x.note(x.ran, name)
			}
		}
	}); err != nil {
		x.t.Fatal(err)
	}
	for _, p := range paths {
		one, stop := context.WithTimeout(ctx, 20*time.Second)
		if _, err := chromedp.Run(one, chromedp.Navigate(x.site.URL+p)); err != nil && one.Err() != nil {
			x.t.Errorf("%s: %v", p, err)
		}
		stop()
	}
	time.Sleep(200 * time.Millisecond) // what a page asks for when it has been shown
	if err := chromedp.Cancel(ctx); err != nil {
		x.t.Fatal(err)
	}
	b, err := os.ReadFile(log)
	if err != nil {
		x.t.Fatal(err)
	}
	if !bytes.Contains(b, []byte(strings.TrimPrefix(x.site.URL, "http://"))) {
		x.t.Fatal("the log of the browser's network has nothing of what it has loaded")
	}
	names = map[string]bool{}
	for _, m := range regexp.MustCompile(`([a-z0-9-]+)\.track\.test`).FindAllSubmatch(b, -1) {
		names[string(m[1])] = true
	}
	return names
}

// reset forgets what was asked and run.
func (x *trap) reset() {
	x.mu.Lock()
	defer x.mu.Unlock()
	clear(x.asked)
	clear(x.ran)
}

// MAIL-2: of all forms of tracking no request leaves and no name is looked up, and no script runs: behind the headers alone, and made
// harmless alone. That the same forms do all of it without either shows that it would be seen.
func TestHostileMail(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		if os.Getenv("WAXWING_INTEROP") == "required" {
			t.Fatal("chromium is not installed")
		}
		t.Skip("hostile mail: chromium is not installed")
	}
	x := newTrap(t)
	var bare, guarded []string
	for n := range x.forms {
		some := n%4 == 0 // enough to show that all of it would be seen
		if some {
			bare = append(bare, fmt.Sprintf("/bare/%d", n))
		}
		if some || os.Getenv("WAXWING_HOSTILE") == "all" { // one navigation each
			guarded = append(guarded, fmt.Sprintf("/headers/%d", n))
		}
	}
	names := x.walk(bare)
	t.Logf("without walls: of %d forms, %d ask, %d look up names, %d run scripts", len(bare), len(x.asked), len(names), len(x.ran))
	if len(x.asked) < 10 || len(names) < 10 || len(x.ran) < 10 {
		t.Fatalf("asked %d, names %d, ran %d: the trap does not see what it should", len(x.asked), len(names), len(x.ran))
	}
	x.reset()
	names = x.walk(guarded)
	for name := range names {
		// Chromium looks up the names of links and frames before it heeds a policy that forbids them: these elements are taken out.
		if strings.HasPrefix(name, "link-") || strings.HasPrefix(name, "iframe") || name == "frameset" {
			delete(names, name)
		}
	}
	if len(x.asked)+len(names)+len(x.ran) > 0 {
		t.Errorf("behind the headers alone: asked %v, names %v, ran %v", x.asked, names, x.ran)
	}
	x.reset()
	names = x.walk([]string{"/made/html", "/made/print"})
	if len(x.asked)+len(names)+len(x.ran) > 0 {
		t.Errorf("made harmless alone: asked %v, names %v, ran %v", x.asked, names, x.ran)
	}
	t.Logf("behind the headers: %d forms, made harmless: %d, each read and printed: nothing asked, nothing looked up, nothing run", len(guarded), len(x.forms))
}
