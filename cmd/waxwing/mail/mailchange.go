package mail

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/body"
	"waxwing/internal/cli"
	"waxwing/internal/delivery"
	"waxwing/internal/listing"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/text"
	"waxwing/internal/upkeep"
)

// chosen is messages of one mailbox that a command is to change.
type chosen struct {
	account, name string
	box           int64
	uids          []uint32
}

func (c *chosen) ranges() []mailbox.Range {
	slices.Sort(c.uids)
	return mailbox.Ranges(slices.Compact(c.uids))
}

// choose finds where messages lie: in the mailbox from, or with "" wherever that is. All are
// found before any is changed.
func choose(ctx context.Context, o *upkeep.Opened, ids []delivery.ID, from string) ([]*chosen, error) {
	var all []*chosen
	for _, id := range ids {
		places, err := o.Mailboxes.Find(ctx, int64(id))
		if err != nil {
			return nil, err
		}
		found := false
		for _, m := range places {
			if from != "" && m.Mailbox != from {
				continue
			}
			found = true
			i := slices.IndexFunc(all, func(c *chosen) bool { return c.account == m.Account && c.name == m.Mailbox })
			if i < 0 {
				b, err := o.Mailboxes.Box(ctx, m.Account, m.Mailbox)
				if err != nil {
					return nil, err
				}
				i, all = len(all), append(all, &chosen{account: m.Account, name: m.Mailbox, box: b.ID})
			}
			all[i].uids = append(all[i].uids, m.Entry.UID)
		}
		switch {
		case len(places) == 0:
			return nil, unknownMail(fmt.Errorf("message %s: %w", id, mailboxes.ErrNoSuchMessage))
		case !found:
			return nil, fmt.Errorf("message %s lies in %s, and not in %q", id, where(places), from)
		}
	}
	return all, nil
}

func where(places []mailbox.Message) string {
	var names []string
	for _, m := range places {
		names = append(names, m.Mailbox)
	}
	return strings.Join(names, ", ")
}

// onMessages is a verb's work on messages by id, in the mailbox that from names when it runs.
func (p *program) onMessages(from *string, skip int, fn func(context.Context, *upkeep.Opened, []string, []*chosen) error) cli.Action {
	return func(ctx context.Context, args []string) error {
		ids, err := cli.ParseIDs(args[skip:], "waxwing mail list ACCOUNT")
		if err != nil {
			return err
		}
		return p.WithStore(ctx, func(o *upkeep.Opened) error {
			all, err := choose(ctx, o, ids, *from)
			if err != nil {
				return err
			}
			return fn(ctx, o, args[:skip], all)
		})
	}
}

// answerCount says how many messages a verb has changed.
func (p *program) answerCount(verb string, n int64) error {
	return p.Answer(map[string]int64{strings.ReplaceAll(verb, " ", "_"): n}, "%s %s", counted(n), verb)
}

func counted(n int64) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

func (p *program) moveVerb() cli.Verb {
	var from string
	var create bool
	return cli.Verb{Use: "move MAILBOX ID …", Short: "put messages into another mailbox", JSON: true, Example: "mail move Archive ID\nmail move Lists/Go ID --create",
		Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&from, "from", "", "out of this `mailbox`; needed for a message that lies in several")
			fs.BoolVar(&create, "create", false, "make the mailbox where it is missing")
		},
		Run: p.onMessages(&from, 1, func(ctx context.Context, o *upkeep.Opened, args []string, all []*chosen) error {
			if err := oneEach(all, from); err != nil {
				return err
			}
			var n int64
			for _, c := range all {
				moved, err := move(ctx, o, c, args[0], create)
				if err != nil {
					return err
				}
				n += moved
			}
			return p.answerCount("moved", n)
		})}
}

// oneEach refuses to guess out of which mailbox a message is to be moved.
func oneEach(all []*chosen, from string) error {
	if from == "" && len(all) > 1 && slices.ContainsFunc(all[1:], func(c *chosen) bool { return c.account == all[0].account }) {
		return cli.Usagef("the messages lie in several mailboxes: say with --from out of which they are to go")
	}
	return nil
}

func move(ctx context.Context, o *upkeep.Opened, c *chosen, to string, create bool) (int64, error) {
	out, err := o.Mailboxes.Move(ctx, c.box, c.ranges(), to)
	if errors.Is(err, mailboxes.ErrNoSuchMailbox) {
		if !create {
			return 0, fmt.Errorf("%w: --create makes it", err)
		}
		if _, err = o.Mailboxes.Create(ctx, c.account, to, ""); err == nil || errors.Is(err, mailboxes.ErrMailboxExists) {
			out, err = o.Mailboxes.Move(ctx, c.box, c.ranges(), to)
		}
	}
	return count(out.From), err
}

