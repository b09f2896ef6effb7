package push

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/jmap"
)

// RFC 8291 §5: the example of the RFC, octet for octet.
func TestSealAsTheRFC(t *testing.T) {
	t.Parallel()
	b64 := func(s string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	k, err := parseKeys("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4", "BTBZMqHH6r4Tts7J_aSIgg==")
	if err != nil {
		t.Fatal(err)
	}
	own, err := ecdh.P256().NewPrivateKey(b64("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := sealWith(k, []byte("When I grow up, I want to be a watermelon"), own, b64("DGv6ra1nlYgDCS1FRnbzlw"))
	if err != nil {
		t.Fatal(err)
	}
	want := b64("DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN")
	if !bytes.Equal(got, want) {
		t.Errorf("sealed\n%x, want\n%x", got, want)
	}
}

// device is a client's end of push: a host of HTTPS, with keys.
type device struct {
	t      *testing.T
	srv    *httptest.Server
	key    *ecdh.PrivateKey
	auth   []byte
	status int
	after  string

	mu  sync.Mutex
	got []map[string]any
	n   int // requests
	// claims and by are who has posted last.
	claims claims
	by     string
}

func newDevice(t *testing.T) *device {
	t.Helper()
	d := &device{t: t, status: http.StatusCreated, auth: make([]byte, authSize)}
	rand.Read(d.auth)
	var err error
	if d.key, err = ecdh.P256().GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	d.srv = httptest.NewTLSServer(d)
	t.Cleanup(d.srv.Close)
	return d
}

func (d *device) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		d.t.Error(err)
	}
	if r.Method != http.MethodPost || r.Header.Get("TTL") == "" || r.Header.Get("Content-Type") != "application/json" {
		d.t.Errorf("%s with %v", r.Method, r.Header)
	}
	d.identified(r.Header.Get("Authorization"))
	if r.Header.Get("Content-Encoding") == "aes128gcm" {
		body = d.open(body)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n++
	if d.after != "" {
		w.Header().Set("Retry-After", d.after)
	}
	w.WriteHeader(d.status)
	if d.status/100 != 2 {
		return
	}
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		d.t.Errorf("%v in %q", err, body)
	}
	d.got = append(d.got, m)
}

// identified checks who posts, as push services do (RFC 8292 §3): by a token that is signed with the key beside it, is for this origin, and ends within a day.
func (d *device) identified(field string) {
	rest, ok := strings.CutPrefix(field, "vapid t=")
	token, key, both := strings.Cut(rest, ", k=")
	parts := strings.Split(token, ".")
	if !ok || !both || len(parts) != 3 {
		d.t.Errorf("Authorization: %s", field)
		return
	}
	var octets [4][]byte
	for i, part := range append(parts, key) {
		b, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			d.t.Errorf("%s: %v", part, err)
		}
		octets[i] = b
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), octets[3])
	if err != nil {
		d.t.Error(err)
		return
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if s := octets[2]; len(s) != 64 || !ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(s[:32]), new(big.Int).SetBytes(s[32:])) {
		d.t.Errorf("the signature of %s is not by %s", token, key)
	}
	var c claims
	if err := json.Unmarshal(octets[1], &c); err != nil || string(octets[0]) != `{"typ":"JWT","alg":"ES256"}` {
		d.t.Errorf("%s.%s: %v", octets[0], octets[1], err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.claims, d.by = c, key
}

// open decrypts, by the other half of RFC 8291 §3.
func (d *device) open(sealed []byte) []byte {
	salt, ours := sealed[:16], sealed[21:21+int(sealed[20])]
	from, err := ecdh.P256().NewPublicKey(ours)
	if err != nil {
		d.t.Error(err)
		return nil
	}
	shared, err := d.key.ECDH(from)
	if err != nil {
		d.t.Error(err)
	}
	derive := func(secret, salt []byte, info string, n int) []byte {
		out, err := hkdf.Key(sha256.New, secret, salt, info, n)
		if err != nil {
			d.t.Error(err)
		}
		return out
	}
	material := derive(shared, d.auth, "WebPush: info\x00"+string(d.key.PublicKey().Bytes())+string(ours), 32)
	block, err := aes.NewCipher(derive(material, salt, "Content-Encoding: aes128gcm\x00", 16))
	if err != nil {
		d.t.Error(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		d.t.Error(err)
	}
	out, err := gcm.Open(nil, derive(material, salt, "Content-Encoding: nonce\x00", 12), sealed[21+len(ours):], nil)
	if err != nil || len(out) == 0 || out[len(out)-1] != 2 {
		d.t.Errorf("what was posted cannot be read: %v", err)
		return nil
	}
	return out[:len(out)-1]
}

// posted are what the device was told since it was asked last.
func (d *device) posted() []map[string]any {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := d.got
	d.got = nil
	return out
}

func (d *device) answers(status int, after string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status, d.after, d.n = status, after, 0
}

func (d *device) requests() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n
}

// world is a room with the accounts you and eve.
type world struct {
	t      *testing.T
	r      *Room
	boxes  *mailboxes.Store
	users  *accounts.Store
	device *device
	now    time.Time
	states map[string]string
	as     string // the password with which one is logged in
}

func newWorld(t *testing.T, db *store.Store) *world {
	t.Helper()
	w := &world{t: t, users: &accounts.Store{DB: db}, device: newDevice(t), now: time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC), states: map[string]string{"Email": "1", "Mailbox": "1"}, as: "correct horse battery"}
	clock := func() time.Time { return w.now }
	for _, name := range []string{"you", "eve"} {
		if err := w.users.AddAccount(t.Context(), name, w.as); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.users.AddAppPassword(t.Context(), account.AppPassword{Account: "you", Name: "phone", Protocols: []account.Protocol{account.JMAP}}, "of-the-phone"); err != nil {
		t.Fatal(err)
	}
	w.boxes = &mailboxes.Store{DB: db, Now: clock}
	roots := x509.NewCertPool()
	roots.AddCert(w.device.srv.Certificate())
	inside, none := dns.Answer[netip.Addr]{Records: []netip.Addr{netip.MustParseAddr("192.168.1.1")}}, dns.Answer[netip.Addr]{}
	names := &dnstest.Resolver{T: t, Replies: map[string]any{"A inside.test": inside, "AAAA inside.test": none}}
	w.r = &Room{DB: db, DNS: names, Accounts: w.users, States: func(context.Context, string) (map[string]string, error) { return w.states, nil },
		Contact: "mailto:postmaster@example.test", AllowPrivate: true, Roots: roots, Now: clock, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Guard: &guard.Guard{}}
	return w
}

// call makes a method call.
func (w *world) call(method, args string) map[string]any {
	w.t.Helper()
	out, fault := w.try(method, args)
	if fault != nil {
		w.t.Fatalf("%s %s: %v", method, args, fault)
	}
	return out
}

func (w *world) try(method, args string) (map[string]any, *jmap.Error) {
	w.t.Helper()
	var a call.Args
	if err := json.Unmarshal([]byte(args), &a); err != nil {
		w.t.Fatalf("%s: %v", args, err)
	}
	c := &call.Call{Ctx: w.t.Context(), Name: "you", ID: call.AccountID("you"), Created: map[jmap.ID]jmap.ID{}, Limits: call.Limits{ObjectsInGet: 10, ObjectsInSet: 100}, Log: w.r.Log,
		Credential: func() (string, error) {
			if w.as == "" {
				return "", nil
			}
			return w.r.Credential(w.t.Context(), "you", w.as)
		}}
	got, fault := w.r.Methods()[method](c, a)
	if fault != nil {
		return nil, fault
	}
	b, err := json.Marshal(got)
	if err != nil {
		w.t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		w.t.Fatal(err)
	}
	return out, nil
}

// create makes a subscription, and returns its id and its code.
func (w *world) create(more string) (id, code string) {
	w.t.Helper()
	got := w.call("PushSubscription/set", `{"create": {"a": {"deviceClientId": "d", "url": "`+w.device.srv.URL+`/push"`+more+`}}}`)
	made, ok := got["created"].(map[string]any)
	if !ok {
		w.t.Fatalf("%v", got)
	}
	id = made["a"].(map[string]any)["id"].(string)
	w.step()
	posted := w.device.posted()
	if len(posted) != 1 || posted[0]["@type"] != "PushVerification" || posted[0]["pushSubscriptionId"] != id {
		w.t.Fatalf("posted: %v", posted)
	}
	return id, posted[0]["verificationCode"].(string)
}

func (w *world) step() {
	w.t.Helper()
	if err := w.r.Step(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// mail changes something.
func (w *world) mail() {
	w.t.Helper()
	if _, _, err := w.boxes.Append(w.t.Context(), "you", "INBOX", []mailboxes.Appended{{Date: w.now, Content: delivery.Bytes("Subject: x\r\n\r\nx\r\n")}}); err != nil {
		w.t.Fatal(err)
	}
	w.states = map[string]string{"Email": w.states["Email"] + "1", "Mailbox": "1", "Other": "1"}
}

func (w *world) verify(id, code string) {
	w.t.Helper()
	if got := w.call("PushSubscription/set", `{"update": {"`+id+`": {"verificationCode": "`+code+`"}}}`); got["updated"] == nil {
		w.t.Fatalf("%v", got)
	}
}

// JMP-1, RFC 8620 §7.2: an address is told nothing but its code until the code comes back, then what has changed, once each, of the types that
// are wanted, encrypted; and nothing any more once the subscription is destroyed.
func TestPush(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db)
		keys := fmt.Sprintf(`, "keys": {"p256dh": %q, "auth": %q}, "types": ["Email"]`, base64.RawURLEncoding.EncodeToString(w.device.key.PublicKey().Bytes()), base64.RawURLEncoding.EncodeToString(w.device.auth))
		id, code := w.create(keys)
		public, err := w.r.PublicKey(t.Context())
		if c := w.device.claims; err != nil || w.device.by != public || c.Audience != w.device.srv.URL || c.Subject != "mailto:postmaster@example.test" || c.Expires != w.now.Add(tokenTime).Unix() {
			t.Errorf("posted by %s, not %s, with %+v, %v", w.device.by, public, c, err)
		}
		again := &Room{DB: db, Now: w.r.Now}
		if key, err := again.PublicKey(t.Context()); key != public || err != nil {
			t.Errorf("another machine has the key %s, %v", key, err)
		}
		w.mail()
		w.now = w.now.Add(time.Minute)
		w.step()
		if got := w.device.posted(); len(got) != 0 {
			t.Errorf("before it is verified: %v", got)
		}
		got := w.call("PushSubscription/set", `{"update": {"`+id+`": {"verificationCode": "`+code+`x"}}}`)
		if e := got["notUpdated"].(map[string]any)[id].(map[string]any); e["type"] != "invalidProperties" {
			t.Errorf("a wrong code: %v", got)
		}
		shown := w.call("PushSubscription/get", `{"ids": null}`)["list"].([]any)[0].(map[string]any)
		if shown["verificationCode"] != nil || shown["url"] != nil || shown["keys"] != nil || shown["deviceClientId"] != "d" {
			t.Errorf("shown: %v", shown)
		}
		w.verify(id, code)
		w.step()
		if got := w.device.posted(); len(got) != 0 {
			t.Errorf("what has not changed since: %v", got)
		}
		w.mail()
		w.step()
		posted := w.device.posted()
		if b, err := json.Marshal(posted); err != nil || string(b) != `[{"@type":"StateChange","changed":{"`+string(call.AccountID("you"))+`":{"Email":"111"}}}]` {
			t.Errorf("posted: %s, %v", b, err)
		}
		w.now = w.now.Add(time.Minute)
		w.step()
		if got := w.device.posted(); len(got) != 0 {
			t.Errorf("a second time: %v", got)
		}
		// What is no mail, and has no modseq.
		w.states = map[string]string{"Email": "x"}
		for range 2 {
			if err := db.Write(t.Context(), func(tx *store.Tx) error { return w.r.Touch(tx, "you") }); err != nil {
				t.Fatal(err)
			}
		}
		w.step()
		if got := w.device.posted(); len(got) != 1 {
			t.Errorf("what was touched: %v", got)
		}
		if got := w.call("PushSubscription/set", `{"destroy": ["`+id+`", "Pnone"]}`); fmt.Sprint(got["destroyed"]) != "["+id+"]" || got["notDestroyed"] == nil {
			t.Errorf("destroyed: %v", got)
		}
		w.mail()
		w.now = w.now.Add(time.Minute)
		w.step()
		if got := w.device.posted(); len(got) != 0 {
			t.Errorf("after it was destroyed: %v", got)
		}
	})
}

