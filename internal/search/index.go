package search

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/store"
	"waxwing/structure"
)

// Mails is what there is to be indexed: mailboxes.Store.
type Mails interface {
	// Content is a mail with what is kept of it; mailboxes.ErrNoSuchMessage.
	Content(ctx context.Context, mail int64) (delivery.Content, mailbox.Mail, error)
	// Missing are those of some mails that are not there.
	Missing(ctx context.Context, mails []int64) ([]int64, error)
}

// Store is the index. Its methods may be called at the same time.
type Store struct {
	DB    *store.Store
	Mails Mails

	lists lists
}

// doc reads a mail and its words.
func (s *Store) doc(ctx context.Context, mail int64) (*Doc, error) {
	c, m, err := s.Mails.Content(ctx, mail)
	if err != nil {
		return nil, err
	}
	built, err := structure.Decode(m.Structure)
	if err != nil {
		if built, err = parse(c); err != nil {
			return nil, err
		}
	}
	r, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := structure.ReadText(r, built)
	if err != nil {
		return nil, err
	}
	return NewDoc(text), nil
}

func parse(c delivery.Content) (*structure.Message, error) {
	r, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return structure.Parse(r)
}

// number is the number of an account; 0: it has none yet.
func number(tx *store.Tx, account string) (n int64, err error) {
	err = tx.Row(`SELECT number FROM search_accounts WHERE account = ?`, account).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, err
}

// numbered is number, and gives one. Other machines wait until the transaction ends, as far as they index
// the same account; two that try to give the same number try again.
func numbered(tx *store.Tx, account string) (int64, error) {
	n, err := number(tx, account)
	if n != 0 {
		return n, tx.Row(`SELECT number FROM search_accounts WHERE number = ?`+tx.Wait(), n).Scan(&n)
	}
	for n == 0 && err == nil {
		_, err = tx.Exec(`INSERT INTO search_accounts (number, account) SELECT coalesce(max(number), 0) + 1, ? FROM search_accounts WHERE 1 = 1 ON CONFLICT DO NOTHING`, account)
		if err == nil {
			n, err = number(tx, account)
		}
	}
	return n, err
}

// key is how a word of an account stands in the index. The letter parts the number from words that begin
// with digits.
func key(number int64, word string) string { return strconv.FormatInt(number, 10) + "x" + word }

// entry is a mail on its way into the index; doc is nil for one that is gone.
type entry struct {
	mail int64
	doc  *Doc
}

// put makes the index of some mails of an account what they are, if it was to be changed; others may have
// done so meanwhile.
func (s *Store) put(ctx context.Context, account string, entries []entry) error {
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.mail, b.mail) })
	err := s.DB.WriteSoon(ctx, func(tx *store.Tx) error {
		n, err := numbered(tx, account)
		if err != nil {
			return err
		}
		mine, err := take(tx, account, entries)
		if err != nil {
			return err
		}
		if err := s.lists.put(tx, n, distinct(mine)); err != nil {
			return err
		}
		return putDocs(tx, n, mine)
	})
	if err != nil {
		return fmt.Errorf("index mail of %s: %w", account, err)
	}
	return nil
}

// rowsAtOnce is of how many mails a statement is.
const rowsAtOnce = 100

// marks are so many parameters.
func marks(n int) string { return "?" + strings.Repeat(", ?", n-1) }

// take takes mails off the list of those that are to be indexed, and gives those that stood there.
func take(tx *store.Tx, account string, entries []entry) (mine []entry, err error) {
	for some := range slices.Chunk(entries, rowsAtOnce) {
		args := []any{account}
		for _, e := range some {
			args = append(args, e.mail)
		}
		taken, err := store.Column[int64](tx, `DELETE FROM mails_unindexed WHERE account = ? AND mail IN (`+marks(len(some))+`) RETURNING mail`, args...)
		if err != nil {
			return nil, err
		}
		slices.Sort(taken)
		for _, e := range some {
			if _, ok := slices.BinarySearch(taken, e.mail); ok {
				mine = append(mine, e)
			}
		}
	}
	return mine, nil
}

