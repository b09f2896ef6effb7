package mails

import (
	"encoding/json"
	"errors"
	"slices"

	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/catalog"
	"waxwing/internal/jmapserver/finding"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/jmap"
)

// maxKeywords is how many keywords a mail can have: those of IMAP that an account has.
const maxKeywords = 58

// emailSet is Email/set (RFC 8621 §4.6).
func (r *Room) emailSet(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a call.Set
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	state, err := r.State(c)
	if err != nil {
		return nil, c.Failed(err)
	}
	if fault := a.Check(c, state); fault != nil {
		return nil, fault
	}
	done := &call.Done{AccountID: c.ID, OldState: state}
	if err := r.createEmails(c, a.Create, done); err != nil {
		return nil, done.Failed(c, err)
	}
	if err := r.amend(c, &a, done); err != nil {
		return nil, done.Failed(c, err)
	}
	if done.NewState, err = r.State(c); err != nil {
		return nil, done.Failed(c, err)
	}
	return done, nil
}

// amended is a change of a mail with the id that the client gave.
type amended struct {
	mailboxes.Amendment
	id jmap.ID
}

// amend carries updates and destructions out: all in one transaction, or if one of them fails each in its own.
func (r *Room) amend(c *call.Call, a *call.Set, done *call.Done) error {
	todo, err := r.plan(c, a, done)
	if err != nil || len(todo) == 0 {
		return err
	}
	all := make([]mailboxes.Amendment, len(todo))
	for i := range todo {
		all[i] = todo[i].Amendment
	}
	if r.Boxes.Amend(c.Ctx, c.Name, all) == nil {
		for _, t := range todo {
			note(done, t)
		}
		return nil
	}
	for i, t := range todo {
		if err := r.Boxes.Amend(c.Ctx, c.Name, all[i:i+1]); err != nil {
			in := &done.NotUpdated
			if t.Gone {
				in = &done.NotDestroyed
			}
			call.Refuse(in, t.id, setError(c, err))
			continue
		}
		note(done, t)
	}
	return nil
}

func note(done *call.Done, t amended) {
	if t.Gone {
		done.Destroyed = append(done.Destroyed, t.id)
		return
	}
	done.Update(t.id, nil)
}

// setError is why package mailboxes did not do something with a mail.
func setError(c *call.Call, err error) *jmap.SetError {
	for _, known := range []struct {
		is   error
		kind string
	}{{mailboxes.ErrNoSuchMessage, jmap.NotFound}, {mailboxes.ErrNoSuchMailbox, jmap.InvalidProperties}, {mailboxes.ErrOverQuota, jmap.OverQuota}, {mailboxes.ErrTooManyKeywords, jmap.TooManyKeywords}} {
		if errors.Is(err, known.is) {
			return jmap.SetErrorf(known.kind, nil, "%v", known.is)
		}
	}
	if mailboxes.IsRefusal(err) {
		return jmap.SetErrorf(jmap.InvalidProperties, []string{"keywords"}, "%v", err)
	}
	return c.SetFailed(err)
}

// plan says what is to be done to each mail. What cannot be done is noted.
func (r *Room) plan(c *call.Call, a *call.Set, done *call.Done) (todo []amended, err error) {
	if len(a.Update)+len(a.Destroy) == 0 {
		return nil, nil
	}
	err = r.Catalog.Look(c.Ctx, c.Name, func(_ *store.Tx, v *catalog.View) error {
		mail := func(id jmap.ID) *finding.Email {
			if to, ok := c.Resolve(id); ok {
				if n, ok := number(emailKind, to); ok {
					return v.Mail(n)
				}
			}
			return nil
		}
		doomed := map[int64]bool{}
		for _, id := range call.Once(a.Destroy) {
			e := mail(id)
			if e == nil {
				call.Refuse(&done.NotDestroyed, id, jmap.SetErrorf(jmap.NotFound, nil, "there is no such mail"))
				continue
			}
			doomed[e.ID] = true
			todo = append(todo, amended{mailboxes.Amendment{Mail: e.ID, Gone: true}, ID(emailKind, e.ID)})
		}
		for id, patch := range a.Update {
			e := mail(id)
			switch {
			case e == nil:
				call.Refuse(&done.NotUpdated, id, jmap.SetErrorf(jmap.NotFound, nil, "there is no such mail"))
				continue
			case doomed[e.ID]:
				call.Refuse(&done.NotUpdated, id, call.WillDestroy())
				continue
			}
			change, fault := amendment(c, v, e, patch)
			if fault != nil {
				call.Refuse(&done.NotUpdated, id, fault)
				continue
			}
			todo = append(todo, amended{change, id})
		}
		return nil
	})
	return todo, err
}