// RFC 8620 §7.2: an address that fails is left alone for longer and longer, and told all that has changed at once; one that asks for time gets it; one
// that has gone is removed.
func TestFailures(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db)
		id, code := w.create("")
		w.verify(id, code)
		w.device.answers(http.StatusTooManyRequests, "120")
		w.mail()
		w.step()
		for range 11 {
			w.now = w.now.Add(10 * time.Second)
			w.mail()
			w.step()
		}
		if n := w.device.requests(); n != 1 {
			t.Errorf("%d posts in two minutes of 429", n)
		}
		w.device.answers(http.StatusCreated, "")
		w.now = w.now.Add(20 * time.Second)
		w.step()
		if got := w.device.posted(); len(got) != 1 {
			t.Errorf("afterwards: %v", got)
		}
		w.device.answers(http.StatusGone, "")
		w.mail()
		w.now = w.now.Add(time.Minute)
		w.step()
		if got := w.call("PushSubscription/get", `{"ids": ["`+id+`"]}`); len(got["list"].([]any)) != 0 {
			t.Errorf("after 410: %v", got)
		}
	})
}

// RFC 9749 §6, RFC 8620 §8.6: a code that its address has refused is not posted again.
func TestVerificationRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.device.answers(http.StatusForbidden, "")
	w.call("PushSubscription/set", `{"create": {"a": {"deviceClientId": "d", "url": "`+w.device.srv.URL+`/push"}}}`)
	for range 4 {
		w.step()
		w.now = w.now.Add(time.Hour)
	}
	if n := w.device.requests(); n != 1 {
		t.Errorf("%d posts to an address that refuses them", n)
	}
	if got := w.call("PushSubscription/get", `{"ids": null}`); len(got["list"].([]any)) != 0 {
		t.Errorf("it is there still: %v", got)
	}
}

