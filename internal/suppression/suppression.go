// Package suppression keeps, for each account, the recipients that it sends no
// more mail to (QUE-7): those that a remote server refused for good, and those
// that somebody entered. Mail to them fails at once, with the reason, and
// spares the reputation of the server that sends it.
package suppression

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/internal/foreign"
	"waxwing/internal/store"
	"waxwing/smtp"
)

// Entry is one recipient of one account.
type Entry struct {
	Account string    `json:"account"`
	Address string    `json:"address"`        // in the form that is compared: lower case
	Manual  bool      `json:"manual"`         // entered by somebody; no bounce changes it
	Code    string    `json:"code,omitempty"` // of the reply, "550 5.1.1"; "" for a manual entry
	Text    string    `json:"text,omitempty"` // of the reply, or a note
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
}

// Store is the list. Its methods may be called at the same time.
type Store struct {
	DB *store.Store
	// Codes are the replies after which a recipient is entered: enhanced codes
	// ("5.1.1"), all of a subject ("5.1.x"), or basic codes ("550", for replies that
	// have no enhanced one). Nil: DefaultCodes; empty but not nil: none.
	Codes  []string
	Expiry time.Duration    // of entries made by bounces; 0: never
	Now    func() time.Time // nil: time.Now

	lists store.Keyed[string, list] // by account
}

// DefaultCodes say that an address or its domain does not exist, moved away, or
// takes no mail at all (RFC 3463 §3.2, RFC 7505).
func DefaultCodes() []string { return []string{"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"} }

// CheckCode says what is wrong with one of Codes; nil if nothing is.
func CheckCode(code string) error {
	digits := strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return '0'
		}
		return c
	}, code)
	switch parts := strings.Split(code, "."); {
	case len(parts) == 1 && digits == "000" && code[0] == '5':
		return nil
	case len(parts) == 3 && parts[0] == "5" && number(parts[1]) && (parts[2] == "x" || number(parts[2])):
		return nil
	}
	return fmt.Errorf("%q is no code of a permanent failure: write 5.1.1, 5.1.x or 550", code)
}

func number(s string) bool {
	return s != "" && len(s) <= 3 && strings.Trim(s, "0123456789") == ""
}

// Matches reports whether a reply is one of codes. It is pure.
func Matches(codes []string, r *smtp.Reply) bool {
	if r == nil || r.Code < 500 || r.Code > 599 {
		return false
	}
	for _, c := range codes {
		subject, all := strings.CutSuffix(c, ".x")
		e := r.Enhanced.String()
		switch {
		case r.Enhanced.IsZero():
			if c == fmt.Sprint(r.Code) {
				return true
			}
		case c == e, all && strings.HasPrefix(e, subject+"."):
			return true
		}
	}
	return false
}

func (s *Store) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// key is the form in which addresses are compared. Local parts that differ in
// case alone are in practice one mailbox.
func key(address string) string { return strings.ToLower(strings.TrimSpace(address)) }

// maxText bounds what is kept of a text, in octets.
const maxText = 500

// area is raised with each change of the rows (store.Keyed).
const area = "suppressions"

// maxCached is the longest list of one account that is kept in memory; of longer
// ones each address is asked for.
const maxCached = 1000

// list is the entries of an account by address, what has expired among them; nil
// where there are more than maxCached.
type list map[string]Entry

// Suppressed returns why, for those of addresses that the account sends no mail to.
func (s *Store) Suppressed(ctx context.Context, account string, addresses []string) (map[string]string, error) {
	cached, err := s.lists.Get(ctx, s.DB, area, account, func(tx *store.Tx) (list, int, error) {
		entries, err := query(tx, `WHERE account = ? LIMIT ?`, account, int64(maxCached+1))
		if err != nil || len(entries) > maxCached {
			return nil, 1, err
		}
		l := list{}
		for _, e := range entries {
			l[e.Address] = e
		}
		return l, 1 + len(l)/100, nil
	})
	if err == nil && cached == nil {
		cached, err = s.ask(ctx, account, addresses)
	}
	if err != nil {
		return nil, fmt.Errorf("suppressions of %s: %w", account, err)
	}
	var out map[string]string
	now := s.now()
	for _, a := range addresses {
		e, there := cached[key(a)]
		if !there || !e.Expires.IsZero() && !e.Expires.After(now) {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[a] = e.why()
	}
	return out, nil
}

// ask reads those of an account's entries that are for addresses.
func (s *Store) ask(ctx context.Context, account string, addresses []string) (list, error) {
	var l list
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		l = list{}
		for _, a := range addresses {
			entries, err := query(tx, `WHERE account = ? AND address = ?`, account, key(a))
			if err != nil {
				return err
			}
			for _, e := range entries {
				l[e.Address] = e
			}
		}
		return nil
	})
	return l, err
}