func count(ranges []mailbox.Range) (n int64) {
	for _, g := range ranges {
		n += int64(g.High) - int64(g.Low) + 1
	}
	return n
}

func (p *program) flagVerb() cli.Verb {
	var in string
	var add, remove []string
	return cli.Verb{Use: "flag ID … --add FLAG", Short: "set and clear flags of messages", JSON: true,
		Long:    "Flags are seen, answered, flagged, deleted and draft, and any other word is a keyword, such as $Forwarded or work.",
		Example: "mail flag ID --add seen\nmail flag ID --add work,flagged --remove seen",
		Flags: func(fs *pflag.FlagSet) {
			fs.StringSliceVar(&add, "add", nil, "`flags` to set, with commas between")
			fs.StringSliceVar(&remove, "remove", nil, "`flags` to clear, with commas between")
			fs.StringVar(&in, "mailbox", "", "only in this `mailbox`; else wherever the messages lie")
		},
		Run: func(ctx context.Context, args []string) error {
			if len(add)+len(remove) == 0 {
				return cli.Usagef("say with --add or --remove which flags")
			}
			return p.onMessages(&in, 0, func(ctx context.Context, o *upkeep.Opened, _ []string, all []*chosen) error {
				n, err := setFlags(ctx, o.Mailboxes, all, flagWords(add), flagWords(remove))
				if err != nil {
					return err
				}
				return p.answerCount("flagged", n)
			})(ctx, args)
		}}
}

// setFlags sets flags of messages and clears others, and returns how many messages there were.
func setFlags(ctx context.Context, boxes *mailboxes.Store, all []*chosen, add, remove []string) (n int64, err error) {
	for _, c := range all {
		for _, f := range []mailboxes.FlagChange{{Mode: '+', Flags: add}, {Mode: '-', Flags: remove}} {
			if len(f.Flags) == 0 {
				continue
			}
			if _, err := boxes.SetFlags(ctx, c.box, c.ranges(), f); err != nil {
				return 0, err
			}
		}
		n += int64(len(c.uids))
	}
	return n, nil
}

