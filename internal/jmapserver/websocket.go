package jmapserver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	"waxwing/internal/guard"
	"waxwing/jmap"
	"waxwing/websocket"
)

const (
	pingEvery = 2 * time.Minute
	// quiet is for how long a client may not even answer pings.
	quiet = 2*pingEvery + transferTime
)

// websocket serves requests and push on one connection (RFC 8887).
func (s *Server) websocket(w http.ResponseWriter, c client) error {
	if !sameOrigin(c.r) {
		return &status{http.StatusForbidden, "WebSockets of other sites are not opened"}
	}
	ousted, unwatch, err := s.watch(c)
	if err != nil {
		return err
	}
	defer unwatch()
	leave, ok := s.crowd.enter("push", c.account, pushesPerAccount)
	if !ok {
		return &status{http.StatusTooManyRequests, "too many connections of the account wait for news"}
	}
	defer leave()
	conn, err := websocket.Accept(w, c.r, "jmap", websocket.Times{Idle: quiet, Message: transferTime})
	var refused *websocket.HandshakeError
	if errors.As(err, &refused) {
		return &status{refused.Status, refused.Text}
	}
	if err != nil {
		s.Log.Debug("a JMAP WebSocket was not opened", "account", c.account, "error", err)
		return nil // nothing can be answered any more
	}
	x := &socket{Server: s, client: c, conn: conn, enable: make(chan *pushed), ousted: ousted}
	ctx, cancel := context.WithCancel(c.r.Context())
	var both guard.Group
	both.Go(func() {
		defer cancel() // what is still read of the connection is for nobody
		x.push(ctx)
	})
	defer both.Wait()
	defer cancel()
	x.read(ctx)
	conn.Close(websocket.NormalClosure, "")
	return nil
}

// sameOrigin tells whether a request comes from a page of this host, or from no page at all: browsers let any page open
// WebSockets with the cookies of this host (RFC 6455 §10.2).
func sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.Host == r.Host
}

// socket is a connection. One goroutine reads it and answers requests, in their order; one tells what changes.
type socket struct {
	*Server
	client
	conn   *websocket.Conn
	enable chan *pushed    // what the client wants to be told; nil: nothing
	ousted <-chan struct{} // is closed when the client would not be let in any more
}

// pushed is what a client wants to be told.
type pushed struct {
	types map[string]bool // nil: all
	state string          // that it knows; "": it does not say
}

// read answers until the client leaves.
func (x *socket) read(ctx context.Context) {
	for {
		m, err := x.conn.Next(2 * x.Limits.SizeRequest) // what is too long is refused, and the connection goes on
		if err != nil {
			return
		}
		if !m.Text {
			x.conn.Close(websocket.UnsupportedData, "JMAP is text")
			return
		}
		if x.take(ctx, m) != nil {
			return
		}
	}
}

// take answers one message. The error is that of a connection that has ended.
func (x *socket) take(ctx context.Context, m *websocket.Message) error {
	said := int64(-1)
	if m.Whole {
		said = m.First
	}
	mem := &share{memory: &x.Server.memory, account: x.account}
	defer mem.leave()
	b, err := x.readRequest(m, said, mem)
	if err != nil {
		return x.fail(nil, problemOf(err))
	}
	if !utf8.Valid(b) {
		x.conn.Close(websocket.InvalidData, "the text is no UTF-8")
		return errEnded
	}
	var head struct {
		Type  string    `json:"@type"`
		ID    *string   `json:"id"`
		Types *[]string `json:"dataTypes"`
		State string    `json:"pushState"`
	}
	if err := jmap.CheckIJSON(b); err != nil {
		return x.fail(nil, &jmap.Problem{Type: jmap.ProblemNotJSON, Status: http.StatusBadRequest, Detail: err.Error()})
	}
	err = json.Unmarshal(b, &head)
	switch {
	case err == nil && head.Type == "Request":
		return x.request(b, head.ID, mem)
	case err == nil && head.Type == "WebSocketPushEnable":
		p := &pushed{state: head.State}
		if head.Types != nil {
			p.types = map[string]bool{}
			for _, t := range *head.Types {
				p.types[t] = true
			}
		}
		return x.want(ctx, p)
	case err == nil && head.Type == "WebSocketPushDisable":
		return x.want(ctx, nil)
	}
	return x.fail(head.ID, &jmap.Problem{Type: jmap.ProblemNotRequest, Status: http.StatusBadRequest, Detail: "it is no Request, WebSocketPushEnable or WebSocketPushDisable"})
}

