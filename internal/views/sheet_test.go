package views

import (
	"math/rand/v2"
	"slices"
	"testing"

	"waxwing/internal/mailbox"
)

// MBX-9: what is packed is read as it was, and damage is an error.
func FuzzSheet(f *testing.F) {
	f.Add([]byte{sheetForm, 1, 2, 3, 5, 0, 9}, uint64(1))
	f.Add([]byte{}, uint64(2))
	f.Add([]byte{sheetForm, 0, 0, 0}, uint64(3))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		var got []mailbox.Entry
		last := uint32(0)
		if err := unpack(b, func(e mailbox.Entry) {
			if e.UID <= last {
				t.Fatalf("UID %d follows %d", e.UID, last)
			}
			last = e.UID
			got = append(got, e)
		}); err == nil && len(got) > len(b)/3 {
			t.Fatalf("%d entries of %d octets", len(got), len(b))
		}
		r := rand.New(rand.NewPCG(seed, 1))
		var all []mailbox.Entry
		packed := []byte{sheetForm}
		last = 0
		for range r.IntN(20) {
			e := mailbox.Entry{UID: last + 1 + r.Uint32N(9), Flags: mailbox.Flags(r.Uint64() >> r.IntN(64)), ModSeq: r.Uint64() >> (1 + r.IntN(62))}
			packed, last = pack(packed, e, last), e.UID
			all = append(all, e)
		}
		got = nil
		if err := unpack(packed, func(e mailbox.Entry) { got = append(got, e) }); err != nil || !slices.Equal(got, all) {
			t.Fatalf("%v: %v, want %v", err, got, all)
		}
	})
}

func TestWorn(t *testing.T) {
	t.Parallel()
	const size = 160
	at := func(modseq uint64, low, high uint32) changeAt {
		return changeAt{mailbox.Range{Low: low, High: high}, modseq}
	}
	var many []changeAt
	for i := range uint32(maxRanges + 1) {
		many = append(many, at(60, 161+i%3, 161+i%3))
	}
	for _, c := range []struct {
		what    string
		have    map[uint32]uint64
		floor   uint64
		changes []changeAt
		want    []uint32
	}{
		{"none is there", nil, 0, nil, []uint32{0, 1, 2}},
		{"one is missing", map[uint32]uint64{0: 5, 2: 5}, 0, nil, []uint32{1}},
		{"all are there", map[uint32]uint64{0: 5, 1: 5, 2: 5}, 5, nil, nil},
		{"it is not known what has changed", map[uint32]uint64{0: 5, 1: 9, 2: 5}, 6, nil, []uint32{0, 2}},
		{"little has changed", map[uint32]uint64{0: 5, 1: 5, 2: 5}, 0, []changeAt{at(6, 1, 10), at(7, 165, 170)}, nil},
		{"much has changed", map[uint32]uint64{0: 5, 1: 5, 2: 5}, 0, []changeAt{at(6, 1, 11), at(7, 165, 170)}, []uint32{0}},
		{"it is in it already", map[uint32]uint64{0: 6, 1: 5, 2: 5}, 0, []changeAt{at(6, 1, 160)}, nil},
		{"over a border", map[uint32]uint64{0: 5, 1: 5, 2: 5}, 0, []changeAt{at(6, 150, 175)}, []uint32{0, 1}},
		{"all, and what is not full", map[uint32]uint64{0: 5, 1: 5, 2: 5}, 0, []changeAt{at(6, 1, 1<<32-1)}, []uint32{0, 1, 2}},
		{"many times", map[uint32]uint64{0: 5, 1: 5, 2: 5}, 0, many, []uint32{1}},
		{"nonsense", map[uint32]uint64{0: 5, 1: 5, 2: 5}, 0, []changeAt{at(6, 0, 99), at(6, 99, 1)}, nil},
	} {
		if got := worn(c.have, 3, size, c.floor, c.changes); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}
