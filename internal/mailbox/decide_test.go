package mailbox

import (
	"testing"
	"time"
)

// Over the whole input space (JNK-2): only what goes into Junk is junk, and only what leaves it to be kept is good.
func TestLesson(t *testing.T) {
	t.Parallel()
	uses := []string{"", UseArchive, UseDrafts, UseJunk, UseSent, UseTrash}
	for _, from := range uses {
		for _, to := range uses {
			want := Unknown
			if to == UseJunk && from != UseJunk {
				want = IsJunk
			}
			if from == UseJunk && to != UseJunk && to != UseTrash {
				want = IsGood
			}
			if got := LessonOf(from, to); got != want {
				t.Errorf("from %q to %q: %s, want %s", from, to, got, want)
			}
		}
	}
}

// MBX-5: mail is put off for a while, and refused once the account has been full for longer.
func TestFullness(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	const grace = 7 * 24 * time.Hour
	for _, c := range []struct {
		over  bool
		since time.Time
		want  Fullness
	}{
		{false, time.Time{}, HasRoom}, {false, now.Add(-2 * grace), HasRoom},
		{true, time.Time{}, FullNow}, {true, now, FullNow}, {true, now.Add(1 - grace), FullNow},
		{true, now.Add(-grace), FullLong}, {true, now.Add(-2 * grace), FullLong},
	} {
		if got := FullnessOf(c.over, c.since, now, grace); got != c.want {
			t.Errorf("over %v since %s: %d, want %d", c.over, c.since, got, c.want)
		}
	}
}
