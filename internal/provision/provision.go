// Package provision makes the store what an inventory says, in one transaction, and reads
// the inventory of a store (OPS-6). It knows what the text of each field means; what is to be
// done decides package inventory.
package provision

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"waxwing/internal/accounts"
	"waxwing/internal/config"
	"waxwing/internal/inventory"
	"waxwing/internal/routes"
	"waxwing/internal/scripts"
	"waxwing/internal/signing"
	"waxwing/internal/store"
	"waxwing/internal/stspublish"
	"waxwing/mtasts"
)

// Rooms are those that keep what an inventory has. Its methods may be called at the same time.
type Rooms struct {
	DB       *store.Store
	Accounts *accounts.Store
	Policies *stspublish.Service
	Signing  *signing.Service
	Routes   *routes.Store
	Scripts  *scripts.Store
}

// ErrChanged says that the store is not any more what a plan was made from.
var ErrChanged = errors.New("the store was changed meanwhile, and nothing was done: run it again")

// keepers is how each section is kept. A further one stands here once.
func keepers() []keeper {
	return []keeper{
		keeping[inventory.Domain]{"domain", func(i *inventory.Inventory) *[]inventory.Domain { return &i.Domains }, checkDomain, readDomains, putDomain, removeDomain, nil},
		keeping[inventory.Account]{"account", func(i *inventory.Inventory) *[]inventory.Account { return &i.Accounts }, checkAccount, readAccounts, putAccount, removeAccount, nil},
		keeping[inventory.Address]{"address", func(i *inventory.Inventory) *[]inventory.Address { return &i.Addresses }, checkAddress, readAddresses, putAddress, removeAddress, nil},
		keeping[inventory.Alias]{"alias", func(i *inventory.Inventory) *[]inventory.Alias { return &i.Aliases }, checkAlias, readAliases, putAlias, removeAlias, nil},
		keeping[inventory.Policy]{"mta_sts", func(i *inventory.Inventory) *[]inventory.Policy { return &i.Policies }, checkPolicy, readPolicies, putPolicy, removePolicy, nil},
		keeping[inventory.Key]{"dkim", func(i *inventory.Inventory) *[]inventory.Key { return &i.Keys }, checkKey, readKeys, putKey, removeKey, nil},
		keeping[inventory.Transport]{"transport", func(i *inventory.Inventory) *[]inventory.Transport { return &i.Transports }, checkTransport, readTransports, putTransport, removeTransport, nil},
		keeping[inventory.Route]{"route", func(i *inventory.Inventory) *[]inventory.Route { return &i.Routes }, checkRoute, readRoutes, nil, nil, setRoutes},
		keeping[inventory.GlobalScript]{"sieve_global", func(i *inventory.Inventory) *[]inventory.GlobalScript { return &i.Globals }, checkGlobal, readGlobals, putGlobal, removeGlobal, nil},
		keeping[inventory.Script]{ofAccounts, func(i *inventory.Inventory) *[]inventory.Script { return &i.Scripts }, checkScript, readScripts, putScript, removeScript, nil},
	}
}

// keeper is keeping of any entries.
type keeper interface {
	section() string
	checkAll(inv *inventory.Inventory, doc *config.Document)
	readAll(in within, into *inventory.Inventory) error
	carryOut(in within, c *inventory.Change, after *inventory.Inventory) error
}

// within is the rooms in a transaction.
type within struct {
	*Rooms
	tx *store.Tx
}

// keeping is how the entries of one section are kept: one by one, or, where their order says
// something, all of them at once by replace.
type keeping[E inventory.Entry] struct {
	name    string
	list    func(*inventory.Inventory) *[]E
	check   func(e *E, fault faulty)        // brings it into the form that read gives
	read    func(within) ([]E, error)       // in the order of the listings
	put     func(in within, c put[E]) error // adds or changes
	remove  func(in within, e E) error
	replace func(in within, all []E) error
}

// faulty is told what is wrong with a field; "": with the entry. It ignores nil.
type faulty func(field string, err error)

// put is an entry that is added or changed.
type put[E inventory.Entry] struct {
	before, after E
	isNew         bool // there is no before
}

func (k keeping[E]) section() string { return k.name }

func (k keeping[E]) checkAll(inv *inventory.Inventory, doc *config.Document) {
	all := *k.list(inv)
	for i := range all {
		k.check(&all[i], func(field string, err error) {
			if err == nil {
				return
			}
			at := fmt.Sprintf("%s[%d]", k.name, i)
			if field != "" {
				at += "." + field
			}
			doc.Fault(at, "%v", err)
		})
	}
}

func (k keeping[E]) readAll(in within, into *inventory.Inventory) error {
	all, err := k.read(in)
	if err != nil {
		return err
	}
	*k.list(into) = append([]E{}, all...) // never nil: the section is told of
	return nil
}

