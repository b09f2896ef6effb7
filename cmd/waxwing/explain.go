package main

import (
	"context"
	"fmt"
	"strings"

	"waxwing/internal/delivery"
	"waxwing/internal/explain"
	"waxwing/internal/server"
)

// runExplain says what would happen to a mail. It uses the store for what is
// cached of MTA-STS, and needs no running server.
func runExplain(ctx context.Context, e env, args []string) error {
	var f storeFlags
	fs := flags(e, "explain")
	f.add(fs)
	needWord := fs.String("need", "follow-policy", "what the sender asks of TLS: follow-policy, require-tls, tls-optional")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return usagef("it needs one address or domain")
	}
	need, err := delivery.ParseTLSNeed(*needWord)
	if err != nil {
		return usagef("-need: %v", err)
	}
	d, err := delivery.ParseRecipientDomain(rest[0][strings.LastIndexByte(rest[0], '@')+1:])
	if err != nil {
		return usagef("%v", err)
	}
	return withStore(ctx, e, f, func(o *opened) error {
		if hosted, err := o.accounts.IsHosted(ctx, d.Name); err != nil {
			return err
		} else if hosted && !d.IsLiteral() {
			_, err := fmt.Fprintf(e.stdout, "%s is hosted here: the mail goes into a mailbox of this server.\n", d)
			return err
		}
		direct, err := server.Direct(ctx, o.cfg, o.store)
		if err != nil {
			return err
		}
		x := explain.Domain(ctx, direct, d, need)
		if f.json {
			return printJSON(e.stdout, x)
		}
		x.Print(e.stdout)
		return nil
	})
}
