// Package correspondents remembers what each account has had to do with others: to whom it has
// written, whom it has answered, from whom it has had mail, and what it has said of them (JNK-1).
// It keeps them by address and by domain, of mail for whose sender a domain vouches.
package correspondents

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/delivery"
	"waxwing/internal/junk"
	"waxwing/internal/store"
	"waxwing/internal/text"
	"waxwing/smtp"
)

// max is how many an account has; beyond it those are forgotten that were seen least recently,
// of those to whom it has not written and that it has not marked first.
const max = 20_000

// Store is the memory. Its methods may be called at the same time.
type Store struct {
	DB  *store.Store
	Now func() time.Time
	Log *slog.Logger

	pending pending
}

// Who is an address as it is compared: lower case, its domain in A-labels. A domain stands for
// itself as @example.org. The error is for what is neither.
func Who(s string) (string, error) {
	if domain, ok := strings.CutPrefix(s, "@"); ok {
		n, err := dns.ParseName(domain)
		if err != nil {
			return "", err
		}
		return "@" + n.ASCII(), nil
	}
	a, err := smtp.ParseReceived(s, true)
	if err != nil {
		return "", fmt.Errorf("%q is no address such as someone@example.org, and no domain such as @example.org: %w", s, err)
	}
	n, err := dns.ParseName(a.Domain)
	if err != nil {
		return "", err
	}
	return account.NormalizeLocal(a.Local) + "@" + n.ASCII(), nil
}

// Domain is the domain of an address, as Who has it.
func Domain(who string) string { return who[strings.LastIndexByte(who, '@'):] }

// Correspondent is what is known of one.
type Correspondent struct {
	Who      string    `json:"who"`
	Written  time.Time `json:"written,omitzero"`
	Replied  time.Time `json:"replied,omitzero"`
	Received int64     `json:"received"`
	Mark     junk.Mark `json:"mark"`
	Marked   time.Time `json:"marked,omitzero"`
	Last     time.Time `json:"last"`
}

const (
	fields  = `who, written, replied, received, mark, marked, last`
	columns = `SELECT ` + fields + ` FROM correspondents WHERE account = ?`
)

func scan(r store.Row) (c Correspondent, err error) { return scanWith(r) }

// scanWith also scans what stands behind the fields.
func scanWith(r store.Row, more ...any) (c Correspondent, err error) {
	var written, replied, marked, last int64
	err = r.Scan(append([]any{&c.Who, &written, &replied, &c.Received, &c.Mark, &marked, &last}, more...)...)
	c.Written, c.Replied, c.Marked, c.Last = store.FromTime(written), store.FromTime(replied), store.FromTime(marked), store.FromTime(last)
	return c, err
}

// Histories are what accounts have had to do with who, an address, by account, in one statement. A
// mark as junk counts only until the account writes to the address again.
func Histories(tx *store.Tx, accounts []string, who string) (map[string]junk.History, error) {
	args := []any{who, Domain(who)}
	for _, a := range accounts {
		args = append(args, a)
	}
	type of struct {
		account string
		Correspondent
	}
	rows, err := store.Collect(tx, func(r store.Row) (o of, err error) {
		o.Correspondent, err = scanWith(r, &o.account)
		return o, err
	}, `SELECT `+fields+`, account FROM correspondents WHERE who IN (?, ?) AND account IN (?`+strings.Repeat(", ?", len(accounts)-1)+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("what accounts have had to do with %s: %w", who, err)
	}
	out := map[string]junk.History{}
	for _, c := range rows {
		h := out[c.account]
		if c.Mark == junk.MarkedJunk && c.Written.After(c.Marked) {
			c.Mark = junk.Unmarked
		}
		if c.Who == who {
			h.Written, h.Replied, h.Mark, h.Received = !c.Written.IsZero(), !c.Replied.IsZero(), c.Mark, int(c.Received)
		} else {
			h.WrittenDomain, h.DomainMark = !c.Written.IsZero(), c.Mark
		}
		out[c.account] = h
	}
	return out, nil
}

// fresh is for how long what is written down of a correspondent is not written again. Then a
// machine that sends a thousand mails to one domain does not wait a thousand times for one row.
const fresh = time.Hour

// Wrote notes that the account writes to addresses, in the transaction that accepts the message;
// reply: in answer to one. The time that is kept may be an hour too early.
func Wrote(tx *store.Tx, account string, w delivery.Wrote, now time.Time) error {
	var all []any
	for _, a := range w.To {
		if who, err := Who(a); err == nil { // of an address literal nothing is remembered
			all = append(all, who, Domain(who))
		}
	}
	for part := range slices.Chunk(all, 500) {
		if err := wrote(tx, account, part, w.Reply, now); err != nil {
			return fmt.Errorf("noting to whom account %s writes: %w", account, err)
		}
	}
	return nil
}

