// Package catalog is what JMAP knows of an account's mail: every mail once, with all mailboxes in which
// it lies (RFC 8621 §4.1). IMAP sees mailboxes; here they are put together, from the rows of package
// mailboxes, of which it changes none. It is brought up to date by what has changed since it looked last,
// so that a query costs no look at the store, and so is what clients are told has changed.
package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"waxwing/internal/jmapserver/finding"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/internal/views"
)

// Box is a mailbox.
type Box struct {
	ID         int64
	Name, Use  string // as mailbox.Box has them
	Subscribed bool
	ModSeq     uint64
	Made       uint64 // the modseq with which it was made
	Shaped     uint64 // and that with which it changed last in anything but what lies in it
	Order      int64  // in which programs show it, as they have said; -1: they have not
	Removed    bool
}

// View is an account's mail at one moment. It is locked: who has it must not keep it, nor what is in it.
type View struct {
	ModSeq uint64
	Words  []string // keywords, by number
	Boxes  map[int64]*Box
	Mails  map[int64]*finding.Email
	Newest uint64 // the modseq with which a mail came last

	pruned int64
	sorted []*finding.Email           // by Newer; nil: to be made
	counts map[int64]Counts           // nil: to be made
	thread map[int64]*finding.Thread  // nil: to be made
	of     map[int64][]*finding.Email // by thread, of those that lie somewhere; nil: to be made
}

// account is a View with its lock.
type account struct {
	mu   sync.Mutex
	view *View // nil: not loaded
	size int   // of the view when it was left, for Store.mu
}

// Store keeps the views of the accounts that were asked about last. Its fields are set before its first use.
type Store struct {
	DB    *store.Store
	Boxes *mailboxes.Store
	// Keep is how many mails all views together may have when nobody looks; 0: 300,000.
	Keep int

	mu     sync.Mutex
	byName map[string]*account
	recent []string // the one that was looked at last at the end
}

// keep is how many mails are kept: some 200 octets each.
const keep = 300_000

// Look calls fn with the account's mail as it is now, in the transaction in which it was read. No other looks at the account
// meanwhile.
func (s *Store) Look(ctx context.Context, name string, fn func(tx *store.Tx, v *View) error) error {
	a := s.account(name)
	a.mu.Lock()
	defer a.mu.Unlock()
	err := s.read(ctx, a, name, fn)
	if errors.Is(err, errNew) {
		if _, err = s.Boxes.Boxes(ctx, name); err == nil { // which makes them
			err = s.read(ctx, a, name, fn)
		}
	}
	size := 1
	if a.view != nil {
		size += len(a.view.Mails)
	}
	s.left(name, a, size)
	return err
}

// errNew is an account that has had nothing to do with mail yet.
var errNew = errors.New("the account has no mailboxes yet")

func (s *Store) read(ctx context.Context, a *account, name string, fn func(tx *store.Tx, v *View) error) error {
	return s.DB.Read(ctx, func(tx *store.Tx) error {
		old := a.view
		a.view = nil // unless it is whole: what was given up in the middle is read anew
		v, err := refresh(tx, name, old)
		if err != nil {
			return fmt.Errorf("mail of %s: %w", name, err)
		}
		a.view = v
		return fn(tx, v)
	})
}

func (s *Store) account(name string) *account {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName == nil {
		s.byName = map[string]*account{}
	}
	a := s.byName[name]
	if a == nil {
		a = &account{}
		s.byName[name] = a
	}
	if i := slices.Index(s.recent, name); i >= 0 {
		s.recent = slices.Delete(s.recent, i, i+1)
	}
	s.recent = append(s.recent, name)
	return a
}

// left forgets the accounts that nobody has looked at for longest, where too much is kept. Who looks at one
// of them keeps its own.
func (s *Store) left(name string, a *account, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName[name] == a {
		a.size = size
	}
	most, total := s.Keep, 0
	if most == 0 {
		most = keep
	}
	for i := len(s.recent) - 1; i >= 0; i-- {
		if total += s.byName[s.recent[i]].size; total > most {
			for _, old := range s.recent[:i+1] {
				delete(s.byName, old)
			}
			s.recent = slices.Clone(s.recent[i+1:])
			return
		}
	}
}

