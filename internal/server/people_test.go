package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"waxwing/internal/account"
	"waxwing/internal/config"
	"waxwing/otp"
)

// person is somebody with a browser, at the HTTPS listener.
type person struct {
	*browser
	host string
}

// byHTTPS is a server with accounts of you, who may administer, and ann.
func byHTTPS(t *testing.T) *person {
	t.Helper()
	cfg := parse(t, config.HTTPS)
	cfg.Limits.FailedLogins = 8
	cfg.JMAP.Enabled, cfg.API.Enabled = true, true
	r := run(t, cfg)
	if err := r.Accounts.AddAccount(t.Context(), "ann", "another-good-password"); err != nil {
		t.Fatal(err)
	}
	if err := r.Accounts.ChangeAccess(t.Context(), "you", func(a account.Access) account.Access { a.Admin = true; return a }); err != nil {
		t.Fatal(err)
	}
	return (&person{browser: &browser{t: t, running: r}, host: cfg.Hostname.ASCII()}).another()
}

// another is another browser.
func (p *person) another() *person {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	at := p.listeners[0].Addr().String()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, at)
		}}
	p.t.Cleanup(transport.CloseIdleConnections)
	return &person{browser: &browser{p.t, p.running, http.Client{Jar: jar, Timeout: 30 * time.Second, Transport: transport}, "https://" + p.host}, host: p.host}
}

func (p *person) in(user, password string) *person {
	p.t.Helper()
	if _, at := p.post("/login", 200, "user", user, "password", password); at != "/mail/" {
		p.t.Fatalf("a login leads to %s", at)
	}
	return p
}

// status is what a request is answered, without going on elsewhere.
func (p *person) status(method, path string, header ...string) (int, http.Header) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.base+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Set(header[i], header[i+1])
	}
	c := p.Client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r, err := c.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 1<<20))
	return r.StatusCode, r.Header
}

func (p *person) wants(why string, want int, method, path string, header ...string) {
	p.t.Helper()
	if got, _ := p.status(method, path, header...); got != want {
		p.t.Errorf("%s: %s %s is answered %d, not %d", why, method, path, got, want)
	}
}