// putDocs puts mails in the place of what the index has of them.
func putDocs(tx *store.Tx, number int64, entries []entry) error {
	// All that goes first: FTS5 writes what it has gathered whenever a statement is about several rows.
	for some := range slices.Chunk(entries, rowsAtOnce) {
		var mails []any
		for _, e := range some {
			mails = append(mails, e.mail)
		}
		if _, err := tx.Exec(`DELETE FROM search_index WHERE rowid IN (`+marks(len(mails))+`)`, mails...); err != nil {
			return err
		}
	}
	entries = slices.DeleteFunc(entries, func(e entry) bool { return e.doc == nil })
	rows, row := 1, `(`+marks(int(fields))+`)`
	if tx.Postgres() { // where each statement is a way there and back
		rows, row = rowsAtOnce, `(CAST(? AS BIGINT)`+strings.Repeat(`, CAST(CAST(? AS TEXT) AS TSVECTOR)`, int(fields)-1)+`)`
	}
	for some := range slices.Chunk(entries, rows) {
		var values []any
		for _, e := range some {
			values = e.doc.values(append(values, e.mail), number, tx.Postgres())
		}
		_, err := tx.Exec(`INSERT INTO search_index (rowid, `+strings.Join(columns[Any+1:], ", ")+`) VALUES `+row+strings.Repeat(`, `+row, len(some)-1), values...)
		if err != nil {
			return err
		}
	}
	return nil
}

// values appends the fields as the engine takes them.
func (d *Doc) values(to []any, number int64, vectors bool) []any {
	for f := Any + 1; f < fields; f++ {
		if vectors {
			to = append(to, d.vector(f, number))
		} else {
			to = append(to, d.line(f, number))
		}
	}
	return to
}

// line is a field as FTS5 takes it: its words in their order.
func (d *Doc) line(f Field, number int64) string {
	var b strings.Builder
	prefix := key(number, "")
	for i, w := range d.fields[f] {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(prefix)
		b.WriteString(w.text)
	}
	return b.String()
}

// PostgreSQL keeps of a field which words stand up to maxPosition, and of a word maxPlaces where it stands.
const (
	maxPosition = 16383
	maxPlaces   = 255
)

// vector is a field as tsvector takes it: each word with where it stands.
func (d *Doc) vector(f Field, number int64) string {
	places := map[string][]int{}
	for i, w := range d.fields[f] {
		places[w.text] = append(places[w.text], min(i+1, maxPosition))
	}
	var b strings.Builder
	prefix := key(number, "")
	for w, at := range places {
		b.WriteByte('\'')
		b.WriteString(prefix)
		b.WriteString(w)
		b.WriteByte('\'')
		between := byte(':')
		for _, p := range at[:min(len(at), maxPlaces)] {
			b.WriteByte(between)
			b.WriteString(strconv.Itoa(p))
			between = ','
		}
		b.WriteByte(' ')
	}
	return b.String()
}

// distinct are the different words of some mails, in their order.
func distinct(entries []entry) []string {
	set := map[string]bool{}
	for _, e := range entries {
		if e.doc == nil {
			continue
		}
		for _, words := range e.doc.fields {
			for _, w := range words {
				set[w.text] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// Tidy removes what is in the index of mails that are gone.
func (s *Store) Tidy(ctx context.Context) error {
	const step = 1000
	for after := int64(0); ; {
		mails, err := store.List(ctx, s.DB, store.Value[int64], `SELECT rowid FROM search_index WHERE rowid > ? ORDER BY rowid LIMIT ?`, after, int64(step))
		if err != nil {
			return fmt.Errorf("which mails are in the index: %w", err)
		}
		if len(mails) == 0 {
			return nil
		}
		after = mails[len(mails)-1]
		gone, err := s.Mails.Missing(ctx, mails)
		if err == nil {
			err = s.drop(ctx, gone)
		}
		if err != nil {
			return err
		}
	}
}

func (s *Store) drop(ctx context.Context, mails []int64) error {
	for some := range slices.Chunk(mails, 50) {
		err := s.DB.WriteSoon(ctx, func(tx *store.Tx) error {
			for _, m := range some {
				if _, err := tx.Exec(`DELETE FROM search_index WHERE rowid = ?`, m); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("remove mails that are gone from the index: %w", err)
		}
	}
	return nil
}
