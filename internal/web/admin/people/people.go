// Package people is the admin pages about accounts, their addresses and passwords, how they log in, aliases, keys of programs,
// webhooks, and recipients that an account writes to no more (ADM-2, ACC-1, ACC-3). It calls what the commands of the
// residents, "waxwing suppression", "junk" and "webhook" call.
package people

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/allowance"
	"waxwing/internal/apikeys"
	"waxwing/internal/classifier"
	"waxwing/internal/correspondents"
	"waxwing/internal/evidence"
	"waxwing/internal/factors"
	"waxwing/internal/listing"
	"waxwing/internal/login"
	"waxwing/internal/rejects"
	"waxwing/internal/routes"
	"waxwing/internal/suppression"
	"waxwing/internal/web/deeds"
	"waxwing/internal/web/pages"
	"waxwing/internal/webhooks"
	"waxwing/internal/websession"
)

// Room is the pages. Its fields are set before its first use.
type Room struct {
	Path        string // of all pages, such as /admin/
	Accounts    *accounts.Store
	Allowance   *allowance.Store
	Journal     *login.Journal
	Contacts    *correspondents.Store
	Keys        *apikeys.Store
	Suppression *suppression.Store
	Webhooks    *webhooks.Service
	Routes      *routes.Store
	Factors     *factors.Store
	Sessions    *websession.Store
	Classifier  *classifier.Store
	Teacher     *evidence.Teacher
	Rejects     *rejects.Store
	Secret      func() string // a new password
	Now         func() time.Time
}

const group = "People and programs"

// Subject is what there is to see and to do.
func (r *Room) Subject() deeds.Subject {
	return deeds.Subject{
		Places: []deeds.Place{
			{Group: group, Name: "Accounts", Path: r.Path + "accounts", Show: r.accounts},
			{Path: r.Path + "account/{name}", Under: r.Path + "accounts", Show: r.account},
			{Group: group, Name: "Addresses", Path: r.Path + "addresses", Show: r.addresses},
			{Group: group, Name: "Aliases", Path: r.Path + "aliases", Show: r.aliases},
			{Path: r.Path + "alias/{address}", Under: r.Path + "aliases", Show: r.alias},
			{Group: group, Name: "API keys", Path: r.Path + "api-keys", Show: r.keys},
			{Group: group, Name: "Webhooks", Path: r.Path + "webhooks", Show: r.webhooks},
			{Path: r.Path + "webhook/{id}", Under: r.Path + "webhooks", Show: r.webhook},
			{Group: group, Name: "Suppressed recipients", Path: r.Path + "suppression", Show: r.suppressed},
		},
		Deeds: []deeds.Deed{
			r.addAccount(), r.setPassword(), r.suspend(), r.resume(), r.remove(), r.restore(), r.limit(), r.rules(), r.trust(), r.distrust(), r.mark(), r.addApp(), r.removeApp(),
			r.addAddress(), r.refuseAddress(), r.removeAddress(), r.addAlias(), r.setAlias(), r.removeAlias(), r.addKey(), r.removeKey(), r.suppress(), r.lift(),
			r.keptAt(), r.removeFactor(), r.resetFactors(), r.endSession(), r.keepRejects(), r.forgetTaught(), r.addHook(), r.testHook(), r.enableHook(), r.removeHook(),
		},
	}
}

// each are the names of things, to choose from.
func each[T any](all []T, name func(T) string) (out []string) {
	for _, x := range all {
		out = append(out, name(x))
	}
	return out
}

func (r *Room) to(name string) string { return r.Path + "account/" + url.PathEscape(name) }

// accounts lists all, and those that can be brought back.
func (r *Room) accounts(q *http.Request) (pages.Page, error) {
	all, err := listing.Accounts(q.Context(), r.Accounts, r.Allowance)
	if err != nil {
		return pages.Page{}, err
	}
	gone, err := r.Accounts.Removed(q.Context())
	if err != nil {
		return pages.Page{}, err
	}
	p := pages.Page{Title: "Accounts", Lead: "Who may log in, and what they sent today.", Command: "waxwing account list"}
	add := r.addAccount().Form()
	add.Folded = len(all) > 0
	p.Blocks = []pages.Block{pages.TableOf(listing.AccountListing(), all, func(a *listing.Account) string { return r.to(a.Name) }), add}
	if len(gone) > 0 {
		t := pages.TableOf(account.RemovedListing(), gone, nil)
		t.Title = "Removed"
		p.Blocks = append(p.Blocks, t)
		p.Blocks = append(p.Blocks, r.restore().OneOf("Bring one back, with its mail", "name", "Account", each(gone, func(a account.Removed) string { return a.Name }))...)
	}
	return p, nil
}

