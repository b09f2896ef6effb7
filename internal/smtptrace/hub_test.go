package smtptrace

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"waxwing/internal/text"
	"waxwing/smtp"
)

// TestMatches goes through every combination of a filter and a peer.
func TestMatches(t *testing.T) {
	t.Parallel()
	n := 0
	for _, host := range []string{"", "mx.test"} {
		for _, nets := range [][]netip.Prefix{nil, {netip.MustParsePrefix("192.0.2.0/24")}, {netip.MustParsePrefix("2001:db8::/32")}} {
			for _, listener := range []string{"", "mx"} {
				for _, outgoing := range []bool{false, true} {
					f := Filter{Nets: nets, Host: host, Listener: listener, Outgoing: outgoing}
					for _, p := range []Peer{
						{Listener: "mx"}, {Listener: "submission"}, {Outgoing: true, Host: "MX.test"}, {Outgoing: true, Host: "other.test"},
					} {
						for _, addr := range []string{"192.0.2.7", "::ffff:192.0.2.7", "2001:db8::7", "198.51.100.1"} {
							p.Remote = netip.AddrPortFrom(netip.MustParseAddr(addr), 4711)
							n++
							way := (!outgoing || p.Outgoing) && (listener == "" || !p.Outgoing && p.Listener == "mx")
							named := host != "" && p.Host == "MX.test"
							near := len(nets) > 0 && (strings.Contains(addr, "192.0.2") && nets[0].Bits() == 24 || strings.HasPrefix(addr, "2001") && nets[0].Bits() == 32)
							if got := f.Matches(p); got != (way && (named || near)) {
								t.Errorf("%+v %+v: %v", f, p, got)
							}
						}
					}
				}
			}
		}
	}
	if n != 2*3*2*2*4*4 {
		t.Errorf("%d combinations", n)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		q    Request
		want string // of the filter, or of the error
	}{
		{Request{Peer: "192.0.2.7"}, "[192.0.2.7/32]  false"},
		{Request{Peer: "[2001:db8::7]"}, "[2001:db8::7/128]  false"},
		{Request{Peer: "::ffff:192.0.2.7", Listener: "mx"}, "[192.0.2.7/32]  mxfalse"},
		{Request{Peer: "192.0.2.7/24"}, "[192.0.2.0/24]  false"},
		{Request{Peer: "MX.Example.org", Outgoing: true, For: time.Hour}, "[] mx.example.org true"},
		{Request{}, "must be given"},
		{Request{Peer: "192.0.2.0/33"}, "is no network"},
		{Request{Peer: "a..b"}, "no name of a host"},
		{Request{Peer: "192.0.2.7", Listener: "https"}, "no kind of listener"},
		{Request{Peer: "192.0.2.7", Listener: "mx", Outgoing: true}, "cannot be given together"},
		{Request{Peer: "192.0.2.7", For: -1}, "at most"},
		{Request{Peer: "192.0.2.7", For: MaxFor + 1}, "at most"},
	} {
		f, host, err := tt.q.Parse()
		got := fmt.Sprint(f.Nets, " ", f.Host, " ", f.Listener, f.Outgoing)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tt.want) || (err == nil && host.ASCII() != f.Host) {
			t.Errorf("%+v: %q, want %q", tt.q, got, tt.want)
		}
	}
}

func peer(port uint16) Peer {
	return Peer{Listener: "mx", Remote: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)}
}

// TestSlowReader: who reads slowly loses lines and is told how many; who speaks never waits.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	at := time.Unix(1000, 0)
	h := &Hub{Now: func() time.Time { at = at.Add(10 * time.Millisecond); return at }} // 100 lines a second
	ctx, cancel := context.WithCancel(t.Context())
	begun, blocked, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var got []Line
	go func() {
		done <- h.Follow(ctx, loopback(), func() error { close(begun); return nil }, func(l Line) error {
			if got = append(got, l); len(got) == 1 {
				<-blocked
			}
			if l.Text == "last" {
				cancel()
			}
			return nil
		})
	}()
	<-begun
	p := peer(1)
	const lines = maxWaiting + 500
	for i := range lines {
		h.Transcript(p).Line(smtp.FromClient, fmt.Sprint("NOOP ", i))
	}
	close(blocked)
	for len(h.Transcript(p).(*transcript).watches[0].lines) > 0 {
		time.Sleep(time.Millisecond)
	}
	h.Transcript(p).Line(smtp.FromClient, "last")
	if err := <-done; err != nil {
		t.Error(err)
	}
	lost := 0
	for _, l := range got {
		lost += l.Lost
	}
	if read := len(got) - 1; lost < 400 || read+lost != lines {
		t.Errorf("%d lines were read and %d lost, of %d", read, lost, lines)
	}
}

