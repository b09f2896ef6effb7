package spool

import (
	"encoding/json"
	"net/netip"
	"testing"

	"waxwing/internal/bounce"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// The history keeps a reason's word and its text apart, of all that has both (QUE-8).
func TestHistoryKeepsWordsApart(t *testing.T) {
	t.Parallel()
	tls := &delivery.TLSFailure{Word: reason.DANENoMatch, Text: "none: matched"}
	res := &delivery.Result{
		Decision: delivery.Decision{Stop: &delivery.Failure{Word: reason.NoHosts, Text: "no: host"}, Plans: []delivery.Plan{{Skip: &delivery.Failure{Word: reason.STSMXMismatch, Text: "not: named"}}}},
		Visits: []delivery.Visit{{Sessions: []delivery.Session{{Addr: netip.MustParseAddr("192.0.2.1"), TLSFailure: tls,
			PKIX: &delivery.Verification{}, DANE: &delivery.Verification{Failure: tls}, Err: &delivery.Failure{Word: reason.Timeout}}}}},
	}
	var d Detail
	if err := json.Unmarshal([]byte(DetailOf(res, []bounce.Outcome{}, nil)), &d); err != nil {
		t.Fatal(err)
	}
	s := d.Hosts[1].Sessions[0]
	no := Why{reason.DANENoMatch, "none: matched"}
	if *d.Stop != (Why{reason.NoHosts, "no: host"}) || *d.Hosts[0].Skip != (Why{reason.STSMXMismatch, "not: named"}) || *s.TLSFailure != no ||
		!s.PKIX.OK || *s.DANE != (Verified{Why: no}) || *s.Error != (Why{Word: reason.Timeout}) {
		t.Errorf("%+v\n%+v", d, s)
	}
}

// A database of before, whose words and texts stood in one column or one text, reads as
// one of today; and what is not new of it stays.
func TestUpgradeOfReasons(t *testing.T) {
	t.Parallel()
	storetest.Upgrade(t, "00055", upgradeReasons)
}

func upgradeReasons(t *testing.T, old *store.Store, upgrade func() *store.Store) {
	err := old.Write(t.Context(), func(tx *store.Tx) error {
		for _, q := range []string{
			`INSERT INTO messages (id, sender, need, purpose, ref, account, eight_bit, smtputf8, env_id, ret, size, accepted, peer,
				first_recipient, last_recipient, unsettled, finished) VALUES (1, 'a@a.test', 0, 0, '', 'a', 0, 0, '', 0, 3, 5, '', 2, 3, 2, 0)`,
			`INSERT INTO recipients (id, message, address, domain, local, orcpt, notify, state, due, owner, claim, attempts, last_attempt,
				delay_told, first_fail, first_fail_at, last_addrs, word, text, reply, host, tls, account, attend) VALUES
				(2, 1, 'a@b.test', 'b.test', 0, '', 0, 0, 5, '', 0, 1, 4, 0, 'no record matches', 4, '', 'x', '', '', '', '', 'a', 6),
				(3, 1, 'c@b.test', 'b.test', 0, '', 0, 0, 5, '', 0, 1, 4, 0, 'dane-no-match', 4, '', 'x', '', '', '', '', 'a', 6)`,
			`INSERT INTO destinations (dest, local, blocked, failures, since, text) VALUES ('b.test', 0, 5, 1, 4, 'no answer'), ('c.test', 0, 6, 1, 4, 'timeout')`,
			`INSERT INTO attempts (id, message, domain, transport, owner, started, ended, detail) VALUES (4, 1, 'b.test', 'direct', 'o', 3, 4,
				'{"recipients":[],"stop":"no hosts: none","hosts":[{"host":"mx.b.test","skip":"sts-mx-mismatch: not in: it","verify":"none","sessions":[
				{"addr":"192.0.2.1","started":"2026-01-01T00:00:00Z","tls_failure":"starttls-reply-454: later","pkix":"ok","dane":"dane-no-match: none","error":"it: broke"}]}]}')`,
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
	db := upgrade()
	m, err := Show(t.Context(), db, 1)
	if err != nil || len(m.Recipients) != 2 || len(m.Attempts) != 1 {
		t.Fatalf("%+v, %v", m, err)
	}
	for i, want := range []delivery.Fact{{Text: "no record matches"}, {Word: reason.DANENoMatch}} {
		if got := m.Recipients[i].Recipient.FirstFail; got != want {
			t.Errorf("the first failure of %s: %+v", m.Recipients[i].Address, got)
		}
	}
	closed, err := ListClosed(t.Context(), db, 10)
	if err != nil || len(closed) != 2 || closed[0].Word != "" || closed[0].Text != "no answer" || closed[1].Word != reason.Timeout || closed[1].Text != "" {
		t.Errorf("%+v, %v", closed, err)
	}
	d := m.Attempts[0].Detail
	h := d.Hosts[0]
	s := h.Sessions[0]
	if *d.Stop != (Why{Text: "no hosts: none"}) || *h.Skip != (Why{reason.STSMXMismatch, "not in: it"}) || *s.TLSFailure != (Why{reason.StartTLSReply(454), "later"}) ||
		!s.PKIX.OK || *s.DANE != (Verified{Why: Why{reason.DANENoMatch, "none"}}) || *s.Error != (Why{Text: "it: broke"}) {
		t.Errorf("%+v\n%+v", h, s)
	}
}

// What was given up before has its last attempt's text in its own, and no last one; what is
// given up from now on has both.
func TestUpgradeOfLastAttempts(t *testing.T) {
	t.Parallel()
	storetest.Upgrade(t, "00080", upgradeLast)
}

func upgradeLast(t *testing.T, old *store.Store, upgrade func() *store.Store) {
	err := old.Write(t.Context(), func(tx *store.Tx) error {
		for _, q := range []string{
			`INSERT INTO messages (id, sender, need, purpose, ref, account, eight_bit, smtputf8, env_id, ret, size, accepted, peer,
				first_recipient, last_recipient, unsettled, finished) VALUES (1, 'a@a.test', 0, 0, '', 'a', 0, 0, '', 0, 3, 5, '', 2, 3, 1, 0)`,
			`INSERT INTO recipients (id, message, address, domain, local, orcpt, notify, state, due, owner, claim, attempts, last_attempt,
				delay_told, first_fail, first_fail_at, last_addrs, word, text, reply, host, tls, account, attend) VALUES
				(2, 1, 'a@b.test', 'b.test', 0, '', 0, 4, 5, '', 0, 9, 4, 0, '', 0, '', 'expired', 'in 9 attempts. The last one: timed out', '', '', '', 'a', 6),
				(3, 1, 'c@b.test', 'b.test', 0, '', 0, 1, 5, 'o', 7, 9, 4, 0, '', 0, '', 'timeout', 'timed out', '', '', '', 'a', 6)`,
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
	db := upgrade()
	read := func() []Item {
		t.Helper()
		m, err := Show(t.Context(), db, 1)
		if err != nil || len(m.Recipients) != 2 {
			t.Fatalf("%+v, %v", m, err)
		}
		return m.Recipients
	}
	got := read()
	if e := got[0].Entry; e.Word != reason.Expired || e.Text != "in 9 attempts. The last one: timed out" || e.Last != (delivery.Fact{}) {
		t.Errorf("%+v", e)
	}
	e := got[1].Entry
	e.Claim, e.State, e.Word, e.Text, e.Last = 7, Failed, reason.Expired, "in 9 attempts.", delivery.Fact{Word: e.Word, Text: e.Text}
	err = db.Write(t.Context(), func(tx *store.Tx) error { _, err := e.Settle(tx); return err })
	if err != nil {
		t.Fatal(err)
	}
	if now := read()[1].Entry; now.State != Failed || now.Text != e.Text || now.Last != (delivery.Fact{Word: reason.Timeout, Text: "timed out"}) {
		t.Errorf("%+v", now)
	}
}
