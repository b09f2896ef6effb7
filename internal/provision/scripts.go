package provision

import (
	"errors"
	"fmt"

	"waxwing/internal/account"
	"waxwing/internal/config"
	"waxwing/internal/inventory"
	"waxwing/internal/scripts"
)

// ofAccounts is the section of the accounts' scripts, which is read only where a document tells of it: it may be large.
const ofAccounts = "sieve"

func checkGlobal(g *inventory.GlobalScript, fault faulty) {
	fault("name", scripts.CheckName(g.Name))
	fault("script", scripts.Check(g.Script))
}

func readGlobals(in within) (out []inventory.GlobalScript, err error) {
	all, err := in.Scripts.Within(in.tx).Globals()
	for _, c := range all {
		out = append(out, inventory.GlobalScript{Name: c.Name, Script: c.Text})
	}
	return out, err
}

func putGlobal(in within, p put[inventory.GlobalScript]) error {
	return in.Scripts.Within(in.tx).PutGlobal(p.after.Name, p.after.Script)
}

func removeGlobal(in within, g inventory.GlobalScript) error {
	return in.Scripts.Within(in.tx).DeleteGlobal(g.Name)
}

func checkScript(c *inventory.Script, fault faulty) {
	fault("account", account.CheckName(c.Account))
	fault("name", scripts.CheckName(c.Name))
	fault("script", scripts.Check(c.Script))
}

// oneActive adds a fault for each account of which several scripts would be active.
func oneActive(inv *inventory.Inventory, doc *config.Document) {
	active := map[string]string{}
	for i, c := range inv.Scripts {
		if other, twice := active[c.Account]; twice && c.Active {
			doc.Fault(fmt.Sprintf("%s[%d].active", ofAccounts, i), "the script %q of %s is active already, and one is", other, c.Account)
		}
		if c.Active {
			active[c.Account] = c.Name
		}
	}
}

func readScripts(in within) (out []inventory.Script, err error) {
	all, err := in.Scripts.Within(in.tx).All()
	for _, c := range all {
		out = append(out, inventory.Script{Account: c.Account, Name: c.Name, Active: c.Active, Script: c.Text})
	}
	return out, err
}

func putScript(in within, p put[inventory.Script]) error {
	err := in.Scripts.Within(in.tx).Set(scripts.Stored{Account: p.after.Account, Name: p.after.Name, Text: p.after.Script, Active: p.after.Active})
	if errors.Is(err, scripts.ErrNoSuchAccount) {
		return fmt.Errorf("a script of %s: %w", p.after.Account, err)
	}
	return err
}

func removeScript(in within, c inventory.Script) error {
	return in.Scripts.Within(in.tx).Delete(c.Account, c.Name)
}
