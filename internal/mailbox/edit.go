package mailbox

// Edit is a change of flags.
type Edit struct {
	Keep, Add Flags  // what stays of those that a message has, and what it gets
	Since     uint64 // only of messages that have not changed after this modseq
}

// Of are the flags of a message that had others.
func (e Edit) Of(was Flags) Flags { return was&e.Keep | e.Add }

// After is how many of n messages have a flag then, of which so many had it.
func (e Edit) After(bit Flags, had, n int64) int64 {
	switch {
	case e.Add&bit != 0:
		return n
	case e.Keep&bit == 0:
		return 0
	}
	return had
}

// Effect is what an Edit does to messages.
type Effect struct {
	Messages      int64  // so many get other flags
	Seen, Deleted int64  // of them had these
	Low, High     uint32 // they are from here to there
	All           bool   // and no others are
}

// Effect is that on messages with these UIDs, which ascend, flags and modseqs.
func (e Edit) Effect(uids []uint32, flags []Flags, mods []uint64) (out Effect) {
	last := 0 // of those that change
	first := 0
	for i, was := range flags {
		if e.Of(was) == was || mods[i] > e.Since {
			continue
		}
		if out.Messages == 0 {
			first = i
		}
		out.Messages++
		out.Seen += int64(was & Seen / Seen)
		out.Deleted += int64(was & Deleted / Deleted)
		last = i
	}
	if out.Messages > 0 {
		out.Low, out.High = uids[first], uids[last]
		out.All = out.Messages == int64(last-first+1)
	}
	return out
}
