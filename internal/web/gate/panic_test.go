package gate

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
	"waxwing/peers"
)

// OPS-9: an HTTP request that panics is answered 500, and where its answer has begun, the
// connection is broken: half an answer must not look whole.
func TestPanicInHandler(t *testing.T) {
	t.Parallel()
	watch := guardtest.New()
	srv := httptest.NewServer(Guarded(&watch.Guard, guard.Metrics, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			io.WriteString(w, "half of it")
			http.NewResponseController(w).Flush()
		}
		if r.URL.Path == "/given-up" {
			io.WriteString(w, "half of it")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		panic("handler")
	})))
	defer srv.Close()
	resp, err := http.Get(srv.URL + "/")
	if err != nil || resp.StatusCode != 500 {
		t.Fatalf("%v, %v", resp, err)
	}
	resp.Body.Close()
	for _, path := range []string{"/half", "/given-up"} {
		resp, err = http.Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("%s: half an answer was whole: %q", path, b)
		}
		resp.Body.Close()
	}
	if !watch.Saw(guard.Metrics, 2) { // what is given up is no panic
		t.Errorf("counted: %v", watch.Seen())
	}
}

// OPS-9: a connection that cannot be admitted is closed, its place given back, and the
// next one accepted.
func TestPanicInAccept(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	watch, n := guardtest.New(), 0
	l := &Listener{Listener: inner, Guard: &watch.Guard, Area: guard.HTTPS, Gate: peers.Gate{TLS: true}, Limits: peers.Limits{PerClient: 1}, Count: func(string) {
		if n++; n < 3 {
			panic("observer")
		}
	}, Ended: func() {}}
	defer l.Close()
	for range 3 {
		nc, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
	}
	c, err := l.Accept()
	if err != nil || !watch.Saw(guard.HTTPS, 2) || l.Gate.Open() != 1 {
		t.Fatalf("%v, counted %v, %d open", err, watch.Seen(), l.Gate.Open())
	}
	c.Close()
}
