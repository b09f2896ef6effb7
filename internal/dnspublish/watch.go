package dnspublish

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"waxwing/internal/foreign"
	"waxwing/internal/publication"
)

// Notice is what the operator is told, once.
type Notice struct {
	What    string // names it for good
	Event   string // its kind
	Subject string
	Text    string // lines end in LF
}

const (
	// poll is how often it is looked whether the plan has changed.
	poll = 5 * time.Second
	// soon is when what was written is looked at.
	soon = 15 * time.Second
	// regular is how often all is looked at where nothing is awaited.
	regular = time.Hour
	// What is awaited is looked at after pauses that begin with the first and double up to
	// the second.
	firstPause, lastPause = time.Minute, 15 * time.Minute
	// patience is for how long the publishing may fail before the operator is told.
	patience = 15 * time.Minute
)

// Run publishes what is due until ctx ends: at once, when the plan changes, and regularly.
func (s *Service) Run(ctx context.Context) error {
	w := &watcher{Service: s}
	said := ""
	for {
		err := w.step(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && err.Error() != said {
			s.Log.Error("records are not published", "error", err)
		}
		said = ""
		if err != nil {
			said = err.Error()
		}
		timer := time.NewTimer(poll)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// watcher is a Run under way. It belongs to one goroutine.
type watcher struct {
	*Service
	next    time.Time // of the next pass
	waits   int       // passes in a row that left something to wait for
	changed int64     // the sum of the generations that the last pass saw
}

// step makes a pass if one is due.
func (w *watcher) step(ctx context.Context) error {
	var sum int64
	for _, a := range w.Areas {
		g, err := w.DB.Generation(ctx, a)
		if err != nil {
			return err
		}
		sum += g
	}
	now := w.Now()
	if sum == w.changed && now.Before(w.next) {
		return nil
	}
	if sum != w.changed {
		w.waits = 0
	}
	w.changed, w.next = sum, now.Add(firstPause) // also after an error
	items, err := w.Do(ctx, Order{})
	if err == ErrBusy {
		w.next = now.Add(soon)
		return nil
	}
	if ctx.Err() != nil {
		return nil
	}
	if kept := w.keep(ctx, items, err); kept != nil {
		return cmp.Or(err, kept)
	}
	w.next = w.Now().Add(w.pause(items, err))
	return err
}

// pause is how long the next pass may wait.
func (w *watcher) pause(items []*Item, err error) time.Duration {
	done, waiting := false, err != nil
	for _, i := range items {
		done = done || i.Done
		class := publication.Explain(i.Word).Class
		waiting = waiting || class == publication.Waiting && i.Word != publication.AwaitStay || class == publication.Due && !i.Done
	}
	switch {
	case done:
		w.waits = 0
		return soon
	case waiting:
		p := min(firstPause<<min(w.waits, 10), lastPause)
		w.waits++
		return p
	}
	w.waits = 0
	return regular
}

// keep stores how a pass over all sets went, counts, and tells the operator of what has
// become worse.
func (s *Service) keep(ctx context.Context, items []*Item, failed error) error {
	st, err := StandingOf(ctx, s.DB, s.Host)
	if err != nil {
		return err
	}
	first := st.Succeeded.IsZero()
	now := s.Now()
	if why := failureOf(items, failed); why == "" {
		st.Succeeded, st.Failing, st.Failure, st.told = now, time.Time{}, "", false
		s.Metrics.DNSPublished(now)
	} else {
		if st.Failing.IsZero() {
			st.Failing = now
		}
		st.Failure = why
		if !st.told && now.Sub(st.Failing) >= patience {
			if err := s.Tell(ctx, failing(st)); err != nil {
				return err
			}
			st.told = true
		}
	}
	if err := s.keepStanding(ctx, st); err != nil {
		return err
	}
	if failed != nil {
		return nil
	}
	s.count(items)
	return s.weigh(ctx, items, first)
}

// failureOf is why a pass did not do all that was due, or could not see what is; "": it did.
func failureOf(items []*Item, failed error) string {
	if failed != nil {
		return oneLine(failed)
	}
	for _, i := range items {
		if why := i.failure(); why != "" {
			return why
		}
	}
	return ""
}

func failing(st Standing) Notice {
	return Notice{What: fmt.Sprintf("dns publishing %d", st.Failing.Unix()), Event: "dns.publishing", Subject: "DNS records cannot be written",
		Text: fmt.Sprintf("Since %s records could not be written into DNS, or not be seen there:\n\n%s\n\nIt goes on trying. Look again: waxwing dns apply --dry-run\n", st.Failing.UTC().Format(time.RFC3339), foreign.Text(st.Failure, maxText))}
}

// count tells the metrics how many sets there are of each class.
func (s *Service) count(items []*Item) {
	n := map[publication.Class]int{publication.Settled: 0, publication.Due: 0, publication.Waiting: 0, publication.Left: 0, publication.Conflict: 0}
	for _, i := range items {
		class := publication.Explain(i.Word).Class
		if i.Done {
			class = publication.Waiting // for the servers to show it
		}
		n[class]++
	}
	for class, k := range n {
		s.Metrics.DNSSets(string(class), k)
	}
}

// weigh compares the conflicts with those of before, and tells of new ones. Those of the
// first time are no change.
func (s *Service) weigh(ctx context.Context, items []*Item, first bool) error {
	before, err := s.conflicts(ctx)
	if err != nil {
		return err
	}
	known := map[[3]string]conflict{}
	for _, c := range before {
		known[[3]string{c.name, c.kind, c.word}] = c
	}
	var now, fresh []conflict
	for _, i := range items {
		if publication.Explain(i.Word).Class != publication.Conflict {
			continue
		}
		c, old := known[[3]string{i.Name.ASCII(), i.Type, string(i.Word)}]
		if !old {
			c = conflict{name: i.Name.ASCII(), kind: i.Type, word: string(i.Word), first: s.Now(), told: first}
		}
		c.seen, c.wanted = foreign.Text(strings.Join(i.Was, "; "), maxText), foreign.Text(strings.Join(i.Wanted, "; "), maxText)
		if !c.told {
			fresh = append(fresh, c)
			c.told = true
		}
		now = append(now, c)
	}
	if len(fresh) > 0 {
		if err := s.Tell(ctx, worse(fresh)); err != nil {
			return err
		}
		for _, c := range fresh {
			s.Log.Warn("a record in DNS is not as Waxwing wants it, and is left alone", "name", c.name, "type", c.kind, "finding", c.word, "seen", c.seen, "wanted", c.wanted)
		}
	}
	return s.keepConflicts(ctx, now)
}

// worse is the notice of conflicts that are new.
func worse(all []conflict) Notice {
	sum := sha256.New()
	var b strings.Builder
	b.WriteString("Records in DNS are not as Waxwing wants them, and were made or changed by others. They are left as they are.\n")
	for _, c := range all {
		fmt.Fprintf(sum, "%s\n%s\n%s\n%d\n", c.name, c.kind, c.word, c.first.Unix())
		m := publication.Explain(publication.Word(c.word))
		fmt.Fprintf(&b, "\n%s %s: %s\n", c.name, c.kind, c.word)
		for _, line := range [][2]string{{"seen", c.seen}, {"wanted", c.wanted}, {"cause", m.Cause}, {"cure", m.Cure}} {
			if line[1] != "" {
				fmt.Fprintf(&b, "  %s: %s\n", line[0], line[1])
			}
		}
	}
	subject := fmt.Sprintf("DNS: %s %s: %s", all[0].name, all[0].kind, all[0].word)
	if n := len(all) - 1; n > 0 {
		subject += fmt.Sprintf(" and %d more", n)
	}
	return Notice{What: "dns conflict " + hex.EncodeToString(sum.Sum(nil)[:16]), Event: "dns.conflict", Subject: subject, Text: b.String()}
}
