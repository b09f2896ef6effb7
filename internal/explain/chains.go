package explain

import (
	"context"
	"fmt"
	"io"

	wire "github.com/miekg/dns"

	"waxwing/dns"
	"waxwing/internal/resolver"
)

// maxChains bounds what is shown of lookups.
const maxChains = 50

// chains are the chains of trust of lookups. One that cannot be had says so in its place.
func (x *Explainer) chains(ctx context.Context, lookups []Lookup) (out []resolver.Chain) {
	seen := map[Lookup]bool{}
	for _, l := range lookups {
		l.Security, l.Result = "", ""
		name, err := dns.ParseQuestion(l.Name)
		qtype := wire.StringToType[l.Type]
		if seen[l] || err != nil || qtype == 0 || len(out) == maxChains {
			continue
		}
		seen[l] = true
		c, err := x.Chain(ctx, name.ASCII()+".", qtype)
		if err != nil {
			c = resolver.Chain{Name: name.ASCII() + ".", Type: l.Type, Security: dns.Indeterminate.String(), Found: &resolver.ChainFound{Zone: name.ASCII() + ".", Text: err.Error()}, Counts: true}
		}
		out = append(out, c)
	}
	return out
}

// printChains draws them, and says once if it is not they that count.
func printChains(w io.Writer, chains []resolver.Chain) {
	counts := true
	for _, c := range chains {
		counts = counts && c.Counts
		c.Counts = true
		fmt.Fprintln(w)
		c.Picture(w)
	}
	if !counts {
		fmt.Fprintln(w, "\n"+resolver.NotOwn)
	}
}
