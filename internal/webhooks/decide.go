package webhooks

import (
	"time"

	"waxwing/internal/reason"
)

const (
	giveUp       = 24 * time.Hour // an event is posted for so long
	disableAfter = 48 * time.Hour // a webhook may fail for so long
	maxPause     = time.Hour      // of a webhook
)

// waits are the pauses after one, two and more tries.
func waits() []time.Duration {
	return []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour}
}

// wait is the pause after a number of tries.
func wait(tries int) time.Duration {
	w := waits()
	return w[min(max(tries, 1), len(w))-1]
}

// answer is what came of one POST. Word "" is success.
type answer struct {
	word  reason.Word
	note  string
	after time.Duration // Retry-After
}

// standing is what is known of an event and of its webhook before the answer.
type standing struct {
	created  time.Time // of the event
	tries    int       // of the event, this one included
	failures int       // of the webhook since its last success, this one not included
	failing  time.Time // since when; zero: it is not
}

// ruling is what follows from an answer.
type ruling struct {
	state   string    // of the event: accepted, waiting or failed
	due     time.Time // of an event that waits
	pause   time.Time // nothing is posted to the webhook before; zero: go on
	failing time.Time // since when the webhook fails; zero: it does not
	disable bool
}

// decide says what becomes of an event and of its webhook. It is pure.
//
// An event that its receiver never takes does not keep the others: it waits by itself longer
// than its webhook does.
func decide(a answer, s standing, now time.Time) ruling {
	if a.word == "" {
		return ruling{state: accepted}
	}
	r := ruling{state: waiting, failing: s.failing, due: now.Add(max(wait(s.tries), a.after))}
	if r.failing.IsZero() {
		r.failing = now
	}
	r.pause = now.Add(max(min(wait(s.failures+1), maxPause), min(a.after, maxPause)))
	r.disable = a.word == reason.WebhookGone || now.Sub(r.failing) >= disableAfter
	if r.disable || r.due.Sub(s.created) > giveUp {
		r.state, r.due = failed, time.Time{}
	}
	return r
}
