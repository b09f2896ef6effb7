package mail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"waxwing/internal/cli"
	"waxwing/internal/datadir"
	"waxwing/internal/foreign"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/text"
	"waxwing/internal/transfer"
	"waxwing/internal/transfer/mbox"
	"waxwing/internal/upkeep"
)

// maxImported is how many octets a message may have that is taken in.
const maxImported = 256 << 20

// taking is one call of "mail import".
type taking struct {
	box, quoting    string
	again, overfull bool
}

func (p *program) importVerb() cli.Verb {
	var t taking
	return cli.Verb{Use: "import ACCOUNT PATH", Short: "take in mbox files and Maildirs, while the server runs", JSON: true,
		Long: "PATH is an mbox file, a Maildir with its folders, or a directory of these; - is an mbox on standard input. Flags, keywords, folders and dates are kept. " +
			"What cannot be taken is listed, and the rest is taken. Run again with --again, an import goes on where it was interrupted.",
		Example: "mail import joe /home/joe/Maildir\nmail import joe old.mbox --mailbox Archive/Old",
		Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&t.box, "mailbox", "", "the `mailbox` for what stands at the top, and above all folders; else INBOX, and folders as they are")
			fs.StringVar(&t.quoting, "quoting", "mboxrd", "how the mbox file marks lines that begin with From: `mboxrd`, mboxo or none")
			overQuota(fs, &t.overfull)
			fs.BoolVar(&t.again, "again", false, "leave out messages that their mailbox has already")
		}, Run: func(ctx context.Context, args []string) error { return p.importMail(ctx, args[0], args[1], t) }}
}

func (p *program) importMail(ctx context.Context, account, path string, t taking) error {
	q, ok := map[string]mbox.Quoting{"mboxrd": mbox.RD, "mboxo": mbox.O, "none": mbox.None}[t.quoting]
	if !ok {
		return cli.Usagef("--quoting %q: it is mboxrd, mboxo or none", t.quoting)
	}
	// Before this process becomes the owner of the store, who may not read it.
	file, size, err := p.openInput(path)
	if err != nil {
		return err
	}
	if file != nil {
		defer file.Close()
	}
	return p.WithStore(ctx, func(o *upkeep.Opened) error {
		if err := o.Accounts.MustExist(ctx, account); err != nil {
			return err
		}
		bar := p.bar()
		im := &transfer.Importer{Boxes: into(o, t.overfull), Account: account, Max: maxImported, Temp: forLong(o), Again: t.again, Progress: bar.show, Left: bar.left}
		var err error
		if file == nil {
			err = im.Directory(ctx, path, t.box, q)
		} else {
			box := t.box
			if box == "" {
				box = mailbox.Inbox
			}
			if err = im.Mbox(ctx, file, size, box, q); errors.Is(err, mbox.ErrFormat) {
				err = fmt.Errorf(`%s: %w; a single message is taken from the directory "new" of a Maildir`, path, err)
			}
		}
		return p.ended(bar, im.Done(), "taken", explained(o, account, err))
	})
}

// overQuota is the flag of what brings mail in.
func overQuota(fs *pflag.FlagSet, is *bool) {
	fs.BoolVar(is, "over-quota", false, "take everything, however much the account may keep; it counts all the same, and nothing more comes until there is room")
}

// into are the mailboxes that mail is brought into.
func into(o *upkeep.Opened, overfull bool) *mailboxes.Store {
	if overfull {
		return o.Mailboxes
	}
	return o.Bounded()
}

// explained says what helps an account that is full.
func explained(o *upkeep.Opened, account string, err error) error {
	if !errors.Is(err, mailboxes.ErrOverQuota) {
		return err
	}
	return fmt.Errorf("%w: %s may keep %s octets and %d messages (mail.quota, mail.quota_messages; 0: no bound); --over-quota takes the rest all the same",
		err, account, text.Octets(int64(o.Config.Mail.Quota)), o.Config.Mail.QuotaMessages)
}

// forLong is the directory for long messages; "", that of the machine, where no server has made it.
func forLong(o *upkeep.Opened) string {
	dir := datadir.Spool(o.Config)
	if _, err := os.Stat(dir); err != nil {
		return ""
	}
	return dir
}

// openInput opens a file, or standard input; nothing for a directory.
func (p *program) openInput(path string) (file io.ReadCloser, size int64, err error) {
	if path == "-" {
		return io.NopCloser(p.Stdin), 0, nil
	}
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return nil, 0, err
	}
	f, err := os.Open(path)
	return f, info.Size(), err
}

// giving is one call of "mail export".
type giving struct {
	format, box string
	crlf        bool
}

