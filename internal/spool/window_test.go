package spool

import (
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/internal/spool/spooltest"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// WEB-2: a list that no index has is read a window at a time, and nothing is missed or told twice at the borders.
func TestWindow(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		spooltest.Filling{Recipients: 200, Dests: 7, Accounts: 3, Now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)}.Write(t, s)
		all, err := List(ctx, s, Filter{Limit: 1000})
		if err != nil || len(all) != 200 || !slices.IsSortedFunc(all, func(a, b Item) int { return int(a.Recipient.ID - b.Recipient.ID) }) {
			t.Fatal(len(all), err)
		}
		for n, want := range map[int]int64{1: all[0].Recipient.ID, 50: all[49].Recipient.ID, 200: all[199].Recipient.ID, 201: 0} {
			if got, err := Window(ctx, s, 0, n); got != want || err != nil {
				t.Errorf("%d: %d, want %d, %v", n, got, want, err)
			}
		}
		first, err := List(ctx, s, Filter{Until: all[9].Recipient.ID, Limit: 1000})
		if err != nil || len(first) != 10 {
			t.Errorf("until the tenth: %d, %v", len(first), err)
		}
		for _, c := range []struct {
			address  string
			n, limit int
			want     int
		}{{"alice@sender.test", 33, 100, 20}, {"alice@sender.test", 1000, 3, 20}, {"alice@sender.test", 11, 1, 20}, {"alice@sender.test", 10, 1, 20}, {"alice@sender.test", 10, 100, 20}, {all[42].Recipient.Address, 7, 100, 1}, {"nobody@sender.test", 50, 100, 0}} {
			var ids []int64
			looks := 0
			for next := int64(0); ; looks++ {
				var some []int64
				if some, next, err = Concerning(ctx, s, c.address, Look{next, c.n, c.limit}); err != nil || len(some) > c.limit || looks > 300 {
					t.Fatal(some, looks, err)
				}
				if ids = append(ids, some...); next == 0 {
					break
				}
			}
			if !slices.IsSortedFunc(ids, func(a, b int64) int { return int(b - a) }) || len(ids) != c.want {
				t.Errorf("%+v: %d in %d looks: %d", c, len(ids), looks+1, ids)
			}
		}
		for _, state := range []State{Waiting, Leased, Held} {
			where, _ := Filter{}.where(state)
			plan := explain(t, s, `SELECT r.* FROM recipients r JOIN messages m ON m.id = r.message WHERE `+where+` ORDER BY `+byID(state)+` LIMIT ?`)
			if own := "recipients_" + state.String(); !strings.Contains(plan, own) || !s.Postgres() && state != Leased && strings.Contains(plan, "TEMP B-TREE") {
				t.Errorf("what is %s is not read by %s alone:\n%s", state, own, plan)
			}
		}
	})
}
