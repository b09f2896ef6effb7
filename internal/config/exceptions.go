package config

import "time"

// exceptionNotice is how long before its end an exception is told of.
const exceptionNotice = 7 * 24 * time.Hour

// EndingExceptions are those that end soon, or have ended and can go.
func EndingExceptions(all []Exception, now time.Time) (soon, over []Exception) {
	for _, e := range all {
		switch left := e.End().Sub(now); {
		case left <= 0:
			over = append(over, e)
		case left <= exceptionNotice:
			soon = append(soon, e)
		}
	}
	return soon, over
}
