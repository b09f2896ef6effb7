package people

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/internal/account"
	"waxwing/internal/apikeys"
	"waxwing/internal/delivery"
	"waxwing/internal/web/deeds"
	"waxwing/internal/web/pages"
)

func addressField(help string) pages.Field {
	return pages.Field{Name: "address", Label: "Address", Required: true, Complete: "off", Help: help}
}

// checked is an address of ours that was typed; *@domain is a catchall.
func checked(s string) (string, error) {
	if strings.HasPrefix(s, account.CatchAll+"@") {
		return s, nil
	}
	_, _, err := delivery.ParseAddress(s)
	return s, err
}

// onAddress is a deed on one address, and an account where to is set.
func (r *Room) onAddress(verb, came string, to bool, do func(context.Context, string, string) error) func(context.Context, deeds.Values) (deeds.Done, error) {
	return func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
		address, err := checked(v.Text("address"))
		if err != nil {
			return deeds.Done{}, err
		}
		d := deeds.Done{Command: deeds.Command(verb, address), Outcome: address + " " + came, Back: r.Path + "addresses"}
		name := v.Text("account")
		if to {
			d.Command, d.Back = deeds.Command(verb, address, name), r.to(name)
		}
		return d, do(ctx, address, name)
	}
}

func (r *Room) addAddress() deeds.Deed {
	return deeds.Deed{Path: r.Path + "addresses/add", Title: "Add an address", Says: "Add", Command: "address add ADDRESS ACCOUNT",
		Fields: []pages.Field{addressField("*@domain takes what no other address of the domain takes"), {Name: "account", Label: "Account that gets its mail", Required: true, Complete: "off"}},
		Do:     r.onAddress("address add", "leads to the account", true, r.Accounts.AddAddress)}
}

func (r *Room) refuseAddress() deeds.Deed {
	return deeds.Deed{Path: r.Path + "addresses/refuse", Title: "Refuse an address, though there is a catchall", Says: "Refuse", Command: "address refuse ADDRESS", Fields: []pages.Field{addressField("")},
		Do: r.onAddress("address refuse", "is refused", false, func(ctx context.Context, a, _ string) error { return r.Accounts.RefuseAddress(ctx, a) })}
}

func (r *Room) removeAddress() deeds.Deed {
	return deeds.Deed{Path: r.Path + "addresses/remove", Title: "Remove an address", Says: "Remove", Command: "address remove ADDRESS", Fields: []pages.Field{addressField("")}, Sure: "Its mail is refused from now on.",
		Do: r.onAddress("address remove", "takes no more mail", false, func(ctx context.Context, a, _ string) error { return r.Accounts.RemoveAddress(ctx, a) })}
}

// posting are the fields that say who may write to an alias.
func posting(a account.Alias) []pages.Field {
	return []pages.Field{
		{Name: "members", Label: "Members", Kind: "area", Value: strings.Join(a.Members, "\n"), Required: true, Help: "addresses here and elsewhere, one a line"},
		{Name: "posting", Label: "Who may write to it", Kind: "select", Options: []string{string(account.PostAnyone), string(account.PostMembers), string(account.PostListed)}, Value: string(a.Posting)},
		{Name: "posters", Label: "Those who may, where they are listed", Kind: "area", Value: strings.Join(a.Posters, "\n"), Help: "addresses, or @domain, one a line"},
		{Name: "sender_copy", Label: "A member who writes to it gets the message too", Kind: "select", Options: []string{"yes", "no"}, Value: map[bool]string{true: "yes", false: "no"}[a.SenderCopy]},
	}
}

// typed puts into an alias what was typed of it.
func typed(a *account.Alias, v deeds.Values) (err error) {
	if a.Posting, err = account.ParsePosting(v.Get("posting")); err != nil {
		return err
	}
	a.Members, a.Posters, a.SenderCopy = v.Words("members"), nil, v.Yes("sender_copy")
	if a.Posting == account.PostListed {
		a.Posters = v.Words("posters")
	}
	return nil
}

// flags are those of a command about an alias.
func flags(a *account.Alias) []string {
	out := []string{deeds.Flag("posting", string(a.Posting))}
	for _, p := range a.Posters {
		out = append(out, deeds.Flag("poster", p))
	}
	return append(out, deeds.Flag("sender-copy", map[bool]string{true: "yes", false: "no"}[a.SenderCopy]))
}

