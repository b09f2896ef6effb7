package signin

import (
	"strings"
	"testing"
)

// WEB-3: a login leads to pages of its own, whatever is asked for.
func TestNext(t *testing.T) {
	t.Parallel()
	e := &Entrance{Base: "/", Home: "/account/", Within: []string{"/mail", "/mail/", "/account/"}}
	for _, to := range []string{"/mail", "/mail/", "/mail/m/x?y=1", "/account/", "/account/rules?done=x"} {
		if got := e.next(to); got != to {
			t.Errorf("%q leads to %q", to, got)
		}
	}
	for _, to := range []string{"", "x", "mail/", "https://evil.example/mail/", "//evil.example/mail/", "///evil.example", "/\\evil.example", "\\/mail/", "/mail/\r\nX: y", "/mail/\x00", "/mail/../admin/", "/mail/%2e%2e/admin/",
		"/mailx", "/admin/", "/login", "/logout", "javascript:alert(1)", "/mail//evil.example", "http:/mail/", "/mail/%zz", "//x@evil.example/mail/", strings.Repeat("/", 9) + "mail/"} {
		if got := e.next(to); got != "/account/" {
			t.Errorf("%q leads to %q", to, got)
		}
	}
}

// FuzzNext: nobody is sent elsewhere.
func FuzzNext(f *testing.F) {
	for _, s := range []string{"/mail/x", "//evil.example", "/mail/..//x", "/account/%2e%2e/"} {
		f.Add(s)
	}
	e := &Entrance{Base: "/", Home: "/account/", Within: []string{"/mail/", "/account/"}}
	f.Fuzz(func(t *testing.T, to string) {
		got := e.next(to)
		if !strings.HasPrefix(got, "/mail/") && !strings.HasPrefix(got, "/account/") || strings.ContainsAny(got, "\r\n\\") {
			t.Errorf("%q leads to %q", to, got)
		}
	})
}
