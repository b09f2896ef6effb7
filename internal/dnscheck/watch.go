package dnscheck

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/dnsfinding"
	"waxwing/internal/foreign"
	"waxwing/internal/store"
)

// Notice is what the operator is told of one domain, once.
type Notice struct {
	What    string // names it for good
	Domain  dns.Name
	Subject string
	Text    string // lines end in LF
}

// Watch checks every hosted domain twice a day, and tells of changes for the worse
// (DNS-W). What it saw stands in the store, so that several machines share the work and
// commands can show it. Its fields are needed, and must not change once it runs.
type Watch struct {
	DB      *store.Store
	Domains func(ctx context.Context) ([]dns.Name, error)
	Check   func(ctx context.Context, domain dns.Name) ([]dnsfinding.Finding, error)
	Tell    func(ctx context.Context, n Notice) error
	// Count is told how many findings of a level there are, over all domains.
	Count func(level dnsfinding.Level, n int)
	Now   func() time.Time
	Log   *slog.Logger
}

const (
	every = 12 * time.Hour
	// spread keeps the checks of many domains apart.
	spread = time.Hour
	// soon is when a change for the worse is looked at again, before anybody is told.
	soon = 15 * time.Minute
	// settle is how long after it was added a domain is first looked at.
	settle = 10 * time.Minute
	// lease is for how long a machine has a check to itself.
	lease = 5 * time.Minute
	// pause is how often the store is asked what is due.
	pause = time.Minute
	batch = 20
	// maxFindings bounds what is kept of one domain, and maxText each text.
	maxFindings = 200
	maxText     = 1000
)

// Run checks what is due until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	failed := false
	for {
		err := w.Step(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !failed:
			w.Log.Error("what hosted domains have in DNS is not watched", "error", err)
		}
		failed = err != nil
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// Step checks the domains that are due by Now.
func (w *Watch) Step(ctx context.Context) error {
	domains, err := w.Domains(ctx)
	if err != nil {
		return err
	}
	due, err := w.sync(ctx, domains)
	if err != nil {
		return fmt.Errorf("which domains are to be checked: %w", err)
	}
	var errs []error
	for _, d := range due {
		if errs = append(errs, w.domain(ctx, d)); ctx.Err() != nil {
			break
		}
	}
	return errors.Join(append(errs, w.count(ctx))...)
}

// watched is a row of dns_watch.
type watched struct {
	name   string
	domain dns.Name // zero where name is none: a damaged row, which goes
	at     int64
	looked int64
}

// sync has a row for each domain and none for others, and returns those that are due.
func (w *Watch) sync(ctx context.Context, domains []dns.Name) (due []watched, err error) {
	now := w.Now()
	rows, err := store.List(ctx, w.DB, scanWatched, `SELECT domain, look_at, looked FROM dns_watch ORDER BY look_at`)
	if err != nil {
		return nil, err
	}
	var missing []dns.Name
	for _, d := range domains {
		if !slices.ContainsFunc(rows, func(r watched) bool { return r.domain == d }) {
			missing = append(missing, d)
		}
	}
	for _, r := range rows {
		if !slices.Contains(domains, r.domain) {
			if err := w.forget(ctx, r.name); err != nil {
				return nil, err
			}
		} else if r.at <= store.Time(now) && len(due) < batch {
			due = append(due, r)
		}
	}
	if len(missing) == 0 {
		return due, nil
	}
	return due, w.DB.Write(ctx, func(tx *store.Tx) error {
		for _, d := range missing {
			if _, err := tx.Exec(`INSERT INTO dns_watch (domain, look_at, looked) VALUES (?, ?, 0) ON CONFLICT (domain) DO NOTHING`, d.ASCII(), store.Time(now.Add(settle))); err != nil {
				return err
			}
		}
		return nil
	})
}

func scanWatched(r store.Row) (x watched, err error) {
	if err = r.Scan(&x.name, &x.at, &x.looked); err != nil {
		return x, err
	}
	x.domain, _ = dns.ParseLax(x.name)
	return x, nil
}

func (w *Watch) forget(ctx context.Context, domain string) error {
	return w.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM dns_finding WHERE domain = ?`, domain)
		if err == nil {
			_, err = tx.Exec(`DELETE FROM dns_watch WHERE domain = ?`, domain)
		}
		return err
	})
}

// domain checks one domain, if no other machine does.
func (w *Watch) domain(ctx context.Context, x watched) error {
	until := store.Time(w.Now().Add(lease))
	mine := false
	err := w.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE dns_watch SET look_at = ? WHERE domain = ? AND look_at = ?`, until, x.name, x.at)
		mine = n > 0
		return err
	})
	if err != nil || !mine {
		return err
	}
	found, err := w.Check(ctx, x.domain)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("check of %s: %w", x.name, err)
	}
	before, err := Findings(ctx, w.DB, x.name)
	if err != nil {
		return err
	}
	c := dnsfinding.Compare(before, found, x.looked == 0, w.Now())
	if len(c.Tell) > 0 {
		if err := w.tell(ctx, x.domain, c.Tell); err != nil {
			return err // it is told after the next look, a lease from now
		}
	}
	for i := range c.Keep {
		for _, t := range c.Tell {
			c.Keep[i].Told = c.Keep[i].Told || c.Keep[i].Word == t.Word && c.Keep[i].Subject == t.Subject
		}
	}
	return w.keep(ctx, x.name, until, c)
}

