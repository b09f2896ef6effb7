package jmapserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"strings"

	"waxwing/internal/jmapserver/call"
	"waxwing/jmap"
)

// status is an answer without a document of its own.
type status struct {
	code int
	text string
}

func (s *status) Error() string { return s.text }

// refuse answers that a request was not carried out. A fault of ours is in the log.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var p *jmap.Problem
	var short *status
	switch {
	case errors.As(err, &p):
	case errors.As(err, &short):
		p = &jmap.Problem{Type: "about:blank", Status: short.code, Detail: short.text}
	default:
		p = &jmap.Problem{Type: "about:blank", Status: http.StatusInternalServerError, Detail: "the server could not do this; its log says why"}
		if r.Context().Err() == nil {
			s.Log.Error("JMAP request failed", "path", r.URL.Path, "remote", r.RemoteAddr, "error", err)
		}
	}
	s.Log.Log(r.Context(), slog.LevelDebug, "JMAP request refused", "path", r.URL.Path, "remote", r.RemoteAddr, "status", p.Status, "text", p.Detail)
	b, err := json.Marshal(p)
	if err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(b) // a client that has gone
}

// forms are how often the octets of a request are in memory: as it came, taken apart, and answered.
const forms = 4

// readRequest reads a request, of whose size the client has said something or not (below 0), within its share of the memory, which must be
// left in any case. Memory is taken for what has come, not for what may come: a client that is slow holds no more than it has sent.
func (s *Server) readRequest(in io.Reader, said int64, m *share) (b []byte, err error) {
	most := s.Limits.SizeRequest
	tooLong := jmap.LimitProblem("maxSizeRequest", fmt.Sprintf("%d octets are taken", most))
	if said > most {
		return nil, tooLong
	}
	const least = 4 << 10
	for size := min(max(said, 0)+1, 64<<10); ; size = max(least, 2*int64(cap(b))) {
		size = min(size, most+1)
		if !m.take(forms * (size - int64(cap(b)))) {
			return nil, &status{http.StatusServiceUnavailable, "too much is being asked for at this moment"}
		}
		b = append(make([]byte, 0, size), b...)
		for err == nil && len(b) < cap(b) {
			var n int
			n, err = in.Read(b[len(b):cap(b)])
			b = b[:len(b)+n]
		}
		switch {
		case int64(len(b)) > most:
			return nil, tooLong
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return nil, &status{http.StatusBadRequest, "the request broke off"}
		}
	}
}

// api carries out a request (RFC 8620 §3.1).
func (s *Server) api(w http.ResponseWriter, c client) error {
	media, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return &jmap.Problem{Type: jmap.ProblemNotJSON, Status: http.StatusBadRequest, Detail: "send application/json"}
	}
	done, ok := s.crowd.enter("request", c.account, s.Limits.ConcurrentRequests)
	if !ok {
		return jmap.LimitProblem("maxConcurrentRequests", "the account has too many requests at the same time")
	}
	defer done()
	m := &share{memory: &s.memory, account: c.account}
	defer m.leave()
	b, err := s.readRequest(http.MaxBytesReader(w, c.r.Body, s.Limits.SizeRequest+1), c.r.ContentLength, m)
	if err != nil {
		return err
	}
	req, problem := jmap.ParseRequest(b, s.Limits.CallsInRequest)
	if problem != nil {
		return problem
	}
	resp, problem := s.carryOut(c, req, m)
	if problem != nil {
		return problem
	}
	return answer(w, http.StatusOK, resp)
}

const (
	// maxResponse bounds what all responses of a request may have, beyond which its further calls fail.
	maxResponse = 64 << 20
	// small is how large a response is that is not counted.
	small = 4 << 10
)

// carryOut answers a request. The answer is held in its share of the memory.
func (s *Server) carryOut(c client, req *jmap.Request, m *share) (*jmap.Response, *jmap.Problem) {
	using := map[string]bool{}
	known := map[string]bool{}
	for _, k := range s.capabilities() {
		known[k.URI] = true
	}
	for _, u := range req.Using {
		if !known[u] {
			return nil, &jmap.Problem{Type: jmap.ProblemUnknownCapability, Status: http.StatusBadRequest, Detail: fmt.Sprintf("there is no capability %.200q", u)}
		}
		using[u] = true
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), s.Limits.RequestTime)
	defer cancel()
	run := &run{Server: s, client: c, ctx: ctx, memory: m, using: using, created: map[jmap.ID]jmap.ID{}}
	for id, to := range req.CreatedIDs {
		run.created[id] = to
	}
	for _, one := range req.Calls {
		run.do(one)
	}
	out := &jmap.Response{Results: run.results, SessionState: stateOf(s.document(c))}
	if req.CreatedIDs != nil {
		out.CreatedIDs = run.created
	}
	if out.Results == nil {
		out.Results = []jmap.Result{}
	}
	return out, nil
}

