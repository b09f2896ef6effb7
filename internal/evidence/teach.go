package evidence

import (
	"context"
	"fmt"
	"io"
	"log/slog"
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
	Log    *slog.Logger // of Run
}

// Boxes are the mailboxes; *mailboxes.Store is that.
type Boxes interface {
	Open(ctx context.Context, id int64) (delivery.Content, mailbox.Message, error)
	// Taught notes what a message was learnt as, and returns what it was before.
	Taught(tx *store.Tx, id int64, class mailbox.Class) (was mailbox.Class, err error)
	// Lessons are what owners have taught by moving mail; Learnt ends one.
	Lessons(ctx context.Context, limit int) ([]mailbox.Lesson, error)
	Learnt(ctx context.Context, l mailbox.Lesson) error
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

// Run learns what owners of accounts have taught by moving mail into Junk and out of it, until ctx
// ends; each within a second or so.
func (t *Teacher) Run(ctx context.Context) error {
	for {
		for t.some(ctx) && ctx.Err() == nil {
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// lessonsAtOnce is how many lessons are read at a time.
const lessonsAtOnce = 50

// some learns some lessons, and tells whether there may be more.
func (t *Teacher) some(ctx context.Context) (more bool) {
	lessons, err := t.Boxes.Lessons(ctx, lessonsAtOnce)
	for _, l := range lessons {
		// One that cannot be learnt does not come again: its mail is gone, or Rspamd away.
		if err := t.Teach(ctx, l.Mail, l.Class); err != nil && ctx.Err() == nil {
			t.Log.Warn("what was moved into Junk or out of it is not learnt", "error", err)
		}
		if err = t.Boxes.Learnt(ctx, l); err != nil {
			break
		}
	}
	if err != nil && ctx.Err() == nil {
		t.Log.Warn("what was moved into Junk or out of it is not learnt", "error", err)
	}
	return err == nil && len(lessons) == lessonsAtOnce
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
