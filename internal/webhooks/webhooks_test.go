package webhooks

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
	"waxwing/internal/reason"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/smtp"
)

// receiver is a program that is told of events. It checks signatures by itself, from what
// Standard Webhooks say.
type receiver struct {
	secret string
	mu     sync.Mutex
	status int // 0: 204
	got    []Event
	bad    int
}

// genuine checks the header fields of a request against its body.
func genuine(secret string, h http.Header, body []byte) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return false
	}
	m := hmac.New(sha256.New, key)
	m.Write([]byte(h.Get("webhook-id") + "." + h.Get("webhook-timestamp") + "." + string(body)))
	want := base64.StdEncoding.EncodeToString(m.Sum(nil))
	for s := range strings.FieldsSeq(h.Get("webhook-signature")) {
		if v, sig, ok := strings.Cut(s, ","); ok && v == "v1" && hmac.Equal([]byte(sig), []byte(want)) {
			return true
		}
	}
	return false
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, _ := io.ReadAll(req.Body)
	var e Event
	if !genuine(r.secret, req.Header, body) || json.Unmarshal(body, &e) != nil || req.Header.Get("webhook-id") != "evt_"+e.ID.String() {
		r.bad++
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if r.status == 0 {
		r.got = append(r.got, e)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Location", "http://127.0.0.1:1/")
	http.Error(w, "not now", r.status)
}

func (r *receiver) events() (out []Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(out, r.got...)
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// office is a service with one webhook of joe's and its receiver.
type office struct {
	*Service
	t    *testing.T
	r    *receiver
	hook Hook
	now  *time.Time
	told []string
}

func each(t *testing.T, fn func(t *testing.T, o *office)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		users := &accounts.Store{DB: db}
		for _, err := range []error{users.AddAccount(t.Context(), "joe", "no-one-knows-this"), users.AddDomain(t.Context(), dns.MustParse("here.test"))} {
			if err != nil {
				t.Fatal(err)
			}
		}
		o := &office{t: t, r: &receiver{}, now: &now}
		o.Service = &Service{Store: &Store{DB: db, Now: func() time.Time { return *o.now }}, Log: slog.New(slog.DiscardHandler), Guard: &guard.Guard{},
			Tell: func(_ context.Context, h Hook, note string) error { o.told = append(o.told, note); return nil }}
		srv := httptest.NewServer(o.r)
		t.Cleanup(srv.Close)
		var secret Secret
		var err error
		if o.hook, secret, err = o.Add(t.Context(), Hook{URL: srv.URL, Account: "joe"}); err != nil {
			t.Fatal(err)
		}
		o.r.secret = secret.Text()
		fn(t, o)
	})
}

// settle notes an outcome of joe's mail to a recipient, in a transaction that fails with fail.
func (o *office) settle(to string, result delivery.Outcome, fail error) {
	o.t.Helper()
	err := o.DB.Write(o.t.Context(), func(tx *store.Tx) error {
		_, err := o.Settled(tx, &delivery.Envelope{ID: 7, Account: "joe", Sender: "joe@here.test"}, []Outcome{{Address: to, Attempts: 1, Result: delivery.RecipientResult{Outcome: result, TLS: "dane"}}})
		return errors.Join(err, fail)
	})
	if !errors.Is(err, fail) {
		o.t.Fatal(err)
	}
}

func (o *office) step() {
	o.t.Helper()
	if err := o.Step(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
}

// post is the newest post.
func (o *office) post() Post {
	o.t.Helper()
	all, err := o.Posts(o.t.Context(), o.hook.ID, 1)
	if err != nil || len(all) != 1 {
		o.t.Fatalf("%+v, %v", all, err)
	}
	return all[0]
}

// OPS-8: an event is posted once its transaction is committed, and never of one that was
// undone; its signature is what an independent receiver expects, and a changed body is not.
func TestPosted(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.settle("undone@far.test", delivery.Delivered, errors.New("the disk is full"))
		o.step()
		if got := o.r.events(); len(got) != 0 {
			t.Fatalf("of a settlement that was undone: %+v", got)
		}
		o.settle("a@far.test", delivery.Delivered, nil)
		o.settle("b@far.test", delivery.Failed, nil)
		// A process that ended here has lost nothing: another finds the events in the store.
		o.Service = &Service{Store: &Store{DB: o.DB, Now: o.Store.Now}, Log: o.Log, Guard: o.Guard}
		o.step()
		o.step()
		got := o.r.events()
		if len(got) != 2 || got[0].Type != Delivered || got[0].Data.Recipient != "a@far.test" || got[0].Data.TLS.Verified != "dane" || got[1].Type != Failed || o.r.bad != 0 {
			t.Errorf("%+v, %d bad", got, o.r.bad)
		}
		if p := o.post(); p.State != accepted || p.Tries != 1 || p.Note != "HTTP 204 No Content" || p.Event.ID != p.ID {
			t.Errorf("%+v", p)
		}
		h := http.Header{}
		key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(o.r.secret, "whsec_"))
		Secret(key).sign(h, "evt_1", *o.now, []byte(`{"a":1}`))
		if !genuine(o.r.secret, h, []byte(`{"a":1}`)) || genuine(o.r.secret, h, []byte(`{"a":2}`)) {
			t.Error("the signature does not tell a changed body")
		}
		h.Set("webhook-timestamp", "1")
		if genuine(o.r.secret, h, []byte(`{"a":1}`)) {
			t.Error("the signature does not tell a changed time")
		}
	})
}