// refresh brings a view up to date, or makes it. With an error neither the view nor old is whole.
func refresh(tx *store.Tx, name string, old *View) (*View, error) {
	var modseq, pruned int64
	var words string
	err := tx.Row(`SELECT modseq, pruned, keywords FROM mail_accounts WHERE account = ?`, name).Scan(&modseq, &pruned, &words)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNew
	}
	if err != nil {
		return nil, err
	}
	if old != nil && old.ModSeq == uint64(modseq) && old.pruned == pruned {
		return old, nil
	}
	v := &View{Boxes: map[int64]*Box{}, Mails: map[int64]*finding.Email{}, ModSeq: uint64(modseq), pruned: pruned, Words: keywords(words)}
	boxes, err := store.Collect(tx, scanBox, `SELECT id, CASE WHEN was = '' THEN name ELSE was END, special, subscribed, modseq, made, shaped, sort_order, removed FROM mailboxes WHERE account = ?`, name)
	if err != nil {
		return nil, err
	}
	inbox := false
	for _, b := range boxes {
		v.Boxes[b.ID] = &b
		inbox = inbox || b.Name == mailbox.Inbox
	}
	if !inbox {
		return nil, errNew
	}
	if old == nil || pruned > int64(old.ModSeq) {
		return v, v.load(tx, name)
	}
	v.Mails, v.sorted, v.Newest = old.Mails, old.sorted, old.Newest
	return v, v.advance(tx, old.ModSeq)
}

func scanBox(r store.Row) (b Box, err error) {
	var removed int64
	err = r.Scan(&b.ID, &b.Name, &b.Use, &b.Subscribed, &b.ModSeq, &b.Made, &b.Shaped, &b.Order, &removed)
	b.Removed = removed != 0
	return b, err
}

// keywords are as package mailboxes keeps them.
func keywords(text string) []string {
	if text == "" {
		return nil
	}
	words := strings.Split(text, " ")
	for i, w := range words {
		if w == "()" {
			words[i] = ""
		}
	}
	return words
}

const entries = `SELECT e.mailbox, e.uid, e.flags, e.modseq, m.id, m.thread, m.size, m.received, m.created FROM mailbox_entries e JOIN mails m ON m.id = e.mail`

// load reads all.
func (v *View) load(tx *store.Tx, name string) error {
	return tx.Each(v.put, entries+` JOIN mailboxes b ON b.id = e.mailbox WHERE b.account = ? AND b.removed = 0`, name)
}

// put takes a row of entries in.
func (v *View) put(r store.Row) error {
	var p finding.Place
	var e finding.Email
	var flags int64
	if err := r.Scan(&p.Box, &p.UID, &flags, &p.ModSeq, &e.ID, &e.Thread, &e.Size, &e.Received, &e.Created); err != nil {
		return err
	}
	p.Flags, v.Newest = mailbox.Flags(flags), max(v.Newest, e.Created)
	has := v.Mails[e.ID]
	if has == nil {
		has = &e
		v.Mails[e.ID] = has
		v.sorted = nil
	}
	has.Created, has.Changed = e.Created, max(has.Changed, p.ModSeq)
	for i := range has.Places {
		if o := &has.Places[i]; o.Box == p.Box && o.UID == p.UID {
			*o = p
			return nil
		}
	}
	has.Places = append(has.Places, p)
	return nil
}

// advance reads what has changed after a modseq.
func (v *View) advance(tx *store.Tx, since uint64) error {
	for _, b := range v.Boxes {
		if b.ModSeq <= since {
			continue
		}
		gone, err := store.Collect(tx, scanGone, `SELECT uid, mail FROM mailbox_gone WHERE mailbox = ? AND modseq > ?`, b.ID, int64(since))
		if err != nil {
			return err
		}
		v.drop(b.ID, gone)
		if b.Removed {
			continue
		}
		if err := v.advanceBox(tx, b.ID, since); err != nil {
			return err
		}
	}
	return nil
}

// advanceBox reads what has come into a mailbox, or has other flags.
func (v *View) advanceBox(tx *store.Tx, box int64, since uint64) error {
	ranges, err := views.ChangedSince(tx, box, since)
	for _, g := range ranges {
		if err == nil {
			err = tx.Each(v.put, entries+` WHERE e.mailbox = ? AND e.uid BETWEEN ? AND ? AND e.modseq > ?`, box, int64(g.Low), int64(g.High), int64(since))
		}
	}
	return err
}

type gone struct {
	uid  uint32
	mail int64
}

func scanGone(r store.Row) (g gone, err error) { return g, r.Scan(&g.uid, &g.mail) }

// drop takes out what has left a mailbox.
func (v *View) drop(box int64, all []gone) {
	if len(all) == 0 {
		return
	}
	uids := map[uint32]bool{}
	unknown := false
	for _, g := range all {
		uids[g.uid] = true
		unknown = unknown || g.mail == 0
		v.take(box, g.mail, uids)
	}
	if !unknown {
		return
	}
	for id := range v.Mails { // a mail was erased for good: which, its row does not say any more
		v.take(box, id, uids)
	}
}

func (v *View) take(box, mail int64, uids map[uint32]bool) {
	e := v.Mails[mail]
	if e == nil {
		return
	}
	e.Places = slices.DeleteFunc(e.Places, func(p finding.Place) bool { return p.Box == box && uids[p.UID] })
	if len(e.Places) == 0 {
		delete(v.Mails, mail)
		v.sorted = nil
	}
}
