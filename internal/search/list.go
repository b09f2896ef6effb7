package search

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"waxwing/internal/store"
)

// Bounds of the lists of words.
const (
	maxList  = 8 << 20  // octets of an account's list: what comes then is found as a whole or by its beginning only
	maxLists = 32 << 20 // octets of all lists that are kept in memory
	maxNew   = 64 << 10 // octets of new words, before the list is put into its order again
	maxRows  = 100      // and rows of them
)

// list is the different words that an account's mails have had. It is never changed.
type list struct {
	seq    int64  // of the last row of it
	rows   int    // behind the whole list
	sorted string // a space before each word, and one at the end; ascending
	recent string // as sorted, in no order
}

func (l *list) size() int { return len(l.sorted) + len(l.recent) }

// containing are the words in which a text stands, or that end in it if a space stands behind it: at
// most limit.
func (l *list) containing(text string, limit int) []string {
	found := map[string]bool{}
	for _, s := range [...]string{l.sorted, l.recent} {
		for at := 0; len(found) < limit; {
			i := strings.Index(s[at:], text)
			if i < 0 {
				break
			}
			begin := strings.LastIndexByte(s[:at+i], ' ') + 1
			end := at + i + strings.IndexByte(s[at+i:], ' ')
			found[s[begin:end]] = true
			at = end
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// has tells whether a word is in the sorted part.
func (l *list) has(word string) bool {
	low, high := 0, len(l.sorted) // a word begins in between, behind a space
	for low < high {
		middle := low + (high-low)/2
		begin := strings.LastIndexByte(l.sorted[:middle+1], ' ')
		rest := l.sorted[begin+1:]
		end := strings.IndexByte(rest, ' ')
		if end < 0 { // the space at the end
			high = begin
			continue
		}
		switch strings.Compare(word, rest[:end]) {
		case 0:
			return true
		case -1:
			high = begin
		default:
			low = begin + 1 + end
		}
	}
	return false
}

// missing are those of some words that are not in the list.
func (l *list) missing(words []string) []string {
	recent := map[string]bool{}
	for w := range strings.FieldsSeq(l.recent) {
		recent[w] = true
	}
	return slices.DeleteFunc(words, func(w string) bool { return recent[w] || l.has(w) })
}

// line writes words as they stand in a list.
func line(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return " " + strings.Join(words, " ") + " "
}

// lists keeps the lists of accounts that were in use last. The zero value is ready for use; it is safe for
// concurrent use.
type lists struct {
	mu    sync.Mutex
	lists map[int64]*list
	order []int64 // the one that was used last is last
	size  int
}

// get is the list of an account, with what this transaction sees of it and perhaps more.
func (ls *lists) get(tx *store.Tx, number int64) (*list, error) {
	next := list{}
	if l := ls.kept(number); l != nil {
		next = *l
	}
	var recent strings.Builder
	recent.WriteString(next.recent)
	had := next.seq
	err := tx.Each(func(r store.Row) error {
		var whole bool
		var words string
		if err := r.Scan(&next.seq, &whole, &words); err != nil {
			return err
		}
		if next.rows++; whole {
			next.sorted, next.rows = words, 0
			recent.Reset()
		} else {
			recent.WriteString(words)
		}
		return nil
	}, `SELECT seq, whole, words FROM search_words WHERE number = ? AND seq > ? ORDER BY seq`, number, had)
	if err != nil {
		return nil, fmt.Errorf("words of an account: %w", err)
	}
	next.recent = recent.String()
	if next.seq > had {
		ls.keep(number, &next)
	}
	return &next, nil
}

// kept is the list that is kept for an account, which is then the one that was used last.
func (ls *lists) kept(number int64) *list {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if i := slices.Index(ls.order, number); i >= 0 {
		ls.order = append(slices.Delete(ls.order, i, i+1), number)
	}
	return ls.lists[number]
}

func (ls *lists) keep(number int64, l *list) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	old := ls.lists[number]
	if old != nil && old.seq >= l.seq {
		return
	}
	if ls.lists == nil {
		ls.lists = map[int64]*list{}
	}
	if old == nil {
		ls.order = append(ls.order, number)
	} else {
		ls.size -= old.size()
	}
	ls.lists[number] = l
	for ls.size += l.size(); ls.size > maxLists && len(ls.order) > 1; {
		ls.size -= ls.lists[ls.order[0]].size()
		delete(ls.lists, ls.order[0])
		ls.order = ls.order[1:]
	}
}

// put adds words to the list of an account, whose row in search_accounts the transaction holds. The list is
// not kept before it is durable: the next get reads it.
func (ls *lists) put(tx *store.Tx, number int64, words []string) error {
	l, err := ls.get(tx, number)
	if err != nil {
		return err
	}
	words = l.missing(words)
	if len(words) == 0 || l.size() > maxList {
		return nil
	}
	const insert = `INSERT INTO search_words (number, seq, whole, words) VALUES (?, ?, ?, ?)`
	if len(l.recent) < maxNew && l.rows < maxRows {
		_, err = tx.Exec(insert, number, l.seq+1, 0, line(words))
		return err
	}
	all := append(append(strings.Fields(l.sorted), strings.Fields(l.recent)...), words...)
	slices.Sort(all)
	if _, err = tx.Exec(`DELETE FROM search_words WHERE number = ?`, number); err != nil {
		return err
	}
	_, err = tx.Exec(insert, number, l.seq+1, 1, line(slices.Compact(all)))
	return err
}
