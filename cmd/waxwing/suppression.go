package main

import (
	"context"
	"time"

	"waxwing/internal/suppression"
)

// runSuppression keeps the recipients that an account sends no more mail to
// (QUE-7).
func runSuppression(ctx context.Context, e env, args []string) error {
	what, args, err := verb(args, "add", "list", "remove")
	if err != nil {
		return err
	}
	var f storeFlags
	fs := flags(e, "suppression "+what)
	f.add(fs)
	note := fs.String("note", "", "with add: why, shown to the sender")
	last := fs.Duration("for", 0, "with add: for how long; 0 is for ever")
	limit := fs.Int("limit", 1000, "with list: at most `N` entries")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if what == "list" && len(rest) > 1 || what != "list" && len(rest) != 2 {
		return usagef("suppression add ACCOUNT ADDRESS [-note WHY] [-for TIME], suppression remove ACCOUNT ADDRESS, suppression list [ACCOUNT]")
	}
	return withStore(ctx, e, f, func(o *opened) error {
		s := &suppression.Store{DB: o.store}
		switch what {
		case "add":
			if err := mustExist(ctx, o, rest[0]); err != nil {
				return err
			}
			var expires time.Time
			if *last > 0 {
				expires = time.Now().Add(*last)
			}
			return s.Add(ctx, rest[0], rest[1], *note, expires)
		case "remove":
			return s.Remove(ctx, rest[0], rest[1])
		}
		account := ""
		if len(rest) == 1 {
			account = rest[0]
		}
		all, err := s.List(ctx, account, suppression.Entry{}, *limit)
		if err != nil {
			return err
		}
		return printSuppressions(e, all, f.json)
	})
}

// suppressionRow is one entry as -json prints it.
type suppressionRow struct {
	Account string `json:"account"`
	Address string `json:"address"`
	Manual  bool   `json:"manual"`
	Code    string `json:"code,omitempty"`
	Text    string `json:"text,omitempty"`
	Created string `json:"created"`
	Expires string `json:"expires,omitempty"`
}

func printSuppressions(e env, all []suppression.Entry, asJSON bool) error {
	rows := []suppressionRow{}
	cells := [][]string{}
	for _, x := range all {
		r := suppressionRow{x.Account, x.Address, x.Manual, x.Code, x.Text, moment(x.Created), ""}
		until := "for ever"
		if !x.Expires.IsZero() {
			r.Expires, until = moment(x.Expires), moment(x.Expires)
		}
		rows = append(rows, r)
		cells = append(cells, []string{x.Account, x.Address, moment(x.Created), until, or(x.Code, "by hand"), x.Text})
	}
	if asJSON {
		return printJSON(e.stdout, rows)
	}
	return table(e.stdout, []string{"ACCOUNT", "ADDRESS", "SINCE", "UNTIL", "WHY", "TEXT"}, cells)
}
