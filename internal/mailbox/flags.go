package mailbox

import (
	"strings"
	"time"
)

// Flags are the flags of a message in a mailbox: the system flags of RFC 9051 §2.3.2 and the
// keywords of its account, by number.
type Flags uint64

// The system flags.
const (
	Seen Flags = 1 << iota
	Answered
	Flagged
	Deleted
	Draft
)

const system = 5

// MaxKeywords is how many keywords an account can have: the store keeps flags as a signed
// number of 64 bits.
const MaxKeywords = 63 - system

var systemWords = [system]string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`}

// SystemFlags are the words of the system flags.
func SystemFlags() []string { return systemWords[:] }

// SystemFlag is the flag that a word names, in any case; false for one that is no system flag.
func SystemFlag(word string) (Flags, bool) {
	for i, w := range systemWords {
		if strings.EqualFold(w, word) {
			return 1 << i, true
		}
	}
	return 0, false
}

// Keyword is the flag for the keyword of that number.
func Keyword(n int) Flags { return 1 << (system + n) }

// Words are the flags by name; keywords are those of the account, by number.
func (f Flags) Words(keywords []string) []string {
	var out []string
	for i, w := range systemWords {
		if f&(1<<i) != 0 {
			out = append(out, w)
		}
	}
	for n, w := range keywords {
		if f&Keyword(n) != 0 && w != "" {
			out = append(out, w)
		}
	}
	return out
}

// Box is a mailbox of an account, as its row has it.
type Box struct {
	ID          int64 // MAILBOXID (RFC 8474)
	Account     string
	Name        string // hierarchy by "/"
	Use         string // special use (RFC 6154), with the backslash; "": none
	Subscribed  bool
	UIDValidity uint32
	UIDNext     uint32
	ModSeq      uint64 // HIGHESTMODSEQ
	Messages    int64
	Unseen      int64
	Deleted     int64 // messages with \Deleted
	Octets      int64
	Created     time.Time
}

// Entry is a message in a mailbox: what is of this copy alone.
type Entry struct {
	UID    uint32
	Flags  Flags
	ModSeq uint64
	Added  uint64 // the ModSeq with which it came into the mailbox
	Mail   int64  // EMAILID: what is the same for all copies in the account
	Saved  time.Time
}

// Range is a range of UIDs, both ends included.
type Range struct{ Low, High uint32 }

// All is every UID.
func All() []Range { return []Range{{1, 1<<32 - 1}} }

// In reports that a UID is in one of ranges, which are ascending and do not touch.
func In(ranges []Range, uid uint32) bool {
	for len(ranges) > 0 {
		switch m := len(ranges) / 2; {
		case uid < ranges[m].Low:
			ranges = ranges[:m]
		case uid > ranges[m].High:
			ranges = ranges[m+1:]
		default:
			return true
		}
	}
	return false
}

// Ranges are the ranges of ascending UIDs.
func Ranges(uids []uint32) []Range {
	var out []Range
	for _, u := range uids {
		if n := len(out); n > 0 && out[n-1].High == u-1 {
			out[n-1].High = u
			continue
		}
		out = append(out, Range{u, u})
	}
	return out
}

// Special uses of mailboxes (RFC 6154 §2).
const (
	UseArchive = `\Archive`
	UseDrafts  = `\Drafts`
	UseJunk    = `\Junk`
	UseSent    = `\Sent`
	UseTrash   = `\Trash`
)

// Standard is a mailbox that every account has from its first day.
type Standard struct{ Name, Use string }

// Standards are they (MBX-4), INBOX first.
func Standards() []Standard {
	return []Standard{{Inbox, ""}, {"Archive", UseArchive}, {"Drafts", UseDrafts}, {Junk, UseJunk}, {"Sent", UseSent}, {"Trash", UseTrash}}
}
