package selection

import (
	"bufio"
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"waxwing/imap"
	"waxwing/internal/views"
)

// A client that takes messages out one by one, as it is told, has the result as it is here (RFC 5267 §4.3.3).
func TestContextDrop(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		st := &Standing{Tag: "a", UID: true}
		if r.IntN(2) == 0 {
			st.By = []imap.SortKey{{}}
		}
		var gone []views.Line
		for uid := uint32(1); uid <= 20; uid++ {
			if r.IntN(3) > 0 {
				st.uids = append(st.uids, uid)
			}
			if r.IntN(3) == 0 {
				gone = append(gone, views.Line{UID: uid, Seq: int(uid)})
			}
		}
		if st.By != nil {
			r.Shuffle(len(st.uids), func(i, j int) { st.uids[i], st.uids[j] = st.uids[j], st.uids[i] })
		}
		was := slices.Clone(st.uids)
		var u update
		st.drop(&u, gone)
		client := slices.Clone(was)
		for i, uid := range u.numbers {
			if st.By == nil {
				client = slices.DeleteFunc(client, func(o uint32) bool { return o == uid })
				continue
			}
			p := u.positions[i] - 1
			if client[p] != uid {
				t.Fatalf("%v without %v: position %d has UID %d, not %d", was, gone, p+1, client[p], uid)
			}
			client = slices.Delete(client, p, p+1)
		}
		want := slices.DeleteFunc(was, func(uid uint32) bool {
			return slices.ContainsFunc(gone, func(l views.Line) bool { return l.UID == uid })
		})
		if !slices.Equal(client, want) || !slices.Equal(st.uids, want) || st.By == nil && !slices.IsSorted(u.numbers) {
			t.Fatalf("the client has %v and we have %v, want %v; told %v", client, st.uids, want, u)
		}
	}
}

// That all of a large result goes takes a moment, not minutes.
func TestContextGoneAtOnce(t *testing.T) {
	t.Parallel()
	const n = 100_000
	sorted, plain := &Standing{Tag: "a", By: []imap.SortKey{{}}}, &Standing{Tag: "b"}
	gone := make([]views.Line, n)
	for i := range gone {
		gone[i] = views.Line{UID: uint32(i + 1), Seq: 1}
		sorted.uids, plain.uids = append(sorted.uids, uint32(i+1)), append(plain.uids, uint32(i+1))
	}
	rand.Shuffle(n, func(i, j int) { sorted.uids[i], sorted.uids[j] = sorted.uids[j], sorted.uids[i] })
	var out bytes.Buffer
	w := imap.NewWriter(bufio.NewWriter(&out))
	Contexts{sorted, plain}.Gone(w, gone)
	if len(sorted.uids)+len(plain.uids) > 0 {
		t.Errorf("%d and %d are left", len(sorted.uids), len(plain.uids))
	}
}