// RFC 6454 §6.2: for whom a token is.
func TestOrigin(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{"https://Push.Example/a?b": "https://push.example", "https://push.example:443/": "https://push.example", "https://push.example:8443/x": "https://push.example:8443", "https://[::1]:443/": "https://[::1]"} {
		if got := originOf(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

// Every way in which a post can end, and what follows.
func TestDecide(t *testing.T) {
	t.Parallel()
	now := time.Unix(1.7e9, 0)
	for status := range 600 {
		for _, verified := range []bool{false, true} {
			for failures := range 8 {
				for _, since := range []time.Duration{0, time.Hour, giveUp} {
					s := standing{verified: verified, failures: failures}
					if failures > 0 {
						s.failing = now.Add(-since)
					}
					r := decide(answer{status: status, after: time.Duration(status) * time.Minute}, s, now)
					gone := status == 404 || status == 410
					switch {
					case r.took != (status/100 == 2):
						t.Fatalf("%d: took %v", status, r.took)
					case r.took && (r.remove || r.failures != 0 || !r.failing.IsZero()):
						t.Fatalf("%d: %+v", status, r)
					case !r.took && r.failures != failures+1:
						t.Fatalf("%d: %d failures after %d", status, r.failures, failures)
					case gone && !r.remove:
						t.Fatalf("%d is not removed", status)
					case !r.took && !gone && verified && r.remove != (failures > 0 && since >= giveUp):
						t.Fatalf("%d verified, %d failures, since %s: removed %v", status, failures, since, r.remove)
					case !r.took && !gone && !verified && r.remove != (failures+1 >= maxTries || status/100 == 4 && status != 408 && status != 429):
						t.Fatalf("%d, %d failures: removed %v", status, failures, r.remove)
					case r.due.Before(now.Add(pace)), r.due.After(now.Add(longestGap)):
						t.Fatalf("%d: due in %s", status, r.due.Sub(now))
					}
				}
			}
		}
	}
	if r := decide(answer{barred: true}, standing{verified: true}, now); !r.remove {
		t.Error("an address that may not be dialled is kept")
	}
}

// RFC 8620 §7.2: a subscription is bound to the password that made it: no other sees it, and it goes with it; and to its time.
func TestCredentials(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db)
		ctx := t.Context()
		own := w.as
		id, code := w.create("")
		w.verify(id, code)
		w.as = "of-the-phone"
		phone, code := w.create(`, "expires": "2026-01-06T00:00:00Z"`)
		w.verify(phone, code)
		if got := w.call("PushSubscription/get", `{}`)["list"].([]any); len(got) != 1 || got[0].(map[string]any)["id"] != phone || got[0].(map[string]any)["expires"] != "2026-01-06T00:00:00Z" {
			t.Errorf("the phone sees %v", got)
		}
		if got := w.call("PushSubscription/set", `{"destroy": ["`+id+`"]}`); got["destroyed"] != nil {
			t.Errorf("the phone destroys another's: %v", got)
		}
		w.as = ""
		for _, method := range []string{"get", "set"} {
			if _, fault := w.try("PushSubscription/"+method, `{}`); fault == nil || fault.Type != "forbidden" {
				t.Errorf("without a password, %s: %v", method, fault)
			}
		}
		if err := w.users.SetPassword(ctx, "you", "another horse battery"); err != nil {
			t.Fatal(err)
		}
		w.mail()
		w.step()
		if got := w.device.posted(); len(got) != 1 {
			t.Errorf("after the password was changed %d were told", len(got))
		}
		w.as = own
		if err := w.users.RemoveAppPassword(ctx, "you", "phone"); err != nil {
			t.Fatal(err)
		}
		if err := w.r.Tidy(ctx); err != nil {
			t.Fatal(err)
		}
		n, err := store.Read(ctx, db, func(tx *store.Tx) (n int, err error) {
			return n, tx.Row(`SELECT count(*) FROM jmap_push`).Scan(&n)
		})
		if err != nil || n != 0 {
			t.Errorf("%d subscriptions are left, %v", n, err)
		}
		short := account.AppPassword{Account: "you", Name: "guest", Protocols: []account.Protocol{account.JMAP}, Expires: time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)}
		w.now = short.Expires.Add(-time.Hour)
		if err := w.users.AddAppPassword(ctx, short, "of-the-guest"); err != nil {
			t.Fatal(err)
		}
		w.as = "of-the-guest"
		id, code = w.create("")
		w.verify(id, code)
		w.now = w.now.Add(2 * time.Hour)
		w.mail()
		w.step()
		if got := w.device.posted(); len(got) != 0 {
			t.Errorf("after the end of its password: %v", got)
		}
		w.as = "another horse battery"
		id, code = w.create("")
		w.verify(id, code)
		w.now = w.now.Add(longest + time.Second)
		w.mail()
		w.step()
		if got := w.device.posted(); len(got) != 0 || len(w.call("PushSubscription/get", `{}`)["list"].([]any)) != 0 {
			t.Errorf("after its end: %v", got)
		}
	})
}