// account is one account: what it may do, its addresses, how it logs in, and who did.
func (r *Room) account(q *http.Request) (pages.Page, error) {
	name, ctx := q.PathValue("name"), q.Context()
	err := r.Accounts.MustExist(ctx, name)
	if errors.Is(err, accounts.ErrNoSuchAccount) {
		return pages.Page{}, deeds.ErrMissing
	}
	if err != nil {
		return pages.Page{}, err
	}
	p := pages.Page{Title: "Account " + name, Command: deeds.Command("account rules", name)}
	for _, part := range []func(context.Context, string) ([]pages.Block, error){r.sends, r.mayDo, r.has, r.programs, r.enters, r.others, r.learned, r.logins} {
		blocks, err := part(ctx, name)
		if err != nil {
			return p, err
		}
		p.Blocks = append(p.Blocks, blocks...)
	}
	return p, nil
}

// sends is whether it is suspended, and what it sends.
func (r *Room) sends(ctx context.Context, name string) ([]pages.Block, error) {
	all, err := listing.Accounts(ctx, r.Accounts, r.Allowance)
	if err != nil {
		return nil, err
	}
	var own []listing.Account
	for _, a := range all {
		if a.Name == name {
			own = append(own, a)
		}
	}
	limit := r.limit().Form("name", name)
	limit.Folded = true
	return []pages.Block{pages.TableOf(listing.AccountListing(), own, nil), limit,
		pages.Prose{Body: "Its mail in the queue:", Link: r.Path + "queue?account=" + url.QueryEscape(name), Says: "what it sends"}}, nil
}

// mayDo is its rules, and the ways to end what it may.
func (r *Room) mayDo(ctx context.Context, name string) ([]pages.Block, error) {
	access, err := r.Accounts.Access(ctx, name)
	if err != nil {
		return nil, err
	}
	rules := pages.TableOf(account.AccessListing(), []account.NamedAccess{{Account: name, Access: access}}, nil)
	rules.Title = "What it may do"
	change, password := r.rules().Form("name", name), r.setPassword().Form("name", name)
	kept := r.keptAt().Form("name", name)
	change.Folded, password.Folded, kept.Folded = true, true, true
	end := pages.Actions{Title: "Suspend, resume, remove", Forms: []pages.Form{r.suspend().Form("name", name), r.resume().Form("name", name), r.remove().Form("name", name)}}
	return []pages.Block{rules, change, password, kept, end}, nil
}

// has is its addresses.
func (r *Room) has(ctx context.Context, name string) ([]pages.Block, error) {
	all, err := r.Accounts.Addresses(ctx)
	if err != nil {
		return nil, err
	}
	var own []account.Address
	for _, a := range all {
		if a.Account == name {
			own = append(own, a)
		}
	}
	t := pages.TableOf(account.AddressListing(), own, nil)
	t.Title, t.None = "Addresses", "It has none: no mail reaches it."
	add := r.addAddress().Form("account", name)
	add.Folded = true
	return []pages.Block{t, add}, nil
}

// programs is its app passwords.
func (r *Room) programs(ctx context.Context, name string) ([]pages.Block, error) {
	apps, err := r.Accounts.AppPasswords(ctx, name)
	if err != nil {
		return nil, err
	}
	t := pages.TableOf(account.AppPasswordListing(), apps, nil)
	t.Title, t.None = "App passwords", "It has none."
	add := r.addApp().Form("account", name)
	add.Folded = true
	return append([]pages.Block{t, add}, r.removeApp().OneOf("End an app password", "name", "App password", each(apps, func(a account.AppPassword) string { return a.Name }), "account", name)...), nil
}

