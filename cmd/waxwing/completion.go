package main

import (
	"context"
	_ "embed"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/internal/account"
	"waxwing/internal/delivery"
	"waxwing/internal/holds"
	"waxwing/internal/mailbox"
	"waxwing/internal/queue"
	"waxwing/internal/route"
	"waxwing/internal/server"
	"waxwing/internal/stspolicy"
	"waxwing/internal/tlsreport"
	"waxwing/internal/tlsreport/intake"
)

// completionVerb prints the script that has a shell complete what is typed.
func (p *program) completionVerb() verb {
	return verb{use: "completion SHELL", short: "the script that has bash, zsh or fish complete commands", bare: true,
		long:    "Domains, accounts, ids and so on come out of the store of the configuration that --config names, or of waxwing.toml here.",
		example: "completion bash > /etc/bash_completion.d/waxwing\ncompletion zsh > /usr/local/share/zsh/site-functions/_waxwing\ncompletion fish > ~/.config/fish/completions/waxwing.fish",
		run: func(_ context.Context, args []string) error {
			root := (&program{env: p.env}).root()
			switch args[0] {
			case "bash":
				_, err := io.WriteString(p.stdout, bashCompletion)
				return err
			case "zsh":
				return root.GenZshCompletion(p.stdout)
			case "fish":
				return root.GenFishCompletion(p.stdout, true)
			}
			return usagef("%q is none of bash, zsh, fish", args[0])
		}}
}

// bashCompletion needs nothing but bash. It never evaluates what is typed or found.
//
//go:embed completion.bash
var bashCompletion string

// completer finds what may stand in a place of the command line.
type completer = func(context.Context, *opened) ([]string, error)

// stored are the completers of what the store has: of arguments, by their name in the use
// line, and of flags. One with a noun or a command before its name is of that alone.
func stored() map[string]completer {
	return map[string]completer{
		"DOMAIN": domainNames, "HOST|DOMAIN": domainNames, "HOST[:PORT]|DOMAIN": domainNames, "ADDRESS|DOMAIN": domainNames, "--domain": domainNames,
		"--sender-domain": domainNames, "forget DOMAIN": cachedNames, "refresh DOMAIN": cachedNames,
		"ACCOUNT": accountNames, "--account": accountNames, "ADDRESS": addressNames, "--sender": addressNames, "--from": addressNames,
		"TRANSPORT": transportNames, "transport NAME": transportNames, "set-transport NAME": transportNames, "--transport": transportNames,
		"queue ID": queueIDs, "mail ID": mailIDs, "hold ID": holdIDs, "route ID": routeIDs, "tlsrpt ID": reportIDs,
	}
}

// fixed are the words of places that have a few and no others.
func fixed() map[string]string {
	return map[string]string{
		"NEED": "follow-policy require-tls tls-optional", "--need": "follow-policy require-tls tls-optional", "SHELL": "bash zsh fish",
		"--state": "waiting leased held delivered failed", "--purpose": "mail dsn tls-report dmarc-report", "--mode": "testing enforce none",
		"--algorithm": "ed25519 rsa", "--kind": "direct smarthost submission socks5 fail local", "--security": "verified dane tls any",
	}
}

func domainNames(ctx context.Context, o *opened) ([]string, error) {
	all, err := o.accounts.Domains(ctx)
	return names(all, func(d *account.Domain) string { return d.Name.ASCII() }), err
}

func accountNames(ctx context.Context, o *opened) ([]string, error) {
	all, err := o.accounts.Accounts(ctx)
	return names(all, func(a *account.Account) string { return a.Name }), err
}

func addressNames(ctx context.Context, o *opened) ([]string, error) {
	all, err := o.accounts.Addresses(ctx)
	return names(all, func(a *account.Address) string { return a.Address }), err
}

func transportNames(ctx context.Context, o *opened) ([]string, error) {
	all, err := o.routes.Transports(ctx)
	return names(all, func(t *route.Transport) string { return t.Name }), err
}

