package search

import "time"

// pace says how much is indexed at a time and how long nothing is done after it: by how much others write,
// since what somebody waits for comes first. The zero value is that of a store in which nobody else writes.
type pace struct {
	load float64 // the part of the last time, 0 to 1, in which a write of others was under way or waited
}

// Bounds of a step. A transaction keeps all other writers waiting.
const (
	mostWords  = 40_000 // where nobody writes: some 80 ms
	leastWords = 5_000  // where others write all the time: some 10 ms
	mostMails  = 400    // whatever there is in them
	shortest   = 2 * time.Millisecond
)

// after is the pace after some time in which writes of others were under way for so long. It falls at once
// and rises by and by: a burst of mail has gaps.
func (p pace) after(busy, of time.Duration) pace {
	if of <= 0 {
		return p
	}
	now := min(max(float64(busy)/float64(of), 0), 1)
	return pace{max(now, (3*p.load+now)/4)}
}

// words is after how many words a transaction takes no more mails.
func (p pace) words() int { return leastWords + int((1-p.load)*(mostWords-leastWords)) }

// mostLoad leaves the index a thirtieth of the time. What comes in a rush is indexed once that is over, and looked through
// by searches until then: that takes less in all than to keep step with it.
const mostLoad = 29. / 30

// pause is how long nothing is done after a step that took so long: the index has the part of the time that
// others leave, and at least a little.
func (p pace) pause(took time.Duration) time.Duration {
	load := min(p.load, mostLoad)
	return min(max(time.Duration(float64(took)*load/(1-load)), shortest), look)
}
