package queue

import (
	"context"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/spool"
)

// Mail that finds no place at the addresses of its hosts waits for its turn: that is no
// attempt, nothing closes, the history does not tell it, and it expires like any other.
func TestCrowdedOut(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		n := 0
		w.Attempted = func(*delivery.Job, *delivery.Result) { n++ }
		w.Direct = crowded{}
		w.put("ok.a@b.test")
		for range 20 {
			w.step()
			w.clock.add(time.Minute)
		}
		it := w.item("ok.a@b.test")
		if it.State != spool.Waiting || it.Recipient.Attempts != 0 || n != 0 || len(w.closedOnes()) != 0 {
			t.Errorf("%+v, %d attempts counted, closed: %v", it, n, w.closedOnes())
		}
		shown, err := w.Show(t.Context(), it.Envelope.ID)
		if err != nil || len(shown.Attempts) != 0 {
			t.Errorf("%d attempts in the history, %v", len(shown.Attempts), err)
		}
		w.clock.add(6 * 24 * time.Hour)
		w.step()
		if it := w.item("ok.a@b.test"); it.State != spool.Failed {
			t.Errorf("after its time: %+v", it)
		}
	})
}

type crowded struct{}

func (crowded) Deliver(_ context.Context, j *delivery.Job, _ delivery.Content) delivery.Result {
	f := &delivery.Failure{Word: reason.AddressCrowded, Text: "crowded"}
	return delivery.Result{Transport: "direct", Visits: []delivery.Visit{{Sessions: []delivery.Session{{Err: f}, {Err: f}}}},
		Recipients: []delivery.RecipientResult{{ID: j.Recipients[0].ID, Word: f.Word, Text: f.Text}}}
}
