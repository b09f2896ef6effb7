package api_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"waxwing/dns"
	"waxwing/internal/apikeys"
	"waxwing/internal/certs"
	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/server"
	"waxwing/internal/store/storetest"
	"waxwing/internal/web/api"
	"waxwing/milter/miltertest"
)

// described is the description as a program of others reads it.
var described = sync.OnceValues(func() (validator.Validator, error) {
	text, err := api.JSON("test")
	if err != nil {
		return nil, err
	}
	doc, err := libopenapi.NewDocument(text)
	if err != nil {
		return nil, err
	}
	v, errs := validator.NewValidator(doc)
	if len(errs) > 0 {
		return nil, errs[0]
	}
	return v, nil
})

// OPS-8: the description is OpenAPI 3.1 as a validator of others knows it.
func TestDocumentIsValid(t *testing.T) {
	t.Parallel()
	v, err := described()
	if err != nil {
		t.Fatal(err)
	}
	if ok, errs := v.ValidateDocument(); !ok {
		for _, e := range errs {
			t.Errorf("%s: %s %v", e.Message, e.Reason, e.SchemaValidationErrors)
		}
	}
}

// world is a running server with an API, and its accounts you and eve.
type world struct {
	t      *testing.T
	s      *server.Server
	client *http.Client
	url    string
	key    string          // that requests carry
	called map[string]bool // operations, as "METHOD path"
}

