package jmapserver

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/jmap"
)

const (
	// pushesPerAccount is how many connections of an account may wait for news.
	pushesPerAccount = 100
	// Pings: what a client may ask for, in seconds (RFC 8620 §7.3).
	leastPing = 1
	mostPing  = 900
)

// StateChange says which types have another state than before (RFC 8620 §7.1).
type StateChange struct {
	Type    string                        `json:"@type"`
	Changed map[jmap.ID]map[string]string `json:"changed"`
}

// States are those of all types of an account.
func (s *Server) States(ctx context.Context, account string) (map[string]string, error) {
	out := map[string]string{}
	at := s.call(ctx, account)
	for _, k := range s.capabilities() {
		if k.States == nil {
			continue
		}
		some, err := k.States(at)
		if err != nil {
			return nil, err
		}
		maps.Copy(out, some)
	}
	return out, nil
}

// changedStates are those of wanted types (nil: all) that are not as they were.
func changedStates(was, now map[string]string, wanted map[string]bool) map[string]string {
	out := map[string]string{}
	for t, s := range now {
		if was[t] != s && (wanted == nil || wanted[t]) {
			out[t] = s
		}
	}
	return out
}

// wantedEvents are what a client asks of the event source.
type wantedEvents struct {
	types map[string]bool // nil: all
	once  bool            // closeafter=state
	ping  time.Duration   // 0: none
}

func wantedOf(r *http.Request) (w wantedEvents, err error) {
	q := r.URL.Query()
	if t := q.Get("types"); t != "" && t != "*" {
		w.types = map[string]bool{}
		for name := range strings.SplitSeq(t, ",") {
			w.types[name] = true
		}
	}
	switch q.Get("closeafter") {
	case "state":
		w.once = true
	case "no", "":
	default:
		return w, &status{http.StatusBadRequest, "closeafter is state or no"}
	}
	if p := q.Get("ping"); p != "" && p != "0" {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 {
			return w, &status{http.StatusBadRequest, "ping is a number of seconds"}
		}
		w.ping = time.Duration(min(max(n, leastPing), mostPing)) * time.Second
	}
	return w, nil
}

// eventID is that of states, by which a client that comes again tells what it knows.
func eventID(states map[string]string) string {
	h := sha256.New()
	for _, t := range slices.Sorted(maps.Keys(states)) {
		fmt.Fprintf(h, "%s=%s;", t, states[t])
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:12])
}

// stream is a connection of the event source.
type stream struct {
	*Server
	client
	wantedEvents
	w    http.ResponseWriter
	told map[string]string
}

// events tells a client what changes, as server-sent events (RFC 8620 §7.3).
func (s *Server) events(w http.ResponseWriter, c client) error {
	wanted, err := wantedOf(c.r)
	if err != nil {
		return err
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
	wake, stop := s.Boxes.Watch(c.account)
	defer stop()
	now, err := s.States(c.r.Context(), c.account)
	if err != nil {
		return err
	}
	x := &stream{Server: s, client: c, wantedEvents: wanted, w: w, told: now}
	if last := c.r.Header.Get("Last-Event-ID"); last != "" && last != eventID(now) {
		x.told = map[string]string{} // it has missed something: all states are told
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	if _, err := x.write(": hello\n\n"); err != nil {
		return nil
	}
	x.run(wake, ousted)
	return nil
}

// watch looks out for a client whose connection stays: ousted is closed as soon as it would not be let in any more as it was.
func (s *Server) watch(c client) (ousted <-chan struct{}, unwatch func(), err error) {
	out := make(chan struct{})
	if s.Lookout == nil {
		return out, func() {}, nil
	}
	by, err := s.Standing(c.r, c.account)
	if err != nil {
		return nil, nil, err
	}
	if by == nil { // since it was let in
		return nil, nil, &status{http.StatusUnauthorized, "log in again"}
	}
	return out, s.Lookout.Keep(by, func() { close(out) }), nil
}

// run tells until the client leaves.
func (x *stream) run(wake, ousted <-chan struct{}) {
	var pings <-chan time.Time
	if x.ping > 0 {
		t := time.NewTicker(x.ping)
		defer t.Stop()
		pings = t.C
	}
	idle := time.NewTicker(mostPing * time.Second) // a client that has gone is found out by writing to it
	defer idle.Stop()
	for {
		ended, err := x.tell()
		if err != nil || ended {
			return
		}
		select {
		case <-x.r.Context().Done():
			return
		case <-x.ended:
			return
		case <-ousted:
			return
		case <-wake:
		case <-pings:
			_, err = x.write(fmt.Sprintf("event: ping\ndata: {\"interval\":%d}\n\n", int(x.ping/time.Second)))
		case <-idle.C:
			_, err = x.write(": still here\n\n")
		}
		if err != nil {
			return
		}
	}
}

// tell sends the states that have changed, if any have.
func (x *stream) tell() (ended bool, err error) {
	now, err := x.States(x.r.Context(), x.account)
	if err != nil {
		if x.r.Context().Err() == nil {
			x.Log.Error("JMAP push failed", "account", x.account, "error", err)
		}
		return false, err
	}
	changed := changedStates(x.told, now, x.types)
	x.told = now
	if len(changed) == 0 {
		return false, nil
	}
	b, err := json.Marshal(StateChange{"StateChange", map[jmap.ID]map[string]string{AccountID(x.account): changed}})
	if err != nil {
		return false, err
	}
	_, err = x.write("event: state\nid: " + eventID(now) + "\ndata: " + string(b) + "\n\n")
	return x.once, err
}

// write sends something at once, which the client must take in time.
func (x *stream) write(text string) (int, error) {
	c := http.NewResponseController(x.w)
	_ = c.SetWriteDeadline(time.Now().Add(transferTime))
	n, err := x.w.Write([]byte(text))
	if err == nil {
		err = c.Flush()
	}
	// Between two events there is no deadline: the connection lives for as long as the client does.
	_ = c.SetWriteDeadline(time.Time{})
	return n, err
}
