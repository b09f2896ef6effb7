package mailbox

import (
	"math/rand/v2"
	"testing"
)

// What an edit does is what doing it message by message shows, over every mode of STORE and state of the flags (MBX-2).
func TestEdit(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	some := func() Flags { return Flags(r.Uint32N(64)) }
	for range 2000 {
		set := some()
		e := []Edit{{Keep: 0, Add: set, Since: 50}, {Keep: ^Flags(0), Add: set, Since: 50}, {Keep: ^set, Since: 50}}[r.IntN(3)]
		n := r.IntN(6)
		uids, flags, mods := make([]uint32, n), make([]Flags, n), make([]uint64, n)
		var want Effect
		seen, deleted, others := int64(0), int64(0), 0
		for i := range n {
			uids[i], flags[i], mods[i] = uint32(10+2*i), some(), 49+r.Uint64N(3)
			now := e.Of(flags[i])
			if now == flags[i] || mods[i] > 50 {
				others++
				continue
			}
			if want.Messages == 0 {
				want.Low, others = uids[i], 0
			}
			want.All = others == 0
			want.Messages, want.High = want.Messages+1, uids[i]
			for _, c := range []struct {
				bit      Flags
				was, now *int64
			}{{Seen, &want.Seen, &seen}, {Deleted, &want.Deleted, &deleted}} {
				if flags[i]&c.bit != 0 {
					*c.was++
				}
				if now&c.bit != 0 {
					*c.now++
				}
			}
		}
		got := e.Effect(uids, flags, mods)
		if got != want {
			t.Fatalf("%+v on %v, %v, %v: %+v, want %+v", e, uids, flags, mods, got, want)
		}
		if s, d := e.After(Seen, got.Seen, got.Messages), e.After(Deleted, got.Deleted, got.Messages); s != seen || d != deleted {
			t.Fatalf("%+v on %v: %d are seen and %d deleted then, want %d and %d", e, flags, s, d, seen, deleted)
		}
	}
}
