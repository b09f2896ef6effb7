package control

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/desk"
	"waxwing/internal/guard"
	"waxwing/internal/outbox"
	"waxwing/internal/queue"
	"waxwing/internal/routes"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// scripted is a Desk that remembers what it was asked.
type scripted struct {
	desk.Desk // what is not overridden panics
	filter    spool.Filter
	send      outbox.SendOptions
	action    desk.Action
	err       error
	block     chan struct{}
}

func (d *scripted) List(_ context.Context, f spool.Filter) ([]spool.Item, error) {
	d.filter = f
	return []spool.Item{item()}, d.err
}

func (d *scripted) Show(_ context.Context, id int64) (spool.Shown, error) {
	return spool.Shown{Envelope: delivery.Envelope{ID: id}, Attempts: []spool.Attempt{{ID: 3, Started: time.Unix(5, 0).UTC()}}}, d.err
}

func (d *scripted) Count(ctx context.Context) (map[spool.State]int, error) {
	if d.block != nil {
		d.block <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return map[spool.State]int{spool.Waiting: 2, spool.Failed: 1}, d.err
}

func (d *scripted) Closed(_ context.Context, limit int) ([]spool.Closed, error) {
	return []spool.Closed{{Transport: "office", Until: time.Unix(7, 0).UTC(), Failures: limit}}, d.err
}

func (d *scripted) Act(_ context.Context, a desk.Action) (queue.Changed, error) {
	d.action = a
	return queue.Changed{Done: 3, Busy: 1}, d.err
}

func (d *scripted) SendReports(_ context.Context, _ string, o outbox.SendOptions) (outbox.Summary, error) {
	d.send = o
	return outbox.Summary{Day: "2026-01-31", Made: []outbox.Settled{{PolicyDomain: "a.test", Text: []byte("{}")}}}, d.err
}

func item() spool.Item {
	d, _ := delivery.ParseRecipientDomain("[192.0.2.1]")
	return spool.Item{
		Envelope: delivery.Envelope{ID: 7, Sender: "a@b.test", Need: delivery.RequireTLS, Accepted: time.Unix(1, 0).UTC(), Purpose: delivery.DSN},
		Entry: spool.Entry{Recipient: delivery.Recipient{ID: 8, Address: "x@[192.0.2.1]", Domain: d, Attempts: 3, LastAttempt: time.Unix(2, 0).UTC(),
			LastAddrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}},
			State: spool.Held, Due: time.Unix(9, 0).UTC(), Word: "held", Text: "ü\x01", Host: "mx.a.test"},
	}
}

func serve(t *testing.T, d desk.Desk) string {
	t.Helper()
	return serveGuarded(t, d, nil)
}

func serveGuarded(t *testing.T, d desk.Desk, g *guard.Guard) string {
	t.Helper()
	return serveAll(t, &Server{Desk: d, Program: "1.2.3", Guard: g})
}

// serveRunning serves what only a server that runs can be asked.
func serveRunning(t *testing.T, r *Running) string {
	t.Helper()
	return serveAll(t, &Server{Desk: &scripted{}, Running: r, Program: "1.2.3"})
}

func serveAll(t *testing.T, srv *Server) string {
	t.Helper()
	dir := t.TempDir()
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		l.Close()
		if _, err := os.Stat(filepath.Join(dir, Socket)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left behind: %v", err)
		}
	})
	return dir
}

// What goes over the socket comes out as it was.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	d := &scripted{}
	c, err := Dial(t.Context(), serve(t, d))
	if err != nil {
		t.Fatal(err)
	}
	if c.Hello.Program != "1.2.3" || c.Hello.PID != os.Getpid() {
		t.Errorf("%+v", c.Hello)
	}
	f := spool.Filter{States: []spool.State{spool.Held}, Sender: "a@b.test", Domain: "c.test", Limit: 5, After: 9}
	items, err := c.List(t.Context(), f)
	if err != nil || !reflect.DeepEqual(items, []spool.Item{item()}) || !reflect.DeepEqual(d.filter, f) {
		t.Errorf("%+v %v, filter %+v", items, err, d.filter)
	}
	m, err := c.Show(t.Context(), 42)
	want, _ := d.Show(t.Context(), 42)
	if err != nil || !reflect.DeepEqual(m, want) {
		t.Errorf("%+v %v", m, err)
	}
	n, err := c.Count(t.Context())
	if err != nil || n[spool.Waiting] != 2 || n[spool.Failed] != 1 || len(n) != 2 {
		t.Errorf("%v %v", n, err)
	}
	shut, err := c.Closed(t.Context(), 9)
	if err != nil || len(shut) != 1 || shut[0] != (spool.Closed{Transport: "office", Until: time.Unix(7, 0).UTC(), Failures: 9}) {
		t.Errorf("%v %v", shut, err)
	}
	need, purpose := delivery.TLSOptional, delivery.Mail
	act := desk.Action{Verb: desk.SetTLS, Why: "so", Need: delivery.RequireTLS, Transport: "x", Filter: spool.Filter{Need: &need, Purpose: &purpose,
		Accepted: spool.Period{From: time.Unix(1, 0).UTC(), Before: time.Unix(2, 0).UTC()}, SenderDomain: "a.test", Word: "w", Host: "h", Transport: "t"}}
	if ch, err := c.Act(t.Context(), act); err != nil || ch.Done != 3 || ch.Busy != 1 || !reflect.DeepEqual(d.action, act) {
		t.Errorf("%+v %v, action %+v", ch, err, d.action)
	}
	o := outbox.SendOptions{Day: time.Unix(86400, 0).UTC(), Domain: "a.test", DryRun: true}
	s, err := c.SendReports(t.Context(), "tlsrpt", o)
	if err != nil || s.Day != "2026-01-31" || len(s.Made) != 1 || string(s.Made[0].Text) != "{}" || d.send != o {
		t.Errorf("%+v %v, options %+v", s, err, d.send)
	}
}

