package server

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"waxwing/internal/config"
	"waxwing/internal/delivery"
	"waxwing/internal/store"
	"waxwing/internal/webhooks"
)

// OPS-8: what happens to mail in a whole server is posted: the mail of an account is delivered
// and received, and suppressed; and it is counted in waxwing_webhook_posts_total.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	s := run(t, parse(t, config.MX))
	var mu sync.Mutex
	got := map[webhooks.Type]webhooks.Data{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e webhooks.Event
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &e); err != nil || !strings.HasPrefix(r.Header.Get("webhook-signature"), "v1,") {
			t.Errorf("%s: %v", body, err)
		}
		mu.Lock()
		defer mu.Unlock()
		got[e.Type] = e.Data
	}))
	defer srv.Close()
	ctx := t.Context()
	if _, _, err := s.Webhooks.Add(ctx, webhooks.Hook{URL: srv.URL, Account: "you"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Suppression.Add(ctx, "you", "gone@far.test", "asked", time.Time{}); err != nil {
		t.Fatal(err)
	}
	env := &delivery.Envelope{Account: "you", Sender: "you@example.test"}
	for _, to := range []string{"you@example.test", "gone@far.test"} {
		d, err := delivery.ParseRecipientDomain(to[strings.IndexByte(to, '@')+1:])
		if err != nil {
			t.Fatal(err)
		}
		env.Recipients = append(env.Recipients, delivery.Recipient{Address: to, Domain: d, Notify: delivery.NotifyNever})
	}
	env.ID = store.NewID()
	if err := s.Queue.Enqueue(ctx, env, delivery.Bytes("From: you@example.test\r\n\r\nhi\r\n")); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		mu.Lock()
		n := len(got)
		mu.Unlock()
		if n == 3 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("posted: %+v", got)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	id := delivery.ID(env.ID)
	if d := got[webhooks.Delivered]; d.Message != id || d.Recipient != "you@example.test" || d.Attempts != 1 {
		t.Errorf("delivered: %+v", d)
	}
	if d := got[webhooks.Received]; d.Message != id || d.Account != "you" || d.Mailbox == "" {
		t.Errorf("received: %+v", d)
	}
	if d := got[webhooks.Suppressed]; d.Recipient != "gone@far.test" || d.Reason != "suppressed" {
		t.Errorf("suppressed: %+v", d)
	}
	// The last is counted once its answer has come.
	for end := time.Now().Add(2 * time.Minute); posts(t, s.Metrics.Registry) != 3; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%v posts were counted, of three", posts(t, s.Metrics.Registry))
		}
	}
}

// posts is how many posts the metrics tell of, whatever came of them.
func posts(t *testing.T, r *prometheus.Registry) (n float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "waxwing_webhook_posts_total" {
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}