// RFC 8620 §7.2, §8.6: what cannot be asked for, and bounds.
func TestRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	for text, want := range map[string]string{
		`{"deviceClientId": "d", "url": "http://push.test/"}`:                                                         "url",
		`{"deviceClientId": "d", "url": "HTTPS://push.test/"}`:                                                        "url",
		`{"deviceClientId": "d", "url": "https:///x"}`:                                                                "url",
		`{"deviceClientId": "d", "url": "https://u:p@push.test/"}`:                                                    "url",
		`{"deviceClientId": "d", "url": "https://push.test:25/"}`:                                                     "url",
		`{"deviceClientId": "d", "url": "https://push.test/` + strings.Repeat("x", maxURL) + `"}`:                     "url",
		`{"deviceClientId": "", "url": "https://push.test/"}`:                                                         "deviceClientId",
		`{"url": "https://push.test/"}`:                                                                               "deviceClientId",
		`{"deviceClientId": "d", "url": "https://push.test/", "verificationCode": "x"}`:                               "verificationCode",
		`{"deviceClientId": "d", "url": "https://push.test/", "expires": "2020-01-01T00:00:00Z"}`:                     "expires",
		`{"deviceClientId": "d", "url": "https://push.test/", "keys": {"p256dh": "AAAA", "auth": "AAAA"}}`:            "keys",
		`{"deviceClientId": "d", "url": "https://push.test/", "types": ["` + strings.Repeat("x", maxDevice+1) + `"]}`: "types",
		`{"deviceClientId": "d", "url": "https://push.test/", "more": 1}`:                                             "",
	} {
		got := w.call("PushSubscription/set", `{"create": {"a": `+text+`}}`)
		e := got["notCreated"].(map[string]any)["a"].(map[string]any)
		if e["type"] != "invalidProperties" || want != "" && fmt.Sprint(e["properties"]) != "["+want+"]" {
			t.Errorf("%.100s: %v", text, got)
		}
	}
	for args, want := range map[string]string{`{"properties": ["url"]}`: "forbidden", `{"properties": ["keys", "id"]}`: "forbidden", `{"properties": ["x"]}`: "invalidArguments", `{"accountId": "x"}`: "invalidArguments"} {
		if _, fault := w.try("PushSubscription/get", args); fault == nil || fault.Type != want {
			t.Errorf("get %s: %v", args, fault)
		}
	}
	if _, fault := w.try("PushSubscription/set", `{"ifInState": "x"}`); fault == nil || fault.Type != "invalidArguments" {
		t.Errorf("set: %v", fault)
	}
	kinds := map[string]int{}
	for range maxCreations + 5 {
		got := w.call("PushSubscription/set", `{"create": {"a": {"deviceClientId": "d", "url": "https://push.test/"}}}`)
		if no, ok := got["notCreated"].(map[string]any); ok {
			kinds[no["a"].(map[string]any)["type"].(string)]++
		} else {
			kinds["created"]++
		}
	}
	if kinds["created"] != maxSubscriptions || kinds["overQuota"] != maxCreations-maxSubscriptions || kinds["rateLimit"] != 5 {
		t.Errorf("%v", kinds)
	}
}

