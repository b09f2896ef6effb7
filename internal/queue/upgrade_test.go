package queue

import (
	"testing"
	"time"

	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// What waited in the lanes of domains before waits there after the upgrade, and
// goes where the routes lead.
func TestUpgradeOfLanes(t *testing.T) {
	t.Parallel()
	storetest.Upgrade(t, "00017", upgradeLanes)
}

func upgradeLanes(t *testing.T, old *store.Store, upgrade func() *store.Store) {
	err := old.Write(t.Context(), func(tx *store.Tx) error {
		for _, q := range []string{
			`INSERT INTO messages (id, sender, need, purpose, ref, account, eight_bit, smtputf8, env_id, ret, size, accepted, peer,
				first_recipient, last_recipient, unsettled, finished) VALUES (1, 'a@a.test', 0, 0, '', 'a', 0, 0, '', 0, 3, 5, '', 2, 4, 2, 0)`,
			`INSERT INTO bodies (message, data) VALUES (1, 'xyz')`,
			`INSERT INTO recipients (id, message, address, domain, local, orcpt, notify, state, due, owner, claim, attempts, last_attempt,
				delay_told, first_fail, first_fail_at, last_addrs, word, text, reply, host, tls, account, attend) VALUES
				(2, 1, 'ok.a@b.test', 'b.test', 0, '', 0, 0, 5, '', 0, 0, 0, 0, '', 0, '', '', '', '', '', '', 'a', 9000000000000000000),
				(3, 1, 'ok.b@c.test', 'c.test', 0, '', 0, 2, 5, '', 0, 0, 0, 0, '', 0, '', '', '', '', '', '', 'a', 9000000000000000000),
				(4, 1, 'ok.c@d.test', 'd.test', 0, '', 0, 3, 5, '', 0, 1, 0, 0, '', 0, '', '', '', '', '', '', 'a', 0)`,
			`INSERT INTO lanes (domain, local, account, next) VALUES ('b.test', 0, 'a', 5)`,
		} {
			if _, err := tx.Exec(q); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, upgrade(), "one")
	w.clock.t = time.Unix(1, 0)
	n := newNetwork(w, officeOfA)
	if err := w.reroute(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.step()
	if it := w.item("ok.a@b.test"); it.State != spool.Delivered || n.attempts("via:office") != 1 {
		t.Errorf("%+v", it)
	}
	if c, err := w.Unhold(t.Context(), spool.Filter{}); err != nil || c.Done != 1 {
		t.Errorf("%v %v", c, err)
	}
	w.step()
	if it := w.item("ok.b@c.test"); it.State != spool.Delivered || n.attempts("via:office") != 2 {
		t.Errorf("%+v", it)
	}
}
