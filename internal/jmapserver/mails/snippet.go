package mails

import (
	"encoding/json"
	"errors"

	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/catalog"
	"waxwing/internal/jmapserver/finding"
	"waxwing/internal/store"
	"waxwing/jmap"
	"waxwing/structure"
)

// snippets is SearchSnippet/get (RFC 8621 §5.1).
func (r *Room) snippets(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a struct {
		AccountID jmap.ID         `json:"accountId"`
		Filter    json.RawMessage `json:"filter"`
		EmailIDs  []jmap.ID       `json:"emailIds" must:"be"`
	}
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	if len(a.EmailIDs) > c.Limits.ObjectsInGet {
		return nil, jmap.Errorf(jmap.RequestTooLarge, "%d mails can be asked for at once", c.Limits.ObjectsInGet)
	}
	q, fault := ask(c, a.Filter, nil, false)
	if fault != nil {
		return nil, fault
	}
	var found []known
	var missing []jmap.ID
	var subject, body finding.Terms
	err := r.Catalog.Look(c.Ctx, c.Name, func(tx *store.Tx, v *catalog.View) (err error) {
		p, _, err := compile(v, &q)
		if err != nil {
			return err
		}
		subject, body = finding.TermsOf(p.Texts, "subject"), finding.TermsOf(p.Texts, "body")
		found, missing, err = pick(c, tx, v, picked{&a.EmailIDs, true})
		return err
	})
	if err != nil {
		return nil, c.Failed(err)
	}
	list := []any{}
	for i := range found {
		k := &found[i]
		t, err := r.textOf(c, k)
		if errors.Is(err, errTooLarge) || isGone(err) {
			missing = append(missing, ID(emailKind, k.ID))
			continue
		}
		if err != nil {
			return nil, c.Failed(err)
		}
		list = append(list, map[string]any{"emailId": ID(emailKind, k.ID), "subject": orNone(subject.Mark(t.Subject, len(t.Subject))), "preview": orNone(body.Mark(t.Body, maxSnippet))})
	}
	var not any
	if len(missing) > 0 {
		not = missing
	}
	return map[string]any{"accountId": c.ID, "list": list, "notFound": not}, nil
}

// maxSnippet is how many octets of a text are shown: with its marks no more than 255 (RFC 8621 §5).
const maxSnippet = 160

func orNone(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// textOf is what people read of a mail.
func (r *Room) textOf(c *call.Call, k *known) (*structure.Text, error) {
	m, err := r.message(c.Ctx, k.ID, k.structure)
	if err != nil {
		return nil, err
	}
	body, err := m.Content.Open()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return structure.ReadText(body, m.Built)
}
