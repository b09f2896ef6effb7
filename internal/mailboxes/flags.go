package mailboxes

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"waxwing/internal/mailbox"
	"waxwing/internal/store"
	"waxwing/internal/views"
)

// maxKeyword is how long a keyword may be, in octets.
const maxKeyword = 255

// Keywords are those of an account, by number; one that is "" is free.
func (s *Store) Keywords(ctx context.Context, account string) ([]string, error) {
	words, err := store.Read(ctx, s.DB, func(tx *store.Tx) ([]string, error) { return keywords(tx, account) })
	if err != nil {
		return nil, fmt.Errorf("keywords of %s: %w", account, err)
	}
	return words, nil
}

func keywords(tx *store.Tx, account string) ([]string, error) {
	all, err := store.Column[string](tx, `SELECT keywords FROM mail_accounts WHERE account = ?`, account)
	if err != nil || len(all) == 0 || all[0] == "" {
		return nil, err
	}
	words := strings.Split(all[0], " ")
	for i, w := range words {
		if w == freeKeyword {
			words[i] = ""
		}
	}
	return words, nil
}

// freeKeyword stands for a number without a keyword; no keyword can be that (RFC 9051 §9, atom).
const freeKeyword = "()"

// flags are those that words name; a keyword that the account has not had gets a number.
// ErrTooManyKeywords.
func (c *change) flags(words []string) (f mailbox.Flags, err error) {
	var unknown []string
	for _, w := range words {
		if flag, ok := mailbox.SystemFlag(w); ok {
			f |= flag
		} else if !strings.EqualFold(w, `\Recent`) {
			unknown = append(unknown, w)
		}
	}
	if len(unknown) == 0 {
		return f, nil
	}
	has, err := keywords(c.tx, c.account)
	if err != nil {
		return 0, err
	}
	was := len(has)
	for _, w := range unknown {
		n, err := c.number(&has, w)
		if err != nil {
			return 0, err
		}
		f |= mailbox.Keyword(n)
	}
	if len(has) > was {
		_, err = c.tx.Exec(`UPDATE mail_accounts SET keywords = ? WHERE account = ?`, strings.Join(has, " "), c.account)
	}
	return f, err
}

// number is that of a keyword, which is the same in any case (RFC 9051 §2.3.2).
func (c *change) number(has *[]string, w string) (int, error) {
	for n, k := range *has {
		if strings.EqualFold(k, w) {
			return n, nil
		}
	}
	switch {
	case w == "" || len(w) > maxKeyword || strings.ContainsFunc(w, notAtom):
		return 0, refusal{fmt.Errorf("%.100q is no keyword: up to %d characters of an atom are", w, maxKeyword)}
	case len(*has) == mailbox.MaxKeywords:
		return 0, ErrTooManyKeywords
	}
	*has = append(*has, w)
	return len(*has) - 1, nil
}

// notAtom tells characters that an atom cannot have (RFC 9051 §9).
func notAtom(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`(){%*"\]`, r) }

// FlagChange is what is to become of flags.
type FlagChange struct {
	Mode           byte     // '=' these and no others, '+' these too, '-' not these
	Flags          []string // as IMAP spells them
	UnchangedSince *uint64  // nil: whatever the modseq is (RFC 7162 §3.1.3)
}

// FlagResult is what became of it.
type FlagResult struct {
	ModSeq   uint64          // of the messages that changed
	Modified []mailbox.Range // these have changed since UnchangedSince, and were left alone
}

// How much one transaction does to flags: others wait for it. Of a change of more, each message has its part or none.
const (
	flagsAtOnce  = 20_000 // messages
	rangesAtOnce = 500
)

// SetFlags changes flags of the messages of a mailbox in uids, which ascend. Those that have them already
// keep their modseq. ErrNoSuchMailbox, ErrTooManyKeywords.
func (s *Store) SetFlags(ctx context.Context, box int64, uids []mailbox.Range, f FlagChange) (r FlagResult, err error) {
	for done := false; !done; done = len(uids) == 0 {
		var some []mailbox.Range
		if some, uids, err = s.portion(ctx, box, uids); err == nil {
			err = s.setSome(ctx, box, some, f, &r)
		}
		if err != nil {
			return FlagResult{}, fmt.Errorf("set flags: %w", err)
		}
	}
	return r, nil
}