func (k keeping[E]) carryOut(in within, c *inventory.Change, after *inventory.Inventory) error {
	switch {
	case k.replace != nil:
		return k.replace(in, *k.list(after))
	case c.Action == inventory.Remove:
		return k.remove(in, c.Before.(E))
	}
	p := put[E]{after: c.After.(E), isNew: c.Before == nil}
	if !p.isNew {
		p.before = c.Before.(E)
	}
	return k.put(in, p)
}

// Check brings the fields of a document into the form in which they are stored, and adds to
// doc a fault for each that cannot be.
func Check(inv *inventory.Inventory, doc *config.Document) {
	for _, k := range keepers() {
		k.checkAll(inv, doc)
	}
	lowerCase(inv)
	oneActive(inv, doc)
	inv.Unique(doc)
	orderRoutes(inv)
}

// Read is the inventory of the store, with all secrets, at one moment; with the scripts of accounts or without.
func (r *Rooms) Read(ctx context.Context, scripts bool) (*inventory.Inventory, error) {
	return store.Read(ctx, r.DB, func(tx *store.Tx) (*inventory.Inventory, error) { return r.read(tx, scripts) })
}

func (r *Rooms) read(tx *store.Tx, scripts bool) (*inventory.Inventory, error) {
	inv := &inventory.Inventory{Version: inventory.Version}
	for _, k := range keepers() {
		if k.section() == ofAccounts && !scripts {
			continue
		}
		if err := k.readAll(within{r, tx}, inv); err != nil {
			return nil, err
		}
	}
	return inv, nil
}

// Plan decides what leads to a checked inventory. It changes nothing. A new MTA-STS policy of
// mode enforce is compared with the domain's MX records, as "mtasts publish" does.
func (r *Rooms) Plan(ctx context.Context, wanted *inventory.Inventory) (inventory.Plan, error) {
	now, err := r.Read(ctx, wanted.Scripts != nil)
	if err != nil {
		return inventory.Plan{}, err
	}
	p := inventory.Decide(now, wanted)
	for i := range p.Changes {
		c := &p.Changes[i]
		policy, ok := c.After.(inventory.Policy)
		if !ok || policy.Mode != string(mtasts.ModeEnforce) {
			continue // the other modes stop nobody's mail
		}
		domain, sts, err := policyOf(policy)
		if err == nil {
			err = r.Policies.Fits(ctx, domain, sts)
		}
		if err != nil {
			p.Refused = append(p.Refused, inventory.Refusal{Section: c.Section, Key: c.Key, Index: indexOf(wanted.Policies, c.Key), Text: err.Error()})
		}
	}
	return p, nil
}

func indexOf[E inventory.Entry](all []E, key string) int {
	for i, e := range all {
		if e.Key() == key {
			return i
		}
	}
	return -1
}

// errTried ends a transaction that was only to be tried.
var errTried = errors.New("tried")

// CarryOut does what was planned for a checked inventory, all of it or nothing; ErrChanged where the
// store is not any more what it was planned from. With try it does all but the last step, so that
// what stands in the way is found, and changes nothing. Running servers take it up at once.
func (r *Rooms) CarryOut(ctx context.Context, wanted *inventory.Inventory, planned inventory.Plan, try bool) error {
	err := r.DB.Write(ctx, func(tx *store.Tx) error {
		now, err := r.read(tx, wanted.Scripts != nil)
		if err != nil {
			return err
		}
		p := inventory.Decide(now, wanted)
		if !same(p.Changes, planned.Changes) {
			return ErrChanged
		}
		if err := r.carryOut(tx, p); err != nil {
			return err
		}
		if try {
			return errTried
		}
		return nil
	})
	if errors.Is(err, errTried) {
		return nil
	}
	return err
}

func same(a, b []inventory.Change) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Action != b[i].Action || a[i].At != b[i].At || !reflect.DeepEqual(a[i].Before, b[i].Before) || !reflect.DeepEqual(a[i].After, b[i].After) {
			return false
		}
	}
	return true
}

func (r *Rooms) carryOut(tx *store.Tx, p inventory.Plan) error {
	by := map[string]keeper{}
	for _, k := range keepers() {
		by[k.section()] = k
	}
	for i := range p.Changes {
		c := &p.Changes[i]
		if inventory.Ordered(c.Section) && i > 0 && p.Changes[i-1].Section == c.Section {
			continue // all of the section was replaced at its first change
		}
		if err := by[c.Section].carryOut(within{r, tx}, c, p.After); err != nil {
			return fmt.Errorf("nothing was changed, since of %d changes number %d (%s) cannot be made: %w", len(p.Changes), i+1, c, err)
		}
	}
	return nil
}