// WEB-2, WEB-3, JMP-1: a person logs in over HTTPS and reaches what is theirs, by JMAP too, until they log out. The cookie is for this host alone.
func TestPeopleLogIn(t *testing.T) {
	t.Parallel()
	p := byHTTPS(t)
	if body, at := p.get("/account/storage", 200); at != "/login" || !strings.Contains(body, `name="next" value="/account/storage"`) {
		t.Errorf("a stranger is led to %s\n%s", at, body)
	}
	p.wants("nobody", 401, "GET", "/jmap/session")
	for _, wrong := range [][2]string{{"you", "a-wrong-password"}, {"nobody", "a-good-password"}} {
		if body, _ := p.post("/login", 403, "user", wrong[0], "password", wrong[1]); !strings.Contains(body, "do not belong together") {
			t.Error(body)
		}
	}
	form := url.Values{"user": {"you@example.test"}, "password": {"a-good-password"}, "next": {"/account/storage"}}
	req, err := http.NewRequestWithContext(t.Context(), "POST", p.base+"/login", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r, err := p.Transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if c := r.Header.Get("Set-Cookie"); !regexp.MustCompile(`^__Host-waxwing=[A-Za-z0-9_-]{43}; Path=/; HttpOnly; Secure; SameSite=Strict$`).MatchString(c) {
		t.Errorf("the cookie is %q", c)
	}
	if to := r.Header.Get("Location"); r.StatusCode != 303 || to != "/account/storage" {
		t.Errorf("%d, to %s", r.StatusCode, to)
	}
	p.in("you", "a-good-password")
	if body, _ := p.get("/account/", 200); !strings.Contains(body, "you@example.test") {
		t.Error(body)
	}
	if code, _ := p.status("GET", "/jmap/session"); code != 200 {
		t.Errorf("JMAP with the cookie: %d", code)
	}
	body, _ := p.get("/jmap/session", 200)
	if !strings.Contains(body, `"username":"you"`) {
		t.Error(body)
	}
	p.wants("a password goes before a cookie", 401, "GET", "/jmap/session", "Authorization", "Basic eW91Ondyb25n")
	if code, h := p.status("POST", "/logout?forget"); code != 303 || h.Get("Clear-Site-Data") != `"storage"` {
		t.Errorf("a page without a script has the browser forget nothing: %d, %v", code, h)
	}
	p.wants("after the logout", 401, "GET", "/jmap/session")
	if _, at := p.get("/account/", 200); at != "/login" {
		t.Errorf("after the logout: at %s", at)
	}
}

// WEB-3, fixation: a token that somebody planted is worth nothing, before the login and after it.
func TestPeopleFixation(t *testing.T) {
	t.Parallel()
	p := byHTTPS(t)
	u, _ := url.Parse(p.base)
	planted := strings.Repeat("A", 43)
	p.Jar.SetCookies(u, []*http.Cookie{{Name: "__Host-waxwing", Value: planted, Path: "/", Secure: true}})
	token := func() string {
		for _, c := range p.Jar.Cookies(u) {
			if c.Name == "__Host-waxwing" {
				return c.Value
			}
		}
		return ""
	}
	p.in("you", "a-good-password")
	first := token()
	if first == planted || len(first) != 43 {
		t.Errorf("the token is %q", first)
	}
	p.in("you", "a-good-password")
	if token() == first {
		t.Error("a login keeps the token that the browser had")
	}
	other := p.another()
	other.Jar.SetCookies(u, []*http.Cookie{{Name: "__Host-waxwing", Value: first, Path: "/", Secure: true}})
	other.wants("the session before the last login", 401, "GET", "/jmap/session")
}

// changing are requests that change something, or tell something, with the cookie of a session.
var changing = [][2]string{{"POST", "/logout"}, {"POST", "/login"}, {"POST", "/account/password"}, {"POST", "/account/app-passwords/add"}, {"POST", "/account/factors/app"}, {"POST", "/account/rules/forward"},
	{"POST", "/account/transfer/import"}, {"POST", "/admin/queue/act"}, {"POST", "/jmap/api"}, {"GET", "/jmap/session"}, {"GET", "/jmap/eventsource/?types=*&closeafter=no&ping=0"}, {"POST", "/jmap/upload/aeW91/"}, {"GET", "/jmap/download/aeW91/x/x"}}

// WEB-3, CSRF: a page of another origin, of a host beside ours too, changes nothing and hears nothing.
func TestPeopleOtherSites(t *testing.T) {
	t.Parallel()
	p := byHTTPS(t).in("you", "a-good-password")
	for _, c := range changing {
		for _, from := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "https://www." + p.host}, {"Origin", "null"}} {
			p.wants(from[0]+" "+from[1], 403, c[0], c[1], from[0], from[1])
		}
	}
	p.wants("still in", 200, "GET", "/jmap/session", "Sec-Fetch-Site", "same-origin")
	p.wants("typed into the browser", 200, "GET", "/jmap/session", "Sec-Fetch-Site", "none")
}

// WEB-3: a session ends when it is revoked, when the password changes, and when the account is suspended; it is of its own account, and of its own pages alone.
func TestPeopleSessions(t *testing.T) {
	t.Parallel()
	p := byHTTPS(t)
	ctx := t.Context()
	ann := p.another().in("ann", "another-good-password")
	out := func(who *person, why string) {
		t.Helper()
		who.wants(why, 401, "GET", "/jmap/session")
		who.wants(why, 303, "GET", "/account/")
	}
	if _, at := ann.get("/admin/", 200); at != "/admin/login" {
		t.Errorf("a session at the mail reaches %s", at)
	}
	first, second := p.another().in("you", "a-good-password"), p.another().in("you", "a-good-password")
	body, _ := first.get("/account/sessions", 200)
	ids := regexp.MustCompile(`name="id" value="([^"]+)"`).FindAllStringSubmatch(body, -1)
	if len(ids) != 1 {
		t.Fatalf("%d sessions can be ended:\n%s", len(ids), body)
	}
	if body, _ := ann.post("/account/sessions/end", 422, "id", ids[0][1]); !strings.Contains(body, "no such session") {
		t.Errorf("ann ends a session that is not hers:\n%s", body)
	}
	for _, odd := range []string{"", "0", "-1", "9e9", "../..", ids[0][1] + "x"} {
		ann.post("/account/sessions/end", 422, "id", odd)
	}
	second.wants("before it is ended", 200, "GET", "/jmap/session")
	first.post("/account/sessions/end", 200, "id", ids[0][1])
	out(second, "revoked")

	second.in("you", "a-good-password")
	for _, wrong := range [][]string{{"own", "wrong", "new", "the-next-password", "again", "the-next-password"}, {"own", "a-good-password", "new", "short", "again", "short"}, {"own", "a-good-password", "new", "the-next-password", "again", "another"}} {
		first.post("/account/password", 422, wrong...)
	}
	first.post("/account/password", 200, "own", "a-good-password", "new", "the-next-password", "again", "the-next-password")
	first.wants("who changed the password", 200, "GET", "/jmap/session")
	out(second, "after another password")
	if err := p.Accounts.SetPassword(ctx, "you", "and-one-more-password"); err != nil {
		t.Fatal(err)
	}
	out(first, "after an operator's password")
	if err := p.Accounts.SetDisabled(ctx, "ann", true); err != nil {
		t.Fatal(err)
	}
	out(ann, "suspended")
	if body, _ := ann.post("/login", 403, "user", "ann", "password", "another-good-password"); !strings.Contains(body, "do not belong together") {
		t.Error(body)
	}
}

