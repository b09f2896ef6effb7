package route

import (
	"errors"

	"waxwing/internal/delivery"
)

// Row is a rule as the store has it, of which nothing is believed yet. Recipient and Sender
// are patterns in text, Need is -1 for any.
type Row struct {
	ID, Scope, Position, MinAttempts, Need int64
	Owner, Recipient, Sender, Transport    string
}

// BadRule is a rule that cannot be read, and why. Of its criteria Rule has those that can
// be read: whatever meets these may be what the rule was meant for.
type BadRule struct {
	Rule Rule
	Err  error
	// Anybody: it cannot be read whose it is, so it may be anybody's, and asked before all.
	Anybody bool
}

// Read makes a rule of a row; bad is not nil if it cannot be one.
func (row Row) Read() (r Rule, bad *BadRule) {
	r = Rule{ID: row.ID, Scope: Scope(clamp(row.Scope)), Owner: row.Owner, Position: row.Position, MinAttempts: int(row.MinAttempts), Transport: row.Transport}
	if row.Need >= 0 {
		n := delivery.TLSNeed(clamp(row.Need))
		r.Need = &n
	}
	var errs [2]error
	for i, p := range []struct {
		text string
		into *Pattern
	}{{row.Recipient, &r.Recipient}, {row.Sender, &r.Sender}} {
		if p.text != "" {
			if *p.into, errs[i] = ParsePattern(p.text); errs[i] != nil {
				*p.into = Pattern{}
			}
		}
	}
	err := errors.Join(errs[0], errs[1], r.Check())
	if err == nil {
		return r, nil
	}
	bad = &BadRule{Rule: r, Err: err, Anybody: r.Scope > OfServer || (r.Scope == OfServer) != (r.Owner == "")}
	if n := r.MinAttempts; n != min(max(n, 0), maxAttempts) {
		bad.Rule.MinAttempts = 0
	}
	if r.Need != nil && *r.Need > delivery.TLSOptional {
		bad.Rule.Need = nil
	}
	return r, bad
}

// clamp keeps a number that no scope and no need has from becoming one that some has.
func clamp(n int64) uint8 { return uint8(min(uint64(n), 255)) }

// before reports that the rule may have been meant to take s before the chosen one; nil:
// none was chosen.
func (b *BadRule) before(chosen *Rule, s Subject) bool {
	r := b.Rule
	if b.Anybody {
		r.Scope, r.Owner = OfServer, ""
	}
	return Mismatch(&r, s) == "" && (b.Anybody || chosen == nil || Before(&r, chosen))
}
