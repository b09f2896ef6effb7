package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"waxwing/internal/apikeys"
	"waxwing/internal/delivery"
	"waxwing/internal/login"
	"waxwing/internal/mailboxes"
	"waxwing/internal/receive"
	"waxwing/internal/store"
	"waxwing/internal/suppression"
)

// Path is where the API is.
const Path = "/api/"

// Queue makes messages durable: at once, or as a part of a transaction. queue.Queue does.
type Queue interface {
	receive.Enqueuer
	Prepare(ctx context.Context, env *delivery.Envelope, c delivery.Content) (delivery.Content, error)
	EnqueueTx(tx *store.Tx, env *delivery.Envelope, c delivery.Content) error
	Wake()
}

// Limits bound what one message may be.
type Limits struct {
	MessageSize int64 // octets
	Recipients  int
	Hold        time.Duration // until its release
}

// Handler serves all below Path. Its fields are set before its first use.
type Handler struct {
	Store        *store.Store
	Keys         *apikeys.Store
	Logins       *login.Checker
	Submission   *receive.Submission
	Queue        Queue
	Suppressions *suppression.Store
	Mailboxes    *mailboxes.Store
	// Became says what became of the TLS report about a day and a domain.
	Became  func(ctx context.Context, day time.Time, domain string) (string, error)
	Limits  Limits
	Version string // of the program
	Now     func() time.Time
	Log     *slog.Logger

	setup sync.Once
	mux   *http.ServeMux
	bytes *semaphore.Weighted // that requests may hold, all together
	mu    sync.Mutex
	held  map[string]int64 // of bytes, by account

	described   json.RawMessage // Document
	undescribed error           // why there is none
}

// caller is a program with its key, and its request.
type caller struct {
	apikeys.Key
	r *http.Request
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.setup.Do(h.prepare)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	h.mux.ServeHTTP(w, r)
}

func (h *Handler) prepare() {
	h.bytes, h.held = semaphore.NewWeighted(h.room()), map[string]int64{}
	h.described, h.undescribed = json.Marshal(Document(h.Version)) // once: strangers may have it
	h.mux = http.NewServeMux()
	for _, o := range operations() {
		h.mux.HandleFunc(o.method+" "+o.path, func(w http.ResponseWriter, r *http.Request) {
			if err := h.carryOut(w, r, o); err != nil {
				h.refuse(w, r, err)
			}
		})
	}
	h.mux.HandleFunc(Path, func(w http.ResponseWriter, r *http.Request) { h.refuse(w, r, h.nothingAt(r)) })
}

// carryOut has one operation done, for a caller who may.
func (h *Handler) carryOut(w http.ResponseWriter, r *http.Request, o operation) error {
	c := caller{r: r}
	if !o.public {
		var err error
		if c.Key, err = h.authenticate(r); err != nil {
			return err
		}
	}
	if o.right != "" && !c.Rights.Has(o.right) {
		p := problem(missingRight, "the key has the rights "+c.Rights.String()+"; make one with --right "+string(o.right))
		p.Right = string(o.right)
		return p
	}
	return o.serve(h, w, c)
}

// refuse answers that a request was not carried out. The fault of ours is in the log.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	level, text := slog.LevelDebug, "API request refused"
	if p.cause != nil && r.Context().Err() == nil {
		level, text = slog.LevelError, "API request failed"
	}
	h.Log.Log(r.Context(), level, text, "method", r.Method, "path", r.URL.Path, "remote", r.RemoteAddr, "status", p.Status, "text", p.Detail, "error", p.cause)
	p.write(w)
}

// nothingAt is why there is no operation for a request.
func (h *Handler) nothingAt(r *http.Request) *Problem {
	var allow []string
	for _, m := range methods() {
		other := r.Clone(r.Context())
		other.Method = m
		if _, pattern := h.mux.Handler(other); pattern != Path {
			allow = append(allow, m)
		}
	}
	if len(allow) == 0 {
		return problem(notFound, "there is nothing at this path; "+DocumentPath+" says what there is")
	}
	p := problem(noMethod, "use "+strings.Join(allow, " or "))
	p.allow = strings.Join(allow, ", ")
	return p
}

// methods are all that operations have.
func methods() []string {
	seen := map[string]bool{}
	for _, o := range operations() {
		seen[o.method] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// authenticate finds the key of a request.
func (h *Handler) authenticate(r *http.Request) (k apikeys.Key, err error) {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return k, problem(noKey, "send the header field Authorization: Bearer KEY; \"waxwing api key add\" makes one")
	}
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return k, problem(badRequest, "no source address")
	}
	token, ok := apikeys.ParseToken(strings.TrimSpace(text))
	err = h.Logins.APIKey(r.Context(), remote.Addr().Unmap(), token.Name(), func(ctx context.Context) (string, error) {
		if !ok {
			return "", nil
		}
		var err error
		if k, err = h.Keys.Find(ctx, token); errors.Is(err, apikeys.ErrUnknown) {
			return "", nil
		}
		return k.Account, err
	})
	if err != nil {
		return apikeys.Key{}, loginProblem(err)
	}
	return k, nil
}

// answer writes v as JSON.
func answer(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // a client that has gone
	return nil
}

// page reads the parameters of a list: at most limit things, after or before the one named.
func (c caller) page(most int) (limit int, err error) {
	s := c.r.URL.Query().Get("limit")
	if s == "" {
		return most, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > most {
		return 0, problem(badRequest, "limit: a number from 1 to "+strconv.Itoa(most)+" is needed")
	}
	return n, nil
}

// idIn reads an id that stands in a part of the request; "" is 0.
func idIn(name, s string) (delivery.ID, error) {
	if s == "" {
		return 0, nil
	}
	id, err := delivery.ParseID(s)
	if err != nil {
		return 0, problem(badRequest, name+": "+err.Error())
	}
	return id, nil
}
