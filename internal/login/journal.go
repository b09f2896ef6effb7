package login

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"waxwing/internal/foreign"
	"waxwing/internal/guard"
	"waxwing/internal/store"
	"waxwing/internal/text"
)

// Journal keeps who logged in to accounts, and who tried (ACC-3). What is alike within an hour
// is one entry, and of an account the newest are kept: those that succeeded and those that did
// not apart, so that no guesser pushes out what its owner wants to see.
type Journal struct {
	DB  *store.Store
	Now func() time.Time // nil: time.Now
	Log *slog.Logger

	behind atomic.Int64 // entries that are written behind the answer
}

// maxBehind bounds them. Beyond it the log alone tells of a failure.
const maxBehind = 100

// maxEntries is how many are kept of an account, of each sort.
const maxEntries = 500

// Entry is one login of an account, or several that are alike.
type Entry struct {
	Account   string    `json:"account"`
	Last      time.Time `json:"last"`
	First     time.Time `json:"first"`
	Times     int64     `json:"times"`
	Address   string    `json:"address"`
	Protocol  string    `json:"protocol"` // smtp, imap or api
	Mechanism string    `json:"mechanism"`
	App       string    `json:"app_password,omitempty"` // the name of that it was made with
	Client    string    `json:"client"`                 // what it calls itself
	Result    string    `json:"result"`                 // ok, failed, broken-off, busy, refused, error; or why it was denied: a word of package reason
}

// journal notes how an exchange ended. What did not succeed is written behind the answer: it is
// about accounts that there are, and whoever guesses must not see from the time that it takes which
// those are.
func (c *Checker) journal(ctx context.Context, e Entry) {
	j := c.Journal
	if j == nil || e.Account == "" {
		return
	}
	if e.Result == "ok" {
		j.note(ctx, e)
		return
	}
	if j.behind.Add(1) > maxBehind {
		j.behind.Add(-1)
		return
	}
	e.Last = j.now() // the clock of the attempt
	c.Guard.Go(guard.Login, func() {
		defer j.behind.Add(-1)
		j.note(ctx, e)
	})
}

func (j *Journal) now() time.Time {
	if j.Now == nil {
		return time.Now()
	}
	return j.Now()
}

// note writes an entry, of now if it does not say when. An error is logged: nobody is kept out for it.
func (j *Journal) note(ctx context.Context, e Entry) {
	at, good := e.Last, e.Result == "ok"
	if at.IsZero() {
		at = j.now()
	}
	e.Client = foreign.Clip(foreign.Line(e.Client), maxShown)
	err := j.DB.WriteSoon(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO logins (account, hour, address, protocol, mechanism, app, client, result, good, first, last, times)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)
			ON CONFLICT (account, hour, address, protocol, mechanism, app, client, result) DO UPDATE SET last = excluded.last, times = logins.times + 1`,
			e.Account, at.Unix()/3600, e.Address, e.Protocol, e.Mechanism, e.App, e.Client, e.Result, good, store.Time(at), store.Time(at)); err != nil {
			return err
		}
		_, err := tx.Exec(`DELETE FROM logins WHERE account = ? AND good = ? AND last <
			(SELECT last FROM logins WHERE account = ? AND good = ? ORDER BY last DESC LIMIT 1 OFFSET ?)`, e.Account, good, e.Account, good, maxEntries-1)
		return err
	})
	if err != nil && !store.IsForeignKey(err) && j.Log != nil { // the account may have gone meanwhile
		j.Log.Warn("a login was not noted", "account", e.Account, "error", err)
	}
}

// Entries are those of an account, the newest first.
func (j *Journal) Entries(ctx context.Context, account string) ([]Entry, error) {
	return store.List(ctx, j.DB, func(r store.Row) (e Entry, err error) {
		var first, last int64
		err = r.Scan(&e.Account, &first, &last, &e.Times, &e.Address, &e.Protocol, &e.Mechanism, &e.App, &e.Client, &e.Result)
		e.First, e.Last = store.FromTime(first), store.FromTime(last)
		return e, err
	}, `SELECT account, first, last, times, address, protocol, mechanism, app, client, result FROM logins WHERE account = ? ORDER BY last DESC, address, mechanism, app, result`, account)
}

// Listing is how they are listed for people.
func Listing() text.List[Entry] {
	return text.List[Entry]{Columns: text.Columns("LAST|TIMES|RESULT|ADDRESS|PROTOCOL|MECHANISM|APP PASSWORD|CLIENT", "CLIENT", "PROTOCOL"), Cells: func(e *Entry) []any {
		result := text.Cell{Text: e.Result}
		if e.Result != "ok" {
			result.Tone = text.Waits
		}
		return []any{e.Last, e.Times, result, foreign.Shown(e.Address), e.Protocol, e.Mechanism, e.App, foreign.Shown(e.Client)}
	}}
}
