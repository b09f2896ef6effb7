package people

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"waxwing/internal/delivery"
	"waxwing/internal/web/deeds"
	"waxwing/internal/web/pages"
	"waxwing/internal/webhooks"
)

func (r *Room) toHook(id delivery.ID) string { return r.Path + "webhook/" + id.String() }

// webhooks lists the addresses that events are posted to (OPS-8).
func (r *Room) webhooks(q *http.Request) (pages.Page, error) {
	all, err := r.Webhooks.List(q.Context())
	if err != nil {
		return pages.Page{}, err
	}
	add := r.addHook().Form()
	add.Folded = len(all) > 0
	return pages.Page{Title: "Webhooks", Lead: "Addresses of programs that are told what happens to mail, that which arrives in mailboxes included.", Command: "waxwing webhook list",
		Blocks: []pages.Block{pages.TableOf(webhooks.Listing(), all, func(h *webhooks.Hook) string { return r.toHook(h.ID) }), add}}, nil
}

// webhook is one, with what was posted to it.
func (r *Room) webhook(q *http.Request) (pages.Page, error) {
	id, err := delivery.ParseID(q.PathValue("id"))
	if err != nil {
		return pages.Page{}, deeds.ErrMissing
	}
	h, err := r.Webhooks.Get(q.Context(), id)
	if errors.Is(err, webhooks.ErrNotFound) {
		return pages.Page{}, deeds.ErrMissing
	}
	if err != nil {
		return pages.Page{}, err
	}
	posts, err := r.Webhooks.Posts(q.Context(), id, 200)
	if err != nil {
		return pages.Page{}, err
	}
	p := pages.Page{Title: "Webhook " + id.String(), Lead: h.Note, Command: deeds.Command("webhook deliveries", id.String())}
	if h.Dropped > 0 {
		p.Blocks = append(p.Blocks, pages.Notice{Tone: pages.Waits, What: "Some events were left out: too many waited for it", Cure: "Its program is too slow, or was away for long."})
	}
	told := pages.TableOf(webhooks.PostListing(), posts, nil)
	told.Title, told.None = "What was posted lately", "Nothing yet."
	acts := pages.Actions{Title: "With this webhook", Forms: []pages.Form{r.testHook().Form("id", id.String()), r.enableHook().Form("id", id.String()), r.removeHook().Form("id", id.String())}}
	p.Blocks = append(p.Blocks, pages.TableOf(webhooks.Listing(), []webhooks.Hook{h}, nil), acts, told)
	return p, nil
}

func (r *Room) addHook() deeds.Deed {
	kinds := make([]pages.Field, 0, len(webhooks.Types()))
	for _, t := range webhooks.Types() {
		kinds = append(kinds, pages.Field{Name: "event_" + string(t), Label: "Tell it of mail that is " + string(t), Kind: "check", Value: "yes"})
	}
	return deeds.Deed{Path: r.Path + "webhooks/add", Title: "Tell a program", Says: "Add", Command: "webhook add URL --account NAME --domain DOMAIN --event EVENT",
		Fields: slices.Concat([]pages.Field{{Name: "url", Label: "Address of the program", Required: true, Complete: "off", Help: "https, or http to this machine"},
			{Name: "account", Label: "Of mail of this account", Complete: "off"}, {Name: "domain", Label: "Of mail of this domain", Help: "one of the two is needed"}}, kinds, []pages.Field{{Name: "note", Label: "Note"}}),
		Do: func(ctx context.Context, v deeds.Values) (d deeds.Done, err error) {
			h := webhooks.Hook{URL: v.Text("url"), Account: v.Text("account"), Domain: v.Text("domain"), Note: v.Text("note")}
			var words, flags []string
			for _, t := range webhooks.Types() {
				if v.Yes("event_" + string(t)) {
					words, flags = append(words, string(t)), append(flags, deeds.Flag("event", string(t)))
				}
			}
			if len(words) == 0 {
				return d, errors.New("it is told of nothing: tick an event")
			}
			if h.Events, err = webhooks.ParseTypes(words); err != nil {
				return d, err
			}
			d.Command = deeds.Command("webhook add", slices.Concat([]string{h.URL, deeds.Flag("account", h.Account), deeds.Flag("domain", h.Domain)}, flags, []string{deeds.Flag("note", h.Note)})...)
			made, secret, err := r.Webhooks.Add(ctx, h)
			if err != nil {
				return d, err
			}
			d.Outcome = "webhook " + made.ID.String() + " is made"
			d.Blocks = []pages.Block{pages.Notice{Tone: pages.Good, What: "The secret that events are signed with, which is shown this once:"}, pages.Text{Body: secret.Text()}, pages.Prose{Link: r.toHook(made.ID), Says: "Go on to the webhook."}}
			return d, nil
		}}
}

// onHook is what a deed on one webhook does. gone is that there is none any more.
func (r *Room) onHook(verb, came string, gone bool, do func(context.Context, delivery.ID) error) func(context.Context, deeds.Values) (deeds.Done, error) {
	return func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
		id, err := delivery.ParseID(v.Text("id"))
		if err != nil {
			return deeds.Done{}, err
		}
		d := deeds.Done{Command: deeds.Command("webhook "+verb, id.String()), Outcome: "webhook " + id.String() + " " + came, Back: r.toHook(id)}
		if gone {
			d.Back = r.Path + "webhooks"
		}
		return d, do(ctx, id)
	}
}

func (r *Room) enableHook() deeds.Deed {
	return deeds.Deed{Path: r.Path + "webhooks/enable", Says: "Enable it again", Command: "webhook enable ID", Fields: hidden("id"), Do: r.onHook("enable", "is told again from now on", false, func(ctx context.Context, id delivery.ID) error {
		return r.Webhooks.Enable(ctx, id)
	})}
}

func (r *Room) removeHook() deeds.Deed {
	return deeds.Deed{Path: r.Path + "webhooks/remove", Says: "Remove", Command: "webhook remove ID", Fields: hidden("id"), Sure: "What waits for it is forgotten.", Do: r.onHook("remove", "is told no more", true, func(ctx context.Context, id delivery.ID) error {
		return r.Webhooks.Remove(ctx, id)
	})}
}

// testHook posts an event of the type test now.
func (r *Room) testHook() deeds.Deed {
	return deeds.Deed{Path: r.Path + "webhooks/test", Says: "Send a test", Command: "webhook test ID", Fields: hidden("id"),
		Do: func(ctx context.Context, v deeds.Values) (deeds.Done, error) {
			id, err := delivery.ParseID(v.Text("id"))
			if err != nil {
				return deeds.Done{}, err
			}
			d := deeds.Done{Command: deeds.Command("webhook test", id.String()), Back: r.toHook(id)}
			note, err := r.Webhooks.Try(ctx, id)
			d.Outcome = "the test was taken: " + note
			return d, err
		}}
}
