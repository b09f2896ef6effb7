package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"waxwing/internal/server"
)

// dnsNoun tests the resolver (DNS-6).
func (p *program) dnsNoun() *cobra.Command {
	return p.noun("dns", "whether the resolver's DNSSEC answers can be trusted",
		verb{use: "selftest", short: "test the configured resolvers as at the server's start", json: true, run: p.selfTest})
}

func (p *program) selfTest(ctx context.Context, _ []string) error {
	cfg, err := loadConfig(p.config)
	if err != nil {
		return err
	}
	c, err := server.Resolver(cfg)
	if err != nil {
		return err
	}
	result := c.SelfTest(ctx, server.SelfTestNames(cfg))
	err = p.prose(result, func(w io.Writer) {
		for _, t := range result.Servers {
			fmt.Fprintln(w, t)
		}
	})
	if err == nil && !result.DANE() {
		err = errors.New("no resolver is good enough for DANE: its findings stand above")
	}
	return err
}
