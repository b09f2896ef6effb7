package views

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"waxwing/internal/mailbox"
	"waxwing/internal/store"
)

// Look is one session's eyes on a mailbox: the messages its client has been told of, by
// sequence number. It belongs to one goroutine. Messages that have gone keep their numbers until
// Sync tells of them.
//
// It holds what its client is still to be told of, and nothing a message besides.
type Look struct {
	db    *store.Store
	views *Views
	box   mailbox.Box
	view  *view
	since uint64 // what is up to this modseq, the client knows; used until joined
	count int    // the same of the messages
	told  uint32 // the highest UID the client knows
	// joined: the view tells of changes. Before, nothing but the mailbox's own row has been read:
	// a session that waits in a mailbox where nothing happens costs no view.
	joined bool

	// What the view has told, under its lock.
	gone    []uint32 // not told yet, ascending
	changed []uint32 // with other flags; may hold one twice
}

// maxChanged is how many changed flags a Look remembers one by one; beyond, they are made unique.
const maxChanged = 4096

// Close ends it.
func (l *Look) Close() {
	l.view.mu.Lock()
	delete(l.view.looks, l)
	l.view.mu.Unlock()
	l.views.leave(l.view)
}

// Box is the mailbox as of the last Sync.
func (l *Look) Box() mailbox.Box { return l.box }

// Count is how many messages the client knows (EXISTS).
func (l *Look) Count() int { return l.count }

// Last is the highest UID that the client knows; 0: none.
func (l *Look) Last() uint32 { return l.told }

// tell notes what has changed. The view's lock is held.
func (l *Look) tell(d delta) {
	for _, u := range d.gone {
		if u <= l.told {
			l.gone = append(l.gone, u)
		}
	}
	slices.Sort(l.gone)
	l.gone = slices.Compact(l.gone)
	for _, e := range d.entries {
		if e.UID <= l.told {
			l.changed = append(l.changed, e.UID)
		}
	}
	for _, u := range d.flagged {
		if u <= l.told {
			l.changed = append(l.changed, u)
		}
	}
	if len(l.changed) > maxChanged {
		slices.Sort(l.changed)
		l.changed = slices.Compact(l.changed)
	}
}

// join has the view loaded, and reads what has changed since the client was told of the
// mailbox. Without it there are no sequence numbers.
func (l *Look) join(ctx context.Context) error {
	if l.joined {
		return nil
	}
	err := l.views.reading(ctx, l.db, l.view, func(tx *store.Tx) error {
		l.gone, l.changed = nil, nil
		if l.view.modseq != l.since {
			d, err := since(tx, l.box.ID, l.since, 0) // what has come, the client is told of by Sync
			if err != nil {
				return err
			}
			l.tell(d)
		}
		l.view.looks[l] = struct{}{}
		return nil
	})
	l.joined = err == nil
	if err != nil {
		return fmt.Errorf("look into a mailbox: %w", err)
	}
	return nil
}

// maxUnseen is up to how many messages a view is loaded to find the first one that is unseen.
const maxUnseen = 10_000

// FirstUnseen is the sequence number of the first message without \Seen; 0: there is none, or it
// would cost too much to say.
func (l *Look) FirstUnseen(ctx context.Context) (int, error) {
	if !l.joined && l.count > maxUnseen && !l.view.isLoaded() {
		return 0, nil
	}
	if err := l.join(ctx); err != nil {
		return 0, err
	}
	l.view.mu.Lock()
	defer l.view.mu.Unlock()
	for i, f := range l.view.flags {
		if u := l.view.uids[i]; f&mailbox.Seen == 0 && u <= l.told {
			k, _ := slices.BinarySearch(l.gone, u)
			return i + k + 1, nil
		}
	}
	return 0, nil
}

// Line is a message by sequence number, as the client knows them.
type Line struct {
	Seq    int
	UID    uint32
	Flags  mailbox.Flags
	ModSeq uint64
	Gone   bool // it is not there any more; Sync will tell
}

// Lines appends the messages with sequence numbers from low to high to out.
func (l *Look) Lines(ctx context.Context, out []Line, low, high int) ([]Line, error) {
	if err := l.join(ctx); err != nil {
		return nil, err
	}
	l.view.mu.Lock()
	defer l.view.mu.Unlock()
	at := l.place(low)
	for seq := low; seq <= min(high, l.count); seq++ {
		line, next, ok := l.line(at)
		if !ok {
			break
		}
		line.Seq, at = seq, next
		out = append(out, line)
	}
	return out, nil
}

// position is a place in the client's order: so many of the view's messages and of those that have
// gone stand before it.
type position struct{ here, gone int }

