package login

import "time"

// Wait waits for the entries that are written behind the answer.
func (j *Journal) Wait() {
	for j.behind.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
}