// While a machine has a webhook, no other posts to it; when it has died, its lease ends.
func TestLease(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.settle("a@far.test", delivery.Delivered, nil)
		if _, err := o.claim(t.Context(), int64(o.hook.ID)); err != nil { // by a machine that dies
			t.Fatal(err)
		}
		o.step()
		if got := o.r.events(); len(got) != 0 {
			t.Fatalf("%+v", got)
		}
		*o.now = o.now.Add(lease)
		o.step()
		if got := o.r.events(); len(got) != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// A receiver that fails is left alone for a while and then told; one that has failed for two
// days, and one that answers 410, is disabled, and the operator told.
func TestFailing(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.r.answer(http.StatusInternalServerError)
		o.settle("a@far.test", delivery.Delivered, nil)
		o.step()
		p := o.post()
		if p.State != waiting || p.Word != reason.WebhookRefused || !p.Due.Equal(o.now.Add(10*time.Second)) || !strings.Contains(p.Note, "not now") {
			t.Errorf("%+v", p)
		}
		o.r.answer(0)
		o.step()
		if got := o.r.events(); len(got) != 0 {
			t.Error("it was not left alone")
		}
		*o.now = o.now.Add(10 * time.Second)
		o.step()
		if got := o.r.events(); len(got) != 1 || got[0].ID != p.ID {
			t.Errorf("%+v", got)
		}
		o.r.answer(http.StatusFound) // is not followed
		for range 30 {
			o.settle("b@far.test", delivery.Deferred, nil)
			o.step()
			*o.now = o.now.Add(4 * time.Hour)
		}
		h, err := o.Get(t.Context(), o.hook.ID)
		if err != nil || h.Disabled.IsZero() || len(o.told) != 1 {
			t.Fatalf("%+v, %v, told %q", h, err, o.told)
		}
		if p := o.post(); p.State != failed {
			t.Errorf("%+v", p)
		}
		if err := o.Enable(t.Context(), o.hook.ID); err != nil {
			t.Fatal(err)
		}
		o.r.answer(http.StatusGone)
		o.settle("c@far.test", delivery.Failed, nil)
		o.step()
		if h, err := o.Get(t.Context(), o.hook.ID); err != nil || h.Word != reason.WebhookGone || h.Disabled.IsZero() || len(o.told) != 2 {
			t.Errorf("%+v, %v, told %q", h, err, o.told)
		}
		if err := o.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// No answer of DNS leads an event into the operator's network, whatever the name; http goes to
// this machine alone.
func TestPrivateAddresses(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.DNS = private{}
		o.Service.Dial = nil
		for _, u := range []string{"https://inside.test/", "https://10.0.0.1/", "https://169.254.169.254/latest"} {
			h := Hook{URL: u, secret: newSecret()}
			if a := o.Service.post(t.Context(), &h, 1, nil); a.word != reason.WebhookPrivate {
				t.Errorf("%s: %+v", u, a)
			}
		}
		for u, ok := range map[string]bool{"https://a.test/x?y": true, "http://127.0.0.1:80/": true, "http://localhost/": true, "http://[::1]/": true, "http://a.test/": false, "ftp://a.test/": false,
			"https://u:p@a.test/": false, "https://a.test/#x": false, "https:a": false, "": false, "https://a.test/" + strings.Repeat("x", maxURL): false} {
			if err := CheckURL(u); (err == nil) != ok {
				t.Errorf("%.60s: %v", u, err)
			}
		}
	})
}

// private answers every name with a private address.
type private struct{ dns.Resolver }

func (private) LookupA(context.Context, dns.Name) (dns.Answer[netip.Addr], error) {
	return dns.Answer[netip.Addr]{Records: []netip.Addr{netip.MustParseAddr("192.168.1.1")}}, nil
}

func (private) LookupAAAA(context.Context, dns.Name) (dns.Answer[netip.Addr], error) {
	return dns.Answer[netip.Addr]{Records: []netip.Addr{netip.MustParseAddr("fd00::1")}}, nil
}

// OPS-9: a panic while posting leaves the event for the next turn.
func TestPanicWhilePosting(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		watch := guardtest.New()
		o.Guard = &watch.Guard
		o.settle("a@far.test", delivery.Delivered, nil)
		o.Count = func(string) { panic("observer") }
		o.step()
		if !watch.Saw(guard.Webhook, 1) {
			t.Errorf("counted: %v", watch.Seen())
		}
	})
}

