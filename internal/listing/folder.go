package listing

import (
	"context"
	"strconv"

	"waxwing/internal/delivery"
	"waxwing/internal/mailboxes"
	"waxwing/internal/text"
)

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
func Folders(ctx context.Context, s *mailboxes.Store, account string) (rows []Folder, err error) {
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
