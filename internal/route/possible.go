package route

import (
	"slices"

	"waxwing/dns"
)

// Possible are the transports that mail with a sender at domain may take: those of all
// rules that could match it, whoever submits it, and DirectName unless a rule takes
// everything before. It is for saying which addresses such mail may come from; the zero
// Name is mail of the null sender.
func (w *Ways) Possible(domain dns.Name) []string {
	rules := slices.Clone(w.Rules)
	slices.SortFunc(rules, func(a, b Rule) int {
		if Before(&a, &b) {
			return -1
		}
		return 1
	})
	var out []string
	add := func(name string) {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	for i := range rules {
		r := &rules[i]
		if r.Scope == OfDomain && r.Owner != domain.ASCII() || !r.Sender.Matches(domain) {
			continue
		}
		add(r.Transport)
		if r.Scope != OfAccount && r.Recipient.IsZero() && r.MinAttempts == 0 && r.Need == nil {
			return out
		}
	}
	add(DirectName)
	return out
}
