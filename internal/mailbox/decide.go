package mailbox

import "time"

// Lesson is a mail that the classifier of its account is to learn.
type Lesson struct {
	Mail  int64
	Class Class
}

// LessonOf is what a mail is by where its owner has put it, of mailboxes by their special use (JNK-2):
// Unknown, nothing. What leaves Junk for Trash was not kept.
func LessonOf(from, to string) Class {
	switch {
	case from == to:
		return Unknown
	case to == UseJunk:
		return IsJunk
	case from == UseJunk && to != UseTrash:
		return IsGood
	}
	return Unknown
}

// Fullness is whether mail for an account is taken (MBX-5).
type Fullness uint8

// How full an account is.
const (
	HasRoom  Fullness = iota
	FullNow           // it may have room again: its mail is put off
	FullLong          // it has been full for longer than it may
)

// FullnessOf decides it for an account that is over its quota or not, and has been for a time that is
// zero where it was not known to be.
func FullnessOf(over bool, since, now time.Time, grace time.Duration) Fullness {
	switch {
	case !over:
		return HasRoom
	case since.IsZero() || now.Sub(since) < grace:
		return FullNow
	}
	return FullLong
}
