package process

import (
	"slices"
	"testing"
)

// A user has the groups that the system says; one that it does not know, the given alone.
func TestGroupsOf(t *testing.T) {
	t.Parallel()
	if first, all := groupsOf(1<<30, 77); first != 77 || !slices.Equal(all, []int{77}) {
		t.Errorf("an unknown user: %d, %v", first, all)
	}
	if first, all := groupsOf(0, 77); first != 0 || !slices.Contains(all, 0) {
		t.Errorf("root: %d, %v", first, all)
	}
}
