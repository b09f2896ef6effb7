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

	"waxwing/internal/account"
	"waxwing/internal/config"
	"waxwing/internal/delivery"
	"waxwing/internal/jmapserver"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/internal/websession"
)

// face is one of the three that people come to with a browser (WEB-2).
type face struct {
	name, login, page, cookie string
	scope                     websession.Scope
	shows                     string // that stands on the page of who has logged in
}

func facesOfPeople() []face {
	return []face{
		{"admin", "/admin/login", "/admin/queue", "waxwing-admin.mail.example.test", websession.Admin, "<h1>Queue</h1>"},
		{"account", "/login", "/account/storage", "waxwing.mail.example.test", websession.Person, "<h1>Storage"},
		{"mail", "/login", "/mail/inbox", "waxwing.mail.example.test", websession.Person, "/mail/assets/"},
	}
}

// allFaces is a server whose one listener has all three.
func allFaces(t *testing.T) *browser {
	t.Helper()
	cfg := parse(t, config.Admin)
	cfg.Limits.FailedLogins = 8
	cfg.JMAP.Enabled = true
	r := run(t, cfg)
	for _, err := range []error{r.Accounts.AddAccount(t.Context(), "ann", "another-good-password"),
		r.Accounts.ChangeAccess(t.Context(), "you", func(a account.Access) account.Access { a.Admin = true; return a })} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return newBrowser(t, r)
}

func newBrowser(t *testing.T, r running) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, r, http.Client{Jar: jar, Timeout: 30 * time.Second}, "http://" + r.listeners[0].Addr().String()}
}

// token is what the browser's cookie says; set plants one.
func (b *browser) token(name string) string {
	u, _ := url.Parse(b.base)
	for _, c := range b.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func (b *browser) plant(name, token string) {
	u, _ := url.Parse(b.base)
	b.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: token, Path: "/"}})
}

// in reports whether the browser is let in to a face.
func (b *browser) in(f face) bool {
	b.t.Helper()
	body, at := b.get(f.page, 200)
	return at == f.page && strings.Contains(body, f.shows)
}

// raw is what a request is answered, without going on elsewhere. path is sent as it stands.
func (b *browser) raw(method, path string, header ...string) (r *http.Response, body string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.base+"/", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.URL.Opaque = path
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	c := b.Client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r, err = c.Do(req)
	if err != nil {
		b.t.Fatalf("%s %q: %v", method, path, err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		b.t.Fatalf("%s %q: %v", method, path, err)
	}
	return r, string(text)
}

// WEB-3: on each face a token that was planted is worth nothing, before a login and after it; a session ends when it was not used, when it
// is old, when it is revoked, and with each change by which its login would be refused now; nobody frames a page; guesses are shut out.
func TestFaces(t *testing.T) {
	t.Parallel()
	for _, f := range facesOfPeople() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			b := allFaces(t)
			logIn := func() {
				t.Helper()
				b.post(f.login, 200, "user", "you", "password", "a-good-password")
				if !b.in(f) {
					t.Fatal("not let in")
				}
			}
			t.Run("fixation", func(t *testing.T) { b.fixation(t, f) })
			ended := func(why string) {
				t.Helper()
				if b.in(f) {
					t.Errorf("%s: still let in", why)
				}
			}
			ends := websession.EndsOf(f.scope)
			aged := func(column string, by time.Duration) {
				t.Helper()
				logIn()
				b.exec("UPDATE web_sessions SET "+column+" = ?", store.Time(time.Now().Add(-by)))
			}
			aged("used", ends.Idle-time.Minute)
			if !b.in(f) {
				t.Error("ended before its time")
			}
			aged("used", ends.Idle)
			ended("idle")
			aged("created", ends.Oldest)
			ended("old")
			logIn()
			b.exec("DELETE FROM web_sessions")
			ended("revoked")
			for why, change := range map[string]func(context.Context) error{
				"another password": func(ctx context.Context) error { return b.Accounts.SetPassword(ctx, "you", "a-good-password") },
				"suspended": func(ctx context.Context) error {
					if err := b.Accounts.SetDisabled(ctx, "you", true); err != nil {
						return err
					}
					ended("suspended")
					return b.Accounts.SetDisabled(ctx, "you", false)
				},
				"another network": func(ctx context.Context) error {
					set := func(s string) error {
						return b.Accounts.ChangeAccess(ctx, "you", func(a account.Access) account.Access { a.Networks, _ = account.ParseNetworks(s); return a })
					}
					if err := set("192.0.2.0/24"); err != nil {
						return err
					}
					ended("another network")
					return set("")
				},
			} {
				logIn()
				if err := change(t.Context()); err != nil {
					t.Fatal(err)
				}
				if why == "another password" {
					ended(why)
				}
			}
			logIn()
			for _, path := range []string{f.page, f.login, "/" + f.name + "/nothing"} {
				if r, _ := b.raw("GET", path); !strings.Contains(r.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
					t.Errorf("%s may be framed: %v", path, r.Header)
				}
			}
			guesser := newBrowser(t, b.running)
			for i := range 30 {
				if body, _ := guesser.post(f.login, 403, "user", "you", "password", fmt.Sprint("guess ", i)); strings.Contains(body, "too many failed logins") {
					return
				}
			}
			t.Error("thirty guesses are answered")
		})
	}
}

