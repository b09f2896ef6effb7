package allowance

import "testing"

// TestChange: a limit that is not given stays; a number, none and default are set.
func TestChange(t *testing.T) {
	t.Parallel()
	old := int64(7)
	if got := new(Change).Of(&old); got != &old {
		t.Errorf("not given: %v", got)
	}
	for typed, want := range map[string]int64{"1": 1, "20000": 20000, "none": 0, "default": -1} {
		var c Change
		if err := c.Set(typed); err != nil {
			t.Errorf("%s: %v", typed, err)
			continue
		}
		got := int64(-1)
		if l := c.Of(&old); l != nil {
			got = *l
		}
		if got != want {
			t.Errorf("%s: %d, want %d", typed, got, want)
		}
	}
	for _, typed := range []string{"", "0", "-1", "many", "1.5", "4294967296"} {
		if err := new(Change).Set(typed); err == nil {
			t.Errorf("%q is taken", typed)
		}
	}
}
