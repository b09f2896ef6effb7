// Package views has the eyes of sessions on mailboxes (MBX-9). A view is a mailbox's UIDs and flags as all sessions of
// this process see it; a Look is what one session's client has been told of it. Both are brought up to date by what has
// changed since their modseq, which this package reads, and so sessions never ask SQL for a sequence number.
//
// A mailbox of very many messages is not read row by row when a view of it is made: what package sheet has packed of it
// is, and what has changed since.
package views

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"waxwing/internal/mailbox"
	"waxwing/internal/store"
)

// ErrNoSuchMailbox is that a mailbox is not there, or not any more.
var ErrNoSuchMailbox = errors.New("no such mailbox")

// BoxColumns and ScanBox are the rows of mailboxes that are there, called b.
const BoxColumns = `SELECT b.id, b.account, b.name, b.special, b.subscribed, b.uidvalidity, b.uidnext, b.modseq, b.messages, b.unseen, b.deleted, b.octets, b.created FROM mailboxes b`

// ScanBox reads one.
func ScanBox(r store.Row) (b mailbox.Box, err error) {
	var created int64
	err = r.Scan(&b.ID, &b.Account, &b.Name, &b.Use, &b.Subscribed, &b.UIDValidity, &b.UIDNext, &b.ModSeq, &b.Messages, &b.Unseen, &b.Deleted, &b.Octets, &created)
	b.Created = store.FromTime(created)
	return b, err
}

// Box is the row of a mailbox that is there; ErrNoSuchMailbox.
func Box(tx *store.Tx, id int64) (mailbox.Box, error) {
	b, err := ScanBox(tx.Row(BoxColumns+` WHERE b.id = ? AND b.removed = 0`, id))
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoSuchMailbox
	}
	return b, err
}

// Signed is a modseq for a column; one that no message can have is the highest.
func Signed(modseq uint64) int64 { return int64(min(modseq, 1<<63-1)) }

// Look begins to look at a mailbox. Close must be called. ErrNoSuchMailbox.
func (vs *Views) Look(ctx context.Context, db *store.Store, box int64) (*Look, error) {
	b, err := store.Read(ctx, db, func(tx *store.Tx) (mailbox.Box, error) { return Box(tx, box) })
	if err != nil {
		return nil, fmt.Errorf("look into a mailbox: %w", err)
	}
	return &Look{db: db, views: vs, box: b, view: vs.get(box), since: b.ModSeq, count: int(b.Messages), told: b.UIDNext - 1}, nil
}