func start(t *testing.T, change func(*config.Config)) *world {
	t.Helper()
	text := "hostname = \"mail.example.test\"\n[[listen]]\naddress = \"127.0.0.1:0\"\nkind = \"https\"\n" +
		"[tls]\nlocal_ca = true\n[resolver]\nservers = [\"127.0.0.1:9\"]\nselftest = { signed = \"\", bogus = \"\", large = \"\" }\n[api]\nenabled = true\n"
	cfg, err := config.Parse(filepath.Join(t.TempDir(), "waxwing.toml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Limits.MaxMessageSize = 1 << 20
	if change != nil {
		change(cfg)
	}
	var files certs.LocalFiles
	files.Cert, files.Key, files.CA = cfg.TLSFiles()
	if err := certs.MakeLocal(files, time.Now(), "mail.example.test"); err != nil {
		t.Fatal(err)
	}
	if cfg.Postgres == "" {
		if err := storetest.Lay(datadir.StoreFiles(cfg)[0]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := datadir.InitStore(t.Context(), cfg, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s, err := server.New(ctx, server.Options{Config: cfg})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, s: s, url: "https://" + s.Addr(config.HTTPS).String(), called: map[string]bool{},
		client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}}
	for _, err := range []error{s.Accounts.AddDomain(ctx, dns.MustParse("example.test")), s.Accounts.AddDomain(ctx, dns.MustParse("other.test")),
		s.Accounts.AddAccount(ctx, "you", "a-good-password"), s.Accounts.AddAccount(ctx, "eve", "another-password"), s.Accounts.AddAddress(ctx, "you@example.test", "you"),
		s.Accounts.AddAddress(ctx, "you@other.test", "you"), s.Accounts.AddAddress(ctx, "eve@example.test", "eve")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	w.key = w.newKey(apikeys.Key{Account: "you", Rights: apikeys.All()})
	return w
}

func (w *world) newKey(k apikeys.Key) string {
	w.t.Helper()
	_, token, err := w.s.APIKeys.Add(w.t.Context(), k)
	if err != nil {
		w.t.Fatal(err)
	}
	return token.Text()
}

// answered is an answer that was held against the description.
type answered struct {
	status int
	header http.Header
	body   []byte
}

// do makes a request, and holds it and its answer against the description.
func (w *world) do(method, path, body string, header ...string) answered {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if body == "" {
		req.Body, req.ContentLength = http.NoBody, 0
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	if w.key != "" {
		req.Header.Set("Authorization", "Bearer "+w.key)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	a := answered{resp.StatusCode, resp.Header, b}
	w.hold(req, resp, a)
	return a
}

// hold holds an answer against the description.
func (w *world) hold(req *http.Request, resp *http.Response, a answered) {
	w.t.Helper()
	v, err := described()
	if err != nil {
		w.t.Fatal(err)
	}
	if a.status == http.StatusMethodNotAllowed || !strings.HasPrefix(req.URL.Path, "/api/v1/") && req.URL.Path != api.DocumentPath {
		return // of what is not described
	}
	resp.Body = io.NopCloser(bytes.NewReader(a.body))
	if ok, errs := v.ValidateHttpResponse(req, resp); !ok {
		for _, e := range errs {
			w.t.Errorf("%s %s, %d: the answer is not as described: %s: %s %v\n%s", req.Method, req.URL, a.status, e.Message, e.Reason, e.SchemaValidationErrors, a.body)
		}
	}
	if a.status < 300 {
		path := req.URL.Path
		for _, prefix := range []string{"/api/v1/messages/", "/api/v1/mail/", "/api/v1/suppressions/"} {
			if rest, ok := strings.CutPrefix(path, prefix); ok {
				_, tail, _ := strings.Cut(rest, "/")
				path = prefix + "*" + tail
			}
		}
		w.called[req.Method+" "+path] = true
	}
}

// into reads an answer that has a status.
func (w *world) into(a answered, status int, v any) {
	w.t.Helper()
	if a.status != status {
		w.t.Fatalf("answered %d %s, want %d", a.status, a.body, status)
	}
	if v != nil {
		if err := json.Unmarshal(a.body, v); err != nil {
			w.t.Fatalf("%s: %v", a.body, err)
		}
	}
}

// problem is an answer that refuses.
func (w *world) problem(a answered, status int, kind, detail string) api.Problem {
	w.t.Helper()
	var p api.Problem
	w.into(a, status, &p)
	if p.Type != "urn:waxwing:problem:"+kind || p.Status != status || !strings.Contains(p.Detail, detail) || a.header.Get("Content-Type") != "application/problem+json" {
		w.t.Errorf("%s, want %s with %q", a.body, kind, detail)
	}
	return p
}

const letter = `{"from":"You <you@example.test>","to":["eve@example.test"],"subject":"Grüße","text":"hello\nthere"}`

// eventually waits for something.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("%s: waited 20 seconds", what)
		}
	}
}

// OPS-8: every operation, on both engines: a message is sent, its state told, it is read
// where it arrived; suppressed recipients are listed and lifted. All answers are as described.
func TestEveryOperation(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := start(t, func(c *config.Config) {
				if engine == "postgres" {
					c.Postgres = storetest.Postgres(t)
				}
			})
			var sent api.Sent
			w.into(w.do("POST", api.MessagesPath, letter), 202, &sent)
			if sent.Recipients != 1 || sent.Repeated {
				t.Errorf("%+v", sent)
			}
			w.state(sent.ID.String(), "delivered")
			w.into(w.do("POST", api.MessagesPath+"?to=far@far.test&tls=require-tls&notify=never&hold_for=3600", "From: you@example.test\n\nraw\n", "Content-Type", "message/rfc822"), 202, &sent)
			raw := w.state(sent.ID.String(), "waiting")
			if raw.Need != "require-tls" || raw.Account != "you" || !strings.HasPrefix(raw.Peer, "api-key-") {
				t.Errorf("%+v", raw)
			}
			var list api.Messages
			w.into(w.do("GET", api.MessagesPath+"?limit=1", ""), 200, &list)
			if len(list.Messages) != 1 || list.Messages[0].ID != sent.ID || list.Messages[0].Waiting != 1 || list.Next == "" {
				t.Errorf("%+v", list)
			}
			w.into(w.do("GET", api.MessagesPath+"?limit=1&before="+list.Next, ""), 200, &list)
			if len(list.Messages) != 1 || list.Messages[0].ID == sent.ID || list.Messages[0].Waiting != 0 {
				t.Errorf("%+v", list)
			}
			w.suppressions()
			w.mail()
			var k apikeys.Key
			if w.into(w.do("GET", "/api/v1/key", ""), 200, &k); k.Account != "you" || k.Rights.String() != "send read suppressions mail" {
				t.Errorf("%+v", k)
			}
			w.into(w.do("GET", api.DocumentPath, ""), 200, nil)
			if len(w.called) != len(api.Document("").Paths)+1 { // POST and GET of messages share a path
				t.Errorf("called %d operations: %v", len(w.called), w.called)
			}
		})
	}
}

// travel is what is looked at of a message's life.
type travel struct {
	Need, Account, Peer string
	Recipients          []struct{ State string }
}

// state waits until a message's one recipient is in a state.
func (w *world) state(id, state string) (t travel) {
	w.t.Helper()
	w.eventually("state "+state, func() bool {
		w.into(w.do("GET", api.MessagesPath+"/"+id, ""), 200, &t)
		return len(t.Recipients) == 1 && t.Recipients[0].State == state
	})
	return t
}

