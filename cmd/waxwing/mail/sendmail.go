package mail

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"waxwing/internal/cli"
	"waxwing/internal/desk"
	"waxwing/internal/listing"
	"waxwing/internal/sendmail"
	"waxwing/internal/spool"
)

// sendmailCommand hands in mail for programs, as sendmail does (TRA-5, TRA-6). Its flags
// are sendmail's, and its own to read.
func (p *program) sendmailCommand() *cobra.Command {
	return &cobra.Command{Use: "sendmail [FLAGS] [RECIPIENT …]", Short: "send the message on standard input, as sendmail does", DisableFlagParsing: true,
		DisableFlagsInUseLine: true, Long: "Called as sendmail, mailq or newaliases, the program is this command. \"waxwing sendmail --help\" has its flags.",
		RunE: func(c *cobra.Command, args []string) error {
			s := &sendmail.Program{Stdin: p.Stdin, Stdout: p.Stdout, Stderr: p.Stderr, Now: time.Now, Machine: sendmail.ThisMachine(), Queue: p.mailq}
			err := s.Run(c.Context(), args)
			if coded := (*sendmail.Error)(nil); errors.As(err, &coded) {
				return &cli.ExitError{Code: coded.Code, Err: err}
			}
			return err
		}}
}

// mailq shows the queue of the server on this machine in the form that programs know
// from other sendmails. A machine without a server has no queue.
func (p *program) mailq(ctx context.Context, config string) error {
	if config == "" {
		config = cli.ServerConfig
		if _, err := os.Stat(config); errors.Is(err, fs.ErrNotExist) {
			return listing.Mailq(p.Stdout, nil)
		}
	}
	var items []spool.Item
	p.Config = config
	err := p.OnDesk(func(ctx context.Context, d desk.Desk, _ []string) (err error) {
		items, err = desk.ListAll(ctx, d, maxMailq)
		return err
	})(ctx, nil)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: only who may administer the server may see its queue", err)
	}
	if err != nil {
		return err
	}
	return listing.Mailq(p.Stdout, items)
}

// maxMailq bounds the recipients that mailq shows.
const maxMailq = 100_000
