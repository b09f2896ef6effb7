package main

import (
	"context"
	"fmt"

	"waxwing/internal/server"
)

func dnsActions() []action {
	return []action{{"selftest", "", "test the configured resolvers as at the server's start"}}
}

// runDNS tests the resolver (DNS-6).
func runDNS(ctx context.Context, e env, args []string) error {
	what, args, err := verb(e, "dns", args)
	if err != nil {
		return err
	}
	var f storeFlags
	fs := flags(e, "dns", what)
	f.addJSON(fs, what)
	rest, err := parse(fs, args)
	if err == nil {
		err = only(rest)
	}
	if err != nil {
		return err
	}
	cfg, err := loadConfig(f.config)
	if err != nil {
		return err
	}
	c, err := server.Resolver(cfg)
	if err != nil {
		return err
	}
	result := c.SelfTest(ctx, server.SelfTestNames(cfg))
	if f.json {
		if err := printJSON(e.stdout, result); err != nil {
			return err
		}
	} else {
		for _, t := range result.Servers {
			fmt.Fprintln(e.stdout, t)
		}
	}
	if !result.DANE() {
		return fmt.Errorf("no resolver is good enough for DANE: its findings stand above")
	}
	return nil
}