func wrote(tx *store.Tx, account string, part []any, reply bool, now time.Time) error {
	rows, err := store.Collect(tx, scan, columns+` AND who IN (?`+strings.Repeat(", ?", len(part)-1)+`)`, append([]any{account}, part...)...)
	if err != nil {
		return err
	}
	known := map[string]Correspondent{}
	for _, c := range rows {
		known[c.Who] = c
	}
	stale := map[string]bool{}
	for _, p := range part {
		who := p.(string)
		stale[who] = known[who].stale(reply, now)
	}
	replied := int64(0)
	if reply {
		replied = store.Time(now)
	}
	for _, who := range slices.Sorted(maps.Keys(stale)) { // so that two who write at once do not wait for each other
		if !stale[who] {
			continue
		}
		_, err := tx.Exec(`INSERT INTO correspondents (account, who, written, replied, last) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (account, who) DO UPDATE SET written = excluded.written, last = excluded.last,
			replied = CASE WHEN excluded.replied > 0 THEN excluded.replied ELSE correspondents.replied END`, account, who, store.Time(now), replied, store.Time(now))
		if err != nil {
			return err
		}
	}
	return nil
}

// stale reports whether that the account writes to the correspondent now says more than what is
// known: after a mark it always does.
func (c Correspondent) stale(reply bool, now time.Time) bool {
	old := func(t time.Time) bool { return now.Sub(t) >= fresh || t.After(now) }
	return old(c.Written) || reply && old(c.Replied) || !c.Marked.IsZero() && !c.Written.After(c.Marked)
}

// Mark notes what the account says of an address or a domain, as Who has it.
func Mark(tx *store.Tx, account, who string, m junk.Mark, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO correspondents (account, who, mark, marked, last) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (account, who) DO UPDATE SET mark = excluded.mark, marked = excluded.marked, last = excluded.last`,
		account, who, int64(m), store.Time(now), store.Time(now))
	return err
}

// Contact is whether the account itself has to do with the correspondent: it has written or answered, or has
// called their mail good, by a move out of Junk or a command. It has no other address book.
func (c *Correspondent) Contact() bool {
	return c.Mark == junk.MarkedGood || c.Mark != junk.MarkedJunk && (!c.Written.IsZero() || !c.Replied.IsZero())
}

// Contacts are an account's, of addresses and of domains whose mail it has called good, those seen last first.
func (s *Store) Contacts(ctx context.Context, account string, limit int) (out []Correspondent, err error) {
	all, err := s.List(ctx, account, max)
	for _, c := range all {
		if c.Contact() && (!strings.HasPrefix(c.Who, "@") || c.Mark == junk.MarkedGood) && len(out) < limit {
			out = append(out, c)
		}
	}
	return out, err
}

// Listing is how correspondents are listed for people.
func Listing() text.List[Correspondent] {
	mark := map[junk.Mark]text.Cell{junk.MarkedGood: {Text: "good", Tone: text.Good}, junk.MarkedJunk: {Text: "junk", Tone: text.Bad}}
	return text.List[Correspondent]{Columns: text.Columns("WHO|WRITTEN TO|ANSWERED|RECEIVED|MARK", "ANSWERED", "RECEIVED"), Cells: func(c *Correspondent) []any {
		return []any{c.Who, c.Written, c.Replied, c.Received, mark[c.Mark]}
	}}
}

// List are an account's correspondents, those seen last first.
func (s *Store) List(ctx context.Context, account string, limit int) ([]Correspondent, error) {
	return store.List(ctx, s.DB, scan, columns+` ORDER BY last DESC, who LIMIT ?`, account, int64(limit))
}

// Forget forgets all that is known of an account's correspondents.
func Forget(tx *store.Tx, account string) error {
	_, err := tx.Exec(`DELETE FROM correspondents WHERE account = ?`, account)
	return err
}

// Tidy keeps every account to its bound.
func (s *Store) Tidy(ctx context.Context) error { return s.tidy(ctx, max) }

func (s *Store) tidy(ctx context.Context, most int64) error {
	full, err := store.List(ctx, s.DB, store.Value[string], `SELECT account FROM correspondents GROUP BY account HAVING count(*) > ? LIMIT 1000`, most)
	for _, name := range full {
		if err == nil {
			err = s.DB.Write(ctx, func(tx *store.Tx) error {
				_, err := tx.Exec(`DELETE FROM correspondents WHERE account = ? AND who NOT IN
					(SELECT who FROM correspondents WHERE account = ? ORDER BY CASE WHEN written > 0 OR mark > 0 THEN 1 ELSE 0 END DESC, last DESC LIMIT ?)`, name, name, most)
				return err
			})
		}
	}
	return err
}
