package receive

import (
	"errors"
	"testing"
	"time"

	"waxwing/internal/allowance"
	"waxwing/internal/login"
	"waxwing/internal/store/storetest"
)

// INB-3: what an account has sent today decides at MAIL, at RCPT and at the end
// of the message; the refusal is for a time and says until when.
func TestDailyLimit(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	a := &allowance.Store{DB: storetest.Open(t), Limit: allowance.Count{Messages: 3, Recipients: 5}, Now: func() time.Time { return noon }}
	c := serve(t, &Submission{Door: common(q), Signer: seal{}, Allowance: a}, &login.Checker{Accounts: people{}})
	c.do("530 5.7.0", "MAIL FROM:<joe@here.test>") // nobody's allowance is asked
	c.login()
	const text = "From: joe@here.test\r\n\r\nhi\r\n"
	c.send("250", "<joe@here.test>", "<a@x.test> <b@x.test> <c@x.test>", text)
	c.do("250", "MAIL FROM:<joe@here.test>")
	c.do("250", "RCPT TO:<a@x.test>")
	c.do("250", "RCPT TO:<b@x.test>")
	c.do("250", "RCPT TO:<b@x.test>") // the same again counts once
	c.do("450 4.7.1 your account has written to 3 recipients today and may write to 5 in a day; it can go on at 2026-01-03 00:00 UTC", "RCPT TO:<c@x.test>")
	c.do("354", "DATA")
	c.do("250", "From: joe@here.test\r\n\r\nhi\r\n.")
	c.do("450 4.7.1 your account has written to 5 recipients", "MAIL FROM:<joe@here.test>")
	if q.count() != 2 || len(q.last(t).env.Recipients) != 2 {
		t.Errorf("%d messages queued, the last to %d", q.count(), len(q.last(t).env.Recipients))
	}
}

// Two connections that were both let in do not pass the limit together, and what
// the queue did not take does not count.
func TestDailyLimitAtTheEnd(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	a := &allowance.Store{DB: storetest.Open(t), Limit: allowance.Count{Messages: 2, Recipients: 5}, Now: func() time.Time { return noon }}
	b := &Submission{Door: common(q), Signer: seal{}, Allowance: a}
	one, two := serve(t, b, &login.Checker{Accounts: people{}}), serve(t, b, &login.Checker{Accounts: people{}})
	const text = "From: joe@here.test\r\n\r\nhi\r\n"
	for _, c := range []*client{one, two} {
		c.login()
		c.do("250", "MAIL FROM:<joe@here.test>")
		c.do("250", "RCPT TO:<a@x.test>")
	}
	q.fail = errors.New("disk full")
	one.do("354", "DATA")
	one.do("451 4.3.0", text+".")
	q.fail = nil
	one.send("250", "<joe@here.test>", "<a@x.test>", text)
	one.send("250", "<joe@here.test>", "<a@x.test>", text)
	two.do("354", "DATA")
	two.do("450 4.7.1 your account has sent 2 messages today", text+".")
	if q.count() != 2 {
		t.Errorf("%d messages queued", q.count())
	}
}

// A store that does not answer lets nothing through and blames nobody.
func TestDailyLimitUnknown(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	a := &allowance.Store{DB: db, Now: func() time.Time { return noon }}
	c := serve(t, &Submission{Door: common(&outbox{}), Signer: seal{}, Allowance: a}, &login.Checker{Accounts: people{}})
	c.login()
	db.Close()
	c.do("451 4.3.0", "MAIL FROM:<joe@here.test>")
}