// Errors keep their text, and those that callers look for their identity.
func TestErrors(t *testing.T) {
	t.Parallel()
	d := &scripted{err: spool.ErrNoSuchMessage}
	c, err := Dial(t.Context(), serve(t, d))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Show(t.Context(), 1); !errors.Is(err, spool.ErrNoSuchMessage) || err.Error() != spool.ErrNoSuchMessage.Error() {
		t.Errorf("%v", err)
	}
	d.err = errors.New("something else")
	if _, err := c.Show(t.Context(), 1); errors.Is(err, spool.ErrNoSuchMessage) || err == nil || err.Error() != "something else" {
		t.Errorf("%v", err)
	}
	if _, err := ask[struct{}](t.Context(), c, "nothing/there", 1); err == nil || !strings.Contains(err.Error(), "one version") {
		t.Errorf("%v", err)
	}
	if _, err := ask[struct{}](t.Context(), c, "queue/show", "no object"); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("%v", err)
	}
	if _, err := ask[struct{}](t.Context(), c, "queue/list", spool.Filter{Sender: strings.Repeat("x", maxRequest+1)}); err == nil {
		t.Error("a request of a megabyte was taken")
	}
}

func TestNotRunning(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no socket: %v", err)
	}
	if _, err := Dial(t.Context(), filepath.Join(dir, "nowhere")); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no directory: %v", err)
	}
	// A server that died leaves its socket; the next one takes its place.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, Socket), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("stale socket: %v", err)
	}
	again, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	// Something else of that name is not taken away.
	if err := os.WriteFile(filepath.Join(dir, Socket), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := Listen(dir); err == nil {
		l.Close()
		t.Error("a file was taken for a socket")
	}
}

func TestOneServer(t *testing.T) {
	t.Parallel()
	dir := serve(t, &scripted{})
	if _, err := Listen(dir); !errors.Is(err, ErrRunning) {
		t.Errorf("%v", err)
	}
	if fi, err := os.Stat(filepath.Join(dir, Socket)); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", fi.Mode(), err)
	}
	if _, err := Dial(t.Context(), dir); err != nil {
		t.Errorf("the running server lost its socket: %v", err)
	}
}

// Paths may be longer than a socket's address.
func TestLongPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { (&Server{Desk: &scripted{}}).Serve(t.Context(), l) }()
	if _, err := Dial(t.Context(), dir); err != nil {
		t.Error(err)
	}
}

func TestMismatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(Hello{Protocol: Version + 1, Program: "9.9"})
	})}
	go srv.Serve(l)
	defer srv.Close()
	_, err = Dial(t.Context(), dir)
	var m *MismatchError
	if !errors.As(err, &m) || m.Server != Version+1 || !strings.Contains(err.Error(), "restart the server") {
		t.Errorf("%v", err)
	}
	// And the other way round: a client of another version is told so.
	c, err := Dial(t.Context(), serve(t, &scripted{}))
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest(http.MethodPost, "http://waxwing/queue/count", strings.NewReader("{}"))
	req.Header.Set(versionHeader, "0")
	res, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("%s", res.Status)
	}
}

