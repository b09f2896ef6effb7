package main

import (
	"context"
	"fmt"
	"strconv"

	"waxwing/internal/holds"
)

// runHold keeps the rules by which new mail is held back (QUE-6). What it holds,
// "queue unhold" releases.
func runHold(ctx context.Context, e env, args []string) error {
	what, args, err := verb(args, "add", "list", "remove")
	if err != nil {
		return err
	}
	var f storeFlags
	var r holds.Rule
	fs := flags(e, "hold "+what)
	f.add(fs)
	if what == "add" {
		fs.StringVar(&r.Account, "account", "", "mail that this `account` submits")
		fs.StringVar(&r.SenderDomain, "sender-domain", "", "mail from addresses of this `domain`")
		fs.StringVar(&r.RecipientDomain, "domain", "", "mail to this `domain`")
		fs.StringVar(&r.Note, "note", "", "reason, shown with what is held")
	}
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if what == "remove" && len(rest) != 1 || what != "remove" && len(rest) > 0 {
		return usagef("hold add -account A -sender-domain D -domain D (all that are given must match), hold remove ID, hold list")
	}
	return withStore(ctx, e, f, func(o *opened) error {
		s := &holds.Store{DB: o.store}
		switch what {
		case "add":
			if r, err = s.Add(ctx, r); err != nil {
				return err
			}
			_, err = fmt.Fprintf(e.stdout, "%d: %s\n", r.ID, &r)
			return err
		case "remove":
			id, err := strconv.ParseInt(rest[0], 10, 64)
			if err != nil {
				return usagef("%q is no id of a rule; \"waxwing hold list\" shows them", rest[0])
			}
			return s.Remove(ctx, id)
		}
		return listHolds(ctx, e, s, f.json)
	})
}

// holdRow is one rule as -json prints it.
type holdRow struct {
	ID           int64  `json:"id"`
	Account      string `json:"account,omitempty"`
	SenderDomain string `json:"sender_domain,omitempty"`
	Domain       string `json:"recipient_domain,omitempty"`
	Note         string `json:"note,omitempty"`
	Created      string `json:"created"`
}

func listHolds(ctx context.Context, e env, s *holds.Store, asJSON bool) error {
	all, err := s.List(ctx)
	if err != nil {
		return err
	}
	rows := []holdRow{}
	cells := [][]string{}
	for _, r := range all {
		rows = append(rows, holdRow{r.ID, r.Account, r.SenderDomain, r.RecipientDomain, r.Note, moment(r.Created)})
		cells = append(cells, []string{strconv.FormatInt(r.ID, 10), or(r.Account, "*"), or(r.SenderDomain, "*"), or(r.RecipientDomain, "*"), moment(r.Created), r.Note})
	}
	if asJSON {
		return printJSON(e.stdout, rows)
	}
	return table(e.stdout, []string{"ID", "ACCOUNT", "SENDER DOMAIN", "RECIPIENT DOMAIN", "SINCE", "NOTE"}, cells)
}