// DST-4: no name that a client gives leads into the operator's own network, and such a subscription is removed.
func TestPrivate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.r.AllowPrivate = false
	w.r.Dial = func(context.Context, string, string) (net.Conn, error) {
		t.Error("a private address was dialled")
		return nil, io.ErrUnexpectedEOF
	}
	for _, host := range []string{"127.0.0.1", "[::1]", "169.254.169.254", "10.0.0.1", "inside.test"} {
		w.call("PushSubscription/set", `{"create": {"a": {"deviceClientId": "d", "url": "https://`+host+`/"}}}`)
	}
	w.step()
	if got := w.call("PushSubscription/get", `{}`)["list"].([]any); len(got) != 0 {
		t.Errorf("%d are kept", len(got))
	}
}

// A panic of one account's turn ends no other's: guard.Push contains it.
func TestPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	id, code := w.create("")
	w.verify(id, code)
	w.mail()
	var areas []guard.Area
	w.r.Guard = &guard.Guard{Log: w.r.Log, Count: func(a guard.Area) { areas = append(areas, a) }}
	w.r.States = func(context.Context, string) (map[string]string, error) { panic("no states") }
	w.step()
	if len(areas) != 1 || areas[0] != guard.Push {
		t.Errorf("panics: %v", areas)
	}
}
