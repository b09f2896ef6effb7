package listing

import (
	"context"
	"fmt"

	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/allowance"
	"waxwing/internal/text"
)

// Account is one account as listings show it.
type Account struct {
	account.Account
	// Today is what it has sent since midnight UTC; a limit of 0 is none.
	Messages        int64 `json:"messages_today"`
	MessagesLimit   int64 `json:"messages_per_day"`
	Recipients      int64 `json:"recipients_today"`
	RecipientsLimit int64 `json:"recipients_per_day"`
}

// Accounts lists the accounts with what they sent today.
func Accounts(ctx context.Context, a *accounts.Store, l *allowance.Store) ([]Account, error) {
	all, err := a.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	today, err := l.Today(ctx)
	if err != nil {
		return nil, err
	}
	var out []Account
	for _, x := range all {
		t, ok := today[x.Name]
		if !ok {
			t.Limit = l.Limit
		}
		out = append(out, Account{x, t.Used.Messages, t.Limit.Messages, t.Used.Recipients, t.Limit.Recipients})
	}
	return out, nil
}

// AccountListing is how accounts are listed for people.
func AccountListing() text.List[Account] {
	return text.List[Account]{Columns: text.Columns("ACCOUNT|STATE|SINCE|MESSAGES TODAY|RECIPIENTS TODAY", "SINCE", "RECIPIENTS TODAY"),
		Cells: func(a *Account) []any {
			state := text.Cell{Text: "enabled"}
			if a.Disabled {
				state = text.Cell{Text: "disabled", Tone: text.Waits}
			}
			return []any{a.Name, state, text.Day(a.Created), ofLimit(a.Messages, a.MessagesLimit), ofLimit(a.Recipients, a.RecipientsLimit)}
		}}
}

func ofLimit(used, limit int64) string {
	if limit == 0 {
		return fmt.Sprint(used)
	}
	return fmt.Sprintf("%d of %d", used, limit)
}
