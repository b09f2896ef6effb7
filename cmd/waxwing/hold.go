package main

import (
	"context"
	"fmt"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/holds"
)

func holdActions() []action {
	return []action{
		{"add", "CRITERIA", "hold new mail that meets all criteria"},
		{"list", "", "all rules"},
		{"remove", "ID", "forget one"},
	}
}

// runHold keeps the rules by which new mail is held back (QUE-6). What it holds,
// "queue unhold" releases.
func runHold(ctx context.Context, e env, args []string) error {
	what, args, err := verb(e, "hold", args)
	if err != nil {
		return err
	}
	var f storeFlags
	var r holds.Rule
	fs := flags(e, "hold", what)
	f.addJSON(fs, what, "add", "list")
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
	names := map[string][]string{"remove": {"rule's id"}}[what]
	if err := wants(what, rest, names...); err != nil {
		return err
	}
	if what == "add" {
		if err := checkHold(&r); err != nil {
			return err
		}
	}
	return withStore(ctx, e, f, func(o *opened) error {
		s := &holds.Store{DB: o.store}
		switch what {
		case "add":
			if r, err = s.Add(ctx, r); err != nil {
				return err
			}
			if f.json {
				return printJSON(e.stdout, newHoldRow(&r))
			}
			_, err = fmt.Fprintf(e.stdout, "%s: %s\n", delivery.ID(r.ID), &r)
			return err
		case "remove":
			id, err := parseID(rest[0], "waxwing hold list")
			if err != nil {
				return err
			}
			return s.Remove(ctx, int64(id))
		}
		return listHolds(ctx, e, s, f.json)
	})
}

// checkHold refuses criteria that no mail could meet, and none at all.
func checkHold(r *holds.Rule) error {
	if r.Account == "" && r.SenderDomain == "" && r.RecipientDomain == "" {
		return usagef("it needs -account, -sender-domain or -domain: without any it would hold all mail")
	}
	for name, d := range map[string]string{"sender-domain": r.SenderDomain, "domain": r.RecipientDomain} {
		if d == "" {
			continue
		}
		if _, err := delivery.ParseRecipientDomain(d); err != nil {
			return parseFlag(name, err)
		}
	}
	return nil
}

// holdRow is one rule as -json prints it.
type holdRow struct {
	ID           delivery.ID `json:"id"`
	Account      string      `json:"account,omitempty"`
	SenderDomain string      `json:"sender_domain,omitempty"`
	Domain       string      `json:"recipient_domain,omitempty"`
	Note         string      `json:"note,omitempty"`
	Created      time.Time   `json:"created"`
}

func newHoldRow(r *holds.Rule) holdRow {
	return holdRow{delivery.ID(r.ID), r.Account, r.SenderDomain, r.RecipientDomain, r.Note, r.Created}
}

func listHolds(ctx context.Context, e env, s *holds.Store, asJSON bool) error {
	all, err := s.List(ctx)
	if err != nil {
		return err
	}
	rows := []holdRow{}
	cells := [][]string{}
	for i := range all {
		r := &all[i]
		rows = append(rows, newHoldRow(r))
		cells = append(cells, []string{delivery.ID(r.ID).String(), or(r.Account, "*"), or(r.SenderDomain, "*"), or(r.RecipientDomain, "*"), moment(r.Created), r.Note})
	}
	if asJSON {
		return printJSON(e.stdout, rows)
	}
	return table(e, []string{"ID", "ACCOUNT", "SENDER DOMAIN", "RECIPIENT DOMAIN", "SINCE", "NOTE"}, cells)
}
