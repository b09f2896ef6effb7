package policies

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"waxwing/dns"
	"waxwing/internal/stspublish"
)

type source map[string]error

func (s source) Get(_ context.Context, d dns.Name) (stspublish.Published, error) {
	err, ok := s[d.ASCII()]
	if !ok {
		err = stspublish.ErrNone
	}
	return stspublish.Published{Text: "the policy of " + d.ASCII()}, err
}

// TestHandler (STS-11): a name's own policy, nothing for any other name.
func TestHandler(t *testing.T) {
	t.Parallel()
	h := &Handler{Source: source{"example.test": nil, "broken.test": errors.New("disk")}}
	for host, want := range map[string]int{
		"mta-sts.example.test":     http.StatusOK,
		"MTA-STS.Example.TEST:443": http.StatusOK,
		"example.test":             http.StatusNotFound,
		"mta-sts.other.test":       http.StatusNotFound,
		"mta-sts.broken.test":      http.StatusServiceUnavailable,
		"mta-sts.":                 http.StatusNotFound,
		"mta-sts.[::1]":            http.StatusNotFound,
		"mta-sts.a..b":             http.StatusNotFound,
	} {
		r := httptest.NewRequest("GET", "https://host"+Path, nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: status %d, want %d", host, w.Code, want)
		}
		if w.Code == http.StatusOK && (w.Body.String() != "the policy of example.test" || w.Header().Get("Content-Type") != "text/plain; charset=utf-8") {
			t.Errorf("%s: %q as %q", host, w.Body, w.Header().Get("Content-Type"))
		}
	}
}
