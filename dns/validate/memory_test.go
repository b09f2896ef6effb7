package validate

import (
	"encoding/binary"
	"testing"

	"waxwing/dns/validate/proof"
)

// VAL-8: the signatures that are remembered are bounded in number, and the newest of them, and those in use, stay.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	sum := func(i int) (s proof.Sum) {
		binary.BigEndian.PutUint64(s[:], uint64(i))
		return s
	}
	var m memory
	for i := range 10 * maxRemembered {
		m.Remember(sum(i))
		if i%(maxRemembered/4) == 0 && !m.Valid(sum(0)) {
			t.Fatalf("what is in use is forgotten after %d", i)
		}
		if n := len(m.newer) + len(m.older); n > 2*maxRemembered {
			t.Fatalf("%d are remembered", n)
		}
		if j := i - maxRemembered/2; j > 0 && !m.Valid(sum(i)) {
			t.Fatalf("the newest is forgotten after %d", i)
		}
	}
	if m.Valid(sum(1)) {
		t.Error("the oldest is remembered")
	}
	for i := 10*maxRemembered - 100; i < 10*maxRemembered; i++ {
		if !m.Valid(sum(i)) {
			t.Errorf("%d is forgotten", i)
		}
	}
}
