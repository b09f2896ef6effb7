package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/config"
	"waxwing/internal/delivery"
	"waxwing/internal/spool"
	"waxwing/internal/websession"
)

// browser goes through the admin pages of a server.
type browser struct {
	t *testing.T
	running
	http.Client
	base string
}

// browse is a server with admin pages, on which you may administer and ann may not.
func browse(t *testing.T) *browser {
	t.Helper()
	return browseOn(t, parse(t, config.Admin))
}

func browseOn(t *testing.T, cfg *config.Config) *browser {
	t.Helper()
	cfg.Limits.FailedLogins = 5
	r := run(t, cfg)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(r.Accounts.AddAccount(t.Context(), "ann", "another-good-password"))
	must(r.Accounts.ChangeAccess(t.Context(), "you", func(a account.Access) account.Access { a.Admin = true; return a }))
	jar, err := cookiejar.New(nil)
	must(err)
	return &browser{t, r, http.Client{Jar: jar, Timeout: 30 * time.Second}, "http://" + r.listeners[0].Addr().String()}
}

// get is what a page says after all redirects, and where that was.
func (b *browser) get(path string, status int) (body, at string) {
	b.t.Helper()
	r, err := b.Get(b.base + path)
	return b.read(r, err, path, status)
}

func (b *browser) post(path string, status int, form ...string) (body, at string) {
	b.t.Helper()
	v := url.Values{}
	for i := 0; i < len(form); i += 2 {
		v.Set(form[i], form[i+1])
	}
	r, err := b.PostForm(b.base+path, v)
	return b.read(r, err, path, status)
}

func (b *browser) read(r *http.Response, err error, path string, status int) (body, at string) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != status {
		b.t.Fatalf("%s: %d, %v\n%s", path, r.StatusCode, err, raw)
	}
	if csp := r.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") {
		b.t.Errorf("%s: policy %q", path, csp)
	}
	return string(raw), r.Request.URL.Path
}

func (b *browser) logIn(user, password string, status int) (body, at string) {
	b.t.Helper()
	return b.post("/admin/login", status, "user", user, "password", password)
}

// WEB-1, WEB-2, ADM-1, ADM-2: every page of the list is there for who has logged in, names its command, and is made in
// time; nobody else sees any.
func TestAdminPages(t *testing.T) {
	t.Parallel()
	b := browse(t)
	if _, at := b.get("/", 200); at != "/admin/login" {
		t.Errorf("a stranger is led to %s", at)
	}
	body, at := b.logIn("you@example.test", "a-good-password", 200)
	if at != "/admin/" || !strings.Contains(body, "ll is well") {
		t.Fatalf("%s\n%s", at, body)
	}
	links := regexp.MustCompile(`<a href="(/admin/[^"]*)"`).FindAllStringSubmatch(body[strings.Index(body, "<nav"):strings.Index(body, "</nav>")], -1)
	if len(links) < 25 {
		t.Fatalf("%d pages are listed", len(links))
	}
	stranger := &browser{t, b.running, http.Client{Timeout: 30 * time.Second}, b.base}
	for _, l := range links {
		body, at := b.get(l[1], 200)
		if !strings.Contains(body, "<code>waxwing ") {
			t.Errorf("%s names no command", l[1])
		}
		if at != l[1] || !strings.Contains(body, `aria-current="page"`) || !strings.Contains(body, "<h1>") {
			t.Errorf("%s leads to %s\n%s", l[1], at, body)
		}
		if body, at := stranger.get(l[1], 200); at != "/admin/login" || strings.Contains(body, "<nav") {
			t.Errorf("%s shows a stranger %s", l[1], at)
		}
	}
	for _, path := range []string{"/admin/nothing", "/admin/message/zzzzzzzz", "/admin/message/..%2f..%2fetc", "/admin/account/nobody", "/admin/account/%2e%2e", "/admin/tlsrpt/1", "/admin/dmarc/x"} {
		if body, _ := b.get(path, 404); !strings.Contains(body, "There is no such page") {
			t.Errorf("%s: %s", path, body)
		}
	}
	if body, _ := b.get("/admin/queue?state=nonsense", 200); !strings.Contains(body, "none of") {
		t.Error(body)
	}
}