// TestRate: more lines in a second than may be are lost, and counted.
func TestRate(t *testing.T) {
	t.Parallel()
	w := &watch{lines: make(chan Line, 10*maxRate), numbers: map[Peer]int{}}
	for i := range 3 * maxRate {
		w.add(Line{Time: time.Unix(int64(i/(2*maxRate)), 0)}, peer(1))
	}
	if n := len(w.lines); n != 2*maxRate {
		t.Errorf("%d lines", n)
	}
	if n := w.takeLost(); n != maxRate || w.takeLost() != 0 {
		t.Errorf("%d lost", n)
	}
}

// TestBounds: how many watch, how long a line is, and how many connections are told apart.
func TestBounds(t *testing.T) {
	t.Parallel()
	h := &Hub{Now: time.Now}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, maxWatches)
	for range maxWatches {
		begun := make(chan struct{})
		go func() {
			done <- h.Follow(ctx, loopback(), func() error { close(begun); return nil }, func(Line) error { return nil })
		}()
		<-begun
	}
	none := func() error { return nil }
	if err := h.Follow(ctx, loopback(), none, nil); !errors.Is(err, ErrBusy) {
		t.Errorf("one too many: %v", err)
	}
	cancel()
	for range maxWatches {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if h.Watched() || h.Transcript(peer(1)) != nil {
		t.Error("somebody still watches")
	}
	broken := errors.New("gone")
	if err := h.Follow(t.Context(), loopback(), func() error { return broken }, nil); !errors.Is(err, broken) || h.Watched() {
		t.Errorf("%v", err)
	}
	w := &watch{lines: make(chan Line, 1), numbers: map[Peer]int{}}
	for i := range 2*maxConns + 5 {
		w.number(peer(uint16(i)))
		if len(w.numbers) > maxConns {
			t.Fatalf("%d connections are remembered", len(w.numbers))
		}
	}
	(&transcript{hub: h, watches: []*watch{w}}).Line(smtp.FromClient, "EHLO "+strings.Repeat("x", 5000)+"\n\x00")
	if l := <-w.lines; len(l.Text) > maxText+len("…") || strings.ContainsAny(l.Text, "\n\x00") {
		t.Errorf("%d octets", len(l.Text))
	}
}

// TestNobodyWatches: no trace, no cost: a step of a connection allocates nothing more.
func TestNobodyWatches(t *testing.T) {
	h := &Hub{Now: time.Now}
	p := peer(1)
	if n := testing.AllocsPerRun(1000, func() {
		if h.Watched() || h.Transcript(p) != nil {
			t.Error("somebody watches")
		}
	}); n != 0 {
		t.Errorf("%v allocations while nobody watches", n)
	}
}

func BenchmarkNobodyWatches(b *testing.B) {
	h, p := &Hub{Now: time.Now}, peer(1)
	b.ReportAllocs()
	for b.Loop() {
		if h.Transcript(p) != nil {
			b.Fatal("somebody watches")
		}
	}
}

func TestPrint(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		l    Line
		want string
	}{
		{Line{Connection: 1, Direction: "in", From: smtp.FromClient, Text: "EHLO \x1b[2Jx"}, "at    1 < EHLO  [2Jx"},
		{Line{Connection: 1, Direction: "in", From: smtp.FromServer, Text: "250 OK"}, "at    1 > 250 OK"},
		{Line{Connection: 2, Direction: "out", From: smtp.FromClient, Text: "QUIT"}, "at    2 > QUIT"},
		{Line{Connection: 2, Direction: "out", From: smtp.FromServer, Text: "221 bye"}, "at    2 < 221 bye"},
		{Line{Connection: 1, Direction: "in", From: smtp.FromConnection, Listener: "mx", Remote: "192.0.2.1:25", Text: "connected"}, "at    1 * client 192.0.2.1:25 at mx: connected"},
		{Line{Connection: 1, Direction: "out", From: smtp.FromConnection, Host: "mx.test", Remote: "192.0.2.1:25", Text: "closed"}, "at    1 * host mx.test at 192.0.2.1:25: closed"},
	} {
		if got := tt.l.Print("at", text.Terminal{}); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
