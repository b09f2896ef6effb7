package search

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

func TestList(t *testing.T) {
	t.Parallel()
	l := &list{sorted: line([]string{"a", "ab", "abc", "b", "zabz"}), recent: line([]string{"abc", "xab"}) + line([]string{"c"})}
	for _, c := range []struct {
		text  string
		limit int
		want  []string
	}{
		{"ab", 9, []string{"ab", "abc", "xab", "zabz"}},
		{"ab ", 9, []string{"ab", "xab"}},
		{"b", 9, []string{"ab", "abc", "b", "xab", "zabz"}},
		{"a", 2, []string{"a", "ab"}},
		{"nothing", 9, nil},
		{"c ", 9, []string{"abc", "c"}},
	} {
		if got := l.containing(c.text, c.limit); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, wanted %q", c.text, got, c.want)
		}
	}
	if got := l.missing([]string{"", "a", "aa", "ab", "abcd", "b", "c", "xab", "zabz", "zz"}); !slices.Equal(got, []string{"", "aa", "abcd", "zz"}) {
		t.Errorf("missing: %q", got)
	}
	if got := (&list{}).missing([]string{"a"}); !slices.Equal(got, []string{"a"}) {
		t.Errorf("missing in nothing: %q", got)
	}
}

func TestListHas(t *testing.T) {
	t.Parallel()
	var words []string
	for i := range 500 {
		words = append(words, fmt.Sprint("w", i*i))
	}
	slices.Sort(words)
	l := &list{sorted: line(words)}
	for _, w := range words {
		if !l.has(w) || l.has(w+"x") || l.has("v"+w) {
			t.Fatalf("%q: %v, %v, %v", w, l.has(w), l.has(w+"x"), l.has("v"+w))
		}
	}
}

// TestListsAgree: what one process has put, each other has, in whatever steps and with few lists in memory.
func TestListsAgree(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		var a, b lists
		want := map[string]bool{}
		for i := range 250 {
			words := []string{fmt.Sprint("w", i), fmt.Sprint("w", i/2), strings.Repeat("x", 500) + fmt.Sprint(i)}
			for _, w := range words {
				want[w] = true
			}
			slices.Sort(words)
			of := []*lists{&a, &b}[i%2]
			if err := db.Write(t.Context(), func(tx *store.Tx) error { return of.put(tx, 7, slices.Compact(words)) }); err != nil {
				t.Fatal(err)
			}
		}
		for _, of := range []*lists{&a, &b, {}} {
			l, err := store.Read(t.Context(), db, func(tx *store.Tx) (*list, error) { return of.get(tx, 7) })
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Fields(l.sorted + l.recent)
			if slices.Sort(all); len(all) != len(want) || len(slices.Compact(all)) != len(want) {
				t.Errorf("%d words, %d different ones, wanted %d", len(all), len(slices.Compact(all)), len(want))
			}
			if !slices.IsSorted(strings.Fields(l.sorted)) || l.sorted == "" || l.rows > maxRows {
				t.Errorf("%d octets in order, %d rows behind", len(l.sorted), l.rows)
			}
		}
	})
}

func TestListsBound(t *testing.T) {
	t.Parallel()
	var ls lists
	for i := range int64(10) {
		ls.keep(i, &list{seq: 1, sorted: strings.Repeat(" ", 8<<20)})
		ls.kept(0)
	}
	if ls.size != 32<<20 || len(ls.lists) != 4 || len(ls.order) != 4 || ls.lists[0] == nil {
		t.Errorf("%d octets of %d lists, %d in order", ls.size, len(ls.lists), len(ls.order))
	}
}
