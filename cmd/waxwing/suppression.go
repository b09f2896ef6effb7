package main

import (
	"context"
	"time"

	"waxwing/internal/suppression"
)

func suppressionActions() []action {
	return []action{
		{"add", "ACCOUNT ADDRESS", "send no more of an account's mail to an address"},
		{"list", "[ACCOUNT]", "who is left alone, until when, and why"},
		{"remove", "ACCOUNT ADDRESS", "send to it again"},
	}
}

// runSuppression keeps the recipients that an account sends no more mail to
// (QUE-7).
func runSuppression(ctx context.Context, e env, args []string) error {
	what, args, err := verb(e, "suppression", args)
	if err != nil {
		return err
	}
	var f storeFlags
	fs := flags(e, "suppression", what)
	f.addJSON(fs, what, "list")
	note, last, limit := "", time.Duration(0), 0
	switch what {
	case "add":
		fs.StringVar(&note, "note", "", "why, shown to the sender")
		fs.DurationVar(&last, "for", 0, "for how long; 0 is for ever")
	case "list":
		fs.IntVar(&limit, "limit", 1000, "at most `N` entries")
	}
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	names := []string{"account", "address"}
	if what == "list" {
		names = names[:min(len(rest), 1)] // one account's, or all
	}
	if err := wants(what, rest, names...); err != nil {
		return err
	}
	if len(rest) == 2 {
		if _, _, err := parseAddress(rest[1]); err != nil {
			return err
		}
	}
	return withStore(ctx, e, f, func(o *opened) error {
		s := &suppression.Store{DB: o.store}
		switch what {
		case "add":
			if err := mustExist(ctx, o, rest[0]); err != nil {
				return err
			}
			var expires time.Time
			if last > 0 {
				expires = now(f.config).Add(last)
			}
			return s.Add(ctx, rest[0], rest[1], note, expires)
		case "remove":
			return s.Remove(ctx, rest[0], rest[1])
		}
		account := ""
		if len(rest) == 1 {
			account = rest[0]
		}
		all, err := s.List(ctx, account, suppression.Entry{}, limit)
		if err != nil {
			return err
		}
		return printSuppressions(e, all, f.json)
	})
}

// suppressionRow is one entry as -json prints it.
type suppressionRow struct {
	Account string    `json:"account"`
	Address string    `json:"address"`
	Manual  bool      `json:"manual"`
	Code    string    `json:"code,omitempty"`
	Text    string    `json:"text,omitempty"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
}

func printSuppressions(e env, all []suppression.Entry, asJSON bool) error {
	rows := []suppressionRow{}
	cells := [][]string{}
	for _, x := range all {
		rows = append(rows, suppressionRow{x.Account, x.Address, x.Manual, x.Code, x.Text, x.Created, x.Expires})
		until := "for ever"
		if !x.Expires.IsZero() {
			until = moment(x.Expires)
		}
		cells = append(cells, []string{x.Account, x.Address, moment(x.Created), until, or(x.Code, "by hand"), x.Text})
	}
	if asJSON {
		return printJSON(e.stdout, rows)
	}
	return table(e, []string{"ACCOUNT", "ADDRESS", "SINCE", "UNTIL", "WHY", "TEXT"}, cells, "SINCE", "TEXT")
}