func (p *program) exportVerb() cli.Verb {
	var g giving
	return cli.Verb{Use: "export ACCOUNT PATH", Short: "write mailboxes as a Maildir or as mbox files, while the server runs", JSON: true,
		Long: "PATH is a directory, which is made or is empty; with --format mbox and --mailbox it is a file that is not there yet, or - for standard output. " +
			"Flags, keywords, folders and dates are written, too.",
		Example: "mail export joe /tmp/joe\nmail export joe sent.mbox --format mbox --mailbox Sent",
		Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&g.format, "format", "maildir", "`maildir` or mbox")
			fs.StringVar(&g.box, "mailbox", "", "only this `mailbox`; else all")
			fs.BoolVar(&g.crlf, "crlf", false, "end lines with CRLF, as they do in the mailbox, instead of LF")
		}, Run: func(ctx context.Context, args []string) error { return p.exportMail(ctx, args[0], args[1], g) }}
}

func (p *program) exportMail(ctx context.Context, account, path string, g giving) error {
	if g.format != "maildir" && g.format != "mbox" {
		return cli.Usagef("--format %q: it is maildir or mbox", g.format)
	}
	var file io.WriteCloser
	if g.format == "mbox" && g.box != "" {
		var err error
		if file, err = p.openOutput(path); err != nil {
			return err
		}
	} else if path == "-" {
		return cli.Usagef("standard output takes one mailbox: say --format mbox and --mailbox")
	}
	err := p.WithStore(ctx, func(o *upkeep.Opened) error {
		if err := o.Accounts.MustExist(ctx, account); err != nil {
			return err
		}
		boxes, err := exported(ctx, o, account, g.box)
		if err != nil {
			return err
		}
		bar := p.bar()
		ex := &transfer.Exporter{Boxes: o.Mailboxes, Account: account, CRLF: g.crlf, Progress: bar.show, Left: bar.left}
		switch {
		case file != nil:
			err = ex.Mbox(ctx, &boxes[0], file)
		case g.format == "mbox":
			err = ex.Mboxes(ctx, boxes, path)
		default:
			err = ex.Maildir(ctx, boxes, path)
		}
		if path == "-" { // which has the mailbox
			bar.end()
			return err
		}
		return p.ended(bar, ex.Done(), "written", err)
	})
	if file != nil {
		err = errors.Join(err, file.Close())
	}
	return err
}

// openOutput makes a file that is not there yet, or is standard output.
func (p *program) openOutput(path string) (io.WriteCloser, error) {
	if path == "-" {
		return stdout{p.Stdout}, nil
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

type stdout struct{ io.Writer }

func (stdout) Close() error { return nil }

func exported(ctx context.Context, o *upkeep.Opened, account, box string) ([]mailbox.Box, error) {
	if box == "" {
		return o.Mailboxes.Boxes(ctx, account)
	}
	b, err := o.Mailboxes.Box(ctx, account, box)
	return []mailbox.Box{b}, err
}

// bar shows on a terminal how far a transfer has come, and lists what is left.
type bar struct {
	w      io.Writer
	screen bool
	now    func() time.Time
	last   time.Time
}

func (p *program) bar() *bar {
	return &bar{w: p.Stderr, screen: !p.JSON && cli.ScreenOf(p.Stderr, os.Getenv) != nil, now: p.Now}
}

// barWidth is how many characters stand for the whole.
const barWidth = 30

func (b *bar) show(d transfer.Done) {
	if !b.screen || b.now().Sub(b.last) < 200*time.Millisecond {
		return
	}
	b.last = b.now()
	line := fmt.Sprintf("%d messages, %s octets", d.Messages+d.Known, text.Octets(d.Octets))
	if d.Whole > 0 {
		part := min(1, float64(d.Part)/float64(d.Whole))
		n := int(part * barWidth)
		line = fmt.Sprintf("[%s%s] %3.0f %%  %s", strings.Repeat("#", n), strings.Repeat(".", barWidth-n), part*100, line)
	}
	fmt.Fprint(b.w, "\r\x1b[K", line)
}

// end takes the bar away.
func (b *bar) end() {
	if b.screen && !b.last.IsZero() {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}

func (b *bar) left(l transfer.Left) {
	b.end()
	fmt.Fprintln(b.w, foreign.Shown(l.String()))
}

// ended says what has become of a transfer.
func (p *program) ended(b *bar, d transfer.Done, verb string, err error) error {
	b.end()
	said := fmt.Sprintf("%s %s, %s octets", counted(d.Messages), verb, text.Octets(d.Octets))
	if d.Known > 0 {
		said += fmt.Sprintf("; %d were there already", d.Known)
	}
	if told := p.Answer(d, "%s", said); told != nil {
		return errors.Join(err, told)
	}
	if err == nil && d.Left > 0 {
		err = fmt.Errorf("%d could not be %s, or not wholly: they are listed above", d.Left, verb)
	}
	return err
}
