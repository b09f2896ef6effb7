// Package imapserver is the IMAP server: sessions over the mailbox store. It speaks IMAP4rev2
// (RFC 9051) and IMAP4rev1 (RFC 3501) with the extensions of capability.go, in the
// grammar of the package imap at the root. Connections are those of package wire, and
// what a login needs is decided there and in package login.
//
// A session is one goroutine. What it knows of its mailbox is a Look of the store, which
// shares all but what the client has not been told yet with the other sessions; it holds
// nothing of a message beyond the one that it is sending. Commands are carried out one
// after the other, in the order in which they come; answers are sent when there is no
// further command to read, or a buffer is full.
//
// On purpose it differs from RFC 3501 where RFC 9051 does: there is no \Recent.
package imapserver

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"waxwing/internal/annotations"
	"waxwing/internal/guard"
	"waxwing/internal/mailboxes"
	"waxwing/internal/search"
	"waxwing/internal/wire"
)

// Server is what all sessions share. Its fields are not changed once it is in use.
type Server struct {
	Hostname string
	Boxes    *mailboxes.Store
	// Annotations keeps METADATA.
	Annotations *annotations.Store
	// Search is the index of what people read of mails; nil: searches read the mails.
	Search *search.Store
	// Account finds the account of a user that a URL names; "" is nobody's. Nil: users are accounts.
	Account func(ctx context.Context, user string) (string, error)
	// Disable are capabilities that are neither announced nor served (IMP-2).
	Disable []string
	// DisableFor are those that one account is not offered beside; nil: none.
	DisableFor func(ctx context.Context, account string) []string
	// AppendLimit is how large a message a client may store, in octets; 0: 50 MiB.
	AppendLimit int64
	// TempDir is where long messages wait until they are in the store.
	TempDir string
	// SearchTime bounds one SEARCH, SORT or THREAD; 0: 1 min.
	SearchTime time.Duration
	Now        func() time.Time // nil: time.Now
	Log        *slog.Logger     // nil: discard
	Guard      *guard.Guard
	// Counted is told of each command and how it ended: "ok", "no", "bad"; nil: nobody.
	Counted func(command, result string)

	encoding sync.Mutex // for whoever encodes a binary message
}

func (s *Server) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

func (s *Server) appendLimit() int64 {
	if s.AppendLimit > 0 {
		return s.AppendLimit
	}
	return 50 << 20
}

func (s *Server) searchTime() time.Duration {
	if s.SearchTime > 0 {
		return s.SearchTime
	}
	return time.Minute
}

// Handle speaks with one client until it leaves; it is the wire.Server's Handle.
func (s *Server) Handle(ctx context.Context, c *wire.Conn) {
	t := newSession(s, c)
	defer t.close()
	t.greet()
	t.serve(ctx)
}

// Refuse is what a client is told that is not served; it is the wire.Server's Refuse.
func Refuse(why string) string {
	return "* BYE [LIMIT] too many connections (" + why + "), try again later\r\n"
}
