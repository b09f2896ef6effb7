package people

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/allowance"
	"waxwing/internal/correspondents"
	"waxwing/internal/imapserver/offer"
	"waxwing/internal/junk"
	"waxwing/internal/store"
	"waxwing/internal/web/deeds"
	"waxwing/internal/web/pages"
)

// nameField asks for the account, where a form does not know it.
func nameField() pages.Field {
	return pages.Field{Name: "name", Label: "Account", Required: true, Complete: "off"}
}

func passwordField() pages.Field {
	return pages.Field{Name: "password", Label: "Password", Kind: "password", Complete: "new-password", Help: "empty: one is made, and shown this once"}
}

func hidden(names ...string) (out []pages.Field) {
	for _, n := range names {
		out = append(out, pages.Field{Name: n, Kind: "hidden"})
	}
	return out
}

// withPassword gives an account the password that was typed, or one that is made.
func (r *Room) withPassword(verb string, set func(context.Context, string, string) error) func(context.Context, deeds.Values) (deeds.Done, error) {
	return func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
		name := v.Text("name")
		if err := account.CheckName(name); err != nil {
			return deeds.Done{}, err
		}
		d := deeds.Done{Command: deeds.Command("account "+verb, name), Back: r.to(name), Outcome: "account " + name + " has its password"}
		password := v.Get("password")
		if password == "" {
			password = r.Secret()
			d.Command += " --generate"
			d.Blocks = []pages.Block{pages.Notice{Tone: pages.Good, What: "The password of " + name + ", which is shown this once:"}, pages.Text{Body: password}, pages.Prose{Link: d.Back, Says: "Go on to the account."}}
		}
		return d, set(ctx, name, password)
	}
}

func (r *Room) addAccount() deeds.Deed {
	return deeds.Deed{Path: r.Path + "accounts/add", Title: "Add an account", Says: "Add", Command: "account add ACCOUNT", Fields: []pages.Field{nameField(), passwordField()},
		Do: r.withPassword("add", r.Accounts.AddAccount)}
}

func (r *Room) setPassword() deeds.Deed {
	return deeds.Deed{Path: r.Path + "account/password", Title: "Set another password", Says: "Set the password", Command: "account password ACCOUNT", Fields: []pages.Field{{Name: "name", Label: "Account", Fixed: true, Complete: "username"}, passwordField()},
		Do: r.withPassword("password", r.Accounts.SetPassword)}
}

// simple is a deed on one account that needs no more than its name.
func (r *Room) simple(d deeds.Deed, came string, do func(context.Context, string) error) deeds.Deed {
	d.Path, d.Fields = r.Path+d.Path, hidden("name")
	verb := strings.TrimSuffix(d.Command, " ACCOUNT")
	d.Do = func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
		name, err := v.Need("name")
		if err != nil {
			return deeds.Done{}, err
		}
		return deeds.Done{Command: deeds.Command(verb, name), Outcome: fmt.Sprintf(came, name), Back: r.to(name)}, do(ctx, name)
	}
	return d
}

func (r *Room) suspend() deeds.Deed {
	return r.simple(deeds.Deed{Path: "account/disable", Says: "Suspend", Command: "account disable ACCOUNT"}, "account %s logs in no more; its mail is kept", func(ctx context.Context, name string) error {
		return r.Accounts.Disable(ctx, name, account.Keep)
	})
}

func (r *Room) resume() deeds.Deed {
	return r.simple(deeds.Deed{Path: "account/enable", Says: "Resume", Command: "account enable ACCOUNT"}, "account %s may log in", func(ctx context.Context, name string) error {
		return r.Accounts.SetDisabled(ctx, name, false)
	})
}

func (r *Room) remove() deeds.Deed {
	d := deeds.Deed{Path: "account/remove", Says: "Remove", Command: "account remove ACCOUNT", Sure: "It logs in no more. Its mail can be brought back for a time."}
	return back(r.simple(d, "account %s is removed", func(ctx context.Context, name string) error {
		err := r.Accounts.RemoveAccount(ctx, name)
		if errors.Is(err, accounts.ErrInUse) {
			return fmt.Errorf("%w: remove its addresses first, or suspend it", err)
		}
		return err
	}), r.Path+"accounts")
}

