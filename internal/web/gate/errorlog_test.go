package gate

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// OPS-1: what net/http says of a connection goes to the server's log on each listener, plain
// ones included, and not to standard error.
func TestErrorLog(t *testing.T) {
	t.Parallel()
	logged := &lockedLog{}
	log := slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug})).With("area", "http")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := Bounded(log, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.WriteHeader(http.StatusOK) // net/http says that this is superfluous
	})})
	ended := make(chan error, 1)
	go func() { ended <- ServePlain(t.Context(), srv, l) }()
	resp, err := http.Get("http://" + l.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	for end := time.Now().Add(2 * time.Minute); !strings.Contains(logged.String(), "superfluous"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("logged: %q", logged.String())
		}
	}
	if s := logged.String(); !strings.Contains(s, "area=http") || !strings.Contains(s, "level=DEBUG") || strings.Contains(s, `\n`) {
		t.Errorf("%s", s)
	}
	srv.Close()
	<-ended
}
