// Package annotations keeps what programs note beside mailboxes and beside the server, for
// each account (IMAP METADATA, RFC 5464). They mean nothing to the server.
package annotations

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"waxwing/internal/store"
)

// Bounds on what an account can keep.
const (
	MaxValue = 64 << 10 // octets of one value
	MaxAll   = 1000     // entries of an account
)

// Errors of Set.
var (
	ErrTooMany = fmt.Errorf("an account can have %d annotations", MaxAll)
	ErrTooLong = fmt.Errorf("an annotation can have %d octets", MaxValue)
)

// Server is the mailbox of annotations of the server itself.
const Server int64 = 0

// Entry is one annotation; a nil Value removes it.
type Entry struct {
	Name  string // in lower case
	Value []byte
}

// NameFault says what is wrong with the name of an entry (RFC 5464 §3).
func NameFault(name string) string {
	if !strings.HasPrefix(name, "/private/") && !strings.HasPrefix(name, "/shared/") && name != "/private" && name != "/shared" {
		return "an entry begins with /private/ or /shared/"
	}
	if strings.HasSuffix(name, "/") || strings.Contains(name, "//") || strings.ContainsFunc(name, notAtom) || len(name) > 255 {
		return "that is no name of an entry"
	}
	return ""
}

// notAtom tells what a name cannot have, so that it is written as it is: beside what RFC 5464 §3.1 leaves out, white space,
// quotes and parentheses.
func notAtom(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`(){%*"\`, r) }

// Store keeps annotations.
type Store struct{ DB *store.Store }

// Get returns the entries of a mailbox whose names are among names, or up to depth levels below
// them; a negative depth is any. Sorted by name.
func (s *Store) Get(ctx context.Context, account string, mailbox int64, names []string, depth int) ([]Entry, error) {
	all, err := store.List(ctx, s.DB, func(r store.Row) (e Entry, err error) { return e, r.Scan(&e.Name, &e.Value) },
		`SELECT name, value FROM annotations WHERE account = ? AND mailbox = ? ORDER BY name`, account, mailbox)
	if err != nil {
		return nil, fmt.Errorf("read annotations of %s: %w", account, err)
	}
	return slices.DeleteFunc(all, func(e Entry) bool {
		return !slices.ContainsFunc(names, func(n string) bool { return within(e.Name, n, depth) })
	}), nil
}

// within reports that name is below top by depth levels at most, or is it.
func within(name, top string, depth int) bool {
	if name == top {
		return true
	}
	below, ok := strings.CutPrefix(name, strings.TrimSuffix(top, "/")+"/")
	return ok && (depth < 0 || strings.Count(below, "/") < depth)
}

// Set changes entries of a mailbox, all of them or none. ErrTooMany, ErrTooLong.
func (s *Store) Set(ctx context.Context, account string, mailbox int64, entries []Entry) error {
	for _, e := range entries {
		if len(e.Value) > MaxValue {
			return ErrTooLong
		}
	}
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		for _, e := range entries {
			if err := set(tx, account, mailbox, e); err != nil {
				return err
			}
		}
		var n int64
		if err := tx.Row(`SELECT count(*) FROM annotations WHERE account = ?`, account).Scan(&n); err != nil {
			return err
		}
		if n > MaxAll {
			return ErrTooMany
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrTooMany) {
		return fmt.Errorf("set annotations of %s: %w", account, err)
	}
	return err
}

func set(tx *store.Tx, account string, mailbox int64, e Entry) error {
	if e.Value == nil {
		_, err := tx.Exec(`DELETE FROM annotations WHERE account = ? AND mailbox = ? AND name = ?`, account, mailbox, e.Name)
		return err
	}
	_, err := tx.Exec(`INSERT INTO annotations (account, mailbox, name, value) VALUES (?, ?, ?, ?)
		ON CONFLICT (account, mailbox, name) DO UPDATE SET value = excluded.value`, account, mailbox, e.Name, e.Value)
	return err
}

// Tidy removes those of mailboxes that are no more.
func (s *Store) Tidy(ctx context.Context) error {
	return s.DB.Remove(ctx, func(tx *store.Tx) (int64, error) {
		return tx.Exec(`DELETE FROM annotations WHERE mailbox <> 0 AND NOT EXISTS (SELECT 1 FROM mailboxes b WHERE b.id = annotations.mailbox)`)
	})
}
