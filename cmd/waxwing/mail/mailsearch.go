package mail

import (
	"context"
	"slices"

	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/cli"
	"waxwing/internal/mailboxes"
	"waxwing/internal/search"
	"waxwing/internal/upkeep"
)

// seeking is one call of "mail search".
type seeking struct {
	subject, from, body string
	limit               int
}

func (p *program) searchVerb() cli.Verb {
	var s seeking
	return cli.Verb{Use: "search ACCOUNT [TEXT]", Short: "find messages by words that stand in them, the newest first", JSON: true,
		Long:    "TEXT is looked for in subject, addresses, text and names of attachments. All that is given must hold.",
		Example: "mail search joe 'holiday plans'\nmail search joe --from ann --subject invoice",
		Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&s.subject, "subject", "", "this `text` stands in the subject")
			fs.StringVar(&s.from, "from", "", "this `text` stands in the author's name or address")
			fs.StringVar(&s.body, "body", "", "this `text` stands in the body")
			fs.IntVar(&s.limit, "limit", 100, "list at most `N` messages")
		}, Run: func(ctx context.Context, args []string) error {
			q := s.query(args[1:])
			if len(q) == 0 || slices.ContainsFunc(q, search.Condition.Unsearchable) {
				return cli.Usagef("say what to look for: a text that has words, or --subject, --from or --body")
			}
			return command.List(p.Call, p.OnStore, func(ctx context.Context, o *upkeep.Opened, args []string) ([]mailboxes.Row, error) {
				if err := o.Accounts.MustExist(ctx, args[0]); err != nil {
					return nil, err
				}
				return found(ctx, o, args[0], q, s.limit)
			}, mailboxes.FoundListing())(ctx, args)
		}}
}

func (s *seeking) query(text []string) (q search.Query) {
	add := func(f search.Field, text string) {
		if text != "" {
			q = append(q, search.Condition{Field: f, Text: text})
		}
	}
	for _, t := range text {
		add(search.Any, t)
	}
	add(search.Subject, s.subject)
	add(search.From, s.from)
	add(search.Body, s.body)
	return q
}

// found are the places of the newest mails that a query finds; also of those that are not indexed yet.
func found(ctx context.Context, o *upkeep.Opened, account string, q search.Query, limit int) (rows []mailboxes.Row, err error) {
	index := &search.Store{DB: o.Store, Mails: o.Mailboxes}
	mails, tail, err := index.Search(ctx, account, q)
	if err != nil {
		return nil, err
	}
	late, err := index.Scan(ctx, q, tail)
	if err != nil {
		return nil, err
	}
	mails = append(mails, late...)
	slices.Sort(mails)
	for _, id := range slices.Backward(slices.Compact(mails)) {
		places, err := o.Mailboxes.Find(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, m := range places {
			if len(rows) >= limit {
				return rows, nil
			}
			rows = append(rows, mailboxes.RowOf(m))
		}
	}
	return rows, nil
}
