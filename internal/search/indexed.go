package search

import (
	"context"
	"slices"

	"waxwing/internal/criteria"
)

// keyFields are where the texts of IMAP's search keys stand in the index.
var keyFields = map[string][]Field{
	"TEXT": {Any}, "BODY": {Body, Names}, "SUBJECT": {Subject}, "FROM": {From}, "TO": {To}, "CC": {Cc}, "BCC": {Bcc},
}

// Indexed is what the index knows of the text of a search key, in one mailbox of an account. It is
// not ok where it cannot answer: for other keys, and for a text without words.
func (s *Store) Indexed(ctx context.Context, account string, box int64, key, text string) (out criteria.Indexed, ok bool, err error) {
	for _, f := range keyFields[key] {
		c := Condition{Field: f, Text: text}
		if c.Unsearchable() {
			return out, false, nil
		}
		a, err := s.InBox(ctx, account, box, Query{c})
		if err != nil {
			return out, false, err
		}
		out.Found = append(out.Found, a.UIDs...)
		out.Tail, out.Some, ok = a.Tail, out.Some || a.Narrow, true
	}
	slices.Sort(out.Found)
	return out, ok, nil
}
