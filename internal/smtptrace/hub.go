package smtptrace

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"waxwing/internal/foreign"
	"waxwing/smtp"
)

// Bounds.
const (
	maxWatches = 8    // at one time
	maxWaiting = 1024 // lines that a watcher has not read yet
	maxRate    = 1000 // lines a second of one watch
	maxText    = 1000 // octets of one line
	maxConns   = 4096 // connections whose numbers one watch remembers
	tellLost   = time.Second
)

// ErrBusy: as many watch as may.
var ErrBusy = errors.New("8 traces run already: end one of them first")

// Line is one line of a transcript.
type Line struct {
	Time       time.Time `json:"time"`
	Connection int       `json:"connection"` // a number for each, from 1, in the order in which the watch saw them
	Direction  string    `json:"direction"`  // "in", "out"
	From       smtp.Side `json:"from"`
	Remote     string    `json:"remote"`             // address and port
	Listener   string    `json:"listener,omitempty"` // of an incoming connection
	Host       string    `json:"host,omitempty"`     // of an outgoing one
	Text       string    `json:"text"`
	// Lost is how many lines before this one the watcher did not get: it was too slow, or
	// they were too many in one second. A line of which nothing else is set only says that.
	Lost int `json:"lost,omitempty"`
}

// Hub brings lines to those who watch. Its methods may be called by any goroutine.
type Hub struct {
	Now func() time.Time

	watches atomic.Pointer[[]*watch] // nil: nobody watches; replaced as a whole
	mu      sync.Mutex               // held to replace watches
}

// Transcript is who watches a connection; nil: nobody. While nobody watches at all it is one
// atomic read.
func (h *Hub) Transcript(p Peer) smtp.Transcript {
	all := h.watches.Load()
	if all == nil {
		return nil
	}
	return h.matching(p, *all)
}

// Watched reports that somebody watches something.
func (h *Hub) Watched() bool { return h.watches.Load() != nil }

func (h *Hub) matching(p Peer, all []*watch) smtp.Transcript {
	var t *transcript
	for _, w := range all {
		if w.filter.Matches(p) {
			if t == nil {
				t = &transcript{hub: h, peer: p}
			}
			t.watches = append(t.watches, w)
		}
	}
	if t == nil {
		return nil // not a *transcript that is nil
	}
	return t
}

// transcript brings the lines of one connection to those who watch it.
type transcript struct {
	hub     *Hub
	peer    Peer
	watches []*watch
}

// Line never blocks.
func (t *transcript) Line(from smtp.Side, text string) {
	l := Line{Time: t.hub.Now(), Direction: "in", From: from, Remote: t.peer.Remote.String(), Listener: t.peer.Listener, Host: t.peer.Host,
		Text: foreign.Clip(foreign.Line(text), maxText)}
	if t.peer.Outgoing {
		l.Direction = "out"
	}
	for _, w := range t.watches {
		w.add(l, t.peer)
	}
}

// watch is one who watches.
type watch struct {
	filter Filter
	lines  chan Line

	mu      sync.Mutex
	numbers map[Peer]int
	last    int // number given
	lost    int // since the last line that was read
	second  int64
	count   int // lines in that second
}

// add gives the watcher a line, if there is room for it.
func (w *watch) add(l Line, p Peer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l.Connection = w.number(p)
	if s := l.Time.Unix(); s != w.second {
		w.second, w.count = s, 0
	}
	if w.count++; w.count > maxRate {
		w.lost++
		return
	}
	select {
	case w.lines <- l:
	default:
		w.lost++
	}
}

// number is that of a connection. The lock is held.
func (w *watch) number(p Peer) int {
	n, ok := w.numbers[p]
	if !ok {
		if len(w.numbers) >= maxConns {
			clear(w.numbers)
		}
		w.last++
		n = w.last
		w.numbers[p] = n
	}
	return n
}

// takeLost is how many lines were lost since it was last asked.
func (w *watch) takeLost() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.lost
	w.lost = 0
	return n
}

// Follow calls emit with each line of the connections that f matches, until ctx ends, which is
// no error, or emit returns one. begun is called once lines are collected. Errors: ErrBusy,
// and those of emit and begun.
func (h *Hub) Follow(ctx context.Context, f Filter, begun func() error, emit func(Line) error) error {
	w := &watch{filter: f, lines: make(chan Line, maxWaiting), numbers: map[Peer]int{}}
	if !h.enter(w) {
		return ErrBusy
	}
	defer h.leave(w)
	if err := begun(); err != nil {
		return err
	}
	tick := time.NewTicker(tellLost)
	defer tick.Stop()
	for {
		var l Line
		select {
		case <-ctx.Done():
			return nil
		case l = <-w.lines:
		case <-tick.C:
			l.Time = h.Now()
		}
		if l.Lost = w.takeLost(); l.Lost == 0 && l.Connection == 0 {
			continue
		}
		if err := emit(l); err != nil {
			return err
		}
	}
}

func (h *Hub) enter(w *watch) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []*watch
	if now := h.watches.Load(); now != nil {
		all = slices.Clone(*now)
	}
	if len(all) >= maxWatches {
		return false
	}
	all = append(all, w)
	h.watches.Store(&all)
	return true
}

func (h *Hub) leave(w *watch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(*h.watches.Load()), func(o *watch) bool { return o == w })
	if len(all) == 0 {
		h.watches.Store(nil)
		return
	}
	h.watches.Store(&all)
}