func (x *socket) want(ctx context.Context, p *pushed) error {
	select {
	case x.enable <- p:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// request carries a request out (RFC 8887 §4.3.2).
func (x *socket) request(b []byte, id *string, mem *share) error {
	done, ok := x.crowd.enter("request", x.account, x.Limits.ConcurrentRequests)
	if !ok {
		return x.fail(id, jmap.LimitProblem("maxConcurrentRequests", "the account has too many requests at the same time"))
	}
	defer done()
	req, problem := jmap.ParseRequest(b, x.Limits.CallsInRequest)
	if problem != nil {
		return x.fail(id, problem)
	}
	resp, problem := x.carryOut(x.client, req, mem)
	if problem != nil {
		return x.fail(id, problem)
	}
	return x.send(struct {
		Type string  `json:"@type"`
		ID   *string `json:"requestId,omitempty"`
		*jmap.Response
	}{"Response", id, resp})
}

// fail says why a request was not carried out (RFC 8887 §4.3.4).
func (x *socket) fail(id *string, p *jmap.Problem) error {
	return x.send(struct {
		Type string  `json:"@type"`
		ID   *string `json:"requestId"`
		*jmap.Problem
	}{"RequestError", id, p})
}

func (x *socket) send(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		x.Log.Error("JMAP response could not be written", "account", x.account, "error", err)
		return err
	}
	return x.conn.WriteText(b)
}

// problemOf is an error as it is told.
func problemOf(err error) *jmap.Problem {
	var p *jmap.Problem
	var short *status
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &short):
		return &jmap.Problem{Type: "about:blank", Status: short.code, Detail: short.text}
	}
	return &jmap.Problem{Type: "about:blank", Status: http.StatusInternalServerError, Detail: "the server could not do this; its log says why"}
}

// push tells what changes until ctx ends, once the client wants it, and ends the connection of a client that may not go on.
func (x *socket) push(ctx context.Context) {
	defer x.conn.Close(websocket.GoingAway, "")
	wake, stop := x.Boxes.Watch(x.account)
	defer stop()
	pings := time.NewTicker(pingEvery)
	defer pings.Stop()
	t := &telling{Server: x.Server, client: x.client, conn: x.conn}
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-x.ended:
			return
		case <-x.ousted:
			x.conn.Close(websocket.PolicyViolation, "log in again")
			return
		case p := <-x.enable:
			err = t.begin(ctx, p)
		case <-wake:
			err = t.tell(ctx)
		case <-pings.C:
			err = x.conn.Ping()
		}
		if err != nil {
			return
		}
	}
}

// telling is the half of a socket that tells what changes.
type telling struct {
	*Server
	client
	conn   *websocket.Conn
	wanted *pushed // nil: nothing
	told   map[string]string
}

var errEnded = errors.New("the connection has ended")

// begin has a client told from now on; one that has missed something is told all states at once.
func (t *telling) begin(ctx context.Context, p *pushed) error {
	t.wanted = p
	if p == nil {
		return nil
	}
	now, err := t.States(ctx, t.account)
	if err != nil {
		return t.failed(ctx, err)
	}
	if t.told = now; p.state != "" && p.state != eventID(now) {
		t.told = map[string]string{}
	}
	return t.tell(ctx)
}

// tell sends the states that have changed, if any have.
func (t *telling) tell(ctx context.Context) error {
	if t.wanted == nil {
		return nil
	}
	now, err := t.States(ctx, t.account)
	if err != nil {
		return t.failed(ctx, err)
	}
	changed := changedStates(t.told, now, t.wanted.types)
	t.told = now
	if len(changed) == 0 {
		return nil
	}
	b, err := json.Marshal(struct {
		StateChange
		PushState string `json:"pushState"`
	}{StateChange{"StateChange", map[jmap.ID]map[string]string{AccountID(t.account): changed}}, eventID(now)})
	if err != nil {
		return err
	}
	return t.conn.WriteText(b)
}

// failed logs a fault of ours, after which the client connects again and asks for what it has missed.
func (t *telling) failed(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		t.Log.Error("JMAP push failed", "account", t.account, "error", err)
	}
	return err
}
