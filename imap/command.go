package imap

import "time"

// Command is what a client asks for. Args is the type named beside the command
// below, nil for those without arguments: CAPABILITY, NOOP, LOGOUT, STARTTLS,
// CHECK, CLOSE, UNSELECT, EXPUNGE, IDLE, NAMESPACE.
type Command struct {
	Tag  string
	Name string // in capitals, without UID
	UID  bool   // UID FETCH and the like
	Args any
}

// The arguments of commands.
type (
	// Login is LOGIN.
	Login struct{ User, Password string }
	// Authenticate is AUTHENTICATE. Initial is nil without an initial response; "="
	// is an empty one.
	Authenticate struct {
		Mechanism string
		Initial   *string // as sent: base64
	}
	// Select is SELECT and EXAMINE.
	Select struct {
		Mailbox   string
		CondStore bool
		QResync   *QResync
	}
	// Mailbox is DELETE, SUBSCRIBE, UNSUBSCRIBE, GETQUOTAROOT.
	Mailbox struct{ Name string }
	// Create is CREATE.
	Create struct {
		Mailbox string
		Use     []string // special uses (RFC 6154), with the backslash
	}
	// Rename is RENAME.
	Rename struct{ From, To string }
	// List is LIST, LSUB and XLIST.
	List struct {
		Select    []string // SUBSCRIBED, REMOTE, RECURSIVEMATCH, SPECIAL-USE
		Reference string
		Patterns  []string
		Extended  bool     // written in the form of RFC 5258
		Return    []string // SUBSCRIBED, CHILDREN, SPECIAL-USE, MYRIGHTS
		Status    []string // items of STATUS
	}
	// Status is STATUS.
	Status struct {
		Mailbox string
		Items   []string
	}
	// Append is APPEND; its messages are read with Reader.NextMessage.
	Append struct{ Mailbox string }
	// Replace is REPLACE; its one message is read with Reader.NextMessage.
	Replace struct {
		Message Set
		Mailbox string
	}
	// Search is SEARCH.
	Search struct {
		Return  []ReturnOption // nil: the old form
		Charset string
		Key     Key
	}
	// Sort is SORT.
	Sort struct {
		Return  []ReturnOption
		By      []SortKey
		Charset string
		Key     Key
	}
	// Thread is THREAD.
	Thread struct {
		Algorithm string
		Charset   string
		Key       Key
	}
	// Fetch is FETCH.
	Fetch struct {
		Set          Set
		Items        []FetchItem
		ChangedSince *uint64
		Vanished     bool
		Partial      *Partial
	}
	// Store is STORE.
	Store struct {
		Set            Set
		UnchangedSince *uint64
		Mode           byte // '=', '+', '-'
		Silent         bool
		Flags          []string
	}
	// Copy is COPY and MOVE.
	Copy struct {
		Set     Set
		Mailbox string
	}
	// Expunge is UID EXPUNGE.
	Expunge struct{ Set Set }
	// GenURLAuth is GENURLAUTH: URLs to be signed, each with the mechanism for it.
	GenURLAuth struct{ URLs, Mechanisms []string }
	// URLFetch is URLFETCH.
	URLFetch struct{ URLs []URLRequest }
	// ResetKey is RESETKEY; without a Mailbox, of all.
	ResetKey struct {
		Mailbox    *string
		Mechanisms []string
	}
	// CancelUpdate is CANCELUPDATE: tags of commands.
	CancelUpdate struct{ Tags []string }
	// Words is ENABLE and COMPRESS.
	Words struct{ Words []string }
	// ID is ID; nil for NIL.
	ID struct{ Fields map[string]string }
	// GetQuota is GETQUOTA.
	GetQuota struct{ Root string }
	// SetQuota is SETQUOTA.
	SetQuota struct {
		Root   string
		Limits map[string]uint64
	}
	// GetMetadata is GETMETADATA; Mailbox "" is the server.
	GetMetadata struct {
		Mailbox string
		MaxSize *uint64
		Depth   string // 0, 1, infinity
		Entries []string
	}
	// SetMetadata is SETMETADATA. A nil value removes the entry.
	SetMetadata struct {
		Mailbox string
		Entries []MetadataEntry
	}
	// Notify is NOTIFY; Groups nil is NONE.
	Notify struct {
		Status bool
		Groups []NotifyGroup
	}
)

// URLRequest is a URL that URLFETCH is to fetch. Items are BODY, BINARY, BODYPARTSTRUCTURE
// (RFC 5524); nil: the octets, in the old form.
type URLRequest struct {
	URL   string
	Items []string
}

// QResync is the parameter of SELECT (RFC 7162 §3.2.5).
type QResync struct {
	UIDValidity uint32
	ModSeq      uint64
	Known       *Set // UIDs
	SeqMatch    *[2]Set
}

// Partial is "offset:count" of a result (RFC 9394); negative numbers count from
// the end.
type Partial struct{ From, To int64 }

// MetadataEntry is one entry of SETMETADATA.
type MetadataEntry struct {
	Name  string
	Value *string
}

// NotifyGroup is one event group of NOTIFY (RFC 5465 §6).
type NotifyGroup struct {
	Filter    string   // SELECTED, SELECTED-DELAYED, INBOXES, PERSONAL, SUBSCRIBED, SUBTREE, MAILBOXES
	Mailboxes []string // of SUBTREE and MAILBOXES
	Events    []string // nil: NONE
	Fetch     []FetchItem
}

// ReturnOption is one of RETURN (RFC 4731, 5182, 5267, 9394): MIN, MAX, ALL, COUNT, SAVE,
// PARTIAL, UPDATE, CONTEXT.
type ReturnOption struct {
	Name    string
	Partial Partial
}

// SortKey is one criterion of SORT.
type SortKey struct {
	Name    string // ARRIVAL, CC, DATE, FROM, SIZE, SUBJECT, TO, DISPLAYFROM, DISPLAYTO
	Reverse bool
}

// FetchItem is one thing to fetch.
type FetchItem struct {
	Name string // ENVELOPE, FLAGS, INTERNALDATE, RFC822…, BODY, BODYSTRUCTURE, BINARY, BINARY.SIZE, UID, MODSEQ, EMAILID, …
	Peek bool
	// Of BODY[…] and BINARY[…]: Section is set.
	Section *Section
	Lazy    bool // PREVIEW (LAZY)
}

// Section is what stands in the brackets of BODY[…] (RFC 9051 §6.4.5).
type Section struct {
	Part    []uint32 // part numbers
	Text    string   // "", HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT, MIME
	Fields  []string
	Partial bool
	Offset  uint64
	Count   uint64
}

// Key is a search program: And joins Keys, and a leaf has a Name.
type Key struct {
	Name   string // ALL, ANSWERED, …, AND, OR, NOT, SEQ, UID
	Keys   []Key  // of AND, OR, NOT
	Text   string // of BODY, FROM, HEADER, KEYWORD, …
	Header string // the field of HEADER
	Number uint64 // of LARGER, SMALLER, OLDER, YOUNGER, MODSEQ
	Date   time.Time
	Set    Set
	Entry  string // of MODSEQ (RFC 7162 §3.1.5), "" without
}