// flagWords are flags as IMAP spells them: system flags need no backslash, which shells eat.
func flagWords(typed []string) (out []string) {
	for _, w := range typed {
		w = strings.TrimSpace(w)
		if _, ok := mailbox.SystemFlag(`\` + w); ok {
			w = `\` + w
		}
		out = append(out, w)
	}
	return out
}

func (p *program) deleteVerb() cli.Verb {
	var from string
	return cli.Verb{Use: "delete ID …", Short: "remove messages; undelete brings them back, for a time", JSON: true,
		Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&from, "from", "", "out of this `mailbox` only; else wherever the messages lie")
		},
		Run: p.onMessages(&from, 0, func(ctx context.Context, o *upkeep.Opened, _ []string, all []*chosen) error {
			var n int64
			for _, c := range all {
				gone, _, err := o.Mailboxes.Remove(ctx, c.box, c.ranges())
				if err != nil {
					return err
				}
				n += int64(len(gone))
			}
			return p.answerCount("removed", n)
		})}
}

func (p *program) removedVerb() cli.Verb {
	var limit int
	return cli.Verb{Use: "removed ACCOUNT", Short: "what was removed and can be brought back, the latest first", JSON: true,
		Flags: func(fs *pflag.FlagSet) { fs.IntVar(&limit, "limit", 100, "list at most `N` messages, 1000") },
		Run: command.List(p.Call, p.OnStore, func(ctx context.Context, o *upkeep.Opened, args []string) ([]listing.RemovedRow, error) {
			if err := o.Accounts.MustExist(ctx, args[0]); err != nil {
				return nil, err
			}
			return listing.RemovedRows(ctx, o.Mailboxes, args[0], max(1, min(limit, 1000)))
		}, listing.RemovedListing())}
}

// undeletion is one call of "mail undelete".
type undeletion struct {
	account, box string
	newer        time.Duration
}

func (p *program) undeleteVerb() cli.Verb {
	var u undeletion
	return cli.Verb{Use: "undelete [ID …]", Short: "bring removed messages back to where they lay, and removed accounts", JSON: true,
		Long: "A mailbox that was deleted is made again with its first message. \"waxwing mail removed ACCOUNT\" shows what can be brought back. With --account alone, an account " +
			"that was removed comes back with its mail and passwords, as \"waxwing account removed\" lists it; its addresses are to be added again.",
		Example: "mail undelete ID\nmail undelete --account joe --mailbox Work --newer 2h\nmail undelete --account joe",
		Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&u.account, "account", "", "all that this `account` has removed from one mailbox, which --mailbox names; without it, the account itself that was removed")
			fs.StringVar(&u.box, "mailbox", "", "the `mailbox` with --account, also one that was deleted")
			fs.DurationVar(&u.newer, "newer", 0, "with --account, only what was removed within this `time`, such as 2h")
		},
		Run: func(ctx context.Context, args []string) error {
			if (len(args) == 0) != (u.account != "") || u.account == "" && u.box != "" {
				return cli.Usagef("give message ids, or --account with --mailbox, or --account alone for one that was removed")
			}
			ids, err := cli.ParseIDs(args, "waxwing mail removed ACCOUNT")
			if err != nil {
				return err
			}
			return p.WithStore(ctx, func(o *upkeep.Opened) error {
				if u.account != "" && u.box == "" {
					return p.restoreAccount(ctx, o, u.account)
				}
				return p.undelete(ctx, o, ids, u)
			})
		}}
}

// restoreAccount brings a removed account back (MBX-3).
func (p *program) restoreAccount(ctx context.Context, o *upkeep.Opened, name string) error {
	if o.Accounts.MustExist(ctx, name) == nil {
		return cli.Usagef("the account %s is there: say with --mailbox from which mailbox what was removed is to come back", name)
	}
	if err := o.Accounts.RestoreAccount(ctx, name); err != nil {
		return fmt.Errorf("%w; \"waxwing account removed\" shows those that can be brought back", err)
	}
	return p.Answer(map[string]string{"brought_back": name}, "%s is back with its mail; it has no addresses until \"waxwing address add\" gives it some", name)
}

func (p *program) undelete(ctx context.Context, o *upkeep.Opened, ids []delivery.ID, u undeletion) error {
	if len(ids) == 0 {
		if err := o.Accounts.MustExist(ctx, u.account); err != nil {
			return err
		}
		var after time.Time
		if u.newer > 0 {
			after = p.Now().Add(-u.newer)
		}
		lost, err := o.Mailboxes.Lost(ctx, u.account, u.box, after)
		if err != nil {
			return err
		}
		for _, id := range lost {
			ids = append(ids, delivery.ID(id))
		}
	}
	for _, id := range ids {
		if _, err := o.Mailboxes.Undelete(ctx, int64(id)); err != nil {
			return fmt.Errorf("message %s: %w; \"waxwing mail removed ACCOUNT\" shows what can be brought back", id, err)
		}
	}
	return p.answerCount("brought back", int64(len(ids)))
}

func (p *program) checkVerb() cli.Verb {
	var repair, content bool
	return cli.Verb{Use: "check", Short: "count what lies in mailboxes, and compare it with the counters", JSON: true,
		Flags: func(fs *pflag.FlagSet) {
			fs.BoolVar(&repair, "repair", false, "set counters right that are wrong")
			fs.BoolVar(&content, "content", false, "read all messages, and compare them with their SHA-256 instead")
		},
		Run: p.OnStore(func(ctx context.Context, o *upkeep.Opened, _ []string) error {
			if content {
				return p.checkContent(ctx, o)
			}
			differ, err := mailboxes.Check(ctx, o.Store, repair)
			if err != nil {
				return err
			}
			said := "the counters of all mailboxes are right"
			if len(differ) > 0 {
				said = strings.Join(differ, "\n")
			}
			err = p.Answer(map[string]any{"wrong": append([]string{}, differ...), "repaired": repair && len(differ) > 0}, "%s", said)
			if err == nil && len(differ) > 0 && !repair {
				err = fmt.Errorf("%d counters are wrong: --repair sets them right", len(differ))
			}
			return err
		})}
}

// checkContent looks for octets of messages that are not those that were stored (MBX-1).
func (p *program) checkContent(ctx context.Context, o *upkeep.Opened) error {
	var damaged []string
	v, err := body.Verify(ctx, o.Store, func(d body.Damage) {
		if len(damaged) < 100 {
			damaged = append(damaged, fmt.Sprintf("body %s, part %d: %s", delivery.ID(d.Body), d.Part, d.Why))
		}
	})
	if err != nil {
		return err
	}
	said := fmt.Sprintf("%d bodies and parts of bodies, %s octets, are as they were stored", v.Pieces-v.Without, text.Octets(v.Octets))
	if len(damaged) > 0 {
		said = strings.Join(damaged, "\n")
	}
	err = p.Answer(map[string]any{"pieces": v.Pieces, "octets": v.Octets, "without_sum": v.Without, "damaged": append([]string{}, damaged...)}, "%s", said)
	if err == nil && len(damaged) > 0 {
		err = errors.New("messages are damaged: the disk may be failing; restore the store from a backup (waxwing restore)")
	}
	return err
}
