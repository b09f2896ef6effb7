package validate

import (
	"testing"
	"time"
)

// VAL-2: silence of the resolvers switches own validation off for nobody until it has lasted, is tried again soon, and switches nothing on.
func TestSilence(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	good, silent, stripped := found{}, found{"no answer", true}, found{why: "stripped"}
	for name, steps := range map[string][]struct {
		after time.Duration // the start
		found found
		on    bool // then
		news  bool
		due   time.Duration // of the next trial, after this one
	}{
		"from the start": {{0, silent, false, true, soon}, {time.Minute, silent, false, false, soon}, {2 * time.Minute, good, true, true, between}},
		"for a while": {{0, good, true, true, between}, {10 * time.Minute, silent, true, false, soon}, {11 * time.Minute, silent, true, false, soon}, {12 * time.Minute, good, true, false, between},
			{41 * time.Minute, silent, true, false, soon}},
		"for long":               {{0, good, true, true, between}, {29 * time.Minute, silent, true, false, soon}, {30 * time.Minute, silent, false, true, soon}, {31 * time.Minute, good, true, true, between}},
		"after stripped records": {{0, good, true, true, between}, {10 * time.Minute, stripped, false, true, between}, {20 * time.Minute, silent, false, false, soon}},
	} {
		var tr trial
		for i, s := range steps {
			now := start.Add(s.after)
			if _, begin := tr.join(now); !begin {
				t.Errorf("%s, step %d: no trial is due", name, i)
			}
			news := tr.settle(now, s.found)
			if tr.on != s.on || news != s.news || (tr.why == "") != s.on {
				t.Errorf("%s, step %d: on %t, news %t, %q", name, i, tr.on, news, tr.why)
			}
			_, early := tr.join(now.Add(s.due - time.Second))
			_, due := tr.join(now.Add(s.due))
			if tr.running = false; early || !due {
				t.Errorf("%s, step %d: due early %t, due %t", name, i, early, due)
			}
		}
	}
}
