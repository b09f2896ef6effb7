package mail

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

func handler() *Handler {
	return &Handler{LogIn: "/login", LogOut: "/logout", TLS: true, Only: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := r.Cookie("in"); err != nil {
				http.Redirect(w, r, "/login", http.StatusSeeOther)
				return
			}
			next.ServeHTTP(w, r)
		})
	}}
}

func get(t *testing.T, path string, in bool, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	if in {
		r.AddCookie(&http.Cookie{Name: "in", Value: "yes"})
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	handler().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// MAIL-1, WEB-2: every address of the webmail is the same page, for those who have logged in.
func TestPage(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/mail/", "/mail/inbox", "/mail/box-Mabc/Tdef", "/mail/search?q=x", "/mail/compose?mailto=mailto%3Aa"} {
		if got := get(t, path, false); got.StatusCode != http.StatusSeeOther {
			t.Errorf("%s: %s for somebody who has not logged in", path, got.Status)
		}
		got := get(t, path, true)
		if text := body(t, got.Body); got.StatusCode != 200 || !strings.Contains(text, `data-login="/login"`) || strings.Contains(text, "style=") {
			t.Errorf("%s: %s\n%s", path, got.Status, text)
		}
		csp := got.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: the policy %q lacks %s", path, csp, want)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") || got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%s: %v", path, got.Header)
		}
	}
}

// WEB-1, MAIL-8: what the page loads is there, the manifest among it, is of this server, and is small.
func TestParts(t *testing.T) {
	t.Parallel()
	page := body(t, get(t, "/mail/", true).Body)
	total := 0
	for _, m := range regexp.MustCompile(`(?:src|href)="(/mail/[^"]+)"`).FindAllStringSubmatch(page, -1) {
		r := get(t, m[1], false, "Accept-Encoding", "gzip")
		if r.StatusCode != 200 || r.Header.Get("Content-Encoding") != "gzip" || r.Header.Get("Content-Type") == "" {
			t.Errorf("%s: %s, %v", m[1], r.Status, r.Header)
			continue
		}
		packed := body(t, r.Body)
		z, err := gzip.NewReader(strings.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		if plain := body(t, get(t, m[1], false).Body); plain != body(t, z) {
			t.Errorf("%s is another one when it is compressed", m[1])
		}
		if strings.HasSuffix(m[1], ".js") {
			total += len(packed)
		}
	}
	if total == 0 || total > 80<<10 {
		t.Errorf("the script has %d octets, compressed", total)
	}
	if m := regexp.MustCompile(`(?:src|href)="(https?:)?//`).FindString(page); m != "" {
		t.Errorf("the page loads something from elsewhere: %s", m)
	}
}

// WEB-5: the style has no colour of its own, and sizes are those of the tokens or relative.
func TestStyle(t *testing.T) {
	t.Parallel()
	css, err := files.ReadFile("mail.css")
	if err != nil {
		t.Fatal(err)
	}
	if m := regexp.MustCompile(`#[0-9a-fA-F]{3,8}\b|\brgba?\(|url\(|@import`).Find(css); m != nil {
		t.Errorf("%s is no token", m)
	}
}

// WEB-4: a translation has every text.
func TestTranslations(t *testing.T) {
	t.Parallel()
	keys := func(file string) map[string]bool {
		b, err := os.ReadFile("script/" + file)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]bool{}
		for _, m := range regexp.MustCompile(`(?m)^\t+(\w+):|[,{] (\w+): ["(]`).FindAllSubmatch(b, -1) {
			out[string(m[1])+string(m[2])] = true
		}
		return out
	}
	english, german := keys("texts.ts"), keys("german.ts")
	if len(english) < 150 {
		t.Fatalf("%d texts were found", len(english))
	}
	for k := range english {
		if !german[k] && k != "name" && k != "de" {
			t.Errorf("german.ts lacks %s", k)
		}
	}
}
