package people

import (
	"context"
	"fmt"

	"waxwing/internal/account"
	"waxwing/internal/delivery"
	"waxwing/internal/factors"
	"waxwing/internal/web/deeds"
	"waxwing/internal/web/pages"
	"waxwing/internal/websession"
)

// enters is how somebody comes in by a browser: second factors and sessions (WEB-3).
func (r *Room) enters(ctx context.Context, name string) ([]pages.Block, error) {
	all, err := r.Factors.List(ctx, name)
	if err != nil {
		return nil, err
	}
	open, err := r.Sessions.List(ctx, name)
	if err != nil {
		return nil, err
	}
	t := pages.TableOf(factors.Listing(), all, nil)
	t.Title, t.None = "Second factors", "It has none: its password alone opens its pages."
	browsers := pages.TableOf(websession.Listing(), open, nil)
	browsers.Title, browsers.None = "Browsers that are logged in", "None."
	out := []pages.Block{t}
	if len(all) > 0 {
		out = append(out, r.removeFactor().OneOf("Take one away", "id", "Factor", each(all, func(f factors.Factor) string { return f.ID.String() }), "account", name)...)
		reset := r.resetFactors().Form("account", name)
		reset.Folded = true
		out = append(out, reset)
	}
	out = append(out, browsers)
	if len(open) > 0 {
		out = append(out, r.endSession().OneOf("End one", "id", "Session", append([]string{everySession}, each(open, func(x websession.Session) string { return x.ID.String() })...), "account", name)...)
	}
	return out, nil
}

// everySession stands for all sessions of an account, as for "account sessions --end".
const everySession = "all"

func (r *Room) removeFactor() deeds.Deed {
	return deeds.Deed{Path: r.Path + "account/factor-remove", Says: "Take it away", Command: "account factor remove ACCOUNT ID", Fields: hidden("account", "id"), Sure: "It opens nothing any more.",
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			name := v.Text("account")
			id, err := delivery.ParseID(v.Text("id"))
			if err != nil {
				return deeds.Done{}, err
			}
			return deeds.Done{Command: deeds.Command("account factor remove", name, id.String()), Outcome: "a second factor of " + name + " is taken away", Back: r.to(name)}, r.Factors.Remove(ctx, name, id)
		}}
}

// resetFactors is for somebody who has lost them all.
func (r *Room) resetFactors() deeds.Deed {
	return deeds.Deed{Path: r.Path + "account/factors-reset", Title: "Take all away, for somebody who has lost them", Says: "Take all away", Command: "account factor reset ACCOUNT", Fields: hidden("account"),
		Sure: "I know that it is they who ask. The password alone logs in then, mail programs too.",
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			name, err := v.Need("account")
			if err != nil {
				return deeds.Done{}, err
			}
			d := deeds.Done{Command: deeds.Command("account factor reset", name), Outcome: name + " has no second factor any more", Back: r.to(name)}
			if err := r.Factors.Reset(ctx, name); err != nil {
				return d, err
			}
			return d, r.Sessions.RevokeOthers(ctx, name, 0)
		}}
}

func (r *Room) endSession() deeds.Deed {
	return deeds.Deed{Path: r.Path + "sessions/revoke", Says: "End", Command: "account sessions ACCOUNT --end ID", Fields: hidden("account", "id"),
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			name, err := v.Need("account")
			if err != nil {
				return deeds.Done{}, err
			}
			d := deeds.Done{Command: deeds.Command("account sessions", name, deeds.Flag("end", v.Text("id"))), Back: r.Path + "sessions", Outcome: "all sessions of " + name + " have ended"}
			if v.Text("id") == everySession {
				return d, r.Sessions.RevokeOthers(ctx, name, 0)
			}
			id, err := delivery.ParseID(v.Text("id"))
			if err != nil {
				return deeds.Done{}, err
			}
			d.Outcome = "a session of " + name + " has ended"
			return d, r.Sessions.Revoke(ctx, name, id)
		}}
}

// learned is what its junk filter goes by (JNK-2).
func (r *Room) learned(ctx context.Context, name string) ([]pages.Block, error) {
	m, err := r.Classifier.Model(ctx, name)
	if err != nil {
		return nil, err
	}
	wanted, err := r.Rejects.Wanted(ctx, name)
	if err != nil {
		return nil, err
	}
	kept := "no"
	if len(wanted) > 0 {
		kept = "yes"
	}
	f := pages.Facts{Title: "Junk", Items: []pages.Fact{
		{Name: "taught as good", Cell: pages.Cell{Text: fmt.Sprint(m.Good, " messages")}}, {Name: "taught as junk", Cell: pages.Cell{Text: fmt.Sprint(m.Junk, " messages")}}, {Name: "words known", Cell: pages.Cell{Text: fmt.Sprint(m.Words)}},
		{Name: "what is refused is kept for it", Cell: pages.Cell{Text: kept}}}}
	change := r.keepRejects().Form("account", name)
	change.Folded = true
	forget := r.forgetTaught().Form("account", name)
	forget.Folded = true
	return []pages.Block{f, change, forget}, nil
}

func (r *Room) keepRejects() deeds.Deed {
	return deeds.Deed{Path: r.Path + "account/rejects", Title: "Keep messages that are refused, in its mailbox Rejects", Says: "Change", Command: "junk rejects ACCOUNT on|off",
		Fields: append(hidden("account"), pages.Field{Name: "keep", Label: "Keep them", Kind: "select", Options: []string{"on", "off"}}),
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			name, keep := v.Text("account"), v.Get("keep")
			if keep != "on" && keep != "off" {
				return deeds.Done{}, fmt.Errorf("%q is neither on nor off", keep)
			}
			if err := r.Accounts.MustExist(ctx, name); err != nil {
				return deeds.Done{}, err
			}
			return deeds.Done{Command: deeds.Command("junk rejects", name, keep), Outcome: "what is refused is kept for " + name + ": " + keep, Back: r.to(name)}, r.Rejects.Want(ctx, name, keep == "on")
		}}
}

func (r *Room) forgetTaught() deeds.Deed {
	return deeds.Deed{Path: r.Path + "account/forget-junk", Title: "Forget what it has taught, and its contacts", Says: "Forget", Command: "junk forget ACCOUNT", Fields: hidden("account"), Sure: "It begins anew.",
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			name := v.Text("account")
			if err := r.Accounts.MustExist(ctx, name); err != nil {
				return deeds.Done{}, err
			}
			return deeds.Done{Command: deeds.Command("junk forget", name), Outcome: "what " + name + " has taught is forgotten", Back: r.to(name)}, r.Teacher.Forget(ctx, name)
		}}
}

// keptAt says who keeps an account's mailboxes.
func (r *Room) keptAt() deeds.Deed {
	return deeds.Deed{Path: r.Path + "account/mailboxes", Title: "Say who keeps its mailboxes", Says: "Change", Command: "account mailboxes ACCOUNT WHERE",
		Fields: append(hidden("name"), pages.Field{Name: "where", Label: "Where", Required: true, Help: "here, domain (as the domain of the address says), or a transport of kind lmtp"}),
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			name, where := v.Text("name"), v.Text("where")
			way, ok := map[string]string{"here": account.Here, "domain": ""}[where]
			if !ok {
				if err := r.Routes.KeepsMailboxes(ctx, where); err != nil {
					return deeds.Done{}, err
				}
				way = where
			}
			return deeds.Done{Command: deeds.Command("account mailboxes", name, where), Outcome: "the mailboxes of " + name + " are kept: " + where, Back: r.to(name)}, r.Accounts.SetTransport(ctx, name, way)
		}}
}
