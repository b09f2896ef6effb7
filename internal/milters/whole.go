package milters

import (
	"bytes"
	"context"
	"io"

	"waxwing/internal/config"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/screening"
	"waxwing/message"
	"waxwing/milter"
	"waxwing/smtp"
)

// Text is a message that milters look at one after the other, each as those before it have left
// it. An error is of this server's.
type Text interface {
	Parts() (h message.Header, body io.Reader, err error)
	// Replacement takes a body; Amend then puts it in place of the message's.
	Replacement() io.Writer
	Amend(h message.Header, replaced bool) error
	// Envelope makes one milter's changes of the envelope, and says of each in one word why it is not made,
	// "": it is. astray is of those that are not among them. A refusal is of the whole message.
	Envelope(ctx context.Context, all []screening.Envelope, astray screening.Astray) (words []string, refusal *smtp.Reply, err error)
}

// Note is what one milter came to with a message that goes on.
type Note struct {
	Milter string
	Aside  bool   // it wants the message put into Junk
	Held   bool   // it wants it put aside, and the operator has such mail held in the queue
	Text   string // what it did, or why it is to be put aside
}

// Outcome is what all milters came to.
type Outcome struct {
	screening.Decision        // Refuse, Discard, or GoOn
	By                 string // the milter that refuses it, has it thrown away or has removed a recipient last
	Notes              []Note
	Hold               delivery.Fact // why the message is to be held in the queue; zero: it is not
}

// Whole has all milters that are left look at the message.
func (t *Transaction) Whole(ctx context.Context, text Text) (out Outcome, err error) {
	for _, a := range t.all {
		if t.Discarded != "" {
			break
		}
		if a.failed.Action == screening.Refuse {
			out.Decision, out.By = a.failed, a.Name
			return out, nil
		}
		if a.session == nil {
			continue
		}
		if err := t.whole(ctx, a, text, &out); err != nil || out.Action == screening.Refuse {
			return out, err
		}
	}
	if t.Discarded != "" {
		out.Action, out.By = screening.Discard, t.Discarded
	}
	return out, nil
}

// whole has one milter look at the message, and makes its changes.
func (t *Transaction) whole(ctx context.Context, a *asked, text Text, out *Outcome) error {
	h, body, err := text.Parts()
	if err != nil {
		return err
	}
	var r milter.Result
	d := t.decide(ctx, a, func() (milter.Answer, error) {
		r, err = a.session.Message(ctx, milter.Message{Macros: t.macros, Fields: fieldsOf(h), Body: body, Replaced: text.Replacement()})
		return r.Answer, err
	})
	switch {
	case milter.IsLocal(err):
		return err
	case d.Action == screening.Refuse:
		out.Decision, out.By = d, a.Name
		t.refused(a, d)
		return nil
	case err != nil || d.Action == screening.Discard:
		return nil // whatever a milter asked for before it fell silent is not done
	}
	defer a.drop()
	return t.amend(ctx, a, text, amends{h, r, out})
}

// amends is what a milter wants done with a message that goes on.
type amends struct {
	header message.Header
	result milter.Result
	out    *Outcome
}

func (t *Transaction) amend(ctx context.Context, a *asked, text Text, m amends) error {
	am := screening.Amend(m.header, m.result.Changes)
	if am.Changed || m.result.Replaced {
		if err := text.Amend(am.Header, m.result.Replaced); err != nil {
			return err
		}
	}
	words, refusal, err := text.Envelope(ctx, am.Envelope, am.Astray)
	if err != nil {
		return err
	}
	done := am.Done
	for i, e := range am.Envelope {
		if words[i] != "" {
			am.NotDone = append(am.NotDone, screening.NotDone{Op: e.Op, Word: words[i], Text: e.Written})
			continue
		}
		done = append(done, e.Op)
		if e.Op == milter.RemoveRecipient {
			m.out.By = a.Name
		}
	}
	if refusal != nil {
		m.out.Decision, m.out.By = screening.Decision{Action: screening.Refuse, Reply: refusal}, a.Name
		t.tell(a, Note{}, map[bool]string{true: "deferred", false: "refused"}[refusal.Temporary()], am.NotDone)
		return nil
	}
	note, result := Note{Milter: a.Name, Text: screening.Note(done, m.result.Replaced)}, "accepted"
	if am.Aside {
		result = "quarantined"
		note.Text, note.Aside = am.Why, screening.Aside(a.Rule) == config.QuarantineJunk
		if note.Held = !note.Aside; note.Held {
			m.out.Hold = delivery.Fact{Word: reason.MilterQuarantine, Text: a.Name + ": " + am.Why}
		}
	}
	m.out.Notes = append(m.out.Notes, note)
	t.tell(a, note, result, am.NotDone)
	return nil
}

// tell logs and counts what a milter came to.
func (t *Transaction) tell(a *asked, note Note, result string, notDone []screening.NotDone) {
	t.count(a, result, len(notDone))
	if t.room.Log == nil {
		return
	}
	t.room.Log.Info("milter asked", "filter", a.Name, "message", t.macros["i"], "result", result, "text", note.Text)
	if len(notDone) > 0 {
		t.room.Log.Warn("changes that a milter asks for are not made", "filter", a.Name, "message", t.macros["i"], "n", len(notDone), "text", screening.Words(notDone))
	}
}

// fieldsOf is a header as a milter is told it.
func fieldsOf(h message.Header) []milter.Field {
	out := make([]milter.Field, len(h.Fields))
	for i, f := range h.Fields {
		_, value, _ := bytes.Cut(f.Raw, []byte(":"))
		out[i] = milter.Field{Name: f.Name, Value: string(bytes.TrimSuffix(bytes.TrimSuffix(value, []byte("\n")), []byte("\r")))}
	}
	return out
}