func (b *browser) fixation(t *testing.T, f face) {
	planted := strings.Repeat("A", 43)
	b.plant(f.cookie, planted)
	if b.in(f) {
		t.Error("a token that was planted lets in")
	}
	b.post(f.login, 200, "user", "you", "password", "a-good-password")
	first := b.token(f.cookie)
	if first == planted || first == "" || !b.in(f) {
		t.Errorf("after the login the token is %q", first)
	}
	b.post(f.login, 200, "user", "you", "password", "a-good-password")
	if b.token(f.cookie) == first {
		t.Error("a login keeps the token that the browser had")
	}
	thief := newBrowser(t, b.running)
	thief.plant(f.cookie, first)
	if thief.in(f) {
		t.Error("the session before the last login lets in")
	}
}

func (b *browser) exec(q string, args ...any) {
	b.t.Helper()
	if err := b.Store.Write(b.t.Context(), func(tx *store.Tx) error { _, err := tx.Exec(q, args...); return err }); err != nil {
		b.t.Fatal(err)
	}
}

// WEB-3: whatever ids and paths somebody makes up, they reach what is theirs and nothing else, and no answer has a header field of theirs.
func TestFacesOfOthers(t *testing.T) {
	t.Parallel()
	b := allFaces(t)
	if _, _, err := b.Mailboxes.Append(t.Context(), "you", "INBOX", []mailboxes.Appended{{Date: time.Now(), Content: delivery.Bytes("Subject: a secret of yours\r\n\r\nx\r\n")}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Accounts.AddAppPassword(t.Context(), account.AppPassword{Account: "you", Name: "phone", Protocols: []account.Protocol{account.IMAP}}, account.NewSecret()); err != nil {
		t.Fatal(err)
	}
	ann := newBrowser(t, b.running)
	ann.post("/login", 200, "user", "ann", "password", "another-good-password")
	b.post("/login", 200, "user", "you", "password", "a-good-password")
	newBrowser(t, b.running).post("/login", 200, "user", "you", "password", "a-good-password")

	session, _ := b.get("/account/sessions", 200)
	id := regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(session)
	if id == nil {
		t.Fatal(session)
	}
	ann.post("/account/sessions/end", 422, "id", id[1])
	ann.post("/account/app-passwords/remove", 422, "name", "phone")
	ann.post("/account/factors/remove", 422, "id", id[1], "own", "another-good-password")
	mine := b.emails(t, "you")
	mail := regexp.MustCompile(`"ids":\["([^"]+)"`).FindStringSubmatch(mine)
	if mail == nil {
		t.Fatal(mine)
	}
	for who, want := range map[*browser]int{b: 200, ann: 404, newBrowser(t, b.running): 401} {
		for _, what := range []string{"html", "raw", "zip", "facts"} {
			if r, body := who.raw("GET", "/mail/letter/"+mail[1]+"/"+what); r.StatusCode != want && !(what == "zip" && want == 200) {
				t.Errorf("%s is answered %d, not %d: %s", what, r.StatusCode, want, body)
			}
		}
	}
	if got := ann.emails(t, "you"); !strings.Contains(got, "accountNotFound") {
		t.Errorf("ann lists your mail: %s", got)
	}
	for _, deed := range []string{"/admin/account/password", "/admin/queue/act", "/admin/domains/add"} {
		if r, _ := ann.raw("POST", deed); r.StatusCode != 303 || r.Header.Get("Location") != "/admin/login" {
			t.Errorf("ann's %s is answered %d", deed, r.StatusCode)
		}
	}
	ann.tricks(t)
}

// emails asks JMAP for an account's mail.
func (b *browser) emails(t *testing.T, name string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", b.base+"/jmap/api", strings.NewReader(fmt.Sprintf(
		`{"using":["urn:ietf:params:jmap:core","urn:ietf:params:jmap:mail"],"methodCalls":[["Email/query",{"accountId":%q},"0"]]}`, jmapserver.AccountID(name))))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	r, err := b.Do(req)
	body, _ := b.read(r, err, "/jmap/api", 200)
	return body
}

