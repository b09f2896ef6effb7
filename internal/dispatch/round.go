package dispatch

import (
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/retry"
)

const (
	// quantum is how many recipients of a lane go in one turn. The rows of a lane are
	// neighbours in the index: with a large backlog, a turn for each would read and write
	// that many more pages.
	quantum = 4
	// turnPause is when another look is taken at a lane that has more due than its contact
	// may have now. This machine looks as soon as there is room; the time is for the others.
	turnPause = 30 * time.Second
	// wantedContacts and wantedAccounts bound what Wanted returns.
	wantedContacts, wantedAccounts = 16, 16
)

// AccountLanes is how many lanes of an account that Wanted names are to be read.
const AccountLanes = 256

// Round shares the room of one claim among lanes that may have mail due. Whoever claims
// asks for turns with Ask until there are none, reads the rows of each, lets it Choose,
// claims those, and writes down what End says of when each lane is looked at again. The
// board hears of all that only with Commit.
type Round[J Job] struct {
	Room int  // for more recipients
	More bool // another claim would find more at once

	b         *Board[J]
	now       time.Time
	closings  map[delivery.Contact]retry.Closing
	standings map[delivery.Contact]*standing // of the contacts and their ways, by the board and by closings
	lanes     []delivery.Lane                // that wait for their turn
	allow     map[delivery.Contact]int
	hungry    map[delivery.Contact]bool // whether the store has more for a contact than it may have now
	denied    map[delivery.Contact]bool // contacts whose mail has to wait for the share of its account
	of        map[string]int            // lanes, by account
	turns     []*Turn
	quantum   int
}

// Turn is one lane in a round.
type Turn struct {
	delivery.Lane
	Most int   // recipients it may have
	Rows []Row // its first that wait, one more than Most: whoever claims reads them
	// Next is when the lane is looked at again; zero: nothing waits in it.
	Next time.Time

	taken int // of Rows
}

// Row is a waiting recipient.
type Row struct {
	ID  int64
	Due time.Time
}

// Wanted are contacts, and accounts, that have room again for what waits in the store,
// whenever it is due to be looked at. Whether an account has more than is then read, the
// round finds out anew.
func (b *Board[J]) Wanted() (contacts []delivery.Contact, accounts []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count()
	for c, d := range b.hungry {
		if b.open && b.mayCome(c, "", 1) && b.low(d) && len(contacts) < wantedContacts {
			contacts = append(contacts, c)
		}
	}
	for a := range b.waiting {
		if b.open && b.spare(a) && len(accounts) < wantedAccounts {
			accounts = append(accounts, a)
			delete(b.waiting, a)
		}
	}
	return contacts, accounts
}

// Round begins a claim of up to room recipients from lanes, in their order. Closings is
// what the store knows of their contacts. What it returns beside the round are lanes of
// closed contacts, with the time at which they open.
func (b *Board[J]) Round(lanes []delivery.Lane, closings map[delivery.Contact]retry.Closing, room int, now time.Time) (*Round[J], []*Turn) {
	r := &Round[J]{Room: room, b: b, now: now, closings: closings, standings: map[delivery.Contact]*standing{}, allow: map[delivery.Contact]int{},
		hungry: map[delivery.Contact]bool{}, denied: map[delivery.Contact]bool{}, of: map[string]int{}, quantum: quantum}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count()
	var blocked []*Turn
	probes, granted := map[delivery.Contact]delivery.Contact{}, map[string]int{}
	for _, l := range lanes {
		r.of[l.Account]++
		r.standing(r.standing(l.To).way) // for Commit, also where nothing is asked
		until := ClosedUntil(closings, l.To, now)
		if until.IsZero() && r.probed(probes, l.To) {
			until = now.Add(turnPause)
		}
		if !until.IsZero() {
			blocked = append(blocked, &Turn{Lane: l, Next: until})
			continue
		}
		if _, ok := r.allow[l.To]; !ok {
			r.allow[l.To], r.denied[l.To] = r.allowFor(l.To, l.Account, granted[l.Account])
			granted[l.Account] += min(r.allow[l.To], quantum)
			r.hungry[l.To] = false
		}
		r.lanes = append(r.lanes, l)
	}
	return r, blocked
}

// probed: the way to a contact is closed and due for a probe, which another contact behind
// it makes.
func (r *Round[J]) probed(probes map[delivery.Contact]delivery.Contact, c delivery.Contact) bool {
	w, ok := c.Shared()
	if !ok {
		return false
	}
	if _, closed := r.closings[w]; !closed {
		return false
	}
	if by, ok := probes[w]; ok {
		return by != c
	}
	probes[w] = c
	return r.allowed(c) <= 0
}

// Ask returns the lanes whose turn it is: those that may have rows, and those whose
// contact may have no more, which are only asked when to look again. What lanes did not
// have of their share goes to the others the next time. None: the round is over.
func (r *Round[J]) Ask() (asked []*Turn) {
	var kept []delivery.Lane
	most := portion(r.lanes, r.Room, r.allow, r.quantum)
	for i, l := range r.lanes {
		if most[i] == 0 && r.allow[l.To] > 0 {
			kept = append(kept, l)
			continue
		}
		asked = append(asked, &Turn{Lane: l, Most: most[i]})
	}
	r.quantum, r.lanes, r.turns = 1, kept, append(r.turns, asked...)
	return asked
}

