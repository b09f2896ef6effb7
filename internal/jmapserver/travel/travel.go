// Package travel answers the JMAP methods of our own capability (JMP-2): how a mail travelled, and what is known of how mail
// to an address will travel; and Quota (RFC 9425, JMP-3).
package travel

import (
	"context"
	"errors"
	"slices"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/bars"
	"waxwing/internal/delivery"
	"waxwing/internal/explain"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/listing"
	"waxwing/internal/mailboxes"
	"waxwing/internal/posture"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/jmap"
)

// Capability is that of Travel and Posture.
const Capability = "urn:waxwing:params:jmap:travel"

// Room answers them. Its fields are set before its first use.
type Room struct {
	DB    *store.Store
	Boxes *mailboxes.Store
	// Sent is the message in the queue that a mail, or a submission, of an account was sent as; 0: it is not known.
	Sent func(ctx context.Context, account string, id jmap.ID) (message int64, err error)
	// Became says what became of the TLS report about a day and a domain.
	Became    func(ctx context.Context, day time.Time, domain string) (string, error)
	Explainer *explain.Explainer
	Accounts  *accounts.Store
	Seen      *posture.Recorder
}

// Served are the capabilities with what they do.
func (r *Room) Served() []call.Capability {
	return []call.Capability{
		{URI: Capability, Session: map[string]any{}, Account: map[string]any{"maxTravels": maxTravels, "maxAddresses": maxAddresses},
			Methods: map[string]call.Method{"Travel/get": r.travelGet, "Posture/get": r.postureGet}},
		{URI: quotaCapability, Session: map[string]any{}, Account: map[string]any{}, Methods: r.quotaMethods(), States: r.quotaStates},
	}
}

// maxTravels is how many are told of at once, and maxAddresses how many addresses are looked at.
const (
	maxTravels   = 50
	maxAddresses = 100
)

// travelGet is Travel/get: of each Email or EmailSubmission, how it went out and how it came in.
func (r *Room) travelGet(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a struct {
		AccountID jmap.ID   `json:"accountId"`
		IDs       []jmap.ID `json:"ids" must:"be"`
	}
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	if len(a.IDs) > maxTravels {
		return nil, jmap.Errorf(jmap.RequestTooLarge, "%d mails can be asked for at once", maxTravels)
	}
	list, missing := []any{}, []jmap.ID{}
	for _, id := range call.Once(a.IDs) {
		one, err := r.travel(c, id)
		if err != nil {
			return nil, c.Failed(err)
		}
		if one == nil {
			missing = append(missing, id)
			continue
		}
		list = append(list, one)
	}
	return map[string]any{"accountId": c.ID, "list": list, "notFound": missing}, nil
}

// travel is what is known of a mail, and what it says where it is a notification about another; nil: there is no such mail.
func (r *Room) travel(c *call.Call, id jmap.ID) (map[string]any, error) {
	out := map[string]any{"id": id, "sent": nil, "received": nil, "notice": nil}
	if n, ok := call.Number(call.EmailKind, id); ok {
		places, err := r.Boxes.Find(c.Ctx, n)
		if err != nil {
			return nil, err
		}
		if len(places) == 0 || places[0].Account != c.Name {
			return nil, nil
		}
		received, err := listing.Explain(places[0])
		if err != nil {
			return nil, err
		}
		if received.Facts != nil || received.Junk != nil {
			out["received"] = received
		}
		said, err := r.notice(c.Ctx, &places[0])
		if err != nil {
			return nil, err
		}
		if said != nil {
			out["notice"] = said
		}
	}
	message, err := r.Sent(c.Ctx, c.Name, id)
	if err != nil {
		return nil, err
	}
	if message == 0 {
		if _, ok := call.Number(call.EmailKind, id); !ok {
			return nil, nil
		}
		return out, nil
	}
	t, err := listing.TravelOf(c.Ctx, r.DB, message, r.Became)
	switch {
	case errors.Is(err, spool.ErrNoSuchMessage):
		return out, nil
	case err != nil:
		return nil, err
	case t.Account == c.Name:
		// Where others have their copies is not the sender's to know.
		t.Copies = slices.DeleteFunc(t.Copies, func(p listing.Place) bool { return p.Account != c.Name })
		out["sent"] = told{t, meanings(&t)}
	}
	return out, nil
}

// patience is how long all explanations of a call may take together: what is late is told of without.
const patience = 5 * time.Second

// postureGet is Posture/get: what deliveries have shown of the domains of addresses, and with "explain" what would happen to a mail
// to them now. What is not known yet is null, and can be asked for again.
func (r *Room) postureGet(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a struct {
		AccountID jmap.ID  `json:"accountId"`
		Addresses []string `json:"addresses" must:"be"`
		Explain   bool     `json:"explain"`
	}
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	if len(a.Addresses) > maxAddresses {
		return nil, jmap.Errorf(jmap.RequestTooLarge, "%d addresses can be asked for at once", maxAddresses)
	}
	ctx, cancel := context.WithTimeout(c.Ctx, patience)
	defer cancel()
	known := map[string]map[string]any{}
	list, invalid := []any{}, []string{}
	for _, address := range a.Addresses {
		_, d, err := delivery.ParseAddress(address)
		if err != nil {
			invalid = append(invalid, address)
			continue
		}
		one := known[d.String()]
		if one == nil {
			if one, err = r.posture(ctx, c, d, a.Explain); err != nil {
				return nil, c.Failed(err)
			}
			known[d.String()] = one
		}
		list = append(list, map[string]any{"address": address, "domain": d.String(), "seen": one["seen"], "explanation": one["explanation"], "hosted": one["hosted"], "bars": one["bars"]})
	}
	return map[string]any{"accountId": c.ID, "list": list, "invalid": invalid}, nil
}

func (r *Room) posture(ctx context.Context, c *call.Call, d delivery.RecipientDomain, now bool) (map[string]any, error) {
	out := map[string]any{"seen": nil, "explanation": nil, "hosted": nil}
	var seen *posture.Facts
	if !d.IsLiteral() {
		f, err := r.Seen.Domain(c.Ctx, d.Name)
		if err != nil {
			return nil, err
		}
		if f.Known() {
			out["seen"], seen = f, &f
		}
	}
	out["bars"] = bars.Of(nil, seen, false)
	if !now || ctx.Err() != nil {
		return out, nil
	}
	hosted, err := r.Accounts.IsHosted(c.Ctx, d.Name)
	if err != nil {
		return nil, err
	}
	out["hosted"] = hosted
	if hosted {
		out["bars"] = bars.Of(nil, seen, true)
		return out, nil // its mail stays here
	}
	if e := r.Explainer.Domain(ctx, explain.Request{Domain: d, Account: c.Name}); ctx.Err() == nil { // else it came too late to be whole
		out["explanation"], out["bars"] = e, bars.Of(&e, seen, false)
	}
	return out, nil
}