// WEB-3: who guesses is slowed down and shut out, as everywhere else; other hosts, paths with tricks and addresses with line ends lead nowhere.
func TestPeopleStrangers(t *testing.T) {
	t.Parallel()
	p := byHTTPS(t)
	for _, host := range []string{"mta-sts.example.test", "autoconfig.example.test", "evil.example", "127.0.0.1", p.host + ".evil.example", "x@" + p.host} {
		for _, path := range []string{"/login", "/account/", "/admin/", "/"} {
			if code, h := p.status("GET", path, "Host", host); code != 404 && code != 400 || h.Get("Location") != "" {
				t.Errorf("%s of host %s: %d, to %q", path, host, code, h.Get("Location"))
			}
		}
	}
	p.in("ann", "another-good-password")
	for _, path := range []string{"/account/nothing", "/account/%2e%2e/admin/", "/account/..%2fadmin%2f", "/account/rules%00", "/account/password/x", "/assets/x.css", "/assets/../account/x", "/login/x"} {
		if code, h := p.status("GET", path); code != 404 && code != 307 && code != 301 || strings.Contains(h.Get("Location"), "//") {
			t.Errorf("%s: %d, to %q", path, code, h.Get("Location"))
		}
	}
	for _, next := range []string{"/account/\r\nSet-Cookie: x=y", "//evil.example", "/\t/evil.example", "https://evil.example", "/account/..//evil.example"} {
		if _, h := p.status("GET", "/login?next="+url.QueryEscape(next)); h.Get("Set-Cookie") != "" {
			t.Errorf("%q: %v", next, h)
		}
		if _, at := p.post("/login", 200, "user", "ann", "password", "another-good-password", "next", next); at != "/mail/" {
			t.Errorf("%q leads to %s", next, at)
		}
	}
	if body, _ := p.get("/account/?done="+url.QueryEscape("<script>alert(1)</script>\r\nX: y"), 200); strings.Contains(body, "<script>") {
		t.Error(body)
	}
	guesser := p.another()
	for i := range 30 {
		body, _ := guesser.post("/login", 403, "user", "you", "password", fmt.Sprint("guess ", i))
		if strings.Contains(body, "too many failed logins") {
			return
		}
	}
	t.Error("thirty guesses are answered")
}

