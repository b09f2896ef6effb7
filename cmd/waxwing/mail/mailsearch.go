package mail

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/cli"
	"waxwing/internal/mailboxes"
	"waxwing/internal/search"
	"waxwing/internal/text"
	"waxwing/internal/upkeep"
	"waxwing/internal/verify"
)

// seeking is one call of "mail search".
type seeking struct {
	subject, from, body string
	facts               []string
	newer               time.Duration
	limit               int
}

func (p *program) searchVerb() cli.Verb {
	var s seeking
	return cli.Verb{Use: "search [ACCOUNT] [TEXT]", Short: "find messages by words in them, and by what was found out about their senders", JSON: true,
		Long: "TEXT is looked for in subject, addresses, text and names of attachments. All that is given must hold.\n" +
			"By --fact alone, and without ACCOUNT, the mail of all accounts is searched. Facts: " + strings.Join(verify.FactNames(), ", ") + ".",
		Example: "mail search joe 'holiday plans'\nmail search joe --from ann --subject invoice\nmail search --fact dmarc=fail --fact author=example.org --newer 168h",
		Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&s.subject, "subject", "", "this `text` stands in the subject")
			fs.StringVar(&s.from, "from", "", "this `text` stands in the author's name or address")
			fs.StringVar(&s.body, "body", "", "this `text` stands in the body")
			fs.StringArrayVar(&s.facts, "fact", nil, "when it came, this `fact` was found out, such as dmarc=fail, client=192.0.2.0/24 or signed=example.org; may be repeated")
			fs.DurationVar(&s.newer, "newer", 0, "received within this `time`, such as 48h")
			fs.IntVar(&s.limit, "limit", 100, "list at most `N` messages")
		}, Run: func(ctx context.Context, args []string) error {
			if err := s.check(args); err != nil {
				return err
			}
			l := mailboxes.FoundListing()
			if len(args) == 0 { // of whoever
				l = text.List[mailboxes.Row]{Columns: text.Columns("ID|ACCOUNT|MAILBOX|RECEIVED|FROM|OCTETS", "OCTETS", "RECEIVED"), Cells: func(m *mailboxes.Row) []any {
					return []any{m.ID, m.Account, m.Mailbox, m.Received, m.Sender, m.Size}
				}}
			}
			return command.List(p.Call, p.OnStore, s.rows, l)(ctx, args)
		}}
}

// check says what is wrong with the call, before the store is opened.
func (s *seeking) check(args []string) error {
	q, err := s.known()
	if err != nil {
		return cli.Usagef("%v", err)
	}
	words := s.query(args[min(1, len(args)):])
	switch {
	case s.limit < 1:
		return cli.Usagef("--limit is 1 at least")
	case slices.ContainsFunc(words, search.Condition.Unsearchable), len(words) == 0 && len(q) == 0:
		return cli.Usagef("say what to look for: a text that has words, or --subject, --from, --body or --fact")
	case len(args) == 0 && len(words) > 0:
		return cli.Usagef("words are searched in the mail of one account: name it")
	}
	return nil
}

// known are the facts that are looked for.
func (s *seeking) known() (q verify.Query, err error) {
	for _, f := range s.facts {
		c, err := verify.ParseCondition(f)
		if err != nil {
			return nil, err
		}
		q = append(q, c)
	}
	return q, nil
}

// rows are the places of the newest mails that are found.
func (s *seeking) rows(ctx context.Context, o *upkeep.Opened, args []string) ([]mailboxes.Row, error) {
	account := ""
	if len(args) > 0 {
		account = args[0]
		if err := o.Accounts.MustExist(ctx, account); err != nil {
			return nil, err
		}
	}
	var since time.Time
	if s.newer > 0 {
		since = o.Options.Now().Add(-s.newer)
	}
	facts, err := s.known()
	if err != nil {
		return nil, err
	}
	words := s.query(args[min(1, len(args)):])
	index := &search.Store{DB: o.Store, Mails: o.Mailboxes}
	var mails []int64
	if len(words) > 0 {
		if mails, err = found(ctx, index, account, words); err != nil {
			return nil, err
		}
	}
	if len(facts) > 0 {
		limit := s.limit
		if len(words) > 0 {
			limit = 0 // which of them have the words, too, is seen below
		}
		known, err := index.Facts(ctx, account, facts, since, limit)
		if err != nil {
			return nil, err
		}
		if len(words) == 0 {
			mails = known
		}
		set := map[int64]bool{}
		for _, id := range known {
			set[id] = true
		}
		mails = slices.DeleteFunc(mails, func(id int64) bool { return !set[id] })
	}
	return places(ctx, o, mails, since, s.limit)
}

func (s *seeking) query(texts []string) (q search.Query) {
	add := func(f search.Field, text string) {
		if text != "" {
			q = append(q, search.Condition{Field: f, Text: text})
		}
	}
	for _, t := range texts {
		add(search.Any, t)
	}
	add(search.Subject, s.subject)
	add(search.From, s.from)
	add(search.Body, s.body)
	return q
}

// found are the mails that have words, also those that are not indexed yet, the newest first.
func found(ctx context.Context, index *search.Store, account string, q search.Query) ([]int64, error) {
	mails, tail, err := index.Search(ctx, account, q)
	if err != nil {
		return nil, err
	}
	late, err := index.Scan(ctx, q, tail)
	mails = append(mails, late...)
	slices.Sort(mails)
	mails = slices.Compact(mails)
	slices.Reverse(mails)
	return mails, err
}

// places are where mails lie that were received since a moment, at most limit.
func places(ctx context.Context, o *upkeep.Opened, mails []int64, since time.Time, limit int) (rows []mailboxes.Row, err error) {
	for _, id := range mails {
		all, err := o.Mailboxes.Find(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, m := range all {
			if len(rows) >= limit {
				return rows, nil
			}
			if !m.Received.Before(since) {
				rows = append(rows, mailboxes.RowOf(m))
			}
		}
	}
	return rows, nil
}
