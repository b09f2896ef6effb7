// Package mails answers the JMAP methods about mail that is there (RFC 8621 §2 to §5): Mailbox, Thread,
// Email and SearchSnippet.
package mails

import (
	"strconv"
	"strings"

	"waxwing/internal/delivery"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/catalog"
	"waxwing/internal/mailboxes"
	"waxwing/internal/search"
	"waxwing/jmap"
)

// Room answers them. Its fields are set before its first use.
type Room struct {
	Boxes   *mailboxes.Store
	Catalog *catalog.Store
	Search  *search.Store

	results results
}

// Methods are those that it answers.
func (r *Room) Methods() map[string]call.Method {
	return map[string]call.Method{
		"Mailbox/get":        r.mailboxGet,
		"Mailbox/changes":    r.mailboxChanges,
		"Thread/get":         r.threadGet,
		"Thread/changes":     r.threadChanges,
		"Email/get":          r.emailGet,
		"Email/changes":      r.emailChanges,
		"Email/query":        r.emailQuery,
		"Email/set":          r.emailSet,
		"Email/queryChanges": r.emailQueryChanges,
	}
}

// Kinds of ids: the first letter of each. Those of mailboxes, mails and threads are as IMAP has them (RFC 8474).
const (
	boxKind    = 'M'
	emailKind  = 'E'
	threadKind = 'T'
	blobKind   = 'B'
)

// ID is how an id is written.
func ID(kind byte, id int64) jmap.ID { return jmap.ID(string(kind) + delivery.ID(id).String()) }

// number reads an id of a kind; false: it is none.
func number(kind byte, id jmap.ID) (int64, bool) {
	rest, ok := strings.CutPrefix(string(id), string(kind))
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(rest, 36, 64)
	return n, err == nil && n > 0 && ID(kind, n) == id
}

// BlobID is that of a mail, or of its part of that number.
func BlobID(mail int64, part string) jmap.ID {
	id := ID(blobKind, mail)
	if part != "" {
		id += jmap.ID("-" + strings.ReplaceAll(part, ".", "_"))
	}
	return id
}

// ParseBlobID reads it.
func ParseBlobID(id jmap.ID) (mail int64, part string, ok bool) {
	whole, part, _ := strings.Cut(string(id), "-")
	mail, ok = number(blobKind, jmap.ID(whole))
	return mail, strings.ReplaceAll(part, "_", "."), ok
}