func (r *Room) addAlias() deeds.Deed {
	return deeds.Deed{Path: r.Path + "aliases/add", Title: "Add an alias", Says: "Add", Command: "alias add ALIAS MEMBER …", Fields: append([]pages.Field{addressField("")}, posting(account.Alias{SenderCopy: true})...),
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			a := account.Alias{Address: v.Text("address")}
			if err := typed(&a, v); err != nil {
				return deeds.Done{}, err
			}
			d := deeds.Done{Command: deeds.Command("alias add", slices.Concat([]string{a.Address}, a.Members, flags(&a))...), Outcome: "alias " + a.Address + " is there", Back: r.Path + "aliases"}
			return d, r.Accounts.AddAlias(ctx, a)
		}}
}

func (r *Room) setAlias() deeds.Deed {
	return deeds.Deed{Path: r.Path + "aliases/set", Title: "Change it", Says: "Change", Command: "alias set ALIAS, alias join ALIAS MEMBER …, alias leave ALIAS MEMBER …",
		Fields: append(hidden("address"), posting(account.Alias{})...),
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			address, command := v.Text("address"), ""
			err := r.Accounts.ChangeAlias(ctx, address, func(a *account.Alias) error {
				before := slices.Clone(a.Members)
				if err := typed(a, v); err != nil {
					return err
				}
				command = deeds.Command("alias set", append([]string{address}, flags(a)...)...) + moved("join", address, a.Members, before) + moved("leave", address, before, a.Members)
				return nil
			})
			return deeds.Done{Command: command, Outcome: "alias " + address + " is changed", Back: r.Path + "alias/" + url.PathEscape(address)}, err
		}}
}

// moved is the command for the members that are in one list and not in the other.
func moved(verb, alias string, in, out []string) string {
	only := slices.DeleteFunc(slices.Clone(in), func(m string) bool {
		return slices.ContainsFunc(out, func(o string) bool { return strings.EqualFold(o, m) })
	})
	if len(only) == 0 {
		return ""
	}
	return "; " + deeds.Command("alias "+verb, append([]string{alias}, only...)...)
}

func (r *Room) removeAlias() deeds.Deed {
	return deeds.Deed{Path: r.Path + "aliases/remove", Says: "Remove", Command: "alias remove ALIAS", Fields: hidden("address"), Sure: "Its mail is refused from now on.",
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			address := v.Text("address")
			return deeds.Done{Command: deeds.Command("alias remove", address), Outcome: "alias " + address + " is removed", Back: r.Path + "aliases"}, r.Accounts.RemoveAlias(ctx, address)
		}}
}

// alias is one alias, to be changed.
func (r *Room) alias(q *http.Request) (pages.Page, error) {
	all, err := r.Accounts.Aliases(q.Context())
	if err != nil {
		return pages.Page{}, err
	}
	i := slices.IndexFunc(all, func(a account.Alias) bool { return a.Address == q.PathValue("address") })
	if i < 0 {
		return pages.Page{}, deeds.ErrMissing
	}
	a := all[i]
	change := r.setAlias().Form("address", a.Address)
	change.Fields = append([]pages.Field{{Name: "address", Kind: "hidden", Value: a.Address}}, posting(a)...)
	return pages.Page{Title: "Alias " + a.Address, Lead: strconv.Itoa(len(a.Members)) + " members.", Command: "waxwing alias list",
		Blocks: []pages.Block{pages.TableOf(account.AliasListing(), []account.Alias{a}, nil), change, pages.Actions{Title: "Remove it", Forms: []pages.Form{r.removeAlias().Form("address", a.Address)}}}}, nil
}