func (w *world) suppressions() {
	w.t.Helper()
	for _, a := range []string{"a@far.test", "b@far.test"} {
		if err := w.s.Suppression.Add(w.t.Context(), "you", a, "asked", time.Time{}); err != nil {
			w.t.Fatal(err)
		}
	}
	var list api.Suppressions
	w.into(w.do("GET", "/api/v1/suppressions?limit=1", ""), 200, &list)
	if len(list.Suppressions) != 1 || list.Suppressions[0].Address != "a@far.test" || list.Next != "a@far.test" {
		w.t.Errorf("%+v", list)
	}
	w.into(w.do("DELETE", "/api/v1/suppressions/a@far.test", ""), 204, nil)
	w.problem(w.do("DELETE", "/api/v1/suppressions/a@far.test", ""), 404, "not-found", "a@far.test")
	w.into(w.do("GET", "/api/v1/suppressions?after=a@far.test", ""), 200, &list)
	if len(list.Suppressions) != 1 || list.Suppressions[0].Address != "b@far.test" {
		w.t.Errorf("%+v", list)
	}
}

// mail reads eve's, with a key of hers; yours does not show it.
func (w *world) mail() {
	w.t.Helper()
	yours := w.key
	w.key = w.newKey(apikeys.Key{Account: "eve", Rights: apikeys.Rights{apikeys.Mail}})
	var list api.Mail
	w.into(w.do("GET", "/api/v1/mail", ""), 200, &list)
	if len(list.Mail) != 1 || list.Mail[0].Recipient != "eve@example.test" {
		w.t.Fatalf("%+v", list)
	}
	id := list.Mail[0].ID.String()
	var m api.MailHeader
	w.into(w.do("GET", "/api/v1/mail/"+id, ""), 200, &m)
	if !strings.Contains(fmt.Sprint(m.Header), "{Subject =?utf-8?q?Gr=C3=BC=C3=9Fe?=}") || m.ID.String() != id {
		w.t.Errorf("%+v", m)
	}
	raw := w.do("GET", "/api/v1/mail/"+id+"/raw", "")
	if raw.status != 200 || !bytes.Contains(raw.body, []byte("\r\n\r\nhello\r\nthere\r\n")) || raw.header.Get("Content-Type") != "message/rfc822" {
		w.t.Errorf("%d %s", raw.status, raw.body)
	}
	w.key = yours
	w.problem(w.do("GET", "/api/v1/mail/"+id, ""), 404, "not-found", "")
	w.problem(w.do("GET", "/api/v1/mail/"+id+"/raw", ""), 404, "not-found", "")
}

// OPS-8: without a key nothing but the description is to be had; a key does what its rights
// say, and what it lacks is named.
func TestKeysAndRights(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	good := w.key
	w.key = ""
	a := w.do("GET", api.MessagesPath, "")
	w.problem(a, 401, "key-missing", "waxwing api key add")
	if a.header.Get("WWW-Authenticate") == "" {
		t.Error("no WWW-Authenticate")
	}
	w.into(w.do("GET", api.DocumentPath, ""), 200, nil)
	w.key = good[:len(good)-4] + "aaaa"
	w.problem(w.do("GET", api.MessagesPath, ""), 401, "key-refused", "no API key")
	w.key = w.newKey(apikeys.Key{Account: "you", Rights: apikeys.Rights{apikeys.Read}})
	for _, r := range []struct{ method, path, body, right string }{
		{"POST", api.MessagesPath, letter, "send"}, {"DELETE", "/api/v1/suppressions/a@far.test", "", "suppressions"}, {"GET", "/api/v1/mail", "", "mail"},
	} {
		if p := w.problem(w.do(r.method, r.path, r.body), 403, "missing-right", "--right "+r.right); p.Right != r.right {
			t.Errorf("%+v", p)
		}
	}
	w.into(w.do("GET", api.MessagesPath, ""), 200, nil)
	if err := w.s.Accounts.SetDisabled(t.Context(), "you", true); err != nil {
		t.Fatal(err)
	}
	w.problem(w.do("GET", api.MessagesPath, ""), 401, "key-refused", "")
}

