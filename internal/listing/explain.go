package listing

import (
	"encoding/json"
	"fmt"

	"waxwing/internal/foreign"
	"waxwing/internal/junk"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/verify"
)

// Explanation is one message with what was found out about who sent it.
type Explanation struct {
	mailboxes.Row
	Facts *verify.Facts `json:"facts"` // null: nobody looked, as for mail that was submitted here
	// Junk is why it was put into this mailbox; null: nobody looked.
	Junk *junk.Decision `json:"junk"`
}

// Explain reads the facts that are kept with a message.
func Explain(m mailbox.Message) (Explanation, error) {
	e := Explanation{Row: mailboxes.RowOf(m)}
	for _, kept := range []struct {
		json []byte
		into any
	}{{m.Facts, &e.Facts}, {[]byte(m.Evidence), &e.Junk}} {
		if len(kept.json) == 0 {
			continue
		}
		if err := json.Unmarshal(kept.json, kept.into); err != nil {
			return e, fmt.Errorf("message %s: the facts that are kept with it: %w", e.ID, err)
		}
	}
	return e, nil
}

// String is the explanation for people, line by line.
func (e Explanation) String() string {
	head := fmt.Sprintf("message %s from <%s> to %s, in %s of %s\n", e.ID, foreign.Shown(e.Sender), foreign.Shown(e.Recipient), e.Mailbox, e.Account)
	if e.Facts == nil {
		return head + "nobody looked who sent it: it was submitted or made here, or the configuration does not want it\n"
	}
	if e.Junk == nil {
		return head + e.Facts.Why()
	}
	return head + e.Junk.Why() + e.Facts.Why()
}