// back has a deed go on elsewhere.
func back(d deeds.Deed, to string) deeds.Deed {
	do := d.Do
	d.Do = func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
		done, err := do(ctx, v)
		done.Back = to
		return done, err
	}
	return d
}

func (r *Room) restore() deeds.Deed {
	return r.simple(deeds.Deed{Path: "account/restore", Says: "Bring it back", Command: "mail undelete --account ACCOUNT"}, "account %s is back with its mail; it has no address yet", r.Accounts.RestoreAccount)
}

func (r *Room) limit() deeds.Deed {
	says := "a number, none, or default (as the configuration says); empty: as it is"
	return deeds.Deed{Path: r.Path + "account/limit", Title: "Change what it may send in a day", Says: "Change", Command: "account limit ACCOUNT --messages N --recipients N",
		Fields: append(hidden("name"), pages.Field{Name: "messages", Label: "Messages", Help: says}, pages.Field{Name: "recipients", Label: "Recipients", Help: says}),
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			name, messages, recipients := v.Text("name"), v.Text("messages"), v.Text("recipients")
			var m, n allowance.Change
			for _, x := range []struct {
				into *allowance.Change
				text string
			}{{&m, messages}, {&n, recipients}} {
				if x.text == "" {
					continue
				}
				if err := x.into.Set(x.text); err != nil {
					return deeds.Done{}, err
				}
			}
			d := deeds.Done{Command: deeds.Command("account limit", name, deeds.Flag("messages", messages), deeds.Flag("recipients", recipients)), Outcome: "the limits of " + name + " are changed", Back: r.to(name)}
			return d, r.Allowance.SetLimit(ctx, name, func(own allowance.Own) allowance.Own {
				return allowance.Own{Messages: m.Of(own.Messages), Recipients: n.Of(own.Recipients)}
			})
		}}
}

func (r *Room) rules() deeds.Deed {
	return deeds.Deed{Path: r.Path + "account/rules", Title: "Change what it may do", Says: "Change", Command: "account rules ACCOUNT --send … --log-in … --networks … --admin … --imap-disable …",
		Fields: append(hidden("name"),
			pages.Field{Name: "send", Label: "It may write", Help: "empty: as it is", Kind: "select", Options: []string{"", "anywhere", "hosted", "nothing"}},
			pages.Field{Name: "log_in", Label: "It logs in with", Help: "empty: as it is", Kind: "select", Options: []string{"", "all", "app-passwords"}},
			pages.Field{Name: "networks", Label: "From the networks", Help: "with commas between, or all; empty: as it is"},
			pages.Field{Name: "admin", Label: "It administers this server", Help: "empty: as it is", Kind: "select", Options: deeds.YesNo()},
			pages.Field{Name: "imap_disable", Label: "Extensions of IMAP that it is not offered", Help: "with commas between, or none; empty: as it is"}),
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			name := v.Text("name")
			t := account.TypedAccess{Send: v.Text("send"), LogIn: v.Text("log_in"), Networks: v.Text("networks"), Admin: v.Text("admin"), IMAPDisable: v.Text("imap_disable")}
			change, flag, err := t.Change(offer.Optional())
			if err != nil {
				return deeds.Done{}, fmt.Errorf("%s: %w", flag, err)
			}
			d := deeds.Done{Outcome: "the rules of " + name + " are changed", Back: r.to(name), Command: deeds.Command("account rules", name, deeds.Flag("send", t.Send), deeds.Flag("log-in", t.LogIn),
				deeds.Flag("networks", t.Networks), deeds.Flag("admin", t.Admin), deeds.Flag("imap-disable", t.IMAPDisable))}
			return d, r.Accounts.ChangeAccess(ctx, name, change)
		}}
}

func (r *Room) trust() deeds.Deed {
	return deeds.Deed{Path: r.Path + "account/trust", Title: "Trust a mailing list or forwarder", Says: "Trust", Command: "account trust ACCOUNT DOMAIN",
		Fields: append(hidden("name"), pages.Field{Name: "domain", Label: "Its domain", Required: true, Help: "what it sends is taken, whatever DMARC says"}), Do: r.trusting("trust", true)}
}

func (r *Room) distrust() deeds.Deed {
	return deeds.Deed{Path: r.Path + "account/distrust", Says: "Trust no more", Command: "account distrust ACCOUNT DOMAIN", Fields: hidden("name", "domain"), Do: r.trusting("distrust", false)}
}

