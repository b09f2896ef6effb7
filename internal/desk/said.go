package desk

import (
	"context"
	"fmt"
	"strconv"

	"waxwing/internal/delivery"
	"waxwing/internal/queue"
	"waxwing/internal/spool"
	"waxwing/internal/text"
)

// Came says what the action came to, and whether that is what was asked for.
func (a *Action) Came(sum queue.Changed) (said string, ok bool) {
	// What is to be tried, and is being tried, is as it should be.
	ok = sum.Done > 0 || a.Verb == Retry && sum.Busy > 0
	done := map[Verb]string{Hold: "held", Unhold: "released", Retry: "to be tried now", Fail: "returned to their senders",
		Drop: "dropped", SetTLS: "set to " + a.Need.String(), SetTransport: "given the transport " + strconv.Quote(a.Transport)}[a.Verb]
	s := text.Count(sum.Done, "recipient") + " " + done
	if sum.Done == 0 && sum.Busy == 0 {
		return "nothing in the queue matches that this could be done with; \"waxwing queue list\" shows what there is", ok
	}
	if sum.Busy > 0 && a.Verb == Retry {
		return s + fmt.Sprintf("; %s being tried just now", text.Count(sum.Busy, "recipient")), ok
	}
	if sum.Busy > 0 {
		s += fmt.Sprintf("; %s being tried just now and left alone: ask again in a moment", text.Count(sum.Busy, "recipient"))
	}
	return s, ok
}

// ActOn does it with each of several messages; with all that the filter has, where ids are
// none.
func ActOn(ctx context.Context, d Desk, a Action, ids []delivery.ID) (sum queue.Changed, err error) {
	if len(ids) == 0 {
		ids = []delivery.ID{0}
	}
	for _, id := range ids {
		a.Filter.Message = int64(id)
		n, err := d.Act(ctx, a)
		sum.Done += n.Done
		sum.Busy += n.Busy
		if err != nil {
			return sum, err
		}
	}
	return sum, nil
}

// ListAll lists what waits page by page, about as many recipients as limit at most.
func ListAll(ctx context.Context, d Desk, limit int) (items []spool.Item, err error) {
	f := spool.Filter{Limit: 1000}
	for {
		page, err := d.List(ctx, f)
		items = append(items, page...)
		if err != nil || len(page) < f.Limit || len(items) >= limit {
			return items, err
		}
		f.After = page[len(page)-1].Recipient.ID
	}
}