// tricks are paths and values that lead somewhere else in careless servers. The browser is of somebody who does not administer.
func (b *browser) tricks(t *testing.T) {
	t.Helper()
	for _, f := range facesOfPeople() {
		base := "/" + f.name + "/"
		for _, tail := range []string{"../admin/accounts", "..%2fadmin%2faccounts", "%2e%2e/admin/accounts", "..%5c..%5cadmin%5caccounts", "..;/admin/accounts", "./../admin/accounts", "%252e%252e/admin/accounts", "..%c0%afadmin", "//evil.example/", "/%5cevil.example",
			"%00", "x%0d%0aX-Planted:%20yes", "assets/..%2f..%2fadmin%2faccounts", "letter/..%2f..%2f..%2fetc%2fpasswd/raw", strings.Repeat("x/", 2000)} {
			r, body := b.raw("GET", base+tail)
			to := r.Header.Get("Location")
			if r.StatusCode >= 500 || strings.Contains(body, "/admin/accounts/add") || strings.Contains(body, "root:") || r.Header.Get("X-Planted") != "" || strings.HasPrefix(to, "//") || strings.HasPrefix(to, "/\\") || strings.Contains(to, "://") {
				t.Errorf("%s%.60s: %d, to %q\n%s", base, tail, r.StatusCode, to, body)
			}
		}
		for _, field := range []string{"next", "done", "q", "state"} {
			const planted = "x%0d%0aX-Planted:%20yes%0d%0a%0d%0a%3Cscript%3Ealert(1)%3C/script%3E"
			for _, path := range []string{f.page, f.login} {
				r, body := b.raw("GET", path+"?"+field+"="+planted)
				if r.StatusCode >= 500 || r.Header.Get("X-Planted") != "" || strings.Contains(body, "<script>alert") {
					t.Errorf("%s, %s: %d %v", path, field, r.StatusCode, r.Header)
				}
			}
		}
	}
	form := url.Values{"user": {"ann"}, "password": {"another-good-password"}, "next": {"/account/\r\nX-Planted: yes"}}
	r, err := b.PostForm(b.base+"/login", form)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	for ; r != nil && r.Request != nil; r = r.Request.Response {
		if r.Header.Get("X-Planted") != "" {
			t.Errorf("%v", r.Header)
		}
	}
}

