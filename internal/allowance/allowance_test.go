package allowance_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/allowance"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// clock is 6 hours before a midnight.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func today(t *testing.T, s *allowance.Store, account string) allowance.Today {
	t.Helper()
	all, err := s.Today(t.Context())
	must(t, err)
	return all[account]
}

// spend sends one message, and returns how to take it back.
func spend(t *testing.T, s *allowance.Store, account string, recipients int) (undo func()) {
	t.Helper()
	undo, err := s.Spend(t.Context(), account, recipients)
	must(t, err)
	return undo
}

// spendAll sends until it is refused, and returns how often it could.
func spendAll(t *testing.T, s *allowance.Store, account string, recipients int) (n int, over *allowance.Exceeded) {
	t.Helper()
	for n < 1e6 {
		_, err := s.Spend(t.Context(), account, recipients)
		if errors.As(err, &over) {
			return n, over
		}
		must(t, err)
		n++
	}
	t.Fatal("never refused")
	return 0, nil
}

// INB-3: exactly so many go, by messages or by recipients, and the refusal says
// what and until when. The next day all is open again.
func TestLimit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		c := newClock()
		for _, tt := range []struct {
			account    string
			recipients int
			want       int
			what       string
			text       string
		}{
			{"few", 1, 100, allowance.Messages, "your account has sent 100 messages today and may send 100 in a day; it can go on at 2026-11-23 00:00 UTC"},
			{"many", 7, 42, allowance.Recipients, "your account has written to 294 recipients today and may write to 300 in a day; it can go on at 2026-11-23 00:00 UTC"},
			{"beyond", 301, 0, allowance.Recipients, "your account has written to 0 recipients today"},
		} {
			s := &allowance.Store{DB: db, Limit: allowance.Count{Messages: 100, Recipients: 300}, Now: c.now}
			n, over := spendAll(t, s, tt.account, tt.recipients)
			if n != tt.want || over.What != tt.what || !strings.HasPrefix(over.Error(), tt.text) {
				t.Errorf("%s: %d messages, then %q; want %d, then %q", tt.account, n, over, tt.want, tt.text)
			}
			if err := s.Check(t.Context(), tt.account, tt.recipients); err == nil {
				t.Errorf("%s: Check allows what Spend refuses", tt.account)
			}
		}
		c.advance(6 * time.Hour)
		s := &allowance.Store{DB: db, Limit: allowance.Count{Messages: 100, Recipients: 300}, Now: c.now}
		if n, _ := spendAll(t, s, "few", 1); n != 100 {
			t.Errorf("%d messages on the next day, want 100", n)
		}
	})
}

// One process that runs over midnight.
func TestMidnight(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := &allowance.Store{DB: storetest.Open(t), Limit: allowance.Count{Messages: 100, Recipients: 1000}, Now: c.now}
	spend(t, s, "joe", 1)
	c.advance(6 * time.Hour)
	if n, over := spendAll(t, s, "joe", 1); n != 100 || !over.Opens.Equal(time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%d messages, then %v", n, over)
	}
	s.Settle(t.Context(), 0)
	c.advance(-6 * time.Hour)
	if got := today(t, s, "joe").Used; got != (allowance.Count{Messages: 1, Recipients: 1}) {
		t.Errorf("the day before has %v: what was not needed did not go back", got)
	}
}

// A crash (no Settle) never makes the limit larger, and costs a block at most;
// an orderly stop costs nothing.
func TestRestart(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		limit := allowance.Count{Messages: 200, Recipients: 1000}
		for _, tt := range []struct {
			account string
			orderly bool
			least   int
		}{{"crash", false, 160}, {"stop", true, 200}} {
			sent := 0
			for range 10 {
				s := &allowance.Store{DB: db, Limit: limit, Now: newClock().now}
				for range 3 {
					spend(t, s, tt.account, 1)
					sent++
				}
				if tt.orderly {
					s.Settle(t.Context(), 0)
				}
			}
			n, _ := spendAll(t, &allowance.Store{DB: db, Limit: limit, Now: newClock().now}, tt.account, 1)
			if sent += n; sent > 200 || sent < tt.least {
				t.Errorf("%s: %d messages in all, the limit is 200", tt.account, sent)
			}
		}
	})
}

// Several machines, each with many connections, hold one limit together.
func TestMachinesShareTheLimit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		var sent atomic.Int64
		var work sync.WaitGroup
		for range 3 {
			s := &allowance.Store{DB: db, Limit: allowance.Count{Messages: 500, Recipients: 1200}, Now: newClock().now}
			for range 4 {
				work.Go(func() {
					for {
						_, err := s.Spend(t.Context(), "joe", 2)
						if errors.As(err, new(*allowance.Exceeded)) {
							return
						}
						if err != nil {
							t.Error(err)
							return
						}
						sent.Add(1)
					}
				})
			}
		}
		work.Wait()
		if n := sent.Load(); n > 500 || n < 490 {
			t.Errorf("%d messages went, 500 are allowed", n)
		}
	})
}

