package jmap

import "sort"

// Added is a record that has come into the results of a query, or has another place there
// (RFC 8620 §5.6).
type Added struct {
	ID    ID    `json:"id"`
	Index int64 `json:"index"`
}

// Difference says how the results of a query have changed: which ids to take out of old, and which to put in, in ascending
// order of where, so that it becomes now. As few as possible move. Each id stands once in a list.
func Difference(old, now []ID) (removed []ID, added []Added) {
	was := make(map[ID]int, len(old))
	for i, id := range old {
		was[id] = i
	}
	stay := longestAscending(now, was)
	for i, id := range now {
		if !stay[id] {
			added = append(added, Added{id, int64(i)})
		}
	}
	for _, id := range old {
		if !stay[id] {
			removed = append(removed, id)
		}
	}
	return removed, added
}

// longestAscending are as many of now as possible that stand in one order there and in was.
func longestAscending(now []ID, was map[ID]int) map[ID]bool {
	var tails []int // by length, the index in now of the end of a sequence with the least place in was
	before := make([]int, len(now))
	for i, id := range now {
		p, ok := was[id]
		if !ok {
			continue
		}
		n := sort.Search(len(tails), func(k int) bool { return was[now[tails[k]]] >= p })
		before[i] = -1
		if n > 0 {
			before[i] = tails[n-1]
		}
		if n == len(tails) {
			tails = append(tails, i)
		} else {
			tails[n] = i
		}
	}
	stay := make(map[ID]bool, len(tails))
	if len(tails) > 0 {
		for i := tails[len(tails)-1]; i >= 0; i = before[i] {
			stay[now[i]] = true
		}
	}
	return stay
}
