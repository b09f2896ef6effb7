package gate

import (
	"cmp"
	"net/http"

	"waxwing/internal/guard"
)

// Guarded answers 500 where h panics. net/http would close the connection, and
// neither log nor count that.
func Guarded(g *guard.Guard, area guard.Area, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answered{ResponseWriter: w}
		aborted := false
		if g.Do(area, func() { aborted = !whole(h, a, r) }, "path", r.URL.Path, "remote", r.RemoteAddr) && !aborted {
			return
		}
		if a.begun || aborted {
			panic(http.ErrAbortHandler) // half an answer must not look like a whole one: net/http closes the connection
		}
		http.Error(w, "internal error", http.StatusInternalServerError)
	})
}

// whole has h serve a request; false: it has given the answer up, as http.ErrAbortHandler says, which is no fault of ours:
// a client has gone in the midst of a download.
func whole(h http.Handler, w http.ResponseWriter, r *http.Request) (done bool) {
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler { //nolint:errorlint // the value itself is thrown
			panic(v)
		}
	}()
	h.ServeHTTP(w, r)
	return true
}

// Counted tells count of each request what it was for and what it was answered.
func Counted(count func(purpose string, status int), purpose string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answered{ResponseWriter: w}
		status := http.StatusInternalServerError // of a panic
		defer func() { count(purpose, status) }()
		h.ServeHTTP(a, r)
		status = cmp.Or(a.status, http.StatusOK)
	})
}

// answered knows whether an answer has begun.
type answered struct {
	http.ResponseWriter
	begun  bool
	status int
}

func (a *answered) WriteHeader(code int) {
	a.begun = true
	if a.status == 0 {
		a.status = code
	}
	a.ResponseWriter.WriteHeader(code)
}

func (a *answered) Write(b []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Mux is an http.ServeMux that knows its patterns, for tests that walk through them.
type Mux struct {
	http.ServeMux
	Patterns []string
}

// Handle is ServeMux.Handle.
func (m *Mux) Handle(pattern string, h http.Handler) {
	m.Patterns = append(m.Patterns, pattern)
	m.ServeMux.Handle(pattern, h)
}

// Others has requests that mux has no handler for, which it answers 404 or 405, served by rest.
func Others(mux *Mux, rest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" {
			rest.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}