// What was not accepted does not count; what is idle goes back; the table tells.
func TestReturnAndSettle(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		c := newClock()
		s := &allowance.Store{DB: db, Limit: allowance.Count{Messages: 1000, Recipients: 5000}, Now: c.now}
		spend(t, s, "joe", 3)
		spend(t, s, "joe", 5)()
		if got := today(t, s, "joe").Used; got != (allowance.Count{Messages: 20, Recipients: 100}) {
			t.Errorf("a block is %v", got)
		}
		s.Settle(t.Context(), time.Minute)
		if got := today(t, s, "joe").Used.Messages; got != 20 {
			t.Errorf("given back while in use: %d", got)
		}
		c.advance(time.Minute)
		s.Settle(t.Context(), time.Minute)
		if got := today(t, s, "joe").Used; got != (allowance.Count{Messages: 1, Recipients: 3}) {
			t.Errorf("used %v, want 1 message to 3", got)
		}
	})
}

// What is taken back goes to its own day: none is sent twice of the next one, and
// none is lost with a share that was idle meanwhile.
func TestUndoLate(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		c := newClock()
		s := &allowance.Store{DB: db, Limit: allowance.Count{Messages: 10, Recipients: 100}, Now: c.now}
		undo := []func(){spend(t, s, "joe", 1), spend(t, s, "joe", 1), spend(t, s, "joe", 1)}
		s.Settle(t.Context(), 0)
		undo[0]()
		s.Settle(t.Context(), 0)
		if got := today(t, s, "joe").Used; got != (allowance.Count{Messages: 2, Recipients: 2}) {
			t.Errorf("used %v of a share that was idle, want 2", got)
		}
		c.advance(6 * time.Hour)
		spend(t, s, "joe", 1)
		undo[1]()
		undo[2]()
		if n, _ := spendAll(t, s, "joe", 1); n != 9 {
			t.Errorf("%d more on the next day, want 9", n)
		}
		s.Settle(t.Context(), 0)
		c.advance(-6 * time.Hour)
		if got := today(t, s, "joe").Used; got != (allowance.Count{}) {
			t.Errorf("the day before has %v", got)
		}
	})
}

// An account's own limits go before the configuration's, also beneath it and
// without any, and are gone with the account.
func TestOwnLimits(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		a := &accounts.Store{DB: db}
		must(t, a.AddAccount(t.Context(), "joe", "correct horse"))
		c := newClock()
		s := &allowance.Store{DB: db, Limit: allowance.Count{Messages: 10, Recipients: 20}, Now: c.now}
		set := func(messages, recipients *int64) {
			must(t, s.SetLimit(t.Context(), "joe", func(allowance.Own) allowance.Own {
				return allowance.Own{Messages: messages, Recipients: recipients}
			}))
		}
		five, none, thirty := int64(5), int64(0), int64(30)
		set(&five, nil)
		if n, _ := spendAll(t, s, "joe", 1); n != 5 {
			t.Errorf("%d messages, the account's own limit is 5", n)
		}
		set(&none, &thirty)
		c.advance(3 * time.Second) // a refusal is remembered for two
		if n, over := spendAll(t, s, "joe", 1); n != 25 || over.What != allowance.Recipients {
			t.Errorf("%d more, then %v; want 25 recipients more", n, over)
		}
		if got := today(t, s, "joe"); got.Limit != (allowance.Count{Messages: 0, Recipients: 30}) {
			t.Errorf("limits %v", got.Limit)
		}
		if err := s.SetLimit(t.Context(), "nobody", func(o allowance.Own) allowance.Own { return o }); !errors.Is(err, allowance.ErrNoSuchAccount) {
			t.Errorf("limit of nobody: %v", err)
		}
		must(t, a.RemoveAccount(t.Context(), "joe"))
		if got := today(t, s, "joe"); got.Limit != s.Limit {
			t.Errorf("the limits of a removed account are left: %v", got.Limit)
		}
	})
}

// A limit of 0 is none, and is counted all the same.
func TestNoLimit(t *testing.T) {
	t.Parallel()
	s := &allowance.Store{DB: storetest.Open(t), Now: newClock().now}
	for range 1000 {
		spend(t, s, "joe", 50)
	}
	s.Settle(t.Context(), 0)
	if got := today(t, s, "joe").Used; got != (allowance.Count{Messages: 1000, Recipients: 50000}) {
		t.Errorf("used %v", got)
	}
}

// A refused client that goes on costs no look at the store, and each refusal is
// told to the metrics.
func TestRefusalIsRemembered(t *testing.T) {
	t.Parallel()
	c := newClock()
	db := storetest.Open(t)
	told := 0
	s := &allowance.Store{DB: db, Limit: allowance.Count{Messages: 1, Recipients: 10}, Now: c.now, Refused: func(string) { told++ }}
	spend(t, s, "joe", 1)
	if _, err := s.Spend(t.Context(), "joe", 1); err == nil {
		t.Fatal("not refused")
	}
	must(t, db.Close())
	if _, err := s.Spend(t.Context(), "joe", 1); !errors.As(err, new(*allowance.Exceeded)) {
		t.Errorf("asked the store again: %v", err)
	}
	if told != 2 {
		t.Errorf("%d refusals told, want 2", told)
	}
}
