// Package jmapserver serves mail by JMAP (RFC 8620, RFC 8621): the session resource, requests, blobs up and
// down, and push. What the methods do stands in the rooms below it: mails in package mails; what they
// have in common in package call; what is known of an account's mail in package catalog.
//
// A request is carried out in order, each method call with what package jmap makes of it. Nothing is kept
// of a client between two requests but what it has uploaded, and what its queries have found.
package jmapserver

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/mails"
	"waxwing/internal/jmapserver/push"
	"waxwing/internal/login"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
)

// Path is where all of it stands, and WellKnown where clients look for it first (RFC 8620 §2.2).
const (
	Path      = "/jmap/"
	WellKnown = "/.well-known/jmap"
)

// Server answers requests. Its fields are set before its first use.
type Server struct {
	Hostname string
	Mails    *mails.Room
	Boxes    *mailboxes.Store
	// Authenticate says whose mail a request is about. The error is a *Refused, or another one where it could not be said.
	Authenticate func(r *http.Request) (account string, err error)
	// Standing is by what a client was let in, for what lasts longer than a request, which Lookout ends then; nil of nobody who would be
	// let in now. It does not log in. Without a Lookout connections last for ever.
	Standing func(r *http.Request, account string) (login.Standing, error)
	Lookout  *login.Lookout
	// Rooms answer the methods of further capabilities.
	Rooms   []Capability
	Push    *push.Room // answers those of push subscriptions; nil: there are none
	TempDir string     // for uploads that are long
	Limits  call.Limits
	Now     func() time.Time
	Log     *slog.Logger

	setup   sync.Once
	ended   chan struct{} // is closed when the server ends
	end     sync.Once
	mux     *http.ServeMux
	methods map[string]served
	memory  memory
	crowd   crowd
}

// Capability is a set of methods under a URI.
type Capability = call.Capability

// served is a method with the capability that it needs.
type served struct {
	call.Method
	needs string
}

func (s *Server) prepare() {
	s.ended = make(chan struct{})
	s.methods = map[string]served{}
	for _, c := range s.capabilities() {
		for name, m := range c.Methods {
			s.methods[name] = served{m, c.URI}
		}
	}
	s.mux = http.NewServeMux()
	s.handle("GET "+WellKnown, s.session)
	s.handle("GET "+Path+"session", s.session)
	s.handle("POST "+Path+"api", s.api)
	s.handle("POST "+Path+"upload/{account}/", s.upload)
	s.handle("GET "+Path+"download/{account}/{blob}/{name}", s.download)
	s.handle("GET "+Path+"eventsource/", s.events)
	s.handle("GET "+Path+"ws/", s.websocket)
}

// Run ends the connections that wait for news when ctx ends: net/http would wait for them, or not know of them.
func (s *Server) Run(ctx context.Context) error {
	s.setup.Do(s.prepare)
	<-ctx.Done()
	s.end.Do(func() { close(s.ended) })
	return nil
}

// Changed tells those who wait for news of an account that something has changed which is not mail, in the transaction of the change.
func (s *Server) Changed(tx *store.Tx, account string) error {
	if s.Push != nil {
		if err := s.Push.Touch(tx, account); err != nil {
			return err
		}
	}
	return s.Boxes.Rouse(tx, account)
}

// client is who a request comes from.
type client struct {
	account string
	r       *http.Request
}

// handle has requests answered of those who may make them.
func (s *Server) handle(pattern string, fn func(w http.ResponseWriter, c client) error) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
			http.Error(w, "requests of other sites are not served", http.StatusForbidden)
			return
		}
		account, err := s.Authenticate(r)
		if err != nil {
			s.unauthorized(w, r, err)
			return
		}
		if err := fn(w, client{account, r}); err != nil {
			s.refuse(w, r, err)
		}
	})
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.setup.Do(s.prepare)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	s.mux.ServeHTTP(w, r)
}

// call is what a method gets to know.
func (s *Server) call(ctx context.Context, account string) *call.Call {
	return &call.Call{Ctx: ctx, Name: account, ID: AccountID(account), Limits: s.Limits, Log: s.Log}
}

// crowd counts what accounts do at the same time.
type crowd struct {
	mu sync.Mutex
	n  map[string]int
}

// enter is false where an account does too much of a kind already; else leave ends it.
func (c *crowd) enter(kind, account string, most int) (leave func(), ok bool) {
	key := kind + " " + account
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	if c.n[key] >= most {
		return nil, false
	}
	c.n[key]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.n[key]--; c.n[key] == 0 {
			delete(c.n, key)
		}
	}, true
}

// host is the server's name as the client knows it.
func (s *Server) host(r *http.Request) string {
	if h := r.Host; h != "" && !strings.ContainsAny(h, "/\\ \"<>@?#") {
		return h
	}
	return s.Hostname
}