// ADM-4: a message is held, let go and returned on pages; what was done is noted with its command.
func TestAdminQueue(t *testing.T) {
	t.Parallel()
	b := browse(t)
	env := &delivery.Envelope{Sender: "you@example.test", Account: "you", Peer: "<script>alert(1)</script>", NotBefore: time.Now().Add(time.Hour), Recipients: []delivery.Recipient{
		{Address: "someone@far.test", Domain: delivery.RecipientDomain{Name: dns.MustParse("far.test")}}}}
	if err := b.Queue.Enqueue(t.Context(), env, delivery.Bytes("Subject: x\r\n\r\nx\r\n")); err != nil {
		t.Fatal(err)
	}
	id := delivery.ID(env.ID).String()
	b.logIn("you", "a-good-password", 200)
	if body, _ := b.get("/admin/queue", 200); !strings.Contains(body, "/admin/message/"+id) || !strings.Contains(body, "someone@far.test") {
		t.Fatal(body)
	}
	state := func() spool.State {
		t.Helper()
		s, err := spool.Show(context.Background(), b.Store, env.ID)
		if err != nil {
			t.Fatal(err)
		}
		return s.Recipients[0].State
	}
	body, at := b.post("/admin/queue/act", 200, "verb", "hold", "message", id)
	if at != "/admin/message/"+id || !strings.Contains(body, "1 recipient held") || state() != spool.Held || strings.Contains(body, "<script>") {
		t.Errorf("%s, %s\n%s", at, state(), body)
	}
	if body, _ := b.post("/admin/queue/act", 200, "verb", "unhold", "state", "held"); !strings.Contains(body, "1 recipient") || state() == spool.Held {
		t.Errorf("%s\n%s", state(), body)
	}
	if body, _ := b.post("/admin/queue/act", 200, "verb", "set-tls", "to_need", "require-tls", "message", id); !strings.Contains(body, "set to require-tls") {
		t.Error(body)
	}
	b.post("/admin/queue/act", 200, "verb", "set-transport", "to_transport", "direct")
	b.post("/admin/queue/act", 422, "verb", "set-transport", "to_transport", "nowhere", "message", id)
	b.post("/admin/queue/act", 422, "verb", "set-tls", "to_need", "none", "message", id)
	if body, _ := b.post("/admin/queue/act", 422, "verb", "fail", "message", id); !strings.Contains(body, "tick the box") {
		t.Error(body)
	}
	b.post("/admin/queue/act", 200, "verb", "drop", "message", id, "sure", "yes")
	if state() != spool.Failed {
		t.Errorf("removed: %s", state())
	}
	b.post("/admin/queue/act", 422, "verb", "explode", "message", id)
	body, _ = b.get("/admin/acts", 200)
	for _, want := range []string{"waxwing queue hold " + id, "waxwing queue unhold --state held", "waxwing queue drop " + id, "1 recipient dropped", "waxwing queue set-tls require-tls " + id, "waxwing queue set-transport direct --everything"} {
		if !strings.Contains(body, want) {
			t.Errorf("the acts lack %q\n%s", want, body)
		}
	}
	if !strings.Contains(b.log.String(), "changed on the admin pages") {
		t.Error("the log tells nothing of it")
	}
}

