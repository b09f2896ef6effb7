package security

import (
	"context"
	"errors"
	"strings"

	wire "github.com/miekg/dns"

	"waxwing/dns"
	"waxwing/internal/cli"
	"waxwing/internal/datadir"
	"waxwing/internal/resolver"
)

func (p *program) dnsLookup(ctx context.Context, args []string) error {
	name, err := dns.ParseQuestion(args[0])
	qtype, ok := wire.StringToType[strings.ToUpper(args[1])]
	root := args[0] == "."
	if err != nil && !root || !ok {
		return cli.Usagef("%q is no name, or %q no type of record", args[0], args[1])
	}
	cfg, err := p.LoadConfig()
	if err != nil {
		return err
	}
	client, err := resolver.New(cfg, datadir.Anchors(cfg))
	if err != nil {
		return err
	}
	chain, err := resolver.Chains(cfg, client, datadir.Anchors(cfg))
	if err != nil {
		return err
	}
	shown, err := chain(ctx, name.ASCII()+".", qtype)
	if err != nil {
		return err
	}
	if err := p.Prose(shown, shown.Picture); err != nil {
		return err
	}
	if !shown.Proven() {
		return errors.New("the answer is not proven: the reason stands above")
	}
	return nil
}