// keep stores what a check found, and when the next one is due.
func (w *Watch) keep(ctx context.Context, domain string, until int64, c dnsfinding.Changes) error {
	now := w.Now()
	next := now.Add(every + offset(domain))
	if c.Soon {
		next = now.Add(soon)
	}
	return w.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE dns_watch SET look_at = ?, looked = ? WHERE domain = ? AND look_at = ?`, store.Time(next), store.Time(now), domain, until)
		if err != nil || n == 0 {
			return err // the domain has gone, or the lease
		}
		if _, err := tx.Exec(`DELETE FROM dns_finding WHERE domain = ?`, domain); err != nil {
			return err
		}
		for _, k := range c.Keep[:min(len(c.Keep), maxFindings)] {
			told := int64(0)
			if k.Told {
				told = 1
			}
			_, err := tx.Exec(`INSERT INTO dns_finding (domain, word, subject, level, seen, wanted, first, last, looks, told) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (domain, word, subject) DO NOTHING`, domain, string(k.Word), foreign.Text(k.Subject, maxText), string(k.Level),
				foreign.Text(k.Seen, maxText), foreign.Text(k.Wanted, maxText), store.Time(k.First), store.Time(k.Last), int64(k.Looks), told)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// offset spreads the checks of several domains over an hour, the same each time.
func offset(domain string) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(domain))
	return time.Duration(h.Sum32()) % spread
}

// Findings are what was kept of one domain.
func Findings(ctx context.Context, db *store.Store, domain string) ([]dnsfinding.Kept, error) {
	all, err := store.List(ctx, db, func(r store.Row) (k dnsfinding.Kept, err error) {
		var first, last, looks, told int64
		err = r.Scan(&k.Word, &k.Subject, &k.Level, &k.Seen, &k.Wanted, &first, &last, &looks, &told)
		k.First, k.Last, k.Looks, k.Told = store.FromTime(first), store.FromTime(last), int(looks), told != 0
		k.Finding = dnsfinding.Explain(k.Finding)
		return k, err
	}, `SELECT word, subject, level, seen, wanted, first, last, looks, told FROM dns_finding WHERE domain = ? ORDER BY first, word, subject`, domain)
	if err != nil {
		return nil, fmt.Errorf("what was found of %s: %w", domain, err)
	}
	return all, nil
}

// tell tells the operator of changes for the worse of one domain.
func (w *Watch) tell(ctx context.Context, domain dns.Name, all []dnsfinding.Kept) error {
	sum := sha256.New()
	var b strings.Builder
	fmt.Fprintf(&b, "What %s has in DNS, or what answers there, has changed for the worse.\n", domain.Unicode())
	for _, k := range all {
		fmt.Fprintf(sum, "%s\n%s\n%d\n", k.Word, k.Subject, k.First.Unix())
		fmt.Fprintf(&b, "\n%s: %s (%s)\n", k.Subject, k.Word, k.Level)
		for _, line := range [][2]string{{"seen", k.Seen}, {"wanted", k.Wanted}, {"cause", k.Cause}, {"cure", k.Cure}} {
			if line[1] != "" {
				fmt.Fprintf(&b, "  %s: %s\n", line[0], line[1])
			}
		}
		w.Log.Warn("what a hosted domain has in DNS has changed for the worse", "domain", domain.ASCII(), "finding", string(k.Word), "level", string(k.Level), "subject", k.Subject, "seen", k.Seen)
	}
	fmt.Fprintf(&b, "\nLook again: waxwing dns check %s\n", domain.ASCII())
	subject := fmt.Sprintf("DNS of %s: %s", domain.ASCII(), all[0].Word)
	if n := len(all) - 1; n > 0 {
		subject += fmt.Sprintf(" and %d more", n)
	}
	return w.Tell(ctx, Notice{What: "dns " + domain.ASCII() + " " + hex.EncodeToString(sum.Sum(nil)[:16]), Domain: domain, Subject: subject, Text: b.String()})
}

// count tells how many findings of each level there are.
func (w *Watch) count(ctx context.Context) error {
	n := map[dnsfinding.Level]int{dnsfinding.Fault: 0, dnsfinding.Advice: 0, dnsfinding.Unknown: 0}
	_, err := store.List(ctx, w.DB, func(r store.Row) (struct{}, error) {
		var level string
		var k int64
		err := r.Scan(&level, &k)
		n[dnsfinding.Level(level)] = int(k)
		return struct{}{}, err
	}, `SELECT level, count(*) FROM dns_finding GROUP BY level`)
	if err != nil {
		return fmt.Errorf("count what was found: %w", err)
	}
	for level, k := range n {
		w.Count(level, k)
	}
	return nil
}