// WEB-3: with a second factor the password alone opens no page, and lets no program in; the admin pages ask for one.
func TestPeopleSecondFactor(t *testing.T) {
	t.Parallel()
	p := byHTTPS(t)
	if body, _ := p.post("/admin/login", 403, "user", "you", "password", "a-good-password"); !strings.Contains(body, "/account/factors") {
		t.Errorf("the admin pages open to a password alone:\n%s", body)
	}
	p.in("you", "a-good-password")
	other := p.another().in("you", "a-good-password")
	key := otp.NewKey()
	code := func(steps int64) string { return otp.HOTP(key, uint64(otp.Step(time.Now())+steps)) }
	add := func(status int, own, code string) string {
		t.Helper()
		body, _ := p.post("/account/factors/app", status, "key", otp.Text(key), "name", "My phone", "code", code, "own", own)
		return body
	}
	add(422, "wrong", code(0))
	add(422, "a-good-password", "000000x")
	body := add(200, "a-good-password", code(-1))
	recovery := regexp.MustCompile(`[a-z2-7]{4}(-[a-z2-7]{4}){3}`).FindAllString(body, -1)
	if len(recovery) != 10 {
		t.Fatalf("%d recovery codes\n%s", len(recovery), body)
	}
	other.wants("a session that was begun with less", 401, "GET", "/jmap/session")
	p.wants("the session that added it", 200, "GET", "/jmap/session")
	p.wants("the password by a program", 401, "GET", "/jmap/session", "Authorization", "Basic eW91OmEtZ29vZC1wYXNzd29yZA==")

	half := func(base string) *person {
		t.Helper()
		b := p.another()
		if body, at := b.post(base+"login", 200, "user", "you", "password", "a-good-password"); at != base+"login/second" || !strings.Contains(body, "one-time-code") {
			t.Fatalf("at %s\n%s", at, body)
		}
		b.wants("half a login", 401, "GET", "/jmap/session")
		b.wants("half a login", 303, "GET", "/account/")
		b.wants("half a login", 303, "GET", "/admin/")
		return b
	}
	b := half("/")
	b.post("/login/second", 403, "code", code(-1)) // used
	b.post("/login/second", 403, "code", "")
	b.post("/login/second", 403, "id", "AAAA", "client", "AAAA", "data", "AAAA", "signature", "AAAA")
	if _, at := b.post("/login/second", 200, "code", code(0)); at != "/mail/" {
		t.Errorf("a right code leads to %s", at)
	}
	b.wants("with both", 200, "GET", "/jmap/session")
	b.wants("which is no session of the admin pages", 303, "GET", "/admin/")
	admin := half("/admin/")
	admin.post("/admin/login/second", 403, "code", code(0)) // used
	if _, at := admin.post("/admin/login/second", 200, "code", recovery[0]); at != "/admin/" {
		t.Errorf("a recovery code leads to %s", at)
	}
	worn := half("/")
	for range 5 {
		worn.post("/login/second", 403, "code", recovery[0]) // used
	}
	if _, at := worn.post("/login/second", 200, "code", recovery[1]); at != "/login" {
		t.Errorf("after five wrong ones: at %s", at)
	}
}

// WEB-3: every answer has the fields that keep browsers from harm, whatever is asked for, errors included.
func TestEveryAnswer(t *testing.T) {
	t.Parallel()
	p := byHTTPS(t).in("you", "a-good-password")
	stranger := p.another()
	b, err := newBuilder(Options{Config: parse(t, config.HTTPS)})
	if err != nil {
		t.Fatal(err)
	}
	cfg := *b.cfg
	cfg.JMAP.Enabled, cfg.API.Enabled = true, true
	b.cfg = &cfg
	f, err := b.front(t.Context(), p.Rooms, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	patterns := f.strangers().Patterns
	if len(patterns) < 15 {
		t.Fatalf("only %d paths: %q", len(patterns), patterns)
	}
	seen := map[int]int{}
	look := func(who *person, method, path string, header ...string) {
		t.Helper()
		code, h := who.status(method, path, header...)
		seen[code]++
		for name, want := range map[string]string{"Strict-Transport-Security": "max-age=31536000", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin", "Permissions-Policy": "camera=()", "Content-Security-Policy": "default-src 'none'", "Cache-Control": ""} {
			if got := h.Get(name); !strings.Contains(got, want) || got == "" {
				t.Errorf("%s %s %q, %d: %s is %q", method, path, header, code, name, got)
			}
		}
		csp := h.Get("Content-Security-Policy")
		if h.Get("Server") != "" || strings.Contains(csp, "unsafe") && !strings.HasPrefix(csp, "sandbox ") { // a mail's styles are in a box of their own
			t.Errorf("%s %s: %v", method, path, h)
		}
	}
	paths := []string{"/", "/nothing", "/account/factors", "/account/transfer/export", "/admin/login", "/jmap/session", "/jmap/eventsource/?closeafter=x", "/api/v1/nothing", "/assets/x", "/%zz"[:1]}
	for _, pattern := range patterns {
		_, path, ok := strings.Cut(pattern, " ")
		if !ok {
			path = pattern
		}
		paths = append(paths, strings.NewReplacer("{$}", "", "{", "", "}", "").Replace(path))
	}
	for _, path := range paths {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "OPTIONS"} {
			look(p, method, path)
			look(stranger, method, path, "Sec-Fetch-Site", "cross-site")
			look(stranger, method, path, "Host", "mta-sts.example.test")
		}
	}
	for _, code := range []int{200, 303, 401, 403, 404, 405} {
		if seen[code] == 0 {
			t.Errorf("nothing was answered %d: %v", code, seen)
		}
	}
}