// eventsOf over what a settlement can come to: sent mail and received mail, of whom.
func TestEventsOf(t *testing.T) {
	t.Parallel()
	mail := delivery.Envelope{ID: 1, Account: "joe", Sender: "joe@Here.test", EnvID: "order 1"}
	outside, dsn := delivery.Envelope{ID: 2, Sender: "x@far.test"}, delivery.Envelope{ID: 3, Account: "joe", Purpose: delivery.DSN}
	inbox := &delivery.Copy{Address: "ann@here.test", Account: "ann", Mailbox: "INBOX"}
	reply := smtp.NewReply(550, smtp.Enhanced{Class: 5, Subject: 1, Detail: 1}, "no such user")
	for _, tt := range []struct {
		env  delivery.Envelope
		o    Outcome
		want string
	}{
		{mail, Outcome{Result: delivery.RecipientResult{Outcome: delivery.Delivered}}, "delivered joe here.test"},
		{mail, Outcome{Result: delivery.RecipientResult{Outcome: delivery.Delivered}, Copy: inbox}, "delivered joe here.test; received ann here.test"},
		{mail, Outcome{Result: delivery.RecipientResult{Outcome: delivery.Deferred}}, "delayed joe here.test"},
		{mail, Outcome{Result: delivery.RecipientResult{Outcome: delivery.Failed, Reply: reply}}, "failed joe here.test"},
		{mail, Outcome{Result: delivery.RecipientResult{Outcome: delivery.Failed, Word: reason.Suppressed}}, "suppressed joe here.test"},
		{mail, Outcome{Result: delivery.RecipientResult{Outcome: delivery.Pending}}, ""},
		{outside, Outcome{Result: delivery.RecipientResult{Outcome: delivery.Delivered}, Copy: inbox}, "received ann here.test"},
		{outside, Outcome{Result: delivery.RecipientResult{Outcome: delivery.Failed}, Copy: inbox}, ""},
		{dsn, Outcome{Result: delivery.RecipientResult{Outcome: delivery.Failed}}, ""},
	} {
		var got []string
		for _, e := range eventsOf(&tt.env, &tt.o) {
			got = append(got, string(e.kind)+" "+e.account+" "+e.domain)
			if e.kind == Failed && (e.data.Enhanced != "5.1.1" || e.data.Reply != "550 5.1.1 no such user" || e.data.EnvelopeID != "order 1") {
				t.Errorf("%+v", e.data)
			}
		}
		if s := strings.Join(got, "; "); s != tt.want {
			t.Errorf("%+v: %q, want %q", tt.o.Result, s, tt.want)
		}
	}
}

// decide over answers, tries and standings.
func TestDecide(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, word := range []reason.Word{"", reason.WebhookNoAnswer, reason.WebhookRefused, reason.WebhookGone} {
		for tries := 1; tries < 20; tries++ {
			for _, age := range []time.Duration{0, time.Hour, 23 * time.Hour, 25 * time.Hour} {
				for _, failing := range []time.Duration{0, time.Hour, disableAfter - 1, disableAfter, 100 * time.Hour} {
					for _, after := range []time.Duration{0, time.Minute, 100 * time.Hour} {
						s := standing{created: now.Add(-age), tries: tries, failures: tries}
						if failing > 0 {
							s.failing = now.Add(-failing)
						}
						r := decide(answer{word: word, after: after}, s, now)
						disable := word != "" && (word == reason.WebhookGone || failing >= disableAfter)
						switch {
						case word == "" && r != (ruling{state: accepted}):
							t.Errorf("%+v", r)
						case r.disable != disable, word != "" && r.failing.IsZero(), word != "" && !r.pause.After(now), r.pause.Sub(now) > maxPause:
							t.Errorf("%s %+v after %s: %+v", word, s, after, r)
						case r.state == waiting && (!r.due.After(now) || r.due.Sub(s.created) > giveUp || r.due.Sub(now) < after), (r.state == waiting) == !r.disable && word != "" && age == 25*time.Hour && r.state == waiting:
							t.Errorf("%s %+v after %s: %+v", word, s, after, r)
						}
					}
				}
			}
		}
	}
}

// A webhook is told of the events of its account and domain that it is subscribed to.
func TestWants(t *testing.T) {
	t.Parallel()
	e := told{kind: Failed, account: "joe", domain: "here.test"}
	for name, tt := range map[string]struct {
		h    Hook
		want bool
	}{
		"account": {Hook{Account: "joe", Events: Types()}, true}, "another": {Hook{Account: "ann", Events: Types()}, false}, "domain": {Hook{Domain: "here.test", Events: []Type{Failed}}, true},
		"both": {Hook{Account: "joe", Domain: "far.test", Events: Types()}, false}, "event": {Hook{Account: "joe", Events: []Type{Delivered}}, false}, "disabled": {Hook{Account: "joe", Events: Types(), Disabled: time.Now()}, false},
	} {
		if got := tt.h.wants(&e); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
