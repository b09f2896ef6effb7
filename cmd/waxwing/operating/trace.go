package operating

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/internal/cli"
	"waxwing/internal/control"
	"waxwing/internal/smtptrace"
	"waxwing/internal/text"
)

// traceNoun shows what a running server says and hears (OPS-1).
func (p *program) traceNoun() *cobra.Command {
	var q smtptrace.Request
	return p.Noun("trace", "what the running server says and hears, live",
		cli.Verb{Use: "smtp --peer ADDR|NET|HOST", Short: "SMTP connections with one peer, line by line, as it happens", JSON: true,
			Example: "trace smtp --peer 192.0.2.7\ntrace smtp --peer mx.example.org --outgoing --for 10m",
			Long: "Clients' connections and those with other hosts, also those that are open already. It ends with ^C, or when --for is over. " +
				"Passwords and whatever else AUTH says are left out, and so is the text of messages: in their place stands how many octets there were. " +
				"A host is watched by its name where this server connects to it, and by the addresses that DNS has for the name now. " +
				"Who reads too slowly is told how many lines were lost. --json prints an object a line.",
			Flags: func(fs *pflag.FlagSet) {
				fs.StringVar(&q.Peer, "peer", "", "whose connections: an `address`, a network like 192.0.2.0/24, or the name of a host")
				fs.StringVar(&q.Listener, "listener", "", "clients' connections to listeners of this `kind` only: mx, submission, submissions")
				fs.BoolVar(&q.Outgoing, "outgoing", false, "connections with other hosts only")
				fs.DurationVar(&q.For, "for", 0, "end after this `long`; 0: with ^C, or after a day")
			},
			Run: func(ctx context.Context, _ []string) error {
				if _, _, err := q.Parse(); err != nil {
					return cli.Usagef("%v", err)
				}
				return p.OnRunning(func(ctx context.Context, s *control.Client, _ []string) error { return p.traceSMTP(ctx, s, q) })(ctx, nil)
			}})
}

func (p *program) traceSMTP(ctx context.Context, s *control.Client, q smtptrace.Request) error {
	begun := func() {
		fmt.Fprintf(p.Stderr, "watching SMTP connections with %s; ^C ends it\n", q.Peer)
	}
	return s.Trace(ctx, q, begun, func(l smtptrace.Line) error {
		if p.JSON {
			return json.NewEncoder(p.Stdout).Encode(l)
		}
		return p.printTrace(l)
	})
}

// printTrace prints a line for people: time, connection, whose line it is, what was said.
func (p *program) printTrace(l smtptrace.Line) error {
	at := l.Time.Local().Format("15:04:05.000")
	if l.Lost > 0 {
		if _, err := fmt.Fprintf(p.Stdout, "%s %s\n", at, p.Terminal.Paint(text.Count(l.Lost, "line")+" lost", text.Bad)); err != nil {
			return err
		}
	}
	if l.Connection == 0 {
		return nil
	}
	_, err := fmt.Fprintln(p.Stdout, l.Print(at, p.Terminal))
	return err
}