// portion is what of uids is changed in one transaction, and the rest.
func (s *Store) portion(ctx context.Context, box int64, uids []mailbox.Range) (some, rest []mailbox.Range, err error) {
	left := int64(flagsAtOnce)
	for i, g := range uids {
		if i == rangesAtOnce || left <= 0 {
			return uids[:i], uids[i:], nil
		}
		if n := int64(g.High) - int64(g.Low) + 1; n <= left {
			left -= n
			continue
		}
		next, err := store.List(ctx, s.DB, store.Value[uint32], `SELECT uid FROM mailbox_entries WHERE mailbox = ? AND uid BETWEEN ? AND ? ORDER BY uid LIMIT 1 OFFSET ?`,
			box, int64(g.Low), int64(g.High), left)
		if err != nil {
			return nil, nil, err
		}
		if len(next) > 0 {
			some = append(slices.Clone(uids[:i]), mailbox.Range{Low: g.Low, High: next[0] - 1})
			return some, append([]mailbox.Range{{Low: next[0], High: g.High}}, uids[i+1:]...), nil
		}
		left /= 2 // how many there are was not counted
	}
	return uids, nil, nil
}

// setSome is SetFlags in one transaction.
func (s *Store) setSome(ctx context.Context, box int64, uids []mailbox.Range, f FlagChange, r *FlagResult) error {
	var done views.Flagged
	var modified []mailbox.Range
	err := s.in(ctx, box, func(c *change) error {
		b, err := byID(c.tx, box)
		if err != nil {
			return err
		}
		set, err := c.flags(f.Flags)
		if err != nil {
			return err
		}
		done, modified = f.of(set), nil
		done.UIDs, done.Before, done.ModSeq = uids, b.ModSeq, c.modseq
		var by counters
		for _, g := range uids {
			if f.UnchangedSince != nil {
				late, err := store.Column[uint32](c.tx, `SELECT uid FROM mailbox_entries WHERE mailbox = ? AND uid BETWEEN ? AND ? AND modseq > ? ORDER BY uid`,
					box, int64(g.Low), int64(g.High), views.Signed(*f.UnchangedSince))
				if err != nil {
					return err
				}
				modified = append(modified, mailbox.Ranges(late)...)
			}
			d, err := c.setFlags(box, g, &done)
			if err != nil {
				return err
			}
			by.unseen, by.deleted = by.unseen+d.unseen, by.deleted+d.deleted
		}
		return c.touch(box, by)
	})
	if err != nil {
		return err
	}
	r.ModSeq, r.Modified = done.ModSeq, append(r.Modified, modified...)
	s.views.Flagged(box, done)
	return nil
}

// of is what a change does to flags, where its words are set.
func (f *FlagChange) of(set mailbox.Flags) (out views.Flagged) {
	out.Edit = mailbox.Edit{Keep: ^mailbox.Flags(0), Add: set, Since: 1<<63 - 1}
	switch f.Mode {
	case '=':
		out.Keep = 0
	case '-':
		out.Keep, out.Add = ^set, 0
	}
	if f.UnchangedSince != nil {
		out.Since = uint64(views.Signed(*f.UnchangedSince))
	}
	return out
}

// setFlags changes one range, and says what that does to the counters.
func (c *change) setFlags(box int64, g mailbox.Range, f *views.Flagged) (by counters, err error) {
	keep, add := int64(f.Keep), int64(f.Add)
	some, args := ` WHERE mailbox = ? AND uid BETWEEN ? AND ?`, []any{box, int64(g.Low), int64(g.High)}
	const which = ` AND modseq <= ? AND flags <> ((flags & ?) | ?)`
	e, known := c.views.Effect(box, g, f)
	if !known {
		err = c.tx.Row(`SELECT count(*), coalesce(sum(flags & 1), 0), coalesce(sum((flags >> 3) & 1), 0), coalesce(min(uid), 0), coalesce(max(uid), 0) FROM mailbox_entries`+some+which,
			append(args, views.Signed(f.Since), keep, add)...).Scan(&e.Messages, &e.Seen, &e.Deleted, &e.Low, &e.High)
	}
	if err != nil || e.Messages == 0 {
		return by, err
	}
	if e.All {
		args[1], args[2] = int64(e.Low), int64(e.High)
	} else {
		some, args = some+which, append(args, views.Signed(f.Since), keep, add)
	}
	if (f.Keep|f.Add)&mailbox.Deleted == 0 && e.Deleted > 0 { // what had \Deleted was not there for JMAP, and comes back
		if _, err = c.tx.Exec(`UPDATE mails SET created = ? WHERE id IN (SELECT mail FROM mailbox_entries`+some+` AND flags & 8 <> 0)`, append([]any{int64(c.modseq)}, args...)...); err != nil {
			return by, err
		}
	}
	_, err = c.tx.Exec(`UPDATE mailbox_entries SET flags = (flags & ?) | ?, modseq = ?`+some, append([]any{keep, add, int64(c.modseq)}, args...)...)
	if err == nil {
		err = views.Note(c.tx, box, c.modseq, mailbox.Range{Low: e.Low, High: e.High})
	}
	return counters{unseen: e.Seen - f.After(mailbox.Seen, e.Seen, e.Messages), deleted: f.After(mailbox.Deleted, e.Deleted, e.Messages) - e.Deleted}, err
}
