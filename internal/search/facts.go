package search

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"waxwing/internal/store"
	"waxwing/internal/verify"
)

// atOnce is of how many mails the facts are read in one transaction.
const atOnce = 500

// kept is what a mail has of what was found out when it came.
type kept struct {
	id, received int64
	mine         bool // of the account that is asked about
	facts        []byte
	evidence     string
}

// Facts finds the newest mails of an account, or with "" of all, whose kept facts satisfy a query and
// that were received at since or later: at most limit, the newest first (AUT-2). There is no index of
// facts, since few ever ask: it reads through all mail, a little at a time. One whose facts cannot be read is not found.
func (s *Store) Facts(ctx context.Context, account string, q verify.Query, since time.Time, limit int) (mails []int64, err error) {
	for before := int64(math.MaxInt64); ; {
		page, err := store.List(ctx, s.DB, readKept, `SELECT id, received, CASE WHEN account = ? OR ? = '' THEN 1 ELSE 0 END,
			CASE WHEN account = ? OR ? = '' THEN facts END, evidence FROM mails WHERE id < ? ORDER BY id DESC LIMIT ?`,
			account, account, account, account, before, int64(atOnce))
		if err != nil {
			return nil, fmt.Errorf("search what was found out about mail: %w", err)
		}
		if len(page) == 0 {
			return mails, nil
		}
		before = page[len(page)-1].id
		for _, k := range page {
			if !k.mine || len(k.facts) == 0 || k.received < store.Time(since) || !k.satisfies(q) {
				continue
			}
			if mails = append(mails, k.id); len(mails) == limit {
				return mails, nil
			}
		}
	}
}

func readKept(r store.Row) (k kept, err error) {
	return k, r.Scan(&k.id, &k.received, &k.mine, &k.facts, &k.evidence)
}

func (k *kept) satisfies(q verify.Query) bool {
	var of verify.Kept
	if json.Unmarshal(k.facts, &of.Facts) != nil {
		return false
	}
	if k.evidence != "" && json.Unmarshal([]byte(k.evidence), &of.Junk) != nil {
		return false
	}
	return q.Matches(of)
}