func cachedNames(ctx context.Context, o *opened) ([]string, error) {
	all, err := cachedRows(ctx, o, nil)
	return names(all, func(r *stspolicy.Row) string { return r.Domain.ASCII() }), err
}

func queueIDs(ctx context.Context, o *opened) ([]string, error) {
	all, err := (&queue.Queue{Store: o.store}).List(ctx, queue.Filter{States: states(), Limit: maxOffers})
	return names(queue.Rows(all), func(r *queue.Row) string { return r.Message.String() }), err
}

func holdIDs(ctx context.Context, o *opened) ([]string, error) {
	all, err := (&holds.Store{DB: o.store}).List(ctx)
	return names(all, func(r *holds.Rule) string { return r.ID.String() }), err
}

func routeIDs(ctx context.Context, o *opened) ([]string, error) {
	t, err := o.routes.Table(ctx)
	if err != nil {
		return nil, err
	}
	return names(t.Rules, func(r *route.Rule) string { return delivery.ID(r.ID).String() }), nil
}

func mailIDs(ctx context.Context, o *opened) (out []string, err error) {
	all, err := o.accounts.Accounts(ctx)
	for _, a := range all {
		page, err := o.mailboxes.Page(ctx, a.Name, account.Inbox, 0, maxOffers)
		if err != nil {
			return nil, err
		}
		out = append(out, names(page, func(m *mailbox.Message) string { return delivery.ID(m.ID).String() })...)
	}
	return out, err
}

func reportIDs(ctx context.Context, o *opened) ([]string, error) {
	s, err := server.Reports(o.options, o.store)
	if err != nil {
		return nil, err
	}
	in, err := s.In.Reports(ctx, tlsreport.Filter{Limit: maxOffers})
	if err != nil {
		return nil, err
	}
	out, err := s.Out.Sent(ctx, tlsreport.Filter{Limit: maxOffers})
	return append(names(in, func(r *intake.Received) string { return r.ID.String() }), names(out, func(r *tlsreport.Sent) string { return r.ID.String() })...), err
}

func names[T any](all []T, name func(*T) string) (out []string) {
	for i := range all {
		out = append(out, name(&all[i]))
	}
	return out
}

// What may be offered at most, and how long finding it may take: somebody has pressed a key.
const (
	maxOffers   = 200
	offeringFor = time.Second
)

// complete has a shell complete the arguments of a command, and its flags.
func (p *program) complete(c *cobra.Command, u usage) {
	c.ValidArgsFunction = func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		n := len(args)
		if u.several {
			n = min(n, len(u.words)-1)
		}
		if n >= len(u.words) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		word := u.words[n]
		return p.offer(c.Context(), typed, u.name+" "+word, c.Parent().Name()+" "+word, word)
	}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		c.RegisterFlagCompletionFunc(f.Name, func(c *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
			return p.offer(c.Context(), typed, "--"+f.Name)
		})
	})
}

// offer is what may be typed in a place, by the first of its names that is known. Where
// none is, it may be a file; where there is no store, nothing is offered, and nothing said.
func (p *program) offer(ctx context.Context, typed string, places ...string) (out []string, _ cobra.ShellCompDirective) {
	for _, place := range places {
		words, find := strings.Fields(fixed()[place]), stored()[place]
		if find != nil {
			words = p.peek(ctx, find)
		} else if len(words) == 0 {
			continue
		}
		slices.Sort(words)
		for _, w := range slices.Compact(words) {
			if w != "" && strings.HasPrefix(w, typed) && len(out) < maxOffers {
				out = append(out, w)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveDefault
}

// peek finds things in the store without changing anything there.
func (p *program) peek(ctx context.Context, find completer) []string {
	ctx, cancel := context.WithTimeout(ctx, offeringFor)
	defer cancel()
	o, err := loadOptions(p.config)
	if err != nil || becomeUser(o.Config) != nil {
		return nil
	}
	o.Log = slog.New(slog.DiscardHandler)
	db, err := server.PeekStore(ctx, o.Config)
	if err != nil {
		return nil
	}
	defer db.Close()
	found, err := find(ctx, newOpened(o, db))
	if err != nil {
		return nil
	}
	return found
}