// Who is neither root nor the server's user is turned away.
func TestAdmit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		p  any
		in bool
	}{
		{nil, false}, {peer{uid: 0}, true}, {peer{uid: os.Geteuid()}, true}, {peer{uid: os.Geteuid() + 1}, false}, {peer{err: errors.New("x")}, false},
	} {
		r, _ := http.NewRequestWithContext(context.WithValue(t.Context(), peerKey{}, tt.p), http.MethodGet, "/", nil)
		if f := admit(r); (f == nil) != tt.in {
			t.Errorf("%+v: %+v", tt.p, f)
		}
	}
	// The kernel tells who it is.
	a := serve(t, &scripted{})
	c, err := dial(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if uid, err := peerUID(c); err != nil || uid != os.Geteuid() {
		t.Errorf("%d %v", uid, err)
	}
	if _, err := peerUID(&net.TCPConn{}); err == nil {
		t.Error("a TCP connection has a uid")
	}
}

// A client that goes away ends what it asked for; more than maxConns wait.
func TestBounds(t *testing.T) {
	t.Parallel()
	d := &scripted{block: make(chan struct{}, maxConns)}
	dir := serve(t, d)
	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, maxConns)
	for range maxConns {
		go func() { _, err := c.Count(ctx); done <- err }()
	}
	for range maxConns {
		<-d.block
	}
	short, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if _, err := c.Show(short, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("connection %d was served: %v", maxConns+1, err)
	}
	cancel()
	for range maxConns {
		if err := <-done; err == nil {
			t.Error("a request that was given up has an answer")
		}
	}
	if _, err := c.Show(t.Context(), 1); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// The real rooms, over the socket, on both engines.
func TestRooms(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		q := &queue.Queue{Store: s, Hostname: "mx.a.test"}
		env := &delivery.Envelope{Sender: "a@a.test", Recipients: []delivery.Recipient{{Address: "b@b.test", Domain: delivery.RecipientDomain{Name: dns.MustParse("b.test")}}}}
		body := delivery.Bytes("Subject: x\r\n\r\nx\r\n")
		env.Size = body.Size()
		if err := q.Enqueue(t.Context(), env, body); err != nil {
			t.Fatal(err)
		}
		told := 0
		rooms := &desk.Rooms{Queue: q, Routes: &routes.Store{DB: s}, Changed: func(context.Context) error { told++; return nil }}
		c, err := Dial(t.Context(), serve(t, rooms))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range []desk.Desk{rooms, c} {
			items, err := d.List(t.Context(), spool.Filter{})
			if err != nil || len(items) != 1 || items[0].Recipient.Address != "b@b.test" {
				t.Fatalf("%+v %v", items, err)
			}
			m, err := d.Show(t.Context(), items[0].Envelope.ID)
			if err != nil || len(m.Recipients) != 1 {
				t.Errorf("%+v %v", m, err)
			}
			if _, err := d.Show(t.Context(), 1); !errors.Is(err, spool.ErrNoSuchMessage) {
				t.Errorf("%v", err)
			}
			if n, err := d.Count(t.Context()); err != nil || n[spool.Waiting] != 1 {
				t.Errorf("%v %v", n, err)
			}
			state := func() spool.Item {
				items, err := d.List(t.Context(), spool.Filter{})
				if err != nil || len(items) != 1 {
					t.Fatalf("%+v %v", items, err)
				}
				return items[0]
			}
			act := func(a desk.Action, done int) {
				t.Helper()
				before := told
				if n, err := d.Act(t.Context(), a); err != nil || n.Done != done || told-before != done {
					t.Errorf("%+v: %+v %v, told %d times", a, n, err, told-before)
				}
			}
			act(desk.Action{Verb: desk.Hold, Why: "a look"}, 1)
			act(desk.Action{Verb: desk.Retry}, 0)
			if i := state(); i.State != spool.Held || i.Text != "a look" {
				t.Errorf("%+v", i)
			}
			act(desk.Action{Verb: desk.SetTLS, Need: delivery.TLSOptional}, 1)
			act(desk.Action{Verb: desk.SetTransport, Transport: "direct"}, 1)
			if i := state(); i.Envelope.Need != delivery.TLSOptional || i.Envelope.Transport != "direct" {
				t.Errorf("%+v", i)
			}
			act(desk.Action{Verb: desk.SetTransport}, 1)
			act(desk.Action{Verb: desk.Unhold, Filter: spool.Filter{Domain: "other.test"}}, 0)
			act(desk.Action{Verb: desk.Unhold}, 1)
			for _, bad := range []desk.Action{{Verb: "explode"}, {}, {Verb: desk.SetTransport, Transport: "nowhere"}} {
				if n, err := d.Act(t.Context(), bad); err == nil || n.Done > 0 {
					t.Errorf("%+v: %+v %v", bad, n, err)
				}
			}
		}
		if n, err := rooms.Act(t.Context(), desk.Action{Verb: desk.Drop}); err != nil || n.Done != 1 {
			t.Errorf("%+v %v", n, err)
		}
	})
}