// WEB-3: who may log in, and when a session is over.
func TestAdminSessions(t *testing.T) {
	t.Parallel()
	b := browse(t)
	refused := func(user, password, why string) {
		t.Helper()
		if body, at := b.logIn(user, password, 403); at != "/admin/login" || !strings.Contains(body, why) {
			t.Errorf("%s: %s\n%s", user, at, body)
		}
	}
	refused("you", "a-wrong-password", "do not belong together")
	refused("nobody", "a-wrong-password", "do not belong together")
	refused("ann", "another-good-password", "does not administer")
	b.logIn("you", "a-good-password", 200)
	token := func() string {
		u, _ := url.Parse(b.base)
		for _, c := range b.Jar.Cookies(u) {
			return c.Value
		}
		return ""
	}
	first := token()
	b.logIn("you", "a-good-password", 200)
	if token() == first || first == "" {
		t.Error("a login keeps the token that the browser had: whoever planted it is in")
	}
	over := func(why string) {
		t.Helper()
		if _, at := b.get("/admin/queue", 200); at != "/admin/login" {
			t.Errorf("%s: still at %s", why, at)
		}
		if _, at := b.post("/admin/queue/act", 200, "verb", "hold"); at != "/admin/login" {
			t.Errorf("%s: still at %s", why, at)
		}
		b.logIn("you", "a-good-password", 200)
	}
	b.post("/admin/logout", 200)
	over("logged out")
	if err := b.Accounts.ChangeAccess(t.Context(), "you", func(a account.Access) account.Access { a.Admin = false; return a }); err != nil {
		t.Fatal(err)
	}
	if _, at := b.get("/admin/queue", 200); at != "/admin/login" {
		t.Error("still in, without the right to be")
	}
	if err := b.Accounts.ChangeAccess(t.Context(), "you", func(a account.Access) account.Access { a.Admin = true; return a }); err != nil {
		t.Fatal(err)
	}
	b.logIn("you", "a-good-password", 200)
	all, err := (&websession.Store{DB: b.Store, Now: time.Now}).List(t.Context(), "you")
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := b.get("/admin/sessions", 200); !strings.Contains(body, `name="id" value="`+all[0].ID.String()+`"`) {
		t.Errorf("there is no way to end a session:\n%s", body)
	}
	b.post("/admin/sessions/revoke", 200, "id", all[0].ID.String(), "account", "you")
	for _, x := range all[1:] {
		if err := (&websession.Store{DB: b.Store, Now: time.Now}).Revoke(t.Context(), "you", x.ID); err != nil {
			t.Fatal(err)
		}
	}
	over("revoked")
	if err := b.Accounts.SetPassword(t.Context(), "you", "yet-another-password"); err != nil {
		t.Fatal(err)
	}
	if _, at := b.get("/admin/queue", 200); at != "/admin/login" {
		t.Error("still in, with the former password")
	}
}

// WEB-3: another site's page changes nothing, and no address leads elsewhere.
func TestAdminOtherSites(t *testing.T) {
	t.Parallel()
	b := browse(t)
	b.logIn("you", "a-good-password", 200)
	for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", b.base+"/admin/logout", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(name, value)
		r, err := b.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s is answered %d", name, value, r.StatusCode)
		}
	}
	if _, at := b.get("/admin/queue", 200); at != "/admin/queue" {
		t.Error("another site has logged us out")
	}
	for _, to := range []string{"https://evil.example/", "//evil.example", "/\\evil.example", "/admin/\r\nX: y", "/admin/logout", "/elsewhere"} {
		if _, at := b.post("/admin/login", 200, "user", "you", "password", "a-good-password", "next", to); at != "/admin/" {
			t.Errorf("%q leads to %s", to, at)
		}
	}
	if _, at := b.post("/admin/login", 200, "user", "you", "password", "a-good-password", "next", "/admin/queue"); at != "/admin/queue" {
		t.Errorf("led to %s", at)
	}
	if body, _ := b.get("/admin/queue?done="+url.QueryEscape("<script>alert(1)</script>"), 200); strings.Contains(body, "<script>") {
		t.Error(body)
	}
	large := strings.Repeat("x", 1<<20)
	if _, at := b.post("/admin/login", 403, "user", large, "password", "y"); at != "/admin/login" {
		t.Error("a large form")
	}
}

// WEB-3: who guesses is slowed down and shut out, as everywhere else.
func TestAdminGuesses(t *testing.T) {
	t.Parallel()
	b := browse(t)
	for i := range 30 {
		body, _ := b.logIn("you", fmt.Sprint("guess ", i), 403)
		if strings.Contains(body, "too many failed logins") {
			return
		}
	}
	t.Error("thirty guesses are answered")
}
