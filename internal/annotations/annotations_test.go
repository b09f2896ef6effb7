package annotations

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"waxwing/internal/accounts"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		if err := (&accounts.Store{DB: db}).AddAccount(t.Context(), "joe", "correct horse"); err != nil {
			t.Fatal(err)
		}
		s := &Store{DB: db}
		set := func(entries ...Entry) error { return s.Set(t.Context(), "joe", 7, entries) }
		get := func(depth int, names ...string) string {
			all, err := s.Get(t.Context(), "joe", 7, names, depth)
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, e := range all {
				out = append(out, fmt.Sprintf("%s=%s", e.Name, e.Value))
			}
			return strings.Join(out, " ")
		}
		if err := set(Entry{"/private/a", []byte("1")}, Entry{"/private/a/b", []byte("2")}, Entry{"/private/a/b/c", []byte("3")}, Entry{"/shared/x", []byte("4")}); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			depth int
			name  string
			want  string
		}{
			{0, "/private/a", "/private/a=1"}, {1, "/private/a", "/private/a=1 /private/a/b=2"},
			{-1, "/private", "/private/a=1 /private/a/b=2 /private/a/b/c=3"}, {0, "/private/none", ""},
		} {
			if got := get(tt.depth, tt.name); got != tt.want {
				t.Errorf("%s %d: %s, want %s", tt.name, tt.depth, got, tt.want)
			}
		}
		if err := set(Entry{"/private/a", nil}, Entry{"/shared/x", []byte("5")}); err != nil || get(0, "/private/a", "/shared/x") != "/shared/x=5" {
			t.Errorf("%v, %s", err, get(0, "/private/a", "/shared/x"))
		}
		if err := set(Entry{"/private/big", make([]byte, MaxValue+1)}); !errors.Is(err, ErrTooLong) {
			t.Errorf("too long: %v", err)
		}
		var many []Entry
		for i := range MaxAll {
			many = append(many, Entry{fmt.Sprint("/private/n", i), []byte{}})
		}
		if err := set(many...); !errors.Is(err, ErrTooMany) || get(0, "/private/n1") != "" {
			t.Errorf("too many: %v, and %s", err, get(0, "/private/n1"))
		}
		if err := s.Tidy(t.Context()); err != nil || get(-1, "/private", "/shared") != "" { // there is no mailbox 7
			t.Errorf("tidied: %v, %s", err, get(-1, "/private", "/shared"))
		}
	})
}