// place is where the message with a sequence number stands.
func (l *Look) place(seq int) position {
	k := sort.Search(len(l.gone), func(k int) bool {
		i, _ := slices.BinarySearch(l.view.uids, l.gone[k])
		return i+k >= seq-1
	})
	return position{min(seq-1-k, len(l.view.uids)), k}
}

// line is the message at a place, and the place behind it.
func (l *Look) line(p position) (Line, position, bool) {
	v := l.view
	there := p.here < len(v.uids) && v.uids[p.here] <= l.told
	if p.gone < len(l.gone) && (!there || l.gone[p.gone] < v.uids[p.here]) {
		return Line{UID: l.gone[p.gone], Gone: true}, position{p.here, p.gone + 1}, true
	}
	if !there {
		return Line{}, p, false
	}
	return Line{UID: v.uids[p.here], Flags: v.flags[p.here], ModSeq: v.mods[p.here]}, position{p.here + 1, p.gone}, true
}

// Seqs are the sequence numbers of the messages with UIDs in a range: from low to high, and
// none where high is below low.
func (l *Look) Seqs(ctx context.Context, g mailbox.Range) (low, high int, err error) {
	if err := l.join(ctx); err != nil {
		return 0, 0, err
	}
	l.view.mu.Lock()
	defer l.view.mu.Unlock()
	low = l.before(g.Low) + 1
	if g.High >= l.told {
		return low, l.count, nil
	}
	return low, l.before(g.High + 1), nil
}

// before is how many messages the client knows below a UID.
func (l *Look) before(uid uint32) int {
	i, _ := slices.BinarySearch(l.view.uids, min(uid, l.told+1))
	k, _ := slices.BinarySearch(l.gone, uid)
	return i + k
}

// News is what a client is to be told, in this order.
type News struct {
	Gone    []Line // sequence numbers as they are when it is told of each, one after the other
	Exists  int    // how many messages there are now
	New     bool   // that there are more
	Added   int    // so many
	Changed []Line // have other flags; with the numbers that hold after Gone
	// All: this, and what it has been told before, is all that has happened up to ModSeq.
	All    bool
	ModSeq uint64
}

// Sync reads what is new, and with expunges lets go of what has gone: sequence numbers are then
// the new ones. ErrNoSuchMailbox where the mailbox itself has gone.
func (l *Look) Sync(ctx context.Context, expunges bool) (n News, err error) {
	if !l.joined {
		b, err := store.Read(ctx, l.db, func(tx *store.Tx) (mailbox.Box, error) { return Box(tx, l.box.ID) })
		if err != nil {
			return n, fmt.Errorf("look into a mailbox: %w", err)
		}
		if b.ModSeq == l.since {
			return News{Exists: l.count}, nil
		}
	}
	if err := l.join(ctx); err != nil {
		return n, err
	}
	err = l.views.reading(ctx, l.db, l.view, func(tx *store.Tx) error {
		b, err := Box(tx, l.box.ID)
		if err != nil {
			return err
		}
		l.box = b
		n = l.news(expunges)
		return nil
	})
	if err != nil {
		return n, fmt.Errorf("look into a mailbox: %w", err)
	}
	return n, nil
}

// news takes what there is to tell. The view's lock is held.
func (l *Look) news(expunges bool) (n News) {
	if expunges {
		for _, u := range l.gone {
			i, _ := slices.BinarySearch(l.view.uids, u)
			n.Gone = append(n.Gone, Line{Seq: i + 1, UID: u, Gone: true})
		}
		l.count -= len(l.gone)
		l.gone = nil
	}
	was := l.told
	if last := len(l.view.uids); last > 0 {
		l.told = max(l.told, l.view.uids[last-1])
	}
	if l.told > was {
		i, _ := slices.BinarySearch(l.view.uids, was+1)
		n.New, n.Added = true, len(l.view.uids)-i
		l.count += n.Added
	}
	n.Exists = l.count
	slices.Sort(l.changed)
	l.changed = slices.Compact(l.changed)
	n.Changed = slices.Grow(n.Changed, len(l.changed))
	i := 0 // in the view, behind the last one that was found: the next is often its neighbour
	for _, u := range l.changed {
		if i == len(l.view.uids) || l.view.uids[i] != u {
			k, has := slices.BinarySearch(l.view.uids[i:], u)
			if i += k; !has {
				continue // it has gone since
			}
		}
		k, _ := slices.BinarySearch(l.gone, u)
		n.Changed = append(n.Changed, Line{Seq: i + k + 1, UID: u, Flags: l.view.flags[i], ModSeq: l.view.mods[i]})
		i++
	}
	l.changed = nil
	l.since = l.view.modseq
	n.All, n.ModSeq = len(l.gone) == 0, l.since
	return n
}
