package mailboxes

import (
	"context"
	"strconv"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/text"
)

// Row is one message as listings show it.
type Row struct {
	ID        delivery.ID `json:"id"`
	Account   string      `json:"account"`
	Mailbox   string      `json:"mailbox"`
	Sender    string      `json:"sender"`
	Recipient string      `json:"recipient"`
	Size      int64       `json:"size"` // octets
	Received  time.Time   `json:"received"`
}

// RowOf makes it.
func RowOf(m mailbox.Message) Row {
	return Row{delivery.ID(m.ID), m.Account, m.Mailbox, m.Sender, m.Recipient, m.Size, m.Received}
}

// Rows lists a page of a mailbox, as Page does.
func (s *Store) Rows(ctx context.Context, account, box string, before int64, limit int) (rows []Row, err error) {
	all, err := s.Page(ctx, account, box, before, limit)
	for _, m := range all {
		rows = append(rows, RowOf(m))
	}
	return rows, err
}

// Listing is how messages are listed for people.
func Listing() text.List[Row] {
	return text.List[Row]{Columns: text.Columns("ID|RECEIVED|FROM|TO|OCTETS", "OCTETS", "TO"), Cells: func(m *Row) []any {
		return []any{m.ID, m.Received, m.Sender, m.Recipient, m.Size}
	}}
}

// Lying is one message where it lies, with its flags there.
type Lying struct {
	Row
	UID   uint32   `json:"uid"`
	Flags []string `json:"flags"`
}

// Lying lists a page of a mailbox, as Page does.
func (s *Store) Lying(ctx context.Context, account, box string, before int64, limit int) (rows []Lying, err error) {
	words, err := s.Keywords(ctx, account)
	if err != nil {
		return nil, err
	}
	all, err := s.Page(ctx, account, box, before, limit)
	for _, m := range all {
		rows = append(rows, Lying{RowOf(m), m.Entry.UID, append([]string{}, m.Entry.Flags.Words(words)...)})
	}
	return rows, err
}

// LyingListing is how they are listed for people.
func LyingListing() text.List[Lying] {
	return text.List[Lying]{Columns: text.Columns("ID|RECEIVED|FROM|TO|OCTETS|FLAGS", "FLAGS", "OCTETS", "TO"), Cells: func(m *Lying) []any {
		return []any{m.ID, m.Received, m.Sender, m.Recipient, m.Size, strings.Join(m.Flags, " ")}
	}}
}

// FoundListing is how messages of several mailboxes are listed for people.
func FoundListing() text.List[Row] {
	return text.List[Row]{Columns: text.Columns("ID|MAILBOX|RECEIVED|FROM|OCTETS", "OCTETS", "RECEIVED"), Cells: func(m *Row) []any {
		return []any{m.ID, m.Mailbox, m.Received, m.Sender, m.Size}
	}}
}

// Folder is a mailbox with its counters, as listings show it.
type Folder struct {
	ID          delivery.ID `json:"id"`
	Account     string      `json:"account"`
	Name        string      `json:"name"`
	Use         string      `json:"use"` // special use (RFC 6154); "": none
	Subscribed  bool        `json:"subscribed"`
	Messages    int64       `json:"messages"`
	Unseen      int64       `json:"unseen"`
	Octets      int64       `json:"octets"`
	UIDValidity uint32      `json:"uidvalidity"`
	UIDNext     uint32      `json:"uidnext"`
	ModSeq      string      `json:"modseq"`
}

// Folders lists the mailboxes of an account, as Boxes does.
func (s *Store) Folders(ctx context.Context, account string) (rows []Folder, err error) {
	all, err := s.Boxes(ctx, account)
	for _, b := range all {
		rows = append(rows, Folder{delivery.ID(b.ID), b.Account, b.Name, b.Use, b.Subscribed, b.Messages, b.Unseen, b.Octets, b.UIDValidity, b.UIDNext, strconv.FormatUint(b.ModSeq, 10)})
	}
	return rows, err
}

// FolderListing is how mailboxes are listed for people.
func FolderListing() text.List[Folder] {
	return text.List[Folder]{Columns: text.Columns("MAILBOX|USE|MESSAGES|UNSEEN|OCTETS", "USE", "OCTETS"), Cells: func(b *Folder) []any {
		return []any{b.Name, b.Use, b.Messages, b.Unseen, b.Octets}
	}}
}
