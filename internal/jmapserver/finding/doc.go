// Package finding decides which mails a JMAP query finds and in which order (RFC 8621 §4.4): from
// what is known of them, to a list. Texts have been looked for before.
package finding

import (
	"strings"

	"waxwing/internal/mailbox"
)

// Place is a mail in one mailbox.
type Place struct {
	Box    int64
	UID    uint32
	Flags  mailbox.Flags
	ModSeq uint64
}

// Email is what is known of a mail without reading it.
type Email struct {
	ID, Thread       int64
	Size             int64
	Received         int64  // nanoseconds since 1970
	Created, Changed uint64 // the modseq of its account with which it came, and with which it changed last
	Places           []Place
	Facts            *Facts // nil: they have not been needed
}

// Facts are what its header and its parts say of it.
type Facts struct {
	Sent              int64  // nanoseconds since 1970
	From, To, Subject string // as they are sorted
	HasAttachment     bool
}

// Lies tells whether it is in any mailbox. What has \Deleted there is not (RFC 8621 §4.1.1).
func (e *Email) Lies() bool {
	for i := range e.Places {
		if e.Places[i].Flags&mailbox.Deleted == 0 {
			return true
		}
	}
	return false
}

// In tells whether it is in a mailbox.
func (e *Email) In(box int64) bool {
	for i := range e.Places {
		if p := &e.Places[i]; p.Box == box && p.Flags&mailbox.Deleted == 0 {
			return true
		}
	}
	return false
}

// Flags are those of the mail: what any of its places has; but it is seen only if it is in all of them (RFC 8621 §4.1.1).
func (e *Email) Flags() mailbox.Flags {
	var some mailbox.Flags
	seen := true
	for i := range e.Places {
		f := e.Places[i].Flags
		if f&mailbox.Deleted != 0 {
			continue
		}
		some |= f
		seen = seen && f&mailbox.Seen != 0
	}
	if !seen {
		some &^= mailbox.Seen
	}
	return some
}

// Unread tells whether it counts as unread: it has neither $seen nor $draft (RFC 8621 §2).
func (e *Email) Unread() bool { return e.Flags()&(mailbox.Seen|mailbox.Draft) == 0 }

// The keywords that IMAP has as system flags (RFC 8621 §4.1.1, RFC 5788).
var systemKeywords = map[string]string{"$seen": `\Seen`, "$answered": `\Answered`, "$flagged": `\Flagged`, "$draft": `\Draft`}

// Flag is a keyword as IMAP spells it.
func Flag(keyword string) string {
	if f, ok := systemKeywords[strings.ToLower(keyword)]; ok {
		return f
	}
	return keyword
}

// maxKeyword is how long a keyword may be (RFC 8621 §4.1.1).
const maxKeyword = 255

// IsKeyword tells whether a text can be a keyword (RFC 8621 §4.1.1). $recent and $deleted are IMAP's own.
func IsKeyword(s string) bool {
	if s == "" || len(s) > maxKeyword || strings.HasPrefix(s, `\`) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < '!' || c > '~' || strings.IndexByte(`(){]%*"\`, c) >= 0 {
			return false
		}
	}
	return !strings.EqualFold(s, "$deleted") && !strings.EqualFold(s, "$recent")
}

// Keywords are flags by their names in JMAP; words are those of the account, by number.
func Keywords(f mailbox.Flags, words []string) map[string]bool {
	out := map[string]bool{}
	for k, flag := range systemKeywords {
		if bit, _ := mailbox.SystemFlag(flag); f&bit != 0 {
			out[k] = true
		}
	}
	for n, w := range words {
		if f&mailbox.Keyword(n) != 0 && w != "" {
			out[strings.ToLower(w)] = true
		}
	}
	return out
}

// BitOf is the flag of a keyword; 0: no mail of the account has it.
func BitOf(keyword string, words []string) mailbox.Flags {
	if bit, ok := mailbox.SystemFlag(Flag(keyword)); ok {
		return bit
	}
	for n, w := range words {
		if w != "" && strings.EqualFold(w, keyword) {
			return mailbox.Keyword(n)
		}
	}
	return 0
}