func (r *Room) trusting(verb string, trust bool) func(context.Context, deeds.Values) (deeds.Done, error) {
	return func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
		name := v.Text("name")
		domain, err := dns.ParseName(v.Text("domain"))
		if err != nil {
			return deeds.Done{}, err
		}
		d := deeds.Done{Command: deeds.Command("account "+verb, name, domain.ASCII()), Outcome: "what " + name + " trusts is changed", Back: r.to(name)}
		return d, r.Accounts.ChangeTrusted(ctx, name, []dns.Name{domain}, trust)
	}
}

// mark says what mail of a sender is to an account (JNK-1).
func (r *Room) mark() deeds.Deed {
	marks := map[string]junk.Mark{"good": junk.MarkedGood, "junk": junk.MarkedJunk, "none": junk.Unmarked}
	return deeds.Deed{Path: r.Path + "account/mark", Title: "Say what mail of a sender is", Says: "Say so", Command: "junk mark ACCOUNT ADDRESS|@DOMAIN good|junk|none",
		Fields: append(hidden("account"), pages.Field{Name: "who", Label: "Address or @domain", Required: true}, pages.Field{Name: "mark", Label: "It is", Kind: "select", Options: []string{"good", "junk", "none"}}),
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			name, word := v.Text("account"), v.Get("mark")
			who, err := correspondents.Who(v.Text("who"))
			mark, ok := marks[word]
			if err == nil && !ok {
				err = fmt.Errorf("%q: a sender is good, junk or none of both (none)", word)
			}
			if err == nil {
				err = r.Accounts.MustExist(ctx, name)
			}
			if err != nil {
				return deeds.Done{}, err
			}
			d := deeds.Done{Command: deeds.Command("junk mark", name, who, word), Outcome: who + " is " + word + " to " + name, Back: r.to(name)}
			return d, r.Contacts.DB.Write(ctx, func(tx *store.Tx) error { return correspondents.Mark(tx, name, who, mark, r.Now()) })
		}}
}

func (r *Room) addApp() deeds.Deed {
	return deeds.Deed{Path: r.Path + "account/app-password", Title: "Make an app password", Says: "Make it", Command: "account app-password add ACCOUNT NAME --for all",
		Fields: append(hidden("account"), pages.Field{Name: "name", Label: "Name of the program", Required: true, Complete: "off"},
			pages.Field{Name: "for", Label: "For", Kind: "select", Options: []string{"all", "submission", "imap", "jmap"}}, pages.Field{Name: "expires", Label: "Ends on", Kind: "date", Help: "empty: never"}),
		Do: func(ctx context.Context, v deeds.Values) (d deeds.Done, err error) {
			a := account.AppPassword{Account: v.Text("account"), Name: v.Text("name"), Created: r.Now()}
			if a.Protocols, err = account.ParseProtocols(v.Get("for")); err != nil {
				return d, err
			}
			if a.Expires, err = day(v.Text("expires")); err != nil {
				return d, err
			}
			secret := r.Secret()
			d = deeds.Done{Command: deeds.Command("account app-password add", a.Account, a.Name, deeds.Flag("for", v.Get("for")), deeds.Flag("expires", v.Text("expires"))), Outcome: "app password " + a.Name + " of " + a.Account + " is made", Back: r.to(a.Account)}
			d.Blocks = []pages.Block{pages.Notice{Tone: pages.Good, What: "The password for " + a.Name + ", which is shown this once:"}, pages.Text{Body: secret}, pages.Prose{Link: d.Back, Says: "Go on to the account."}}
			return d, r.Accounts.AddAppPassword(ctx, a, secret)
		}}
}

// day reads a UTC day; none is the zero time.
func day(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, fmt.Errorf("%q is no day such as 2027-01-31", s)
	}
	return t, nil
}

func (r *Room) removeApp() deeds.Deed {
	return deeds.Deed{Path: r.Path + "account/app-password-remove", Says: "End", Command: "account app-password remove ACCOUNT NAME", Fields: hidden("account", "name"), Sure: "The program logs in no more.",
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			of, name := v.Text("account"), v.Text("name")
			d := deeds.Done{Command: deeds.Command("account app-password remove", of, name), Outcome: "app password " + name + " of " + of + " has ended", Back: r.to(of)}
			return d, r.Accounts.RemoveAppPassword(ctx, of, name)
		}}
}
