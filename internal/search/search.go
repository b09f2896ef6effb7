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
		tail, err = store.Column[int64](tx, `SELECT mail FROM mails_unindexed WHERE account = ? ORDER BY mail`, account)
		if err != nil {
			return err
		}
		n, err := number(tx, account)
		if err != nil || n == 0 {
			return err
		}
		mails, err = s.find(tx, n, q)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("search mail of %s: %w", account, err)
	}
	return mails, tail, nil
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

// find asks the index.
func (s *Store) find(tx *store.Tx, number int64, q Query) ([]int64, error) {
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
	if len(all) == 0 {
		return nil, nil
	}
	if tx.Postgres() {
		where, args := vectorQuery(all)
		return store.Column[int64](tx, `SELECT rowid FROM search_index WHERE `+where+` ORDER BY rowid`, args...)
	}
	return joined(tx, `SELECT coalesce(group_concat(rowid), '') FROM search_index WHERE search_index MATCH ?`, matchQuery(all))
}

// asked is a phrase in words of the index: any of first, then rest.
type asked struct {
	field  Field
	first  []string
	rest   []string
	prefix bool // the last word may be the beginning of a longer one
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
			b.WriteString(columns[a.field] + " : ")
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
		in := columns[Any+1:]
		if a.field != Any {
			in = columns[a.field : a.field+1]
		}
		var some []string
		for _, c := range in {
			some = append(some, c+` @@ CAST(CAST(? AS TEXT) AS TSQUERY)`)
			args = append(args, b.String())
		}
		conditions = append(conditions, "("+strings.Join(some, " OR ")+")")
	}
	return strings.Join(conditions, " AND "), args
}
