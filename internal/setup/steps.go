package setup

import (
	"fmt"
	"strings"
)

// Step is one thing that is left to do, with the lines to type, if there are any.
type Step struct {
	What  string
	Lines []string
}

// Steps are what is left for the operator to do, in order (SET-1). call is how the
// program is typed, with --config where that is needed: the verb is put between.
func (p Plan) Steps(call func(verb string) string) []Step {
	w := p.Wish
	var all []Step
	if p.Validate {
		all = append(all, Step{"Nothing answers DNS on this machine. Waxwing validates DNSSEC itself if the resolvers of /etc/resolv.conf pass its records, which doctor says; a resolver here is faster and sees to it that they do. Afterwards write servers = [\"127.0.0.1\"] into [resolver]:",
			[]string{"apt install unbound"}})
	}
	all = append(all,
		Step{"Publish the records above from the top; the MTA-STS record last, once a certificate for mta-sts." + w.Domain.ASCII() + " is there. The record of the address's name (PTR) is set at whoever gave you the address. They are printed again by:",
			[]string{call("dns records --zone " + w.Domain.ASCII())}})
	if p.UnitHint != "" {
		all = append(all, Step{"Put the unit into its place, as root:", []string{p.UnitHint, "systemctl daemon-reload"}})
	}
	return append(all,
		Step{"Start the server, now and whenever the machine starts. It asks Let's Encrypt for certificates, to whose terms (https://letsencrypt.org/repository/) you agree with that; [acme] in the configuration names another authority:", []string{"systemctl enable --now waxwing"}},
		Step{"See which certificates are there, and when each is renewed:", []string{call("cert list")}},
		Step{"See that machine and server are well, and, once DNS has them, the records:", []string{call("doctor"), call("dns check " + w.Domain.ASCII())}},
		Step{"See the same on pages, from your own machine through ssh: http://127.0.0.1:2580/", []string{"ssh -L 2580:" + AdminAddress + " " + w.Hostname.ASCII()}},
		Step{"A key for DKIM signs once DNS shows its record. What each waits for:", []string{call("dkim list")}})
}

// Numbered writes steps as a list.
func Numbered(steps []Step) string {
	var b strings.Builder
	for i, s := range steps {
		fmt.Fprintf(&b, "%d. %s\n", i+1, s.What)
		for _, l := range s.Lines {
			fmt.Fprintf(&b, "     %s\n", l)
		}
	}
	return b.String()
}