// WEB-3: a page of another site changes nothing on any face and is told nothing: each form's address is tried.
func TestFacesOtherSites(t *testing.T) {
	t.Parallel()
	b := allFaces(t)
	b.post("/login", 200, "user", "you", "password", "a-good-password")
	b.post("/admin/login", 200, "user", "you", "password", "a-good-password")
	tried := map[string]bool{"/mail/letter/x/html": true, "/mail/letter/x/raw": true, "/jmap/session": true, "/jmap/eventsource/?types=*&closeafter=no&ping=0": true}
	for _, start := range []string{"/admin/", "/account/"} {
		body, _ := b.get(start, 200)
		for _, l := range regexp.MustCompile(`<a href="(/(?:admin|account)/[^"]*)"`).FindAllStringSubmatch(body, -1) {
			page, _ := b.get(l[1], 200)
			for _, form := range regexp.MustCompile(`method="post" action="([^"]+)"`).FindAllStringSubmatch(page, -1) {
				tried[form[1]] = true
			}
		}
	}
	if len(tried) < 45 {
		t.Errorf("only %d addresses are tried: %v", len(tried), tried)
	}
	for path := range tried {
		method := map[bool]string{true: "GET", false: "POST"}[strings.HasPrefix(path, "/mail/") || strings.HasPrefix(path, "/jmap/")]
		for _, from := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
			if r, body := b.raw(method, path, from...); r.StatusCode != http.StatusForbidden {
				t.Errorf("%s %s with %v is answered %d\n%s", method, path, from, r.StatusCode, body)
			}
		}
	}
	for _, f := range facesOfPeople() {
		if !b.in(f) {
			t.Errorf("another site has ended the session of %s", f.name)
		}
	}
}

// WEB-3, JMP-1: a client that waits for news hears nothing more a moment after the app password, or the session, by which it came was taken away.
func TestNewsEnds(t *testing.T) {
	t.Parallel()
	p := byHTTPS(t)
	secret := account.NewSecret()
	if err := p.Accounts.AddAppPassword(t.Context(), account.AppPassword{Account: "you", Name: "phone", Protocols: []account.Protocol{account.JMAP}}, secret); err != nil {
		t.Fatal(err)
	}
	listen := func(who *person, header ...string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", who.base+"/jmap/eventsource/?types=*&closeafter=no&ping=0", nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(header) > 0 {
			req.SetBasicAuth(header[0], header[1])
		}
		r, err := who.Transport.RoundTrip(withCookies(req, who))
		if err != nil || r.StatusCode != 200 {
			t.Fatal(r, err)
		}
		return r
	}
	ends := func(why string, r *http.Response) {
		t.Helper()
		defer r.Body.Close()
		over := time.AfterFunc(20*time.Second, func() { r.Body.Close() })
		_, err := io.Copy(io.Discard, r.Body)
		if !over.Stop() || err != nil && !strings.Contains(err.Error(), "EOF") {
			t.Errorf("%s: it goes on: %v", why, err)
		}
	}
	phone := listen(p.another(), "you", secret)
	if err := p.Accounts.RemoveAppPassword(t.Context(), "you", "phone"); err != nil {
		t.Fatal(err)
	}
	ends("its app password was removed", phone)
	first, second := p.another().in("you", "a-good-password"), p.another().in("you", "a-good-password")
	heard := listen(second)
	body, _ := first.get("/account/sessions", 200)
	id := regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(body)
	if id == nil {
		t.Fatal(body)
	}
	first.post("/account/sessions/end", 200, "id", id[1])
	ends("its session was ended", heard)
}

func withCookies(r *http.Request, p *person) *http.Request {
	for _, c := range p.Jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	return r
}

// JMP-1, RFC 6585 §4: a program that has to wait before it may show a password again is told so, and for how long: 429, not that its
// password is wrong.
func TestJMAPGuesses(t *testing.T) {
	t.Parallel()
	p := byHTTPS(t)
	seen := map[int]int{}
	for i := range 30 {
		req, err := http.NewRequestWithContext(t.Context(), "GET", p.base+"/jmap/session", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("you", fmt.Sprint("guess ", i))
		r, err := p.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		seen[r.StatusCode]++
		if r.StatusCode == http.StatusTooManyRequests {
			if r.Header.Get("Retry-After") == "" || r.Header.Get("WWW-Authenticate") != "" {
				t.Errorf("%v", r.Header)
			}
			return
		}
	}
	t.Errorf("thirty guesses are answered %v", seen)
}
