package upkeep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"waxwing/dns"
	"waxwing/internal/desk"
	"waxwing/internal/inventory"
	"waxwing/internal/provision"
	"waxwing/internal/scripts"
	"waxwing/internal/server"
	"waxwing/internal/setup"
	"waxwing/internal/text"
)

// Provision makes the rooms that keep what an inventory has.
func (o *Opened) Provision() (*provision.Rooms, error) {
	policies, err := server.STSPublish(o.Options, o.Store)
	if err != nil {
		return nil, err
	}
	return &provision.Rooms{DB: o.Store, Accounts: o.Accounts, Policies: policies, Signing: o.Signing, Routes: o.Routes,
		Scripts: &scripts.Store{DB: o.Store}}, nil
}

// Exporting is what of the store goes into a document.
type Exporting struct {
	Keys  bool // private keys and passwords
	Sieve bool // the scripts of accounts
}

// Export is the document of the store (OPS-6).
func (o *Opened) Export(ctx context.Context, e Exporting) ([]byte, error) {
	rooms, err := o.Provision()
	if err != nil {
		return nil, err
	}
	inv, err := rooms.Read(ctx, e.Sieve)
	if err != nil {
		return nil, err
	}
	last := "Private keys and passwords are not in it (\"waxwing export --keys\" writes them): those that are stored stay."
	if e.Keys {
		last = "It holds private keys, passwords, and hashes by which passwords can be guessed: let nobody else read it."
	} else {
		inv = inv.WithoutSecrets()
	}
	return inv.Format(fmt.Sprintf(`What %s keeps in its store, as "waxwing export" writes it.
"waxwing apply FILE" makes a store so, and with --dry-run says what it would change.
A section that is not here is left alone; one that is empty, as in route = [], has no entries.
%s
`, o.Config.Hostname, last))
}

// Applying is a document on its way into the store.
type Applying struct {
	Try bool // say what would be done, and do nothing
	Yes bool // do it, whatever breaks
}

// Applied is what became of it.
type Applied struct {
	Changes []inventory.Row `json:"changes"`
	Left    []string        `json:"left_alone"` // sections that the document does not have
	Done    bool            `json:"done"`

	try bool
}

// Apply makes the store what the document says (OPS-6). name is for messages. What would break is in
// the answer also where it is an error that nothing was done.
func (o *Opened) Apply(ctx context.Context, name string, document []byte, a Applying) (Applied, error) {
	wanted, doc, err := inventory.Parse(name, document)
	if err == nil {
		provision.Check(wanted, doc)
		err = doc.Err()
	}
	if err != nil {
		return Applied{}, faulty(name, err)
	}
	rooms, err := o.Provision()
	if err != nil {
		return Applied{}, err
	}
	plan, err := rooms.Plan(ctx, wanted)
	if err != nil {
		return Applied{}, err
	}
	for _, r := range plan.Refused {
		doc.Fault(r.Path(), "%s", r)
	}
	if err := doc.Err(); err != nil {
		return Applied{}, faulty(name, err)
	}
	breaks, err := o.findBreaks(ctx, &plan)
	done := Applied{Changes: plan.Rows(), Left: append([]string{}, plan.Left...), try: a.Try}
	switch {
	case err != nil:
		return done, err
	case breaks && !a.Yes && !a.Try:
		return done, errors.New("nothing was done, since this would break; with --yes it is done")
	case len(plan.Changes) == 0:
		done.Done = !a.Try
		return done, nil
	}
	err = rooms.CarryOut(ctx, wanted, plan, a.Try)
	done.Done = err == nil && !a.Try
	return done, err
}

// maxFaults bounds the faults that are told at one time.
const maxFaults = 100

// faulty is all that is wrong with a document, as one error.
func faulty(name string, err error) error {
	lines := strings.Split(err.Error(), "\n")
	told := strings.Join(lines[:min(len(lines), maxFaults)], "\n")
	if n := len(lines) - maxFaults; n > 0 {
		told += fmt.Sprintf("\nand %d more", n)
	}
	return fmt.Errorf("nothing was done, since %s has %s:\n%s", name, text.Count(len(lines), "fault"), told)
}

