package resolver

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"waxwing/dns"
	"waxwing/internal/config"
)

// Tested is what a self-test found, with the exceptions that the configuration makes.
type Tested struct {
	dns.SelfTestResult
	Negative []Negative `json:"negative_trust_anchors,omitempty"`
}

// Negative is a name at and below which answers count as unsigned (VAL-13).
type Negative struct {
	Name string `json:"name"`
	Last string `json:"until"` // the last day
	Over bool   `json:"over"`
}

// Negatives are the negative trust anchors of a configuration, by name.
func Negatives(cfg *config.Config, now time.Time) (out []Negative) {
	for name, date := range cfg.Resolver.Negative {
		last, err := time.Parse(time.DateOnly, date)
		out = append(out, Negative{name.ASCII(), date, err != nil || !now.Before(last.AddDate(0, 0, 1))})
	}
	slices.SortFunc(out, func(a, b Negative) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Print writes it for people.
func (t Tested) Print(w io.Writer) {
	for _, s := range t.Servers {
		fmt.Fprintln(w, s)
	}
	for _, n := range t.Negative {
		if n.Over {
			fmt.Fprintf(w, "%s is validated again since the end of %s: its entry in resolver.negative_trust_anchors can go\n", n.Name, n.Last)
		} else {
			fmt.Fprintf(w, "%s and all below it are taken as unsigned up to %s (resolver.negative_trust_anchors)\n", n.Name, n.Last)
		}
	}
	fmt.Fprintln(w, t.SelfTestResult)
}
