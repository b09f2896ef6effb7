package jmapserver_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	peer "golang.org/x/net/websocket"

	"waxwing/internal/jmapserver"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/login"
	"waxwing/internal/store/storetest"
)

// socket opens a WebSocket as an account.
func (w *world) socket(account, origin string) (*peer.Conn, error) {
	conf, err := peer.NewConfig("wss"+strings.TrimPrefix(w.url, "https")+"/jmap/ws/", origin)
	if err != nil {
		w.t.Fatal(err)
	}
	conf.Protocol, conf.TlsConfig = []string{"jmap"}, &tls.Config{InsecureSkipVerify: true}
	conf.Header = http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(account+":"+account))}}
	c, err := peer.DialConfig(conf)
	if err == nil {
		w.t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	}
	return c, err
}

// said is the next message on a WebSocket.
func (w *world) said(c *peer.Conn) object {
	w.t.Helper()
	var text string
	var out object
	err := peer.Message.Receive(c, &text)
	if err == nil {
		err = json.Unmarshal([]byte(text), &out)
	}
	if err != nil {
		w.t.Fatalf("%q: %v", text, err)
	}
	return out
}

func (w *world) say(c *peer.Conn, format string, args ...any) {
	w.t.Helper()
	if err := peer.Message.Send(c, strings.ReplaceAll(fmt.Sprintf(format, args...), "ACCOUNT", string(jmapserver.AccountID("you")))); err != nil {
		w.t.Fatal(err)
	}
}

// JMP-1, RFC 8887: requests, their errors and push on one connection.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.s.Limits.SizeRequest = 4000
	c, err := w.socket("you", w.url)
	if err != nil {
		t.Fatal(err)
	}
	w.say(c, `{"@type": "Request", "id": "R1", "using": ["urn:ietf:params:jmap:core"], "methodCalls": [["Core/echo", {"hello": true}, "a"]]}`)
	got := w.said(c)
	if got["@type"] != "Response" || got["requestId"] != "R1" || text(got["methodResponses"]) != `[["Core/echo",{"hello":true},"a"]]` || got["sessionState"] == nil {
		t.Errorf("%v", got)
	}
	for _, bad := range []struct{ say, kind, id string }{
		{`The quick brown fox`, "urn:ietf:params:jmap:error:notJSON", ""},
		{`[]`, "urn:ietf:params:jmap:error:notRequest", ""},
		{`{"@type": "Reques", "id": "x"}`, "urn:ietf:params:jmap:error:notRequest", "x"},
		{`{"@type": "Request", "id": "y"}`, "urn:ietf:params:jmap:error:notRequest", "y"},
		{`{"@type": "Request", "id": "z", "using": ["urn:none"], "methodCalls": []}`, "urn:ietf:params:jmap:error:unknownCapability", "z"},
		{`{"@type": "Request", "x": "` + strings.Repeat("x", 4000) + `"}`, "urn:ietf:params:jmap:error:limit", ""},
	} {
		w.say(c, "%s", bad.say)
		got := w.said(c)
		if id, _ := got["requestId"].(string); got["@type"] != "RequestError" || got["type"] != bad.kind || id != bad.id || got["status"] != 400.0 {
			t.Errorf("%.80s: %v", bad.say, got)
		}
	}

	w.mail("INBOX", letter) // nobody has asked to be told
	w.say(c, `{"@type": "WebSocketPushEnable", "dataTypes": ["Mailbox", "Email"]}`)
	w.say(c, `{"@type": "Request", "using": ["urn:ietf:params:jmap:core"], "methodCalls": []}`)
	if got := w.said(c); got["@type"] != "Response" || got["requestId"] != nil {
		t.Errorf("before anything has changed: %v", got)
	}
	from := time.Now()
	w.mail("INBOX", letter)
	got = w.said(c)
	changed, _ := got["changed"].(object)[string(jmapserver.AccountID("you"))].(object)
	if got["@type"] != "StateChange" || len(changed) != 2 || changed["Email"] == nil || got["pushState"] == "" || time.Since(from) > time.Second {
		t.Errorf("%v after %s", got, time.Since(from))
	}
	state := got["pushState"].(string)
	w.say(c, `{"@type": "WebSocketPushDisable"}`)
	w.say(c, `{"@type": "Request", "id": "after", "using": ["urn:ietf:params:jmap:core"], "methodCalls": []}`)
	w.said(c)
	w.mail("INBOX", letter)
	w.say(c, `{"@type": "Request", "id": "R3", "using": ["urn:ietf:params:jmap:core"], "methodCalls": []}`)
	if got := w.said(c); got["requestId"] != "R3" {
		t.Errorf("though push is off: %v", got)
	}
	again, err := w.socket("you", w.url)
	if err != nil {
		t.Fatal(err)
	}
	w.say(again, `{"@type": "WebSocketPushEnable", "dataTypes": null, "pushState": %q}`, state)
	if got := w.said(again); got["@type"] != "StateChange" || got["pushState"] == state {
		t.Errorf("who has missed something: %v", got)
	}
	if err := peer.Message.Send(again, []byte("binary")); err != nil {
		t.Fatal(err)
	}
	var text string
	if err := peer.Message.Receive(again, &text); err == nil {
		t.Errorf("after a binary message: %s", text)
	}
}

