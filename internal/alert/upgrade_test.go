package alert

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"waxwing/internal/outbox"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// A database of before alerts went through the outbox keeps those that wait, and what
// is known of reports that were sent.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	storetest.Upgrade(t, "00030", upgrade)
}

// hook takes one post.
type hook struct{ got string }

func (h *hook) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	h.got += r.URL.Host + " " + string(b)
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("")), Header: http.Header{}, Request: r}, err
}

func upgrade(t *testing.T, old *store.Store, upgrade func() *store.Store) {
	now := time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC)
	err := old.Write(t.Context(), func(tx *store.Tx) error {
		for _, q := range []string{
			`INSERT INTO tls_hooks (id, body, state, due, tries, claim, expires, note) VALUES (5, '{"x": "é"}', 'waiting', 0, 1, 1, 9000000000000000000, 'HTTP 503')`,
			`INSERT INTO tls_hooks (id, body, state, due, tries, claim, expires, note) VALUES (6, 'done', 'accepted', 0, 1, 1, 0, '')`,
			`INSERT INTO tls_reports (id, day, kind, policy_domain, report_id, created, ok, failed, partial, state, json) VALUES (7, 20000, 1, 'mx.test', 'r', 1, 2, 3, 0, 'delivered', '')`,
			`INSERT INTO tls_deliveries (id, report, uri, state, due, tries, claim, expires, changed, note) VALUES (8, 7, 'mailto:a@a.test', 'accepted', 0, 1, 1, 0, 1, '')`,
			`INSERT INTO tls_deliveries (id, report, uri, state, due, tries, claim, expires, changed, note) VALUES (9, 99, 'mailto:gone@a.test', 'accepted', 0, 1, 1, 0, 1, '')`,
			`INSERT INTO tls_suppressions (address, until, times, manual, reason, created, soft, soft_day) VALUES ('mailto:b@b.test', 9000000000000000000, 0, 1, '', 0, 0, 0)`,
		} {
			if _, err := tx.Exec(q); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s := upgrade()
	h := &hook{}
	a := New(&outbox.Box{Store: s, To: "https://hook.test/", HTTP: &http.Client{Transport: h}, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}, nil)
	if _, err := a.StepPosts(t.Context()); err != nil || h.got != `hook.test {"x": "é"}` {
		t.Errorf("posted %q, %v", h.got, err)
	}
	tls := &outbox.Box{Family: outbox.Family{Kinds: []outbox.Kind{0, 1}}, Store: s, Now: a.Now}
	sent, err := tls.Sent(t.Context(), outbox.Filter{})
	if err != nil || len(sent) != 1 || sent[0].Kind != 1 || sent[0].Failed != 3 || len(sent[0].Deliveries) != 1 {
		t.Errorf("%+v, %v", sent, err)
	}
	if sup, err := tls.Suppressions(t.Context()); err != nil || len(sup) != 1 || !sup[0].Manual {
		t.Errorf("%+v, %v", sup, err)
	}
}
