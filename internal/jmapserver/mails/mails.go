// Package mails answers the JMAP methods about mail that is there (RFC 8621 §2 to §5): Mailbox, Thread,
// Email and SearchSnippet.
package mails

import (
	"context"
	"time"

	"waxwing/dns"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/catalog"
	"waxwing/internal/jmapserver/uploads"
	"waxwing/internal/mailboxes"
	"waxwing/internal/search"
	"waxwing/jmap"
)

// Room answers them. Its fields are set before its first use.
type Room struct {
	Boxes   *mailboxes.Store
	Catalog *catalog.Store
	Search  *search.Store
	Uploads *uploads.Store
	// Scripts is the text of a script of an account, by the id of its blob; nil: there are none.
	Scripts func(ctx context.Context, account string, id jmap.ID) (text string, ok bool, err error)
	// Hostname stands in the Message-ID of mails that are composed here.
	Hostname dns.Name
	TempDir  string           // for mails that are long
	Now      func() time.Time // nil: time.Now

	results results
}

// Methods are those that it answers.
func (r *Room) Methods() map[string]call.Method {
	return map[string]call.Method{
		"Mailbox/get": r.mailboxGet, "Mailbox/changes": r.mailboxChanges, "Mailbox/query": r.mailboxQuery, "Mailbox/queryChanges": r.mailboxQueryChanges, "Mailbox/set": r.mailboxSet,
		"Thread/get": r.threadGet, "Thread/changes": r.threadChanges,
		"Email/get": r.emailGet, "Email/changes": r.emailChanges, "Email/query": r.emailQuery, "Email/queryChanges": r.emailQueryChanges, "Email/set": r.emailSet,
		"Email/copy": r.emailCopy, "Email/import": r.emailImport, "Email/parse": r.emailParse,
		"SearchSnippet/get": r.snippets,
	}
}

// Kinds of ids.
const (
	boxKind    = call.BoxKind
	emailKind  = call.EmailKind
	threadKind = call.ThreadKind
	blobKind   = 'B'
)

// ID is how an id is written.
func ID(kind byte, id int64) jmap.ID { return call.ID(kind, id) }

// number reads an id of a kind; false: it is none.
func number(kind byte, id jmap.ID) (int64, bool) { return call.Number(kind, id) }

// BlobID is that of a mail, or of its part of that number.
func BlobID(mail int64, part string) jmap.ID {
	id := ID(blobKind, mail)
	if part == "" {
		return id
	}
	return blobOf(id)(part)
}