func (e *Entry) why() string {
	day := e.Created.UTC().Format("2 January 2006")
	if e.Manual {
		text := "this account's list of suppressed recipients holds the address since " + day
		if e.Text != "" {
			text += ": " + e.Text
		}
		return text
	}
	return fmt.Sprintf("mail from this account to the address was refused for good on %s (%s %s), so it is not tried again; "+
		"take the address off the account's list of suppressed recipients if it is good now", day, e.Code, e.Text)
}

// Bounced enters a recipient if the reply is one of Codes. It runs in the
// transaction that settles the delivery.
func (s *Store) Bounced(tx *store.Tx, account, address string, r *smtp.Reply) error {
	codes := s.Codes
	if codes == nil {
		codes = DefaultCodes()
	}
	if !Matches(codes, r) {
		return nil
	}
	code := fmt.Sprint(r.Code)
	if !r.Enhanced.IsZero() {
		code += " " + r.Enhanced.String()
	}
	now := s.now()
	var expires time.Time
	if s.Expiry > 0 {
		expires = now.Add(s.Expiry)
	}
	n, err := tx.Exec(`INSERT INTO suppressions (account, address, manual, code, text, created, expires) VALUES (?, ?, 0, ?, ?, ?, ?)
		ON CONFLICT (account, address) DO UPDATE SET code = excluded.code, text = excluded.text, created = excluded.created, expires = excluded.expires
		WHERE suppressions.manual = 0`,
		account, key(address), code, foreign.Text(strings.Join(r.Lines, " "), maxText), store.Time(now), store.Time(expires))
	return raised(tx, n, err)
}

// raised makes every reader read anew, after a statement that changed n rows.
func raised(tx *store.Tx, n int64, err error) error {
	if err != nil || n == 0 {
		return err
	}
	return tx.Raise(area)
}

// Add enters a recipient by hand, in place of what stands there. Expires zero: never.
func (s *Store) Add(ctx context.Context, account, address, note string, expires time.Time) error {
	if account == "" {
		return errors.New("a suppression belongs to an account: name it")
	}
	a, err := smtp.ParseReceived(key(address), true)
	if err != nil || a.Domain == "" {
		return fmt.Errorf("%q is no address: write local@domain", address)
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`INSERT INTO suppressions (account, address, manual, code, text, created, expires) VALUES (?, ?, 1, '', ?, ?, ?)
			ON CONFLICT (account, address) DO UPDATE SET manual = 1, code = '', text = excluded.text, created = excluded.created, expires = excluded.expires`,
			account, key(address), foreign.Text(note, maxText), store.Time(s.now()), store.Time(expires))
		return raised(tx, n, err)
	})
}

// ErrNotFound is returned where there is nothing to remove.
var ErrNotFound = errors.New("no such suppression")

// Remove takes a recipient off.
func (s *Store) Remove(ctx context.Context, account, address string) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM suppressions WHERE account = ? AND address = ?`, account, key(address))
		if err == nil && n == 0 {
			err = ErrNotFound
		}
		return raised(tx, n, err)
	})
}

// List returns the entries of an account, or of all with "", in their order,
// those that have expired left out: at most limit of those after the given one.
func (s *Store) List(ctx context.Context, account string, after Entry, limit int) ([]Entry, error) {
	var out []Entry
	now := store.Time(s.now())
	err := s.DB.Read(ctx, func(tx *store.Tx) (err error) {
		where, args := `WHERE (expires = 0 OR expires > ?) AND (account > ? OR account = ? AND address > ?)`, []any{now, after.Account, after.Account, after.Address}
		if account != "" {
			where, args = where+` AND account = ?`, append(args, account)
		}
		out, err = query(tx, where+` ORDER BY account, address LIMIT ?`, append(args, int64(limit))...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list suppressions: %w", err)
	}
	return out, nil
}

// Sweep removes what has expired.
func (s *Store) Sweep(ctx context.Context) (n int64, err error) {
	err = s.DB.Write(ctx, func(tx *store.Tx) (err error) {
		n, err = tx.Exec(`DELETE FROM suppressions WHERE expires > 0 AND expires <= ?`, store.Time(s.now()))
		return err
	})
	return n, err
}

func query(tx *store.Tx, where string, args ...any) ([]Entry, error) {
	return store.Collect(tx, func(r store.Row) (Entry, error) {
		var e Entry
		var created, expires int64
		err := r.Scan(&e.Account, &e.Address, &e.Manual, &e.Code, &e.Text, &created, &expires)
		e.Created, e.Expires = store.FromTime(created), store.FromTime(expires)
		return e, err
	}, `SELECT account, address, manual, code, text, created, expires FROM suppressions `+where, args...)
}