// others is whom it trusts and with whom it has to do.
func (r *Room) others(ctx context.Context, name string) ([]pages.Block, error) {
	trusted, err := r.Accounts.Trusted(ctx, name)
	if err != nil {
		return nil, err
	}
	rows := make([]account.TrustedForwarder, len(trusted))
	for i, d := range trusted {
		rows[i].Domain = d
	}
	contacts, err := r.Contacts.Contacts(ctx, name, 200)
	if err != nil {
		return nil, err
	}
	forwarders := pages.TableOf(account.TrustedListing(), rows, nil)
	forwarders.Title, forwarders.None = "Mailing lists and forwarders that it trusts", "It trusts none."
	known := pages.TableOf(correspondents.Listing(), contacts, nil)
	known.Title, known.None = "Contacts", "It has written to nobody, and called nobody's mail good."
	trust, mark := r.trust().Form("name", name), r.mark().Form("account", name)
	trust.Folded, mark.Folded = true, true
	end := r.distrust().OneOf("Trust one no more", "domain", "Domain", each(rows, func(t account.TrustedForwarder) string { return t.Domain.ASCII() }), "name", name)
	return slices.Concat([]pages.Block{forwarders, trust}, end, []pages.Block{known, mark}), nil
}

// logins is who logged in, and who tried.
func (r *Room) logins(ctx context.Context, name string) ([]pages.Block, error) {
	all, err := r.Journal.Entries(ctx, name)
	if err != nil {
		return nil, err
	}
	t := pages.TableOf(login.Listing(), all, nil)
	t.Title, t.None = "Who logged in, and who tried", "Nobody has."
	return []pages.Block{t}, nil
}

// addresses lists all addresses.
func (r *Room) addresses(q *http.Request) (pages.Page, error) {
	all, err := r.Accounts.Addresses(q.Context())
	if err != nil {
		return pages.Page{}, err
	}
	t := pages.TableOf(account.AddressListing(), all, nil)
	for i, a := range all {
		if a.Account != "" {
			t.Rows[i][1].Link = r.to(a.Account)
		}
	}
	add, refuse, remove := r.addAddress().Form(), r.refuseAddress().Form(), r.removeAddress().Form()
	add.Folded, refuse.Folded, remove.Folded = len(all) > 0, true, true
	return pages.Page{Title: "Addresses", Lead: "Which addresses lead to which account.", Command: "waxwing address list", Blocks: []pages.Block{t, add, refuse, remove}}, nil
}

// aliases lists all aliases.
func (r *Room) aliases(q *http.Request) (pages.Page, error) {
	all, err := r.Accounts.Aliases(q.Context())
	if err != nil {
		return pages.Page{}, err
	}
	add := r.addAlias().Form()
	add.Folded = len(all) > 0
	t := pages.TableOf(account.AliasListing(), all, func(a *account.Alias) string { return r.Path + "alias/" + url.PathEscape(a.Address) })
	return pages.Page{Title: "Aliases", Lead: "Addresses whose mail goes to several.", Command: "waxwing alias list", Blocks: []pages.Block{t, add}}, nil
}

// keys lists the keys of programs.
func (r *Room) keys(q *http.Request) (pages.Page, error) {
	all, err := r.Keys.List(q.Context(), "")
	if err != nil {
		return pages.Page{}, err
	}
	add := r.addKey().Form()
	add.Folded = len(all) > 0
	p := pages.Page{Title: "API keys", Lead: "With which programs hand in mail, and ask what became of it.", Command: "waxwing api key list", Blocks: []pages.Block{pages.TableOf(apikeys.Listing(), all, nil), add}}
	p.Blocks = append(p.Blocks, r.removeKey().OneOf("End a key", "id", "Key", each(all, func(k apikeys.Key) string { return k.ID.String() }))...)
	return p, nil
}

// suppressed lists the recipients that accounts write to no more.
func (r *Room) suppressed(q *http.Request) (pages.Page, error) {
	all, err := r.Suppression.List(q.Context(), q.URL.Query().Get("account"), suppression.Entry{}, 1000)
	if err != nil {
		return pages.Page{}, err
	}
	add, lift := r.suppress().Form(), r.lift().Form()
	add.Folded, lift.Folded = true, true
	return pages.Page{Title: "Suppressed recipients", Lead: "An account sends no more mail to them.", Command: "waxwing suppression list",
		Blocks: []pages.Block{pages.TableOf(suppression.Listing(), all, nil), add, lift}}, nil
}
