package main

import (
	"context"
	"fmt"

	"waxwing/internal/server"
)

// runDNS tests the resolver (DNS-6).
func runDNS(ctx context.Context, e env, args []string) error {
	_, args, err := verb(args, "selftest")
	if err != nil {
		return err
	}
	var f storeFlags
	fs := flags(e, "dns selftest")
	f.add(fs)
	if _, err := parse(fs, args); err != nil {
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