// OPS-8, INB-3: whoever guesses keys is told to wait, key or not.
func TestGuesses(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *config.Config) { c.Limits.FailedLogins = 2 })
	w.key = "wxk_nonsense"
	w.problem(w.do("GET", api.MessagesPath, ""), 401, "key-refused", "")
	w.problem(w.do("GET", api.MessagesPath, ""), 401, "key-refused", "")
	a := w.do("GET", api.MessagesPath, "")
	w.problem(a, 429, "too-many-requests", "too many failed logins")
	if a.header.Get("Retry-After") != "900" {
		t.Errorf("%v", a.header)
	}
}

// OPS-8: one idempotency key is one message, however often and at how many places it is sent.
func TestIdempotency(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	ids := make(chan string, 8)
	var all sync.WaitGroup
	for range cap(ids) {
		all.Go(func() {
			req, _ := http.NewRequestWithContext(t.Context(), "POST", w.url+api.MessagesPath, strings.NewReader(letter))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+w.key)
			req.Header.Set("Idempotency-Key", "order 1")
			resp, err := w.client.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			var s api.Sent
			if err := json.NewDecoder(resp.Body).Decode(&s); err != nil || resp.StatusCode != 202 {
				t.Errorf("%d, %v", resp.StatusCode, err)
			}
			ids <- s.ID.String()
		})
	}
	all.Wait()
	close(ids)
	first := <-ids
	for id := range ids {
		if id != first {
			t.Errorf("one request became %s and %s", first, id)
		}
	}
	var again api.Sent
	w.into(w.do("POST", api.MessagesPath, letter, "Idempotency-Key", "order 1"), 202, &again)
	if !again.Repeated || again.ID.String() != first {
		t.Errorf("%+v", again)
	}
	w.problem(w.do("POST", api.MessagesPath, strings.Replace(letter, "hello", "bye", 1), "Idempotency-Key", "order 1"), 422, "idempotency-key-reused", "new one")
	var list api.Messages
	w.into(w.do("GET", api.MessagesPath, ""), 200, &list)
	if len(list.Messages) != 1 {
		t.Errorf("%d messages were sent", len(list.Messages))
	}
}

// OPS-8: what the door or the form refuses is told with its cause, and nothing is sent.
func TestSendRefuses(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *config.Config) { c.Limits.MaxRecipients, c.Limits.MessagesPerDay = 2, 1 })
	edit := func(old, new string) string {
		out := strings.Replace(letter, old, new, 1)
		if out == letter {
			t.Fatalf("%q is not in the letter", old)
		}
		return out
	}
	with := func(fields string) string { return edit(`"text"`, fields+`,"text"`) }
	for name, r := range map[string]struct {
		body         string
		status       int
		kind, detail string
	}{
		"another's sender":  {edit("you@example.test", "eve@example.test"), 403, "sender-not-allowed", "not one of your account's"},
		"another's From":    {edit("You <you@example.test>", "eve@example.test") + " ", 403, "sender-not-allowed", ""},
		"another envelope":  {with(`"sender":"eve@example.test"`), 403, "sender-not-allowed", ""},
		"no such recipient": {edit(`["eve@`, `["far@far.test","nobody@`), 422, "message-refused", "recipients were refused"},
		"no recipient":      {edit(`["eve@example.test"]`, `[]`), 400, "invalid-request", "no recipient"},
		"three recipients":  {edit(`["eve@`, `["a@far.test","b@far.test","eve@`), 400, "invalid-request", "2 are allowed"},
		"no address":        {edit(`eve@example.test`, `eve at home`), 400, "invalid-request", "recipient"},
		"no JSON":           {"hello", 400, "invalid-request", "invalid character"},
		"unknown field":     {with(`"txet":""`), 400, "invalid-request", "txet"},
		"two messages":      {letter + letter, 400, "invalid-request", "follows"},
		"header injection":  {with(`"headers":[{"name":"X-A","value":"a\r\nBcc: b@far.test"}]`), 400, "invalid-request", "more than one line"},
		"a field of ours":   {with(`"headers":[{"name":"received","value":"x"}]`), 400, "invalid-request", "made by the server"},
		"TLS":               {with(`"tls":"none"`), 400, "invalid-request", "tls:"},
		"hold":              {with(`"hold_for":99999999`), 400, "invalid-request", "hold_for"},
		"notify":            {with(`"notify":["never","delay"]`), 400, "invalid-request", "stands alone"},
		"large":             {edit("hello", strings.Repeat("x", 1<<20)), 413, "too-large", "1048576 are taken"},
		"very large":        {edit("hello", strings.Repeat("x", 3<<20)), 413, "too-large", "are taken"},
	} {
		p := w.problem(w.do("POST", api.MessagesPath, r.body), r.status, r.kind, r.detail)
		if name == "no such recipient" && (len(p.Recipients) != 1 || p.Recipients[0].Address != "nobody@example.test" || p.Recipients[0].SMTP.Enhanced != "5.1.1") {
			t.Errorf("%s: %+v", name, p)
		}
	}
	w.problem(w.do("POST", api.MessagesPath, "From: you@example.test\nTo: eve@example.test\n\nx", "Content-Type", "text/plain"), 415, "unsupported-media-type", "message/rfc822")
	w.problem(w.do("POST", api.MessagesPath, letter, "Idempotency-Key", strings.Repeat("x", 256)), 400, "invalid-request", "Idempotency-Key")
	w.problem(w.do("GET", api.MessagesPath+"/1", ""), 404, "not-found", "")
	w.problem(w.do("GET", api.MessagesPath+"/x_y", ""), 400, "invalid-request", "id")
	w.problem(w.do("GET", api.MessagesPath+"?limit=0", ""), 400, "invalid-request", "limit")
	w.problem(w.do("GET", "/api/v2", ""), 404, "not-found", api.DocumentPath)
	if a := w.do("PUT", api.MessagesPath, ""); a.status != 405 || a.header.Get("Allow") != "GET, POST" {
		t.Errorf("%d, Allow: %s", a.status, a.header.Get("Allow"))
	}
	whole := w.key
	w.key = w.newKey(apikeys.Key{Account: "you", Rights: apikeys.All(), Domain: "other.test"})
	w.problem(w.do("POST", api.MessagesPath, letter), 403, "sender-not-allowed", "")
	w.key = whole
	var list api.Messages
	if w.into(w.do("GET", api.MessagesPath, ""), 200, &list); len(list.Messages) != 0 {
		t.Errorf("%d messages were sent", len(list.Messages))
	}
	w.into(w.do("POST", api.MessagesPath, letter), 202, nil)
	a := w.do("POST", api.MessagesPath, letter)
	if p := w.problem(a, 429, "too-many-requests", "messages today"); p.SMTP == nil || p.SMTP.Code != 450 || a.header.Get("Retry-After") == "" {
		t.Errorf("beyond the allowance: %+v, %v", p, a.header)
	}
}

