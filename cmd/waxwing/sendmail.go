package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"waxwing/internal/control"
	"waxwing/internal/queue"
	"waxwing/internal/sendmail"
)

// programArgs makes the arguments of the command line: called by the name sendmail,
// mailq or newaliases, the program is that command.
func programArgs(argv []string) []string {
	if len(argv) > 0 {
		if flags, ok := sendmail.Called(filepath.Base(argv[0])); ok {
			return append(append([]string{"sendmail"}, flags...), argv[1:]...)
		}
	}
	return argv[min(1, len(argv)):]
}

// sendmailCommand hands in mail for programs, as sendmail does (TRA-5, TRA-6). Its flags
// are sendmail's, and its own to read.
func (p *program) sendmailCommand() *cobra.Command {
	return &cobra.Command{Use: "sendmail [FLAGS] [RECIPIENT …]", Short: "send the message on standard input, as sendmail does", DisableFlagParsing: true,
		DisableFlagsInUseLine: true, Long: "Called as sendmail, mailq or newaliases, the program is this command. \"waxwing sendmail --help\" has its flags.",
		RunE: func(c *cobra.Command, args []string) error {
			s := &sendmail.Program{Stdin: p.stdin, Stdout: p.stdout, Stderr: p.stderr, Now: time.Now, Machine: sendmail.ThisMachine(), Queue: p.mailq}
			return s.Run(c.Context(), args)
		}}
}

// serverConfig is where a server's configuration usually is.
const serverConfig = "/etc/waxwing/waxwing.toml"

// mailq shows the queue of the server on this machine in the form that programs know
// from other sendmails. A machine without a server has no queue.
func (p *program) mailq(ctx context.Context, config string) error {
	if config == "" {
		config = serverConfig
		if _, err := os.Stat(config); errors.Is(err, fs.ErrNotExist) {
			return printMailq(p.stdout, nil)
		}
	}
	var items []queue.Item
	p.config = config
	err := p.onDesk(func(ctx context.Context, d control.Desk, _ []string) error {
		f := queue.Filter{Limit: 1000}
		for {
			page, err := d.List(ctx, f)
			items = append(items, page...)
			if err != nil || len(page) < f.Limit || len(items) >= maxMailq {
				return err
			}
			f.After = page[len(page)-1].Recipient.ID
		}
	})(ctx, nil)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: only who may administer the server may see its queue", err)
	}
	if err != nil {
		return err
	}
	return printMailq(p.stdout, items)
}

// maxMailq bounds the recipients that mailq shows.
const maxMailq = 100_000

// printMailq writes a group of lines for each message.
func printMailq(w io.Writer, items []queue.Item) error {
	if len(items) == 0 {
		_, err := fmt.Fprintln(w, "Mail queue is empty")
		return err
	}
	bw := bufio.NewWriter(w)
	fmt.Fprintln(bw, "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------")
	byMessage := map[int64][]queue.Item{}
	var order []int64
	for _, i := range items {
		if byMessage[i.Envelope.ID] == nil {
			order = append(order, i.Envelope.ID)
		}
		byMessage[i.Envelope.ID] = append(byMessage[i.Envelope.ID], i)
	}
	var size int64
	for _, id := range order {
		env := byMessage[id][0].Envelope
		size += env.Size
		sender := env.Sender
		if sender == "" {
			sender = "MAILER-DAEMON"
		}
		mark := " "
		if byMessage[id][0].State == queue.Held {
			mark = "!"
		}
		fmt.Fprintf(bw, "%-12s%8d %s  %s\n", queue.LogID(id)+mark, env.Size, env.Accepted.Local().Format("Mon Jan _2 15:04:05"), sender)
		for _, i := range byMessage[id] {
			if why := cmp.Or(i.Reply, i.Text, i.Word); why != "" {
				fmt.Fprintf(bw, "(%s)\n", why)
			}
			fmt.Fprintf(bw, "%42s%s\n", "", i.Recipient.Address)
		}
		fmt.Fprintln(bw)
	}
	fmt.Fprintf(bw, "-- %d Kbytes in %s.\n", (size+1023)/1024, number(len(order), "Request"))
	return bw.Flush()
}
