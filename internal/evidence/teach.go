package evidence

import (
	"context"
	"fmt"
	"io"
	"time"

	"waxwing/internal/bayes"
	"waxwing/internal/classifier"
	"waxwing/internal/correspondents"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/rspamd"
	"waxwing/internal/store"
)

// maxTaught is how much of a message is read to be learnt, and to be compared with what was, in octets.
const maxTaught = 1 << 20

// Teacher has accounts' classifiers learn messages of their mailboxes (JNK-2).
type Teacher struct {
	DB    *store.Store
	Boxes Boxes
	Now   func() time.Time
	// Rspamd learns too, where the configuration has it; nil: none does.
	Rspamd *rspamd.Client
}

// Boxes are the mailboxes; *mailboxes.Store is that.
type Boxes interface {
	Open(ctx context.Context, id int64) (delivery.Content, mailbox.Message, error)
	// Taught notes what a message was learnt as, and returns what it was before.
	Taught(tx *store.Tx, id int64, class mailbox.Class) (was mailbox.Class, err error)
}

// Teach has the account of a message learn it as class; Unknown takes back what was learnt.
// Learning it twice counts once.
func (t *Teacher) Teach(ctx context.Context, id int64, class mailbox.Class) error {
	content, m, err := t.Boxes.Open(ctx, id)
	if err != nil {
		return err
	}
	r, err := content.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxTaught))
	if err != nil {
		return err
	}
	was := mailbox.Unknown
	words, model := bayes.Words(text), &classifier.Store{DB: t.DB, Now: t.Now}
	err = t.DB.Write(ctx, func(tx *store.Tx) error {
		if was, err = t.Boxes.Taught(tx, id, class); err != nil {
			return err
		}
		return model.Learn(tx, m.Account, words, was, class)
	})
	if err != nil {
		return fmt.Errorf("learning message %s: %w", delivery.ID(id), err)
	}
	if class == was || class == mailbox.Unknown {
		return nil
	}
	if err := t.Rspamd.Learn(ctx, text, class == mailbox.IsGood); err != nil {
		return fmt.Errorf("message %s is learnt, but not by Rspamd: %w", delivery.ID(id), err)
	}
	return nil
}

// Forget forgets what an account has taught, and its correspondents.
func (t *Teacher) Forget(ctx context.Context, account string) error {
	return t.DB.Write(ctx, func(tx *store.Tx) error {
		if err := correspondents.Forget(tx, account); err != nil {
			return err
		}
		return classifier.Forget(tx, account)
	})
}
