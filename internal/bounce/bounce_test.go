package bounce

import (
	"strings"
	"testing"
	"time"

	"waxwing/dns"
	"waxwing/dsn"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/retry"
	"waxwing/smtp"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func TestTell(t *testing.T) { // QUE-5, RFC 3461 §4.1
	t.Parallel()
	const alice = "alice@sender.test"
	late := 5 * time.Hour
	for _, c := range []struct {
		name    string
		env     delivery.Envelope
		notify  delivery.Notify
		outcome delivery.Outcome
		after   time.Duration
		told    bool
		local   bool
		relayed bool
		want    dsn.Action
	}{
		{"failure", delivery.Envelope{Sender: alice}, 0, delivery.Failed, 0, false, false, false, dsn.Failed},
		{"failure, wanted", delivery.Envelope{Sender: alice}, delivery.NotifyFailure, delivery.Failed, 0, false, false, false, dsn.Failed},
		{"failure, only success wanted", delivery.Envelope{Sender: alice}, delivery.NotifySuccess, delivery.Failed, 0, false, false, false, ""},
		{"failure, never", delivery.Envelope{Sender: alice}, delivery.NotifyNever, delivery.Failed, 0, false, false, false, ""},
		{"failure, null sender", delivery.Envelope{}, 0, delivery.Failed, 0, false, false, false, ""},
		{"failure of a notification", delivery.Envelope{Sender: alice, Purpose: delivery.DSN}, 0, delivery.Failed, 0, false, false, false, ""},
		{"failure of a TLS report", delivery.Envelope{Sender: alice, Purpose: delivery.TLSReport}, 0, delivery.Failed, 0, false, false, false, ""},
		{"failure of a DMARC report", delivery.Envelope{Sender: alice, Purpose: delivery.DMARCReport}, 0, delivery.Failed, 0, false, false, false, ""},
		{"delay, early", delivery.Envelope{Sender: alice}, 0, delivery.Deferred, time.Hour, false, false, false, ""},
		{"delay", delivery.Envelope{Sender: alice}, 0, delivery.Deferred, late, false, false, false, dsn.Delayed},
		{"delay, told", delivery.Envelope{Sender: alice}, 0, delivery.Deferred, late, true, false, false, ""},
		{"delay, not wanted", delivery.Envelope{Sender: alice}, delivery.NotifyFailure, delivery.Deferred, late, false, false, false, ""},
		{"delay, null sender", delivery.Envelope{}, 0, delivery.Deferred, late, false, false, false, ""},
		{"success, not asked", delivery.Envelope{Sender: alice}, 0, delivery.Delivered, 0, false, true, false, ""},
		{"success here", delivery.Envelope{Sender: alice}, delivery.NotifySuccess, delivery.Delivered, 0, false, true, false, dsn.Delivered},
		{"success, the next hop cannot tell", delivery.Envelope{Sender: alice}, delivery.NotifySuccess, delivery.Delivered, 0, false, false, false, dsn.Relayed},
		{"success, the next hop will tell", delivery.Envelope{Sender: alice}, delivery.NotifySuccess, delivery.Delivered, 0, false, false, true, ""},
		{"held", delivery.Envelope{Sender: alice}, 0, delivery.Pending, late, false, false, false, ""},
	} {
		c.env.Accepted = noon
		a := &Attempt{Envelope: &c.env, Schedule: retry.Default(), Now: noon.Add(c.after)}
		o := &Outcome{Recipient: delivery.Recipient{Notify: c.notify, Local: c.local, DelayTold: c.told},
			Result: delivery.RecipientResult{Outcome: c.outcome, DSNRelayed: c.relayed}}
		if got := a.tell(o); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// attempt is one at a recipient, with what it came to.
func attempt(rr delivery.RecipientResult) *Attempt {
	rr.ID = 1
	return &Attempt{
		Envelope:   &delivery.Envelope{ID: 7, Sender: "alice@sender.test", Accepted: noon},
		Recipients: []delivery.Recipient{{ID: 1, Address: "bob@b.test"}},
		Result:     &delivery.Result{Recipients: []delivery.RecipientResult{rr}, Started: noon, Ended: noon},
		Schedule:   retry.Default(), Now: noon, Jitter: 0.5,
	}
}

// Over all that an attempt can be: what is settled stays so whoever stops, an attempt that
// does not count changes nothing of the recipient, and one that is deferred has a next time
// before the end or is given up.
func TestDecideSpace(t *testing.T) {
	t.Parallel()
	for outcome := delivery.Pending; outcome <= delivery.Failed; outcome++ {
		for _, after := range []time.Duration{0, time.Hour, 5 * time.Hour, 119*time.Hour + 59*time.Minute, 120 * time.Hour, 1000 * time.Hour} {
			for flags := range 32 {
				a := attempt(delivery.RecipientResult{Outcome: outcome, PolicyFailure: true, Unknown: true})
				a.NoAttempt, a.Stopped, a.PutOff = flags&1 != 0, flags&2 != 0, flags&4 != 0
				a.Operator, a.NoNotice = flags&8 != 0, flags&16 != 0
				a.Now = noon.Add(after)
				checkDecided(t, a, Decide(a)[0])
			}
		}
	}
}

func checkDecided(t *testing.T, a *Attempt, o Outcome) {
	t.Helper()
	was, got := a.Result.Recipients[0].Outcome, o.Result.Outcome
	final := was == delivery.Delivered || was == delivery.Failed
	over := !a.Now.Before(a.end())
	switch {
	case got == delivery.Pending:
		t.Errorf("%+v: nothing was decided", a)
	case final && !a.NoAttempt && got != was:
		t.Errorf("%+v: %v became %v", a, was, got)
	case o.Undone && (got != delivery.Deferred || o.Tell == dsn.Failed || o.LastAttempt != (time.Time{}) || o.FirstFail != (delivery.Fact{}) || !o.Unanswered.IsZero()):
		t.Errorf("%+v: an attempt that does not count left %+v", a, o)
	case got == delivery.Deferred && !o.Undone && (over || !o.Next.After(a.Now) || o.Next.After(a.end())):
		t.Errorf("%+v: next at %v", a, o.Next)
	case (o.Result.Last != delivery.Fact{}) && o.Result.Word != reason.Expired:
		t.Errorf("%+v: the last attempt of what goes on: %+v", a, o.Result)
	case a.NoNotice && o.Tell != "":
		t.Errorf("%+v: told", a)
	case over && !a.Stopped && got == delivery.Deferred:
		t.Errorf("%+v: not given up", a)
	case o.Attend.Before(a.Envelope.Accepted):
		t.Errorf("%+v: looked at in the past: %v", a, o.Attend)
	}
}

// What was tried for long enough says so, and keeps apart what its last attempt failed by:
// the sender is told both (QUE-8).
func TestExpired(t *testing.T) {
	t.Parallel()
	const never = " None was made, since the destination could not be reached."
	reply := smtp.NewReply(451, smtp.Enhanced{Class: 4, Subject: 3}, "later")
	for _, c := range []struct {
		name       string
		was        delivery.RecipientResult
		text, told string
	}{
		{"word and text", delivery.RecipientResult{Word: reason.DANENoMatch, Text: "no: match"}, "", "no: match"},
		{"word", delivery.RecipientResult{Word: reason.Timeout}, "", "timeout"},
		{"reply", delivery.RecipientResult{Word: reason.RemoteReply, Reply: reply}, "", "451 4.3.0 later"},
		{"never tried", delivery.RecipientResult{}, never, ""},
	} {
		c.was.Outcome = delivery.Deferred
		a := attempt(c.was)
		a.Now = noon.Add(120 * time.Hour)
		o := &Outcome{Result: c.was}
		a.expire(o, 3)
		if rr := o.Result; rr.Outcome != delivery.Failed || rr.Word != reason.Expired || rr.Text != "Delivery failed for 5 days, in 3 attempts."+c.text ||
			rr.Last != (delivery.Fact{Word: c.was.Word, Text: c.was.Text}) || rr.Reply != c.was.Reply {
			t.Errorf("%s: %+v", c.name, rr)
		}
		o.Tell = dsn.Failed
		if r := a.recipient(o); r.Text != o.Result.Text || r.LastFail != c.told {
			t.Errorf("%s: the sender is told %q and %q", c.name, r.Text, r.LastFail)
		}
	}
}

// QUE-6: what a hold rule stops is held as it is, whatever else is true of it: nothing was
// tried, and nobody is told.
func TestHold(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, 5 * time.Hour, 1000 * time.Hour} {
		for flags := range 4 {
			a := attempt(delivery.RecipientResult{})
			a.Hold, a.Stopped, a.PutOff, a.Now = "a rule", flags&1 != 0, flags&2 != 0, noon.Add(after)
			o := Decide(a)[0]
			if !o.Undone || o.Tell != "" || !o.Next.IsZero() || o.Recipient.ID != 1 || !o.LastAttempt.IsZero() || o.Result.Word != reason.HoldRule || o.Result.Text != "a rule" {
				t.Errorf("after %v, %d: %+v", after, flags, o)
			}
		}
	}
}

// A notification tells each recipient that has something to hear, and none of a message
// that cannot be had, or of one under REQUIRETLS.
func TestCompose(t *testing.T) {
	t.Parallel()
	const original = "Subject: hello\r\n\r\nsecret body\r\n"
	by := Sender{Hostname: "mx.waxwing.test", Postmaster: "postmaster@waxwing.test"}
	for _, c := range []struct {
		name     string
		need     delivery.TLSNeed
		original []byte
		returns  bool
	}{
		{"returned", delivery.FollowPolicy, []byte(original), true},
		{"gone", delivery.FollowPolicy, nil, false},
		{"REQUIRETLS", delivery.RequireTLS, []byte(original), false},
	} {
		a := attempt(delivery.RecipientResult{Outcome: delivery.Failed, Reply: smtp.NewReply(550, smtp.Enhanced{Class: 5, Subject: 1, Detail: 1}, "no such user"),
			Host: delivery.MXHost{Name: dns.MustParse("mx.b.test")}, PolicyFailure: true, Text: "no TLSA record matches"})
		a.Envelope.Need = c.need
		n, err := Compose(a, append(Decide(a), Outcome{Recipient: delivery.Recipient{Address: "quiet@b.test"}}), by, c.original, [64]byte{})
		if err != nil {
			t.Fatal(err)
		}
		text := string(n.Text)
		if strings.Contains(text, "Subject: hello") != c.returns || strings.Contains(text, "secret body") || strings.Contains(text, "quiet@") {
			t.Errorf("%s:\n%s", c.name, text)
		}
		for _, want := range []string{"bob@b.test", "no such user", "mx.b.test", "First seen: 2026-05-04 12:00 UTC: no TLSA record matches"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: it lacks %q:\n%s", c.name, want, text)
			}
		}
		if e := n.Envelope; e.Purpose != delivery.DSN || e.Need != c.need || e.Ref != "7" || e.EightBit || len(e.Recipients) != 1 || e.Recipients[0].Address != "alice@sender.test" {
			t.Errorf("%s: %+v", c.name, e)
		}
	}
	a := attempt(delivery.RecipientResult{Outcome: delivery.Failed})
	a.Envelope.Sender = "nobody"
	if _, err := Compose(a, Decide(a), by, nil, [64]byte{}); err == nil {
		t.Error("a notification to nobody")
	}
}

func TestOriginalRecipient(t *testing.T) {
	t.Parallel()
	for orcpt, want := range map[string]string{
		"rfc822;bob+2Bx@b.test": "rfc822;bob+x@b.test", "utf-8;b\\x{F6}b@b.test": "utf-8;b\\x{F6}b@b.test", "rfc822;bad+": "rfc822;bad+", "nothing": "nothing",
	} {
		if got := originalRecipient(orcpt); got != want {
			t.Errorf("%q: %q, want %q", orcpt, got, want)
		}
	}
}