func (r *Room) addKey() deeds.Deed {
	rights := make([]pages.Field, 0, len(apikeys.All()))
	for _, x := range apikeys.All() {
		rights = append(rights, pages.Field{Name: "right_" + string(x), Label: "Right: " + string(x), Kind: "select", Options: []string{"no", "yes"}})
	}
	return deeds.Deed{Path: r.Path + "api-keys/add", Title: "Make a key", Says: "Make it", Command: "api key add --account NAME --right RIGHT",
		Fields: slices.Concat([]pages.Field{{Name: "account", Label: "Account", Required: true, Complete: "off"}}, rights,
			[]pages.Field{{Name: "domain", Label: "Senders of this domain alone", Help: "empty: all of the account"}, {Name: "note", Label: "Note"}, {Name: "expires", Label: "Ends on", Kind: "date", Help: "empty: never"}}),
		Do: func(ctx context.Context, v deeds.Values) (d deeds.Done, err error) {
			var words, args []string
			for _, x := range apikeys.All() {
				if v.Yes("right_" + string(x)) {
					words, args = append(words, string(x)), append(args, deeds.Flag("right", string(x)))
				}
			}
			k := apikeys.Key{Account: v.Text("account"), Domain: v.Text("domain"), Note: v.Text("note")}
			if k.Rights, err = apikeys.ParseRights(words); err != nil {
				return d, err
			}
			if k.Expires, err = day(v.Text("expires")); err != nil {
				return d, err
			}
			if err := r.Accounts.MustExist(ctx, k.Account); err != nil {
				return d, err
			}
			d.Command = deeds.Command("api key add", slices.Concat([]string{deeds.Flag("account", k.Account)}, args, []string{deeds.Flag("domain", k.Domain), deeds.Flag("note", k.Note), deeds.Flag("expires", v.Text("expires"))})...)
			made, token, err := r.Keys.Add(ctx, k)
			if err != nil {
				return d, err
			}
			d.Outcome = "key " + made.ID.String() + " of " + k.Account + " is made"
			d.Blocks = []pages.Block{pages.Notice{Tone: pages.Good, What: "The key, which is shown this once:"}, pages.Text{Body: token.Text()}, pages.Prose{Link: r.Path + "api-keys", Says: "Go on to the keys."}}
			return d, nil
		}}
}

func (r *Room) removeKey() deeds.Deed {
	return deeds.Deed{Path: r.Path + "api-keys/remove", Says: "End", Command: "api key remove ID", Fields: hidden("id"), Sure: "The program that has it is shut out at once.",
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			id, err := delivery.ParseID(v.Text("id"))
			if err != nil {
				return deeds.Done{}, err
			}
			return deeds.Done{Command: deeds.Command("api key remove", id.String()), Outcome: "key " + id.String() + " has ended", Back: r.Path + "api-keys"}, r.Keys.Remove(ctx, id)
		}}
}

func suppressedFields(more ...pages.Field) []pages.Field {
	return append([]pages.Field{{Name: "account", Label: "Account", Required: true, Complete: "off"}, addressField("of the recipient")}, more...)
}

func (r *Room) suppress() deeds.Deed {
	return deeds.Deed{Path: r.Path + "suppression/add", Title: "Have an account write to an address no more", Says: "Suppress", Command: "suppression add ACCOUNT ADDRESS",
		Fields: suppressedFields(pages.Field{Name: "note", Label: "Why", Help: "the sender reads it"}, pages.Field{Name: "for", Label: "For how long", Help: "such as 720h; empty: for ever"}),
		Do: func(ctx context.Context, v deeds.Values) (d deeds.Done, err error) {
			name, address := v.Text("account"), v.Text("address")
			var until time.Time
			if s := v.Text("for"); s != "" {
				last, err := time.ParseDuration(s)
				if err != nil {
					return d, err
				}
				until = r.Now().Add(last)
			}
			if _, _, err := delivery.ParseAddress(address); err != nil {
				return d, err
			}
			if err := r.Accounts.MustExist(ctx, name); err != nil {
				return d, err
			}
			d = deeds.Done{Command: deeds.Command("suppression add", name, address, deeds.Flag("note", v.Text("note")), deeds.Flag("for", v.Text("for"))), Outcome: name + " writes to " + address + " no more", Back: r.Path + "suppression"}
			return d, r.Suppression.Add(ctx, name, address, v.Text("note"), until)
		}}
}

func (r *Room) lift() deeds.Deed {
	return deeds.Deed{Path: r.Path + "suppression/remove", Title: "Let an account write to an address again", Says: "Let it", Command: "suppression remove ACCOUNT ADDRESS", Fields: suppressedFields(),
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			name, address := v.Text("account"), v.Text("address")
			return deeds.Done{Command: deeds.Command("suppression remove", name, address), Outcome: name + " may write to " + address + " again", Back: r.Path + "suppression"}, r.Suppression.Remove(ctx, name, address)
		}}
}
