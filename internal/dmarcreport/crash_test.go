package dmarcreport

import (
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/outbox"
	"waxwing/internal/outbox/outboxtest"
	"waxwing/internal/queue"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

const crashDays = 3

// crashRun lets a machine live through three days, killed once, and started again.
func crashRun(t *testing.T, s *store.Store, k *outboxtest.Killer) {
	t.Helper()
	c := &outboxtest.Clock{}
	c.Set(saturday.AddDate(0, 0, 1))
	boot := func(k *outboxtest.Killer) *rig {
		r := newRig(s)
		r.clock, r.Now, r.Crash = c, c.Now, k.Commit
		r.Enqueuer = &queue.Queue{Store: s, Hostname: "mx.sender.example", Now: c.Now}
		for _, d := range []string{"a.example", "b.example"} {
			r.dns.set("_dmarc."+d, "v=DMARC1; p=reject; rua=mailto:r@"+d+",mailto:s@"+d)
		}
		r.dns.set("_dmarc.only.example", "v=DMARC1; p=reject; rua=mailto:r@only.example")
		return r
	}
	r := boot(k)
	for d := range crashDays {
		at := saturday.AddDate(0, 0, d).Add(12 * time.Hour)
		r.see(t, at, "a.example", d+1, false) // another number each day, so that days cannot be mixed up
		r.see(t, at, "b.example", 2*(d+1), false)
		r.see(t, at, "none.example", 1, false)
		r.see(t, at, "only.example", 1, true) // reports alone
	}
	for end := saturday.AddDate(0, 0, crashDays+1); c.Now().Before(end); {
		next, err := r.Step(t.Context())
		if k.Dead() {
			k = &outboxtest.Killer{}
			r = boot(k)
			c.Set(c.Now().Add(11 * time.Minute)) // until the claims run out
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !next.After(c.Now()) {
			next = c.Now().Add(time.Second)
		}
		c.Set(next)
	}
}

// checkCrash: every report once, every mail queued once, all of it with the messages of its day.
func checkCrash(t *testing.T, s *store.Store) {
	t.Helper()
	r := newRig(s)
	all, err := r.Sent(t.Context(), outbox.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]int64{}
	for d := range crashDays {
		day := saturday.AddDate(0, 0, d).Format(time.DateOnly)
		left[day+" a.example"], left[day+" b.example"] = int64(d+1), int64(2*(d+1))
	}
	for _, x := range all {
		key := x.Day + " " + x.PolicyDomain
		want, ok := left[key]
		delete(left, key)
		rep, err := r.Show(t.Context(), x.ID)
		if err != nil {
			t.Fatal(err)
		}
		if !ok || x.Failed != want || rep.Messages() != want || len(x.Deliveries) != 2 || x.ReportID != x.Day+"."+x.PolicyDomain+"@sender.example" {
			t.Errorf("unwanted, a second time, or wrong: %+v, %d messages, want %d", x, rep.Messages(), want)
		}
	}
	for key := range left {
		t.Errorf("lost: %s", key)
	}
	var mails, refs int
	err = s.Read(t.Context(), func(tx *store.Tx) error {
		return tx.Row(`SELECT count(*), count(DISTINCT ref) FROM messages WHERE purpose = ?`, int(delivery.DMARCReport)).Scan(&mails, &refs)
	})
	if err != nil || mails != 4*crashDays || refs != mails {
		t.Errorf("%d mails in the queue for %d deliveries: %v", mails, refs, err)
	}
}

func wipe(t *testing.T, s *store.Store) {
	t.Helper()
	err := s.Write(t.Context(), func(tx *store.Tx) error {
		for _, table := range []string{"dmarc_rows", "dmarc_policies", "dmarc_parts", "dmarc_room", "outbox_units", "outbox_reports", "outbox_deliveries", "outbox_tries",
			"outbox_suppressions", "outbox_caps", "outbox_secret", "messages", "bodies", "recipients"} {
			if _, err := tx.Exec(`DELETE FROM ` + table); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// DMR-1: whenever the machine is killed, before or after any of its commits, each report of each
// day is made once, no mail twice, none lost, and the sums are right; as for TLS reports.
func TestCrashAtEveryCommit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		t.Parallel()
		outboxtest.AtEveryCommit(t, s, 20, func(k *outboxtest.Killer) {
			wipe(t, s)
			crashRun(t, s, k)
			checkCrash(t, s)
		})
	})
}