// JMP-1, RFC 6455 §10.2: no page of another site opens a WebSocket with this host's cookies, nobody without a password, and no account
// without bound; who may not log in any more loses it, and all end with the server.
func TestWebSocketRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	for account, origin := range map[string]string{"you": "https://evil.test", "eve": strings.Replace(w.url, "https", "http", 1), "nobody": w.url} {
		if c, err := w.socket(account, origin); err == nil {
			c.Close()
			t.Errorf("%s from %s is let in", account, origin)
		}
	}
	if resp, b := w.request("GET", "/jmap/ws/", "", nil); resp.StatusCode != http.StatusUpgradeRequired && resp.StatusCode != http.StatusNotImplemented {
		t.Errorf("without an upgrade: %d %s", resp.StatusCode, b)
	}
	var in atomic.Bool
	var generation atomic.Int64
	in.Store(true)
	w.s.Lookout = &login.Lookout{Every: 5 * time.Millisecond, Changed: func(context.Context) (int64, error) { return generation.Load(), nil }}
	w.s.Standing = func(*http.Request, string) (login.Standing, error) {
		if !in.Load() {
			return nil, nil
		}
		return standing(in.Load), nil
	}
	looking, stop := context.WithCancel(t.Context())
	looked := make(chan error, 1)
	go func() { looked <- w.s.Lookout.Run(looking) }()
	defer func() { stop(); <-looked }()
	const echo = `{"@type": "Request", "using": [], "methodCalls": []}`
	var text string
	c, err := w.socket("you", w.url)
	if err != nil {
		t.Fatal(err)
	}
	w.say(c, echo)
	w.said(c)
	waits, _ := w.events("types=*&closeafter=no&ping=0", "")
	in.Store(false)
	generation.Add(1)
	if err := peer.Message.Receive(c, &text); err == nil {
		t.Errorf("who may not log in any more is told: %s", text)
	}
	if name, _, _ := event(t, waits); name != "" {
		t.Errorf("who may not log in any more hears of %s", name)
	}
	if _, resp := w.eventsAs("you"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("who may not log in waits for news: %d", resp.StatusCode)
	}
	in.Store(true)
	c, err = w.socket("you", w.url)
	if err != nil {
		t.Fatal(err)
	}
	events, _ := w.events("types=*&closeafter=no&ping=0", "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := peer.Message.Receive(c, &text); err == nil {
		t.Errorf("after the server's end: %s", text)
	}
	if name, _, _ := event(t, events); name != "" {
		t.Errorf("after the server's end, an event: %s", name)
	}
}

// JMP-1: nothing of a connection is left where telling of news has failed while the client asks for it once more.
func TestWebSocketLetsGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	asked, answer, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
	ask := sync.OnceFunc(func() { close(asked) })
	w.s.Rooms = []jmapserver.Capability{{URI: "urn:test", Session: map[string]any{}, States: func(*call.Call) (map[string]string, error) {
		ask()
		<-answer
		return nil, errors.New("the store is broken")
	}}}
	srv := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.s.ServeHTTP(rw, r)
		close(left)
	}))
	defer srv.Close()
	w.url = srv.URL
	c, err := w.socket("you", w.url)
	if err != nil {
		t.Fatal(err)
	}
	w.say(c, `{"@type": "WebSocketPushEnable", "dataTypes": null}`)
	<-asked
	w.say(c, `{"@type": "WebSocketPushEnable", "dataTypes": null}`)
	time.Sleep(50 * time.Millisecond) // it is read by then, and waits to be told on
	close(answer)
	select {
	case <-left:
	case <-time.After(10 * time.Second):
		t.Error("the connection has ended, and what served it has not")
	}
}

// standing is what somebody was let in by, as long as it says so.
type standing func() bool

func (s standing) Holds(context.Context) (bool, error) { return s(), nil }
