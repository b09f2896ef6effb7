package search

import (
	"context"

	"waxwing/imap"
	"waxwing/internal/criteria"
)

// keyFields are where the texts of IMAP's search keys stand in the index.
var keyFields = map[string]Field{
	"TEXT": Any, "BODY": Parts, "SUBJECT": Subject, "FROM": From, "TO": To, "CC": Cc, "BCC": Bcc,
}

// condition is what a search key asks of the index. Where it is in doubt, a mail that the index has for it may
// have the words in another field. It is not ok where the index has nothing to say.
func condition(k imap.Key) (c Condition, doubt, ok bool) {
	f, ok := keyFields[k.Name]
	if k.Name == "HEADER" {
		f, ok = FieldOf(k.Header)
		doubt = f == Header
	}
	c = Condition{Field: f, Text: k.Text}
	return c, doubt, ok && !c.Unsearchable()
}

// Indexed is what the index knows of search keys that must all hold, in one mailbox of an account. It is
// not ok where it cannot answer: for other keys, for a text without words, and for header fields that are not
// in it.
func (s *Store) Indexed(ctx context.Context, account string, box int64, keys []imap.Key) (out criteria.Indexed, ok bool, err error) {
	var q Query
	for _, k := range keys {
		c, doubt, ok := condition(k)
		if !ok {
			return out, false, nil
		}
		q = append(q, c)
		out.Doubt = out.Doubt || doubt
	}
	a, err := s.InBox(ctx, account, box, q)
	if err != nil {
		return out, false, err
	}
	out.Found, out.Tail, out.Some = a.UIDs, a.Tail, a.Narrow
	return out, len(q) > 0, nil
}
