package autoconfig

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"waxwing/clientconfig"
	"waxwing/dns"
)

// served is a handler for example.org; sendonly.example can read no mail, broken.example not be looked up.
func served(t *testing.T) (http.Handler, *Handler) {
	t.Helper()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	h := &Handler{Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
		Settings: func(_ context.Context, d dns.Name) (clientconfig.Settings, bool, error) {
			s := clientconfig.Settings{Domain: d.ASCII(), Host: "mx.example.net", Base: "https://mx.example.net", Servers: []clientconfig.Server{
				{Protocol: clientconfig.Submission, Host: "mx.example.net", Port: 465, TLS: true}, {Protocol: clientconfig.IMAP, Host: "mx.example.net", Port: 993, TLS: true}}}
			switch d.ASCII() {
			case "example.org", "xn--bcher-kva.example":
				return s, true, nil
			case "sendonly.example":
				s.Servers = s.Servers[:1]
				return s, true, nil
			case "broken.example":
				return s, false, errors.New("disk")
			}
			return s, false, nil
		},
		Sign: func(profile []byte) ([]byte, error) { return append([]byte("signed "), profile...), nil }}
	mux := http.NewServeMux()
	for _, r := range h.Routes() {
		mux.Handle(r.Pattern, r.Handler)
	}
	return mux, h
}

func ask(h http.Handler, method, url, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, url, strings.NewReader(body)))
	return w
}

// TestThunderbird (CLI-1): of a name's own domain, or of that of the address.
func TestThunderbird(t *testing.T) {
	t.Parallel()
	h, _ := served(t)
	for url, want := range map[string]int{
		"https://autoconfig.example.org/mail/config-v1.1.xml":                                       200,
		"https://AutoConfig.Example.ORG:443/mail/config-v1.1.xml?emailaddress=joe@example.org":      200,
		"https://autoconfig.example.org/mail/config-v1.1.xml?emailaddress=joe":                      200,
		"https://example.org/.well-known/autoconfig/mail/config-v1.1.xml":                           200,
		"https://mx.example.net/mail/config-v1.1.xml?emailaddress=nobody%40example.org":             200,
		"https://mx.example.net/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress=a@b%c3%bc": 404,
		"https://autoconfig.other.example/mail/config-v1.1.xml":                                     404,
		"https://autoconfig.other.example/mail/config-v1.1.xml?emailaddress=joe@sendonly.example":   404,
		"https://autoconfig.example.org/.well-known/autoconfig/mail/config-v1.1.xml":                404,
		"https://autoconfig.broken.example/mail/config-v1.1.xml":                                    503,
		"https://[::1]/mail/config-v1.1.xml":                                                        404,
	} {
		w := ask(h, "GET", url, "")
		if w.Code != want {
			t.Errorf("%s: %d, want %d", url, w.Code, want)
		}
		if want == 200 && (!strings.Contains(w.Body.String(), "<hostname>mx.example.net</hostname>") || !strings.Contains(w.Body.String(), "<domain>example.org</domain>") ||
			w.Header().Get("Content-Type") != "text/xml; charset=utf-8") {
			t.Errorf("%s: %s %s", url, w.Header(), w.Body)
		}
	}
}

func request(address string) string {
	return `<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request><EMailAddress>` + address +
		`</EMailAddress><AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema></Request></Autodiscover>`
}

// TestAutodiscover: errors are told as Autodiscover tells them, whatever case the path is in.
func TestAutodiscover(t *testing.T) {
	t.Parallel()
	h, _ := served(t)
	for _, tt := range []struct {
		body, want string
		code       int
	}{
		{request("joe@example.org"), "<LoginName>joe@example.org</LoginName>", 200},
		{request("Joe@bücher.example"), "<LoginName>Joe@xn--bcher-kva.example</LoginName>", 200},
		{request("joe@other.example"), "<ErrorCode>500<", 200},
		{request("joe@sendonly.example"), "<ErrorCode>500<", 200},
		{request("joe"), "<ErrorCode>600<", 200},
		{"<x>", "<ErrorCode>600<", 200},
		{strings.Replace(request("joe@example.org"), "outlook/response", "mobilesync/response", 1), "<ErrorCode>601<", 200},
		{request("joe@broken.example"), "unavailable", 503},
	} {
		for _, path := range []string{clientconfig.AutodiscoverPath, "/Autodiscover/Autodiscover.xml", "/AutoDiscover/autodiscover.xml"} {
			if w := ask(h, "POST", "https://autodiscover.example.org"+path, tt.body); w.Code != tt.code || !strings.Contains(w.Body.String(), tt.want) {
				t.Errorf("%s: %d %s", tt.body, w.Code, w.Body)
			}
		}
	}
	if w := ask(h, "GET", "https://autodiscover.example.org"+clientconfig.AutodiscoverPath, ""); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET is answered %d", w.Code)
	}
}

// TestProfile: a profile is signed, and no more are than a stranger may have.
func TestProfile(t *testing.T) {
	t.Parallel()
	h, handler := served(t)
	const url = "https://mx.example.net/mail.mobileconfig?emailaddress="
	for address, want := range map[string]int{"joe@example.org": 200, "": 404, "joe@other.example": 404, "joe@broken.example": 503, "joe%00@example.org": 404, `%22j%20o%22@example.org`: 200} {
		w := ask(h, "GET", url+address, "")
		if w.Code != want || want == 200 && (!strings.HasPrefix(w.Body.String(), "signed <?xml") || w.Header().Get("Content-Type") != clientconfig.ProfileType ||
			w.Header().Get("Content-Disposition") != `attachment; filename="example.org.mobileconfig"`) {
			t.Errorf("%s: %d %s %s", address, w.Code, w.Header(), w.Body)
		}
	}
	handler.Sign = func([]byte) ([]byte, error) { return nil, errors.New("no key") }
	if w := ask(h, "GET", url+"joe@example.org", ""); w.Code != 503 {
		t.Errorf("what cannot be signed is answered %d", w.Code)
	}
	handler.full = time.Time{}
	n := 0
	for range 3 * signsAtOnce {
		if handler.maySign() {
			n++
		}
	}
	if n != signsAtOnce {
		t.Errorf("%d signatures at once", n)
	}
	later := handler.Now().Add(2 * signEvery)
	handler.Now = func() time.Time { return later }
	for i, want := range []bool{true, true, false} {
		if got := handler.maySign(); got != want {
			t.Errorf("after the time of two signatures, number %d: %v", i+1, got)
		}
	}
	if w := ask(h, "GET", url+"joe@example.org", ""); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("beyond that: %d %s", w.Code, w.Header())
	}
}

// Nothing tells whether there is an account: whoever is asked about gets the same, but for
// the address itself.
func TestTellsNothing(t *testing.T) {
	t.Parallel()
	h, _ := served(t)
	all := func(local string) []byte {
		var out bytes.Buffer
		for _, w := range []*httptest.ResponseRecorder{
			ask(h, "GET", "https://autoconfig.example.org/mail/config-v1.1.xml?emailaddress="+local+"@example.org", ""),
			ask(h, "POST", "https://autodiscover.example.org/autodiscover/autodiscover.xml", request(local+"@example.org")),
		} {
			io.Copy(&out, w.Result().Body)
			w.Result().Header.Write(&out)
		}
		return bytes.ReplaceAll(out.Bytes(), []byte(local+"@"), []byte("ADDRESS@"))
	}
	if a, b := all("joe"), all("nobody-at-all"); !bytes.Equal(a, b) {
		t.Errorf("%s\nand\n%s", a, b)
	}
}
