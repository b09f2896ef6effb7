package search

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
)

// maxAlternatives is in how many different words of an account a text is looked for. Beyond it, only words that
// begin with the text are found.
const maxAlternatives = 500

// Search finds the mails of an account that the index has for a query, in ascending order, and those that
// are not in the index yet, which the caller is to look through (Scan): both as of one moment. A query without
// conditions finds nothing; one that is Unsearchable, too.
func (s *Store) Search(ctx context.Context, account string, q Query) (mails, tail []int64, err error) {
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		mails = nil
		tail, err = store.Column[int64](tx, `SELECT mail FROM mails_unindexed WHERE account = ? ORDER BY mail`, account)
		if err != nil {
			return err
		}
		n, err := number(tx, account)
		if err != nil || n == 0 {
			return err
		}
		all, err := s.ask(tx, n, q)
		if err != nil || len(all) == 0 {
			return err
		}
		mails, err = rows(tx, `rowid`, ` WHERE `, nil, all)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("search mail of %s: %w", account, err)
	}
	return mails, tail, nil
}

// Answer is what a search finds in one mailbox.
type Answer struct {
	UIDs []uint32 // of the mails that the index has for the query, ascending
	Tail []uint32 // of those that are not in the index yet, ascending: to be looked through
	// Narrow says that of a text which stands in very many words only those that begin with it were looked
	// for: UIDs may lack some.
	Narrow bool
}

// InBox is Search in one mailbox of the account.
func (s *Store) InBox(ctx context.Context, account string, box int64, q Query) (a Answer, err error) {
	err = s.DB.Read(ctx, func(tx *store.Tx) error {
		a = Answer{}
		// CROSS JOIN has SQLite go through the few that are not indexed, not through the mailbox.
		a.Tail, err = store.Column[uint32](tx, `SELECT e.uid FROM mails_unindexed u CROSS JOIN mailbox_entries e WHERE u.account = ? AND e.mail = u.mail AND e.mailbox = ? ORDER BY e.uid`, account, box)
		if err != nil {
			return err
		}
		n, err := number(tx, account)
		if err != nil || n == 0 {
			return err
		}
		all, err := s.ask(tx, n, q)
		if err != nil || len(all) == 0 {
			return err
		}
		a.Narrow = slices.ContainsFunc(all, func(x asked) bool { return x.narrow })
		uids, err := rows(tx, `e.uid`, ` CROSS JOIN mailbox_entries e WHERE e.mail = search_index.rowid AND e.mailbox = ? AND `, []any{box}, all)
		for _, u := range uids {
			a.UIDs = append(a.UIDs, uint32(u))
		}
		return err
	})
	if err != nil {
		return Answer{}, fmt.Errorf("search a mailbox of %s: %w", account, err)
	}
	return a, nil
}

// Scan looks through mails themselves, and gives those that are found by a query. What is gone is not found.
func (s *Store) Scan(ctx context.Context, q Query, mails []int64) (found []int64, err error) {
	for _, m := range mails {
		d, err := s.doc(ctx, m)
		if errors.Is(err, mailboxes.ErrNoSuchMessage) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("search in mail %d: %w", m, err)
		}
		if q.Matches(d) {
			found = append(found, m)
		}
	}
	return found, nil
}

// ask makes of a query what is asked of the index; nil: it finds nothing.
func (s *Store) ask(tx *store.Tx, number int64, q Query) ([]asked, error) {
	var all []asked
	var words *list // of the account, read where they are needed
	for _, c := range q {
		p := c.phrase()
		if len(p.words) == 0 {
			return nil, nil
		}
		if words == nil && p.within() {
			var err error
			if words, err = s.lists.get(tx, number); err != nil {
				return nil, err
			}
		}
		a := p.ask(number, words)
		if len(a.first) == 0 {
			return nil, nil // no mail has had such a word
		}
		all = append(all, a)
	}
	return all, nil
}

// rows asks the index for a number of each mail, where what args are for holds, too; ascending.
func rows(tx *store.Tx, number, where string, args []any, all []asked) ([]int64, error) {
	if tx.Postgres() {
		match, more := vectorQuery(all)
		return store.Column[int64](tx, `SELECT `+number+` FROM search_index`+where+match+` ORDER BY 1`, append(args, more...)...)
	}
	return joined(tx, `SELECT coalesce(group_concat(`+number+`), '') FROM search_index`+where+`search_index MATCH ?`, append(args, matchQuery(all))...)
}

// asked is a phrase in words of the index: any of first, then rest.
type asked struct {
	field  Field
	first  []string
	rest   []string
	prefix bool // the last word may be the beginning of a longer one
	narrow bool // words in which the first one stands elsewhere than at the beginning are left out
}

// ask finds the words in which, or at whose end, the first word of a phrase stands.
func (p *phrase) ask(number int64, words *list) asked {
	a := asked{field: p.field, prefix: p.prefix, first: []string{key(number, p.words[0].text)}}
	for _, w := range p.words[1:] {
		a.rest = append(a.rest, key(number, w.text))
	}
	if !p.within() {
		return a
	}
	text := p.words[0].text
	alone := len(a.rest) == 0 && p.prefix
	if !alone {
		text += " "
	}
	found := words.containing(text, maxAlternatives+1)
	if len(found) > maxAlternatives {
		a.narrow = true
		return a // with prefix, if the phrase has one word
	}
	if alone {
		a.prefix = false // all of them are known
	}
	a.first = a.first[:0]
	for _, w := range found {
		a.first = append(a.first, key(number, w))
	}
	return a
}

// joined reads numbers of one row, in ascending order: so many rows would cost more than the search.
func joined(tx *store.Tx, query string, args ...any) ([]int64, error) {
	var text string
	if err := tx.Row(query, args...).Scan(&text); err != nil || text == "" {
		return nil, err
	}
	out := make([]int64, 0, strings.Count(text, ",")+1)
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return out, nil
}

// matchQuery writes phrases for FTS5.
func matchQuery(all []asked) string {
	var b strings.Builder
	for i, a := range all {
		if i > 0 {
			b.WriteString(" AND ")
		}
		if a.field != Any {
			b.WriteByte('{')
			for _, f := range a.field.in() {
				b.WriteString(columns[f] + " ")
			}
			b.WriteString("} : ")
		}
		b.WriteByte('(')
		for j, w := range a.first {
			if j > 0 {
				b.WriteString(" OR ")
			}
			b.WriteString(`"` + strings.Join(append([]string{w}, a.rest...), " ") + `"`)
			if a.prefix {
				b.WriteString(" *")
			}
		}
		b.WriteByte(')')
	}
	return b.String()
}

// vectorQuery writes phrases for tsvector.
func vectorQuery(all []asked) (where string, args []any) {
	var conditions []string
	for _, a := range all {
		var b strings.Builder
		b.WriteByte('(')
		for j, w := range a.first {
			if j > 0 {
				b.WriteString(" | ")
			}
			b.WriteString("'" + w + "'")
			if a.prefix && len(a.rest) == 0 {
				b.WriteString(":*")
			}
		}
		b.WriteByte(')')
		for j, w := range a.rest {
			b.WriteString(" <-> '" + w + "'")
			if a.prefix && j == len(a.rest)-1 {
				b.WriteString(":*")
			}
		}
		var some []string
		for _, f := range a.field.in() {
			some = append(some, columns[f]+` @@ CAST(CAST(? AS TEXT) AS TSQUERY)`)
			args = append(args, b.String())
		}
		conditions = append(conditions, "("+strings.Join(some, " OR ")+")")
	}
	return strings.Join(conditions, " AND "), args
}