// Print writes it for people.
func (a *Applied) Print(w io.Writer) {
	counts := map[inventory.Action]int{}
	for _, c := range a.Changes {
		counts[c.Action]++
		fmt.Fprintln(w, c.Line)
		for _, b := range c.Breaks {
			fmt.Fprintf(w, "    %s\n", b)
		}
	}
	if len(a.Left) > 0 {
		fmt.Fprintf(w, "Left alone, since the file has no such section: %s.\n", strings.Join(a.Left, ", "))
	}
	tally := fmt.Sprintf("%d added, %d changed, %d removed", counts[inventory.Add], counts[inventory.Modify], counts[inventory.Remove])
	switch {
	case len(a.Changes) == 0:
		fmt.Fprintln(w, "The store is as the file says: there is nothing to do.")
	case a.Done:
		fmt.Fprintf(w, "Done: %s.\n", tally)
	case a.try:
		fmt.Fprintf(w, "This would be done: %s.\n", tally)
	}
}

// maxLooked is of how many domains that are to go the MX records are looked up.
const maxLooked = 10

// findBreaks says with each change what would break by it, and whether anything would.
func (o *Opened) findBreaks(ctx context.Context, p *inventory.Plan) (any bool, err error) {
	looked := 0
	for i := range p.Changes {
		c := &p.Changes[i]
		c.Breaks = breaksBy(c)
		if d, ok := c.Before.(inventory.Domain); ok {
			look := looked < maxLooked
			looked++
			if c.Breaks, err = o.domainBreaks(ctx, c, d, look); err != nil {
				return false, err
			}
		}
		any = any || len(c.Breaks) > 0
	}
	return any, nil
}

// domainBreaks says it of a domain that is removed or disabled, in the words of "domain remove".
func (o *Opened) domainBreaks(ctx context.Context, c *inventory.Change, before inventory.Domain, look bool) ([]string, error) {
	name, err := dns.ParseName(before.Name)
	if err != nil {
		return nil, err
	}
	after, stays := c.After.(inventory.Domain)
	if stays && (before.Disabled || !after.Disabled) {
		return nil, nil
	}
	l, err := desk.Hanging(ctx, o.Config, o.Store, name)
	if err != nil {
		return nil, err
	}
	if stays {
		return l.Disabling(), nil
	}
	l.Going, l.MXUnseen = true, fmt.Sprintf("only those of %d domains are looked up", maxLooked)
	if look {
		l.MX, l.MXUnseen = desk.LeadsHere(ctx, o.Config, name)
	}
	return l.Removing(), nil
}

// breaksBy says what breaks by a change of what is no domain. It is pure.
func breaksBy(c *inventory.Change) []string {
	switch before := c.Before.(type) {
	case inventory.Account:
		if c.Action == inventory.Remove {
			return []string{fmt.Sprintf("%s can log in no more, and the password is forgotten", before.Name)}
		}
	case inventory.Address:
		if c.Action == inventory.Remove {
			return []string{fmt.Sprintf("mail for %s is refused for good (550), unless its domain has a catchall", before.Address)}
		}
	case inventory.Route:
		if c.Action == inventory.Remove {
			return []string{fmt.Sprintf("mail that this rule sent by %s goes by the rules that are left, or straight to its domain's hosts", before.Transport)}
		}
	case inventory.Policy:
		if c.Action == inventory.Remove {
			return setup.PolicyGone(before.Domain, before.Mode)
		}
	case inventory.Key:
		if after, stays := c.After.(inventory.Key); before.Retired || stays && after.Record == before.Record && after.PrivateKey == before.PrivateKey {
			return nil
		}
		return []string{fmt.Sprintf("the key signs no more, and its private half is forgotten: \"waxwing dkim retire %s --selector %s\" keeps it, and its record should stay in DNS for two weeks, for mail that is under way", before.Domain, before.Selector)}
	}
	return nil
}
