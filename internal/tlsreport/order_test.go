package tlsreport

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/smtp"
	"waxwing/tlsrpt"
)

// RPT-6: an MX host waits for the recipient domains behind it, also for one whose
// record cannot be looked up for now: else the same addresses would get its
// sessions twice.
func TestHostsWait(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r := newRig(t, s)
		r.record("a.example", &dns.Error{RCode: "SERVFAIL"})
		r.record("b.example", "v=TLSRPTv1; rua=mailto:r@b.example")
		r.record("mx.example", "v=TLSRPTv1; rua=mailto:r@a.example")
		r.see(t, saturday, daneFailed("a.example", "mx.example"), daneFailed("b.example", "mx.example"))
		at := saturday.Add(24*time.Hour + 30*time.Minute)
		for range 4 { // until all are due
			r.clock.Set(at)
			r.step(t)
			at = at.Add(6 * time.Minute)
		}
		if got := r.sent(t); len(got) != 1 || got[0].PolicyDomain != "b.example" {
			t.Fatalf("while a.example is open: %+v", got)
		}
		r.record("a.example", "v=TLSRPTv1; rua=mailto:r@a.example")
		for range 3 {
			at = at.Add(30 * time.Minute)
			r.clock.Set(at)
			r.step(t)
		}
		got := r.sent(t)
		if len(got) != 3 || len(sentTo(got, "a.example")) != 1 || len(sentTo(got, "mx.example")) != 1 {
			t.Fatalf("in the end: %+v", got)
		}
		if h := sentTo(got, "mx.example")[0]; h.Failed != 1 { // b.example's alone
			t.Errorf("the host's report has %d sessions", h.Failed)
		}
	})
}

// RPT-11: at most five addresses get the report; it counts as delivered when one
// has accepted it.
func TestManyAddresses(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	var rua []string
	for i := range 8 {
		rua = append(rua, fmt.Sprintf("mailto:r%d@a.example", i))
	}
	r.record("a.example", "v=TLSRPTv1; rua="+strings.Join(rua, ","))
	r.see(t, saturday, stsOK("a.example"))
	r.clock.Set(saturday.Add(25 * time.Hour))
	r.step(t)
	mails := r.out.All()
	if len(mails) != 5 || len(r.sent(t)[0].Deliveries) != 5 {
		t.Errorf("%d mails, %+v", len(mails), r.sent(t))
	}
	for i, m := range mails {
		rr := delivery.RecipientResult{Outcome: delivery.Failed, Reply: smtp.NewReply(550, smtp.Enhanced{}, "no")}
		if i == 3 {
			rr = delivery.RecipientResult{Outcome: delivery.Delivered}
		}
		if err := r.Store.Write(context.Background(), func(tx *store.Tx) error { return r.Settler(r.Now)(tx, m.Env, rr) }); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.sent(t)[0]; got.State != "delivered" {
		t.Errorf("%+v", got)
	}
}

// RPT-10, RPT-11: https.
func TestPost(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	statuses := []int{503, 429, 201}
	var ids []string
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch req.URL.Path {
		case "/redirect":
			http.Redirect(w, req, "/r", http.StatusTemporaryRedirect)
			return
		case "/gone":
			w.WriteHeader(http.StatusGone)
			return
		}
		rep, err := tlsrpt.Parse(req.Body, tlsrpt.Limits{})
		if err != nil || req.Method != http.MethodPost || req.Header.Get("Content-Type") != tlsrpt.MediaGzip {
			t.Errorf("%s %v: %v", req.Method, req.Header, err)
			return
		}
		ids = append(ids, rep.ID)
		w.WriteHeader(statuses[0])
		statuses = statuses[1:]
	}))
	defer srv.Close()
	r := newRig(t, storetest.Open(t))
	r.HTTP = srv.Client()
	r.Signer = nil // no mail; https goes all the same
	r.record("a.example", "v=TLSRPTv1; rua="+srv.URL+"/r")
	r.record("b.example", "v=TLSRPTv1; rua="+srv.URL+"/redirect,"+srv.URL+"/gone")
	r.see(t, saturday, stsOK("a.example"), stsOK("b.example"))
	r.clock.Set(saturday.Add(24*time.Hour + 10*time.Minute))
	r.runDay(t)
	got := r.sent(t)
	a, b := sentTo(got, "a.example")[0], sentTo(got, "b.example")[0]
	if a.State != "delivered" || a.Deliveries[0].Tries != 3 || len(ids) != 3 || ids[0] != ids[2] {
		t.Errorf("a %+v, posted %q", a, ids)
	}
	if b.State != "failed" || b.Deliveries[0].Tries != 1 || b.Deliveries[1].Tries != 1 {
		t.Errorf("b %+v", b)
	}
	var tries int
	err := r.Store.Read(context.Background(), func(tx *store.Tx) error { return tx.Row(`SELECT count(*) FROM outbox_tries`).Scan(&tries) })
	if err != nil || tries != 5 {
		t.Errorf("%d tries recorded, want 5: %v", tries, err)
	}
}

// RPT-10: the address rule, and an end after 24 hours.
func TestPostUnreachable(t *testing.T) {
	t.Parallel()
	r := newRig(t, storetest.Open(t))
	r.record("a.example", "v=TLSRPTv1; rua=https://127.0.0.1:1/r")
	r.see(t, saturday, stsOK("a.example"))
	r.clock.Set(saturday.Add(24*time.Hour + 10*time.Minute))
	r.runDay(t)
	r.runDay(t)
	a := r.sent(t)[0]
	if d := a.Deliveries[0]; a.State != "failed" || !strings.Contains(d.Note, "no address that may be dialled") || d.Tries < 4 || d.Tries > 12 {
		t.Errorf("%+v", a)
	}
}
