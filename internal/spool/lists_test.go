package spool

import (
	"strings"
	"testing"
)

func TestInListAndCorners(t *testing.T) {
	t.Parallel()
	var all []int64
	for i := range 300 {
		all = append(all, int64(i))
	}
	seen := map[int64]bool{}
	_ = eachIn(all, func(list string, args []any) error {
		if strings.Count(list, "?") != len(args) {
			t.Fatalf("%s has not %d marks", list, len(args))
		}
		for _, a := range args {
			seen[a.(int64)] = true
		}
		return nil
	})
	if len(seen) != len(all) {
		t.Errorf("%d of %d ids", len(seen), len(all))
	}
	if State(9).String() != "unknown" || Waiting.String() != "waiting" {
		t.Error("words of states")
	}
}
