package evidence

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"waxwing/internal/bayes"
	"waxwing/internal/classifier"
	"waxwing/internal/correspondents"
	"waxwing/internal/delivery"
	"waxwing/internal/junk"
	"waxwing/internal/mailbox"
	"waxwing/internal/rspamd"
	"waxwing/internal/store"
	"waxwing/internal/verify"
	"waxwing/message"
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
		err := t.Teach(ctx, l.Mail, l.Class)
		if err == nil {
			err = t.mark(ctx, l)
		}
		if err != nil && ctx.Err() == nil {
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

// mark notes what a move says of the sender, where a domain vouches for one: anybody could claim to
// be somebody else.
func (t *Teacher) mark(ctx context.Context, l mailbox.Lesson) error {
	content, m, err := t.Boxes.Open(ctx, l.Mail)
	if err != nil {
		return err
	}
	var facts verify.Facts
	if json.Unmarshal(m.Facts, &facts) != nil {
		return nil // nobody looked who sent it
	}
	r, err := content.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	header, err := message.ReadHeader(bufio.NewReader(r), 0)
	if err != nil {
		return nil // one that cannot be read has no sender
	}
	who := Sender(&facts, header)
	if who == "" {
		return nil
	}
	return t.DB.Write(ctx, func(tx *store.Tx) error {
		known, err := correspondents.Histories(tx, []string{m.Account}, who)
		if err != nil {
			return err
		}
		was := known[m.Account].Mark
		if now := marked(was, l.Class); now != was {
			return correspondents.Mark(tx, m.Account, who, now, t.Now())
		}
		return nil
	})
}

// marked is what an account says of a sender by a move (JNK-1). Who is taken out of Junk is good from then
// on. A move into Junk takes that back, and says no more: it may be one letter among a hundred.
func marked(was junk.Mark, moved mailbox.Class) junk.Mark {
	switch {
	case moved == mailbox.IsGood:
		return junk.MarkedGood
	case moved == mailbox.IsJunk && was == junk.MarkedGood:
		return junk.Unmarked
	}
	return was
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
