package evidence

import (
	"context"
	"errors"

	"waxwing/internal/config"
	"waxwing/internal/foreign"
	"waxwing/internal/junk"
	"waxwing/internal/rspamd"
)

// PutOff is an error: a filter does not answer, or wants a message tried again later.
type PutOff struct{ Text string }

func (p *PutOff) Error() string { return p.Text }

// filters asks Rspamd, and adds what it says to the facts (JNK-3). It is not asked about mail for report
// addresses alone.
func (r *Room) filters(ctx context.Context, m Message, f *junk.Facts) error {
	if r.Rspamd == nil || len(m.Accounts) == 0 && !m.Others {
		return nil
	}
	answer, wait, err := r.Rspamd.Check(ctx, rspamd.Message{ID: m.ID, IP: m.Facts.IP, HELO: m.Facts.HELO, Name: m.Facts.IPRev.Name.ASCII(), Sender: m.Sender, Recipients: m.To, Whole: m.Whole})
	switch {
	case errors.Is(err, rspamd.ErrTooLarge):
		r.count("too-large")
		return nil
	case err != nil:
		r.count("silent")
		return r.silent("rspamd", m.ID, err, f)
	}
	r.count("answered")
	if f.Rspamd = &answer; wait && r.Greylist {
		return &PutOff{"the filter asks for another try (" + answer.Action + ")"}
	}
	return nil
}

// silent does what the operator wants done when a filter does not answer.
func (r *Room) silent(filter, id string, err error, f *junk.Facts) error {
	if r.Log != nil {
		r.Log.Warn("filter gives no answer", "filter", filter, "message", id, "text", foreign.Text(err.Error(), 300), "on_failure", string(r.OnSilence))
	}
	switch r.OnSilence {
	case config.DeferOnFailure:
		return &PutOff{"a filter does not answer"}
	case config.JunkOnFailure:
		f.Silent = append(f.Silent, filter)
	}
	return nil
}

func (r *Room) count(result string) {
	if r.Asked != nil {
		r.Asked("rspamd", result)
	}
}