// Choose says which rows of a turn are claimed: those that are due, as many as it may
// have. With parted set there may be others of the message of that row which wait for the
// same moment and are to travel with it: they are claimed too, and Parted is told.
func (r *Round[J]) Choose(t *Turn) (ids []int64, parted *Row) {
	for _, w := range t.Rows {
		if w.Due.After(r.now) || t.taken == t.Most {
			break
		}
		ids = append(ids, w.ID)
		t.taken++
	}
	r.Room -= t.taken
	r.allow[t.To] += t.Most - t.taken
	if t.taken == len(t.Rows) { // all that wait
		return ids, nil
	}
	first := t.Rows[t.taken]
	if t.taken > 0 && first.Due.Equal(t.Rows[t.taken-1].Due) {
		parted = &t.Rows[t.taken-1]
	}
	if t.Next = first.Due; t.Next.IsZero() { // overdue, whatever wrote that
		t.Next = r.now
	}
	return ids, parted
}

// Parted says that more rows of a turn were claimed: what is behind them is not known.
func (r *Round[J]) Parted(t *Turn) { t.Next = r.now }

// End says when each lane is looked at again, once its rows are claimed. missed says that
// not all of them were.
func (r *Round[J]) End(missed bool) []*Turn {
	r.More = r.More || len(r.lanes) > 0 // their turn comes next
	for _, t := range r.turns {
		switch {
		case missed && t.taken > 0:
			// Another machine held some of the rows. What it does to them we cannot know.
			t.Next = r.now
		case t.Next.IsZero() || t.Next.After(r.now):
		case r.denied[t.To]: // once there is room for the account, this machine looks
			t.Next = r.now.Add(turnPause)
		case r.allow[t.To] <= 0:
			r.hungry[t.To] = true
			t.Next = r.now.Add(turnPause)
		default:
			r.More = true
			t.Next = r.now // behind those that have waited longer
		}
	}
	return r.turns
}

// portion shares room among the lanes that have mail due, in the order in which they are
// given: accounts take turns, one recipient each time, and within one account its lanes,
// quantum recipients each, so that nobody's mass mail keeps a single message waiting
// (QUE-3). allow is what each contact may have; what is given is taken off it.
func portion(lanes []delivery.Lane, room int, allow map[delivery.Contact]int, quantum int) []int {
	out := make([]int, len(lanes))
	byAccount := map[string][]int{}
	var accounts []string
	for i, l := range lanes {
		if byAccount[l.Account] == nil {
			accounts = append(accounts, l.Account)
		}
		byAccount[l.Account] = append(byAccount[l.Account], i)
	}
	for given := true; given && room > 0; {
		given = false
		for _, a := range accounts {
			ring := byAccount[a]
			// Lanes that may have no more leave the ring.
			for len(ring) > 0 && allow[lanes[ring[0]].To] <= 0 {
				ring = ring[1:]
			}
			if len(ring) > 0 && room > 0 {
				i := ring[0]
				out[i]++
				allow[lanes[i].To]--
				room--
				given = true
				if out[i]%quantum == 0 {
					ring = append(ring[1:], i)
				}
			}
			byAccount[a] = ring
		}
	}
	return out
}

// standing is that of a contact; of the zero one too, which no way is.
func (r *Round[J]) standing(c delivery.Contact) *standing {
	s := r.standings[c]
	if s == nil {
		s = &standing{key: c}
		if d := r.b.targets[c]; d != nil {
			*s = d.standing
		} else {
			s.way, _ = c.Shared()
		}
		is, known := r.closings[c]
		s.told(is, known)
		r.standings[c] = s
	}
	return s
}

// allowed is how many jobs of a contact may be claimed: as many as keep it busy while the
// next ones are fetched. b.mu is held.
func (r *Round[J]) allowed(c delivery.Contact) int {
	b := r.b
	d := r.standing(c)
	way := r.standing(d.way)
	if !b.open {
		return everything
	}
	running := b.mostOf(d, way)
	most := min(max(2*running, 2), max(b.limit/contactShare, 1))
	switch {
	case way.pace.Dead(): // a probe of the way
		return min(most, way.pace.Allowed(b.now(), b.perContact)-way.waiting-way.running)
	case d.pace.Dead() && !c.Local: // a probe
		return min(most, running) - d.waiting - d.running
	}
	return most - d.waiting
}

// allowFor is allowed for the mail of one account, to which some was granted already: what
// waits for silent contacts may not fill the board. denied says that it is for this alone
// that there is nothing. b.mu is held.
func (r *Round[J]) allowFor(c delivery.Contact, account string, granted int) (n int, denied bool) {
	most := r.allowed(c)
	for n = most; n > 0 && r.b.open && !r.b.mayCome(c, account, granted+n); n-- {
	}
	return n, n == 0 && most > 0
}

// Commit tells the board what the round has found: it is in the store.
func (r *Round[J]) Commit() {
	b := r.b
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range r.standings {
		is, known := r.closings[c]
		if d := b.targets[c]; d != nil || known {
			d = b.target(c)
			if d.told(is, known) {
				b.listAll(d)
			}
		}
	}
	if !b.open {
		return
	}
	for c, more := range r.hungry {
		b.setMore(c, more)
	}
	for a, lanes := range r.of {
		if lanes >= AccountLanes {
			b.waiting[a] = true
		}
	}
	for _, t := range r.turns {
		if r.denied[t.To] && !t.Next.IsZero() {
			b.waiting[t.Account] = true
		}
	}
}

// setMore notes whether the store has due work for a contact that found no room.
func (b *Board[J]) setMore(c delivery.Contact, more bool) {
	if d := b.targets[c]; d != nil || more {
		d = b.target(c)
		d.more = more
		if more {
			b.hungry[c] = d
		} else {
			delete(b.hungry, c)
		}
		b.forget(d)
	}
}
