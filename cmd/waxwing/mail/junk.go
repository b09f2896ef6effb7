package mail

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/internal/classifier"
	"waxwing/internal/cli"
	"waxwing/internal/correspondents"
	"waxwing/internal/evidence"
	"waxwing/internal/junk"
	"waxwing/internal/mailbox"
	"waxwing/internal/rejects"
	"waxwing/internal/rspamd"
	"waxwing/internal/store"
	"waxwing/internal/upkeep"
)

// junkNoun is what accounts teach of junk (JNK-1, JNK-2).
func (p *program) junkNoun() *cobra.Command {
	var from string
	return p.Noun("junk", "what accounts have taught about junk",
		cli.Verb{Use: "train ACCOUNT good|junk", Short: "learn the newest 1000 messages of a mailbox", Example: "junk train joe junk --mailbox Junk\njunk train joe good --mailbox INBOX",
			Flags: func(fs *pflag.FlagSet) { fs.StringVar(&from, "mailbox", "", "the `mailbox`; needed") },
			Run: p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error {
				return p.train(ctx, o, args, from)
			})},
		cli.Verb{Use: "mark ACCOUNT ADDRESS|@DOMAIN good|junk|none", Short: "say what mail of a sender is", Example: "junk mark joe @news.example good", Run: p.OnStore(p.markSender)},
		cli.Verb{Use: "rejects ACCOUNT on|off", Short: "keep messages for an account that are refused, in its mailbox Rejects", Run: p.OnStore(p.keepRejects)},
		cli.Verb{Use: "show ACCOUNT", Short: "how much an account has taught", Run: p.OnStore(p.showModel)},
		cli.Verb{Use: "forget ACCOUNT", Short: "forget what an account has taught, and its correspondents",
			Run: p.OnStore(func(ctx context.Context, o *upkeep.Opened, args []string) error {
				return p.teacher(o).Forget(ctx, args[0])
			})})
}

func (p *program) teacher(o *upkeep.Opened) *evidence.Teacher {
	return &evidence.Teacher{DB: o.Store, Boxes: o.Mailboxes, Now: p.Now, Rspamd: rspamd.New(o.Config.Junk.Rspamd, o.Config.Hostname.ASCII())}
}

func (p *program) train(ctx context.Context, o *upkeep.Opened, args []string, from string) error {
	class, ok := map[string]mailbox.Class{"good": mailbox.IsGood, "junk": mailbox.IsJunk}[args[1]]
	if !ok || from == "" {
		return cli.Usagef("say what the messages are, good or junk, and where they lie, as in --mailbox Junk")
	}
	if err := o.Accounts.MustExist(ctx, args[0]); err != nil {
		return err
	}
	all, err := o.Mailboxes.List(ctx, args[0], from, 0)
	if err != nil {
		return err
	}
	teacher := p.teacher(o)
	for _, m := range all {
		if err := teacher.Teach(ctx, m.ID, class); err != nil {
			return err
		}
	}
	fmt.Fprintf(p.Stdout, "%d messages of %s learnt as %s\n", len(all), from, class)
	return p.showModel(ctx, o, args)
}

func (p *program) showModel(ctx context.Context, o *upkeep.Opened, args []string) error {
	if err := o.Accounts.MustExist(ctx, args[0]); err != nil {
		return err
	}
	m, err := (&classifier.Store{DB: o.Store, Now: p.Now}).Model(ctx, args[0])
	if err != nil {
		return err
	}
	asked := "is asked"
	if !m.Trained() {
		asked = fmt.Sprintf("is asked from %d messages of each kind on", classifier.Enough)
	}
	fmt.Fprintf(p.Stdout, "%s: %d good messages, %d of junk, %d words; the classifier %s\n", args[0], m.Good, m.Junk, m.Words, asked)
	kept, err := p.rejects(o).Wanted(ctx, args[0])
	if err != nil {
		return err
	}
	if len(kept) > 0 {
		fmt.Fprintf(p.Stdout, "messages that are refused are kept in the mailbox %s for %d days\n", mailbox.Rejects, rejects.Days)
	}
	return nil
}

func (p *program) rejects(o *upkeep.Opened) *rejects.Store {
	return &rejects.Store{DB: o.Store, Boxes: o.Mailboxes, Now: p.Now}
}

func (p *program) keepRejects(ctx context.Context, o *upkeep.Opened, args []string) error {
	want, ok := map[string]bool{"on": true, "off": false}[args[1]]
	if !ok {
		return cli.Usagef("%q: say on, to have messages kept that are refused, or off", args[1])
	}
	if err := o.Accounts.MustExist(ctx, args[0]); err != nil {
		return err
	}
	return p.rejects(o).Want(ctx, args[0], want)
}

func (p *program) markSender(ctx context.Context, o *upkeep.Opened, args []string) error {
	mark, ok := map[string]junk.Mark{"good": junk.MarkedGood, "junk": junk.MarkedJunk, "none": junk.Unmarked}[args[2]]
	if !ok {
		return cli.Usagef("%q: a sender is good, junk or none of both (none)", args[2])
	}
	who, err := correspondents.Who(args[1])
	if err != nil {
		return cli.Usagef("%v", err)
	}
	if err := o.Accounts.MustExist(ctx, args[0]); err != nil {
		return err
	}
	return o.Store.Write(ctx, func(tx *store.Tx) error { return correspondents.Mark(tx, args[0], who, mark, p.Now()) })
}
