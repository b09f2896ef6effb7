package correspondents

import (
	"fmt"
	"testing"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/junk"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

func each(t *testing.T, fn func(t *testing.T, s *Store, now *time.Time)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		now := time.Unix(1.7e9, 0)
		for _, name := range []string{"joe", "ann"} {
			must(t, (&accounts.Store{DB: db}).AddAccount(t.Context(), name, "correct horse"))
		}
		fn(t, &Store{DB: db, Now: func() time.Time { return now }}, &now)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// JNK-1: an account remembers whom it wrote to, answered, heard of and marked, and no other
// account does.
func TestHistory(t *testing.T) {
	each(t, func(t *testing.T, s *Store, now *time.Time) {
		ctx := t.Context()
		is := func(account, who string, want junk.History) {
			t.Helper()
			got, err := store.Read(ctx, s.DB, func(tx *store.Tx) (junk.History, error) {
				all, err := Histories(tx, []string{"another", account}, who)
				return all[account], err
			})
			must(t, err)
			if got != want {
				t.Errorf("%s of %s: %+v, want %+v", who, account, got, want)
			}
		}
		mark := func(who string, m junk.Mark) {
			t.Helper()
			*now = now.Add(time.Hour)
			must(t, s.DB.Write(ctx, func(tx *store.Tx) error { return Mark(tx, "joe", who, m, *now) }))
		}
		is("joe", "kim@far.test", junk.History{})
		must(t, writes(t, s, "joe", false, "Kim@FAR.test", "bo@bücher.test", "x@[192.0.2.1]"))
		is("joe", "kim@far.test", junk.History{Written: true, WrittenDomain: true})
		is("joe", "bo@xn--bcher-kva.test", junk.History{Written: true, WrittenDomain: true})
		is("joe", "other@far.test", junk.History{WrittenDomain: true})
		is("ann", "kim@far.test", junk.History{})
		must(t, writes(t, s, "joe", true, "kim@far.test"))
		must(t, writes(t, s, "joe", false, "kim@far.test"))
		is("joe", "kim@far.test", junk.History{Written: true, Replied: true, WrittenDomain: true})
		if err := writes(t, s, "gone", false, "kim@far.test"); !store.IsForeignKey(err) {
			t.Errorf("an account that has gone: %v", err)
		}

		for range 3 {
			s.Received("joe", "news@far.test")
			s.Received("gone", "news@far.test")
		}
		must(t, s.Flush(ctx))
		s.Received("joe", "news@far.test")
		must(t, s.Flush(ctx))
		is("joe", "news@far.test", junk.History{WrittenDomain: true, Received: 4})

		mark("@far.test", junk.MarkedGood)
		is("joe", "new@far.test", junk.History{WrittenDomain: true, DomainMark: junk.MarkedGood})
		mark("kim@far.test", junk.MarkedJunk)
		is("joe", "kim@far.test", junk.History{Written: true, Replied: true, WrittenDomain: true, Mark: junk.MarkedJunk, DomainMark: junk.MarkedGood})
		*now = now.Add(time.Hour) // whoever writes to someone again has changed their mind
		must(t, writes(t, s, "joe", false, "kim@far.test"))
		is("joe", "kim@far.test", junk.History{Written: true, Replied: true, WrittenDomain: true, DomainMark: junk.MarkedGood})

		list, err := s.List(ctx, "joe", 10)
		must(t, err)
		if len(list) != 5 || list[0].Received != 0 {
			t.Errorf("%+v", list)
		}
		must(t, s.DB.Write(ctx, func(tx *store.Tx) error { return Forget(tx, "joe") }))
		is("joe", "kim@far.test", junk.History{})
	})
}

// What is remembered is bounded, and those who were written to stay the longest.
func TestTidy(t *testing.T) {
	each(t, func(t *testing.T, s *Store, now *time.Time) {
		ctx := t.Context()
		must(t, writes(t, s, "joe", false, "old@friends.test"))
		for i := range 30 {
			*now = now.Add(time.Minute)
			s.Received("joe", fmt.Sprintf("n%d@far.test", i))
			must(t, s.Flush(ctx))
		}
		must(t, s.tidy(ctx, 10))
		list, err := s.List(ctx, "joe", 100)
		must(t, err)
		if len(list) != 10 || list[0].Who != "n29@far.test" || list[9].Who != "old@friends.test" && list[8].Who != "old@friends.test" {
			t.Errorf("%+v", list)
		}
	})
}

func TestWho(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"A.B@Example.ORG": "a.b@example.org", "@Example.org": "@example.org", "nobody": "", "@": "", "a@[192.0.2.1]": ""} {
		got, err := Who(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
	if Domain("a@example.org") != "@example.org" {
		t.Error(Domain("a@example.org"))
	}
}

func writes(t *testing.T, s *Store, account string, reply bool, to ...string) error {
	return s.DB.Write(t.Context(), func(tx *store.Tx) error {
		return Wrote(tx, account, delivery.Wrote{To: to, Reply: reply}, s.Now())
	})
}

// What is known is written again only when it says more.
func TestStale(t *testing.T) {
	now := time.Unix(1.7e9, 0)
	at := func(minutes int) time.Time { return now.Add(time.Duration(minutes) * time.Minute) }
	for name, tt := range map[string]struct {
		known Correspondent
		reply bool
		want  bool
	}{
		"nobody":                     {Correspondent{}, false, true},
		"written to lately":          {Correspondent{Written: at(-59)}, false, false},
		"an hour ago":                {Correspondent{Written: at(-60)}, false, true},
		"the clock went back":        {Correspondent{Written: at(1)}, false, true},
		"a first answer":             {Correspondent{Written: at(-1)}, true, true},
		"a further answer":           {Correspondent{Written: at(-1), Replied: at(-1)}, true, false},
		"marked since":               {Correspondent{Written: at(-2), Marked: at(-1)}, false, true},
		"marked at the same moment":  {Correspondent{Written: at(-1), Marked: at(-1)}, false, true},
		"written to since the mark":  {Correspondent{Written: at(-1), Marked: at(-2)}, false, false},
		"answered long ago, no more": {Correspondent{Written: at(-1), Replied: at(-600)}, false, false},
	} {
		if got := tt.known.stale(tt.reply, now); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// One message to more than one statement may name.
func TestWroteToMany(t *testing.T) {
	each(t, func(t *testing.T, s *Store, now *time.Time) {
		var to []string
		for i := range 700 {
			to = append(to, fmt.Sprintf("n%d@d%d.test", i, i%3))
		}
		must(t, writes(t, s, "joe", false, to...))
		list, err := s.List(t.Context(), "joe", 1000)
		must(t, err)
		if len(list) != 703 {
			t.Errorf("%d are known", len(list))
		}
	})
}
