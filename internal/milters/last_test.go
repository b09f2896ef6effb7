package milters

import (
	"testing"
	"time"

	"waxwing/internal/health"
	"waxwing/milter/miltertest"
)

// JNK-3: what came of the last message that a milter was asked about is remembered, and is no other milter's.
func TestLast(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	l := &Last{Now: func() time.Time { return now }}
	if got := l.All(); len(got) != 0 {
		t.Errorf("before any message: %v", got)
	}
	l.Note("av", "accepted", time.Second)
	now = now.Add(time.Minute)
	l.Note("av", "silent", 2*time.Second)
	if got := l.All(); len(got) != 1 || got["av"] != (health.MilterAnswer{At: now, Result: "silent", Took: 2 * time.Second}) {
		t.Errorf("%v", got)
	}
	// As the rooms tell it, for a message that is refused.
	m := &mail{header: "Subject: x\r\n"}
	_, told, err := ask(t, time.Minute, m, at('M', miltertest.Packet('r')))
	if err != nil || told == "" || told[:len("fake refused 0")] != "fake refused 0" {
		t.Errorf("%q, %v", told, err)
	}
}