// amendment is what a patch does to a mail.
func amendment(c *call.Call, v *catalog.View, e *finding.Email, patch jmap.Patch) (m mailboxes.Amendment, fault *jmap.SetError) {
	m.Mail = e.ID
	steps, fault := patch.Steps()
	if fault != nil {
		return m, fault
	}
	boxes := boxIDs(e)
	moves := false
	for _, s := range steps {
		switch {
		case s.Path[0] == "keywords" && len(s.Path) <= 2:
			var f mailboxes.FlagChange
			if f, fault = flagChange(s); fault == nil {
				m.Flags = append(m.Flags, f)
			}
		case s.Path[0] == "mailboxIds" && len(s.Path) <= 2:
			moves = true
			fault = patchBoxes(boxes, s)
		default:
			fault = unchanged(c, v, e, s)
		}
		if fault != nil {
			return m, fault
		}
	}
	if moves {
		m.In, fault = boxNumbers(c, v, boxes)
	}
	return m, fault
}

// unchanged refuses to set what cannot be set, unless it is so already (RFC 8620 §5.3).
func unchanged(_ *call.Call, v *catalog.View, e *finding.Email, s jmap.Step) *jmap.SetError {
	is := map[string]any{"id": ID(emailKind, e.ID), "blobId": BlobID(e.ID, ""), "threadId": ID(threadKind, e.Thread), "size": e.Size,
		"receivedAt": jmap.UTCDate{Time: store.FromTime(e.Received).Truncate(1e9)}}
	if now, known := is[s.Path[0]]; known && len(s.Path) == 1 {
		if b, err := json.Marshal(now); err == nil && string(b) == string(s.Value) {
			return nil
		}
	}
	_ = v
	if len(s.Path) > 1 {
		return call.NoObject(s)
	}
	return jmap.SetErrorf(jmap.InvalidProperties, []string{s.Path[0]}, "of a mail that is there, keywords and mailboxIds can be changed")
}

// flagChange is what a step does to keywords.
func flagChange(s jmap.Step) (f mailboxes.FlagChange, fault *jmap.SetError) {
	bad := jmap.SetErrorf(jmap.InvalidProperties, []string{"keywords"}, "keywords are names of up to 255 characters, each with true")
	if len(s.Path) == 2 {
		is, ok := truth(s)
		if !ok || !finding.IsKeyword(s.Path[1]) {
			return f, bad
		}
		f = mailboxes.FlagChange{Mode: '-', Flags: []string{finding.Flag(s.Path[1])}}
		if is {
			f.Mode = '+'
		}
		return f, nil
	}
	words, ok := keywordsIn(s.Value)
	if !ok {
		return f, bad
	}
	if len(words) > maxKeywords {
		return f, jmap.SetErrorf(jmap.TooManyKeywords, nil, "a mail can have %d keywords", maxKeywords)
	}
	return mailboxes.FlagChange{Mode: '=', Flags: words}, nil
}

// keywordsIn are the keywords of an object, as IMAP spells them; null is none.
func keywordsIn(raw json.RawMessage) (words []string, ok bool) {
	var all map[string]bool
	if len(raw) > 0 && json.Unmarshal(raw, &all) != nil {
		return nil, false
	}
	for k, is := range all {
		if !is || !finding.IsKeyword(k) {
			return nil, false
		}
		words = append(words, finding.Flag(k))
	}
	slices.Sort(words)
	return words, true
}

// truth is the value of a step that is true, or null; null is false.
func truth(s jmap.Step) (is, ok bool) {
	if s.IsNull() {
		return false, true
	}
	return true, json.Unmarshal(s.Value, &is) == nil && is
}

func patchBoxes(boxes map[jmap.ID]bool, s jmap.Step) *jmap.SetError {
	if len(s.Path) == 2 {
		is, ok := truth(s)
		if !ok {
			return badBoxes()
		}
		if delete(boxes, jmap.ID(s.Path[1])); is {
			boxes[jmap.ID(s.Path[1])] = true
		}
		return nil
	}
	var all map[jmap.ID]bool
	if json.Unmarshal(s.Value, &all) != nil {
		return badBoxes()
	}
	clear(boxes)
	for id, is := range all {
		if !is {
			return badBoxes()
		}
		boxes[id] = true
	}
	return nil
}

func badBoxes() *jmap.SetError {
	return jmap.SetErrorf(jmap.InvalidProperties, []string{"mailboxIds"}, "a mail lies in at least one mailbox; mailboxIds are ids of mailboxes, each with true")
}

// boxNumbers are mailboxes that are there.
func boxNumbers(c *call.Call, v *catalog.View, boxes map[jmap.ID]bool) ([]int64, *jmap.SetError) {
	var out []int64
	for id := range boxes {
		to, ok := c.Resolve(id)
		n, is := number(boxKind, to)
		if !ok || !is || v.Box(n) == nil {
			return nil, jmap.SetErrorf(jmap.InvalidProperties, []string{"mailboxIds"}, "there is no mailbox %.100q", string(id))
		}
		out = append(out, n)
	}
	if len(out) == 0 {
		return nil, badBoxes()
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
