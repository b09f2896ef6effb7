package listing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/internal/cli"
	"waxwing/internal/delivery"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/message"
)

// maxTraced is how many messages of an address are told of, the newest.
const maxTraced = 20

// Traced are the messages that an id, an address or a Message-ID means, the newest first; more
// says that there are others, which are left out.
func Traced(ctx context.Context, db *store.Store, arg string) (ids []int64, more bool, err error) {
	own, idErr := cli.ParseIDs([]string{arg}, "waxwing queue list --all")
	if idErr == nil && !strings.ContainsAny(arg, "@<") {
		return []int64{int64(own[0])}, false, nil
	}
	ids, err = byMessageID(ctx, db, arg)
	if err == nil && len(ids) == 0 && strings.Contains(arg, "@") && !strings.HasPrefix(arg, "<") {
		ids, err = byAddress(ctx, db, arg)
	}
	switch {
	case err != nil:
		return nil, false, err
	case len(ids) == 0 && strings.ContainsAny(arg, "@<"):
		return nil, false, fmt.Errorf("no message from or to %s, and none with this Message-ID, is known: settled ones are kept for delivery.history; \"waxwing mail list ACCOUNT\" shows what has arrived", arg)
	case len(ids) == 0:
		return nil, false, idErr
	}
	return ids[:min(len(ids), maxTraced)], len(ids) > maxTraced, nil
}

// byMessageID are the messages in queue, history and mailboxes with a Message-ID, the newest
// first: one more than are told of, at most.
func byMessageID(ctx context.Context, db *store.Store, arg string) ([]int64, error) {
	name := message.CleanMessageID(arg)
	if name == "" {
		return nil, nil
	}
	queued, err := spool.ByMessageID(ctx, db, name, maxTraced+1)
	if err != nil {
		return nil, err
	}
	copied, err := CopiesByMessageID(ctx, db, name, maxTraced+1)
	if err != nil {
		return nil, err
	}
	return newest(append(queued, copied...)), nil
}

// newest sorts ids, which grow with time, and leaves each once.
func newest(ids []int64) []int64 {
	slices.Sort(ids)
	ids = slices.Compact(ids)
	slices.Reverse(ids)
	return ids
}

// byAddress are the messages in queue and history from an address or to it, the newest first: one more than are told of, at most.
func byAddress(ctx context.Context, db *store.Store, arg string) (all []int64, err error) {
	for next := int64(0); len(all) <= maxTraced; {
		var ids []int64
		if ids, next, err = spool.Concerning(ctx, db, arg, spool.Look{Before: next, Rows: lookedAt, Limit: maxTraced + 1 - len(all)}); err != nil {
			return nil, err
		}
		if all = append(all, ids...); next == 0 {
			break
		}
	}
	return all, nil
}

// lookedAt is how many recipients are looked through at a time.
const lookedAt = 50_000

// TracedFrom is Traced for a page, which does not look through all there is: next is where to look on, and 0 where all was looked through.
func TracedFrom(ctx context.Context, db *store.Store, arg string, before int64) (ids []int64, next int64, err error) {
	if before == 0 {
		own, idErr := cli.ParseIDs([]string{arg}, "waxwing queue list --all")
		if idErr == nil && !strings.ContainsAny(arg, "@<") {
			return []int64{int64(own[0])}, 0, nil
		}
		ids, err = byMessageID(ctx, db, arg)
		if err != nil || len(ids) > 0 || strings.HasPrefix(arg, "<") {
			return ids[:min(len(ids), maxTraced)], 0, err
		}
	}
	if !strings.Contains(arg, "@") {
		return nil, 0, nil
	}
	return spool.Concerning(ctx, db, arg, spool.Look{Before: before, Rows: lookedAt, Limit: maxTraced})
}

// became says what became of the TLS report about a day and a domain.
type became = func(ctx context.Context, day time.Time, domain string) (string, error)

// TravelOf finds the life of a message; id may be that of a copy.
func TravelOf(ctx context.Context, db *store.Store, id int64, report became) (t Travel, err error) {
	shown, err := spool.Show(ctx, db, id)
	if errors.Is(err, spool.ErrNoSuchMessage) { // the id of a copy, as "mail list" shows it
		if of, cerr := MessageOfCopy(ctx, db, id); cerr == nil {
			id = of
			shown, err = spool.Show(ctx, db, id)
		}
	}
	if errors.Is(err, spool.ErrNoSuchMessage) {
		if t, ok, cerr := copiesOnly(ctx, db, id); ok || cerr != nil {
			return t, cerr
		}
		return t, fmt.Errorf("message %s: %w; \"waxwing queue list --all\" shows those that are known", delivery.ID(id), err)
	}
	if err != nil {
		return t, err
	}
	copies, err := Places(ctx, db, id)
	if err != nil {
		return t, err
	}
	reports, err := reportsOf(ctx, report, &shown)
	if err != nil {
		return t, err
	}
	return newTravel(&shown, slices.Concat([]Place{}, copies), reports), nil
}

// copiesOnly is what is left of a message's life once its history is over and copies lie in
// mailboxes.
func copiesOnly(ctx context.Context, db *store.Store, id int64) (t Travel, ok bool, err error) {
	copies, err := Places(ctx, db, id)
	if err != nil || len(copies) == 0 {
		return t, false, err
	}
	gone := spool.Shown{Envelope: delivery.Envelope{ID: id, Accepted: copies[0].Received}}
	t = newTravel(&gone, copies, []Reported{})
	t.HistoryOver = true
	return t, true, nil
}

// reportsOf are the TLS reports about the days and domains of a message's attempts.
func reportsOf(ctx context.Context, report became, s *spool.Shown) (out []Reported, err error) {
	out = []Reported{}
	type unit struct{ day, domain string }
	seen := map[unit]bool{}
	for _, a := range s.Attempts {
		u := unit{a.Ended.UTC().Format(time.DateOnly), a.Domain}
		if a.Domain == "" || len(a.Detail.Hosts) == 0 || seen[u] {
			continue
		}
		seen[u] = true
		state, err := report(ctx, a.Ended, a.Domain)
		if err != nil {
			return nil, err
		}
		out = append(out, Reported{Day: u.day, Domain: u.domain, State: state})
	}
	return out, nil
}