// run is a request that is being carried out.
type run struct {
	*Server
	client
	ctx     context.Context
	memory  *share
	refers  jmap.Resolver
	using   map[string]bool
	created map[jmap.ID]jmap.ID
	results []jmap.Result
	size    int // octets of the results
}

// do carries one call out, and those that follow from it.
func (x *run) do(one jmap.Call) {
	c := x.call(x.ctx, x.account)
	c.Created, c.Using, c.TLS = x.created, x.using, x.r.TLS
	c.Credential = func() (string, error) { return x.credential(x.client) }
	c.Remote, _ = netip.ParseAddrPort(x.r.RemoteAddr) // zero of what is no IP address
	v, fault := x.answer(c, one)
	x.add(one, v, fault)
	for _, also := range c.Also {
		args := call.Args{"accountId": quoted(string(c.ID))}
		for name, v := range also.Args {
			b, err := json.Marshal(v)
			if err != nil {
				b = []byte("null")
			}
			args[name] = b
		}
		v, fault := x.answer(c, jmap.Call{Name: also.Name, Args: args, ID: one.ID})
		x.add(jmap.Call{Name: also.Name, ID: one.ID}, v, fault)
	}
}

func quoted(s string) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		return json.RawMessage(`""`)
	}
	return b
}

// add writes a response.
func (x *run) add(one jmap.Call, v any, fault *jmap.Error) {
	name := one.Name
	if fault != nil {
		name, v = "error", fault
	}
	b, err := json.Marshal(v)
	switch {
	case err != nil:
	case x.size+len(b) > maxResponse:
		fault = jmap.Errorf(jmap.RequestTooLarge, "the responses have more than %d octets: ask for less at once", maxResponse)
	case len(b) > small && !x.memory.take(2*int64(len(b))): // it, and the response that it becomes a part of
		fault = jmap.Errorf(jmap.ServerUnavailable, "too much is being asked for at this moment")
	}
	if err == nil && fault != nil {
		if v != fault && (strings.HasSuffix(one.Name, "/set") || strings.HasSuffix(one.Name, "/import")) {
			fault.Type = jmap.ServerPartialFail // it was carried out (RFC 8620 §3.6.2)
		}
		name = "error"
		b, err = json.Marshal(fault)
	}
	if err != nil {
		name, b = "error", json.RawMessage(`{"type":"serverFail"}`)
		x.Log.Error("JMAP response could not be written", "account", x.account, "error", err)
	}
	x.size += len(b)
	x.results = append(x.results, jmap.Result{Name: name, Args: b, ID: one.ID})
}

// answer carries out one method call.
func (x *run) answer(c *call.Call, one jmap.Call) (any, *jmap.Error) {
	m, ok := x.methods[one.Name]
	if !ok || !x.using[m.needs] {
		return nil, jmap.Errorf(jmap.UnknownMethod, "there is no method %.100q in the capabilities that the request uses", one.Name)
	}
	args, fault := x.refers.Resolve(one.Args, x.results)
	if fault != nil {
		return nil, fault
	}
	if one.Name != "Core/echo" && !strings.HasPrefix(one.Name, "PushSubscription/") { // which are of no account
		var id jmap.ID
		raw, has := args["accountId"]
		if !has || json.Unmarshal(raw, &id) != nil {
			return nil, jmap.Errorf(jmap.InvalidArguments, "accountId is missing")
		}
		if id != c.ID {
			return nil, jmap.Errorf(jmap.AccountNotFound, "there is no account %.100q", string(id))
		}
	}
	if x.ctx.Err() != nil {
		return nil, call.TooLong() // or the client has gone
	}
	return m.Method(c, call.Args(args))
}

// credential is a mark of the password with which a client has logged in; "": it has shown none.
func (s *Server) credential(c client) (string, error) {
	_, password, ok := credentials(c.r.Header.Get("Authorization"))
	if !ok || s.Push == nil {
		return "", nil
	}
	return s.Push.Credential(c.r.Context(), c.account, password)
}

// echo is Core/echo (RFC 8620 §4).
func echo(_ *call.Call, args call.Args) (any, *jmap.Error) {
	return map[string]json.RawMessage(args), nil
}