// A state is its account's alone.
func TestStateOfOthers(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	var sent api.Sent
	w.into(w.do("POST", api.MessagesPath, letter), 202, &sent)
	w.key = w.newKey(apikeys.Key{Account: "eve", Rights: apikeys.All()})
	w.problem(w.do("GET", api.MessagesPath+"/"+sent.ID.String(), ""), 404, "not-found", "")
	var list api.Messages
	if w.into(w.do("GET", api.MessagesPath, ""), 200, &list); len(list.Messages) != 0 {
		t.Errorf("%+v", list)
	}
}

// Without api.enabled there is no API.
func TestSwitchedOff(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *config.Config) { c.API.Enabled = false })
	req, _ := http.NewRequestWithContext(t.Context(), "GET", w.url+api.DocumentPath, nil)
	resp, err := w.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 404 {
		t.Errorf("%s", resp.Status)
	}
}

// OPS-8: a message that a filter throws away was sent: it has an id, and its idempotency key is not taken anew.
func TestDiscarded(t *testing.T) {
	t.Parallel()
	f := miltertest.Serve(t, func(cmd byte, _ string) *miltertest.Answer {
		if cmd != 'E' {
			return nil
		}
		a := miltertest.Say(miltertest.Packet('d'))
		return &a
	})
	w := start(t, func(c *config.Config) {
		c.Milters = []config.Milter{{Name: "test", Address: f.Addr, For: []config.MailOf{config.OfAccounts}}}
	})
	var first, again api.Sent
	w.into(w.do("POST", api.MessagesPath, letter, "Idempotency-Key", "order 1"), 202, &first)
	w.into(w.do("POST", api.MessagesPath, letter, "Idempotency-Key", "order 1"), 202, &again)
	if first.ID == 0 || first.Repeated || again.ID != first.ID || !again.Repeated {
		t.Errorf("%+v, then %+v", first, again)
	}
	if w.into(w.do("POST", api.MessagesPath, letter), 202, &again); again.ID == 0 || again.ID == first.ID {
		t.Errorf("%+v", again)
	}
}
