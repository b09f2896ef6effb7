package mails

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/catalog"
	"waxwing/internal/jmapserver/finding"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/jmap"
)

// mailboxSet is Mailbox/set (RFC 8621 §2.5).
func (r *Room) mailboxSet(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a struct {
		call.Set
		RemoveEmails bool `json:"onDestroyRemoveEmails"`
	}
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
	if err := r.createBoxes(c, a.Create, done); err != nil {
		return nil, done.Failed(c, err)
	}
	for _, id := range freeingFirst(a.Update) {
		to, _ := c.Resolve(id)
		if c.Doomed(a.Destroy, to) {
			call.Refuse(&done.NotUpdated, id, call.WillDestroy())
			continue
		}
		if err := r.updateBox(c, to, a.Update[id]); err != nil {
			call.Refuse(&done.NotUpdated, id, boxError(c, err))
			continue
		}
		done.Update(id, nil)
	}
	if err := r.destroyBoxes(c, a.Destroy, a.RemoveEmails, done); err != nil {
		return nil, done.Failed(c, err)
	}
	if done.NewState, err = r.State(c); err != nil {
		return nil, done.Failed(c, err)
	}
	return done, nil
}

// freeingFirst is the order of updates: those that give a role up come before those that take one.
func freeingFirst(all map[jmap.ID]jmap.Patch) []jmap.ID {
	ids := slices.Sorted(maps.Keys(all))
	slices.SortStableFunc(ids, func(a, b jmap.ID) int { return rank(all[a]) - rank(all[b]) })
	return ids
}

func rank(p jmap.Patch) int {
	if raw, has := p["role"]; has && string(raw) == "null" {
		return 0
	}
	return 1
}

// boxError is why package mailboxes did not do something with a mailbox.
func boxError(c *call.Call, err error) *jmap.SetError {
	var name *mailbox.NameError
	var s *jmap.SetError
	switch {
	case errors.As(err, &s):
		return s
	case errors.As(err, &name):
		return jmap.SetErrorf(jmap.InvalidProperties, []string{"name"}, "%v", err)
	case errors.Is(err, mailboxes.ErrMailboxExists):
		return jmap.SetErrorf(jmap.InvalidProperties, []string{"name", "role"}, "there is such a mailbox already")
	case errors.Is(err, mailboxes.ErrNoSuchMailbox):
		return jmap.SetErrorf(jmap.NotFound, nil, "there is no such mailbox")
	case errors.Is(err, mailboxes.ErrInbox):
		return jmap.SetErrorf(jmap.Forbidden, nil, "%v", err)
	case mailboxes.IsRefusal(err):
		return jmap.SetErrorf(jmap.OverQuota, nil, "%v", err)
	}
	return c.SetFailed(err)
}

// lookAtBoxes is the account's mailboxes by id, as they are now.
func (r *Room) lookAtBoxes(c *call.Call, fn func(v *catalog.View, boxes map[jmap.ID]*catalog.Box) error) error {
	return r.Catalog.Look(c.Ctx, c.Name, func(_ *store.Tx, v *catalog.View) error { return fn(v, boxesOf(v)) })
}

// newBox is what a client says of a mailbox that it makes.
type newBox struct {
	Name       string   `json:"name"`
	Parent     *jmap.ID `json:"parentId"`
	Role       *string  `json:"role"`
	SortOrder  *int64   `json:"sortOrder"`
	Subscribed *bool    `json:"isSubscribed"`
}

// createBoxes makes mailboxes: those that stand below others that are made come after them.
func (r *Room) createBoxes(c *call.Call, all map[jmap.ID]json.RawMessage, done *call.Done) error {
	left := slices.Sorted(maps.Keys(all))
	for len(left) > 0 {
		var later []jmap.ID
		for _, id := range left {
			var b newBox
			if fault := call.Record(all[id], &b); fault != nil {
				call.Refuse(&done.NotCreated, id, fault)
				continue
			}
			if b.Parent != nil && waits(*b.Parent, left, c.Created) {
				later = append(later, id)
				continue
			}
			record, err := r.createBox(c, &b)
			if err != nil {
				call.Refuse(&done.NotCreated, id, boxError(c, err))
				continue
			}
			done.Create(c, id, record["id"].(jmap.ID), record)
		}
		if len(later) == len(left) {
			for _, id := range later {
				call.Refuse(&done.NotCreated, id, noParent())
			}
			return nil
		}
		left = later
	}
	return nil
}

func noParent() *jmap.SetError {
	return jmap.SetErrorf(jmap.InvalidProperties, []string{"parentId"}, "there is no such mailbox")
}

// waits tells whether a parent is still to be made.
func waits(parent jmap.ID, left []jmap.ID, created map[jmap.ID]jmap.ID) bool {
	creation, is := strings.CutPrefix(string(parent), "#")
	_, has := created[jmap.ID(creation)]
	return is && !has && slices.Contains(left, jmap.ID(creation))
}

// nameBelow is the whole name of a mailbox below another.
func nameBelow(c *call.Call, boxes map[jmap.ID]*catalog.Box, parent *jmap.ID, name string) (string, error) {
	if strings.Contains(name, "/") || name == "" {
		return "", jmap.SetErrorf(jmap.InvalidProperties, []string{"name"}, "a name is not empty, and has no /")
	}
	if parent == nil {
		return name, nil
	}
	id, ok := c.Resolve(*parent)
	b := boxes[id]
	if !ok || b == nil {
		return "", noParent()
	}
	return b.Name + "/" + name, nil
}

func (r *Room) createBox(c *call.Call, b *newBox) (map[string]any, error) {
	use, ok := useOf(b.Role)
	switch {
	case !ok:
		return nil, jmap.SetErrorf(jmap.InvalidProperties, []string{"role"}, "no mailbox can be given the role %.100q", *b.Role)
	case b.SortOrder != nil && !isOrder(*b.SortOrder):
		return nil, jmap.SetErrorf(jmap.InvalidProperties, []string{"sortOrder"}, "it is a number of 0 or more, below 2^31")
	}
	var name string
	err := r.lookAtBoxes(c, func(_ *catalog.View, boxes map[jmap.ID]*catalog.Box) (err error) {
		name, err = nameBelow(c, boxes, b.Parent, b.Name)
		return err
	})
	if err != nil {
		return nil, err
	}
	made, err := r.Boxes.Create(c.Ctx, c.Name, name, use)
	if err != nil {
		return nil, err
	}
	if b.Subscribed != nil && *b.Subscribed != made.Subscribed {
		if err := r.Boxes.Subscribe(c.Ctx, c.Name, name, *b.Subscribed); err != nil {
			return nil, err
		}
	}
	if b.SortOrder != nil {
		if err := r.Boxes.Reshape(c.Ctx, c.Name, name, mailboxes.Shape{Order: b.SortOrder}); err != nil {
			return nil, err
		}
	}
	id := ID(boxKind, made.ID)
	var out map[string]any
	err = r.lookAtBoxes(c, func(v *catalog.View, boxes map[jmap.ID]*catalog.Box) error {
		if now := boxes[id]; now != nil {
			out = boxShape(v).Of(id, now)
			return nil
		}
		return mailboxes.ErrNoSuchMailbox // somebody has removed it meanwhile
	})
	return out, err
}

// updateBox carries out a patch of a mailbox.
func (r *Room) updateBox(c *call.Call, id jmap.ID, patch jmap.Patch) error {
	steps, fault := patch.Steps()
	if fault != nil {
		return fault
	}
	var was *catalog.Box
	var from, to string
	var shape mailboxes.Shape
	err := r.lookAtBoxes(c, func(v *catalog.View, boxes map[jmap.ID]*catalog.Box) (err error) {
		if was = boxes[id]; was == nil {
			return mailboxes.ErrNoSuchMailbox
		}
		now := boxShape(v).Of(id, was)
		from = was.Name
		if shape, fault = shapeOf(now, steps); fault != nil {
			return fault
		}
		to, err = renamed(c, boxes, now, steps)
		return err
	})
	if err != nil {
		return err
	}
	if to != "" && to != from {
		shape.Name = &to
	}
	if shape == (mailboxes.Shape{}) {
		return nil
	}
	return r.Boxes.Reshape(c.Ctx, c.Name, from, shape)
}

// shapeOf is what a patch says of a mailbox beside its name and place; now is the mailbox as it is.
func shapeOf(now map[string]any, steps []jmap.Step) (sh mailboxes.Shape, fault *jmap.SetError) {
	for _, s := range steps {
		name := s.Path[0]
		if _, inside := now[name].(map[string]bool); len(s.Path) > 1 && !inside {
			return sh, call.NoObject(s)
		}
		if name == "name" || name == "parentId" {
			continue
		}
		is, err := json.Marshal(now[name])
		if _, known := now[name]; known && err == nil && len(s.Path) == 1 && string(is) == string(s.Value) {
			continue
		}
		wrong := jmap.SetErrorf(jmap.InvalidProperties, []string{name}, "of a mailbox, name, parentId, role, sortOrder and isSubscribed can be changed, each to a value of its type")
		switch name {
		case "isSubscribed":
			if err = json.Unmarshal(s.Value, &sh.Subscribed); sh.Subscribed == nil {
				return sh, wrong
			}
		case "sortOrder":
			if err = json.Unmarshal(s.Value, &sh.Order); sh.Order == nil || !isOrder(*sh.Order) {
				return sh, wrong
			}
		case "role":
			var role *string
			use, ok := "", false
			if err = json.Unmarshal(s.Value, &role); err == nil {
				use, ok = useOf(role)
			}
			if sh.Use = &use; !ok {
				return sh, wrong
			}
		default:
			return sh, wrong
		}
		if err != nil {
			return sh, wrong
		}
	}
	return sh, nil
}

// isOrder tells whether a number may be a sortOrder (RFC 8621 §2).
func isOrder(n int64) bool { return n >= 0 && n < 1<<31 }

// useOf is the special use of mailboxes with a role; nil: "". false: no mailbox can be given the role.
func useOf(role *string) (use string, ok bool) {
	if role == nil {
		return "", true
	}
	for u, r := range roles {
		if r == *role {
			return u, true
		}
	}
	return "", false
}

// renamed is the whole name that a mailbox is to have; "": as it is.
func renamed(c *call.Call, boxes map[jmap.ID]*catalog.Box, now map[string]any, steps []jmap.Step) (string, error) {
	name, _ := now["name"].(string)
	var parent *jmap.ID
	if p, ok := now["parentId"].(jmap.ID); ok {
		parent = &p
	}
	moves := false
	for _, s := range steps {
		var fault error
		switch {
		case len(s.Path) > 1:
			continue
		case s.Path[0] == "name":
			moves, fault = true, json.Unmarshal(s.Value, &name)
		case s.Path[0] == "parentId":
			parent = nil
			moves, fault = true, json.Unmarshal(s.Value, &parent)
		}
		if fault != nil {
			return "", jmap.SetErrorf(jmap.InvalidProperties, []string{s.Path[0]}, "it has a wrong type")
		}
	}
	if !moves {
		return "", nil
	}
	return nameBelow(c, boxes, parent, name)
}

// destroyBoxes removes mailboxes, those below others first.
func (r *Room) destroyBoxes(c *call.Call, ids []jmap.ID, remove bool, done *call.Done) error {
	ids, missing := c.Existing(ids)
	for _, id := range missing {
		call.Refuse(&done.NotDestroyed, id, jmap.SetErrorf(jmap.NotFound, nil, "there is no such mailbox"))
	}
	names := map[jmap.ID]string{}
	err := r.lookAtBoxes(c, func(_ *catalog.View, boxes map[jmap.ID]*catalog.Box) error {
		for _, id := range ids {
			if b := boxes[id]; b != nil {
				names[id] = b.Name
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(ids, func(a, b jmap.ID) int { return strings.Count(names[b], "/") - strings.Count(names[a], "/") })
	for _, id := range ids {
		name, fault := "", (*jmap.SetError)(nil)
		err := r.lookAtBoxes(c, func(v *catalog.View, boxes map[jmap.ID]*catalog.Box) error {
			name, fault = mayDestroy(v, boxes, id, remove)
			return nil
		})
		if err != nil {
			return err
		}
		if fault == nil {
			if err := r.Boxes.Delete(c.Ctx, c.Name, name); err != nil {
				fault = boxError(c, err)
			}
		}
		if fault != nil {
			call.Refuse(&done.NotDestroyed, id, fault)
			continue
		}
		done.Destroyed = append(done.Destroyed, id)
	}
	return nil
}

func mayDestroy(v *catalog.View, boxes map[jmap.ID]*catalog.Box, id jmap.ID, remove bool) (name string, fault *jmap.SetError) {
	b := boxes[id]
	if b == nil {
		return "", jmap.SetErrorf(jmap.NotFound, nil, "there is no such mailbox")
	}
	for _, o := range boxes {
		if strings.HasPrefix(o.Name, b.Name+"/") {
			return "", jmap.SetErrorf(jmap.MailboxHasChild, nil, "there is a mailbox below it")
		}
	}
	if v.Count(b.ID).Emails > 0 && !remove {
		return "", jmap.SetErrorf(jmap.MailboxHasEmail, nil, "it has mails, and onDestroyRemoveEmails is not set")
	}
	return b.Name, nil
}

// mailboxQuery is Mailbox/query (RFC 8621 §2.3).
func (r *Room) mailboxQuery(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a struct {
		call.Query
		AsTree     bool `json:"sortAsTree"`
		FilterTree bool `json:"filterAsTree"`
	}
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	state, all, fault := r.findBoxes(c, treeQuery{a.Filter, a.Sort, a.AsTree, a.FilterTree})
	if fault != nil {
		return nil, fault
	}
	out, fault := a.Answer(c, state, all)
	if fault != nil {
		return nil, fault
	}
	return out, nil
}

// mailboxQueryChanges is Mailbox/queryChanges (RFC 8621 §2.4).
func (r *Room) mailboxQueryChanges(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a struct {
		call.QueryChanges
		AsTree     bool `json:"sortAsTree"`
		FilterTree bool `json:"filterAsTree"`
	}
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	q := treeQuery{a.Filter, a.Sort, a.AsTree, a.FilterTree}
	old, known := r.results.get(q.key(c), a.SinceQueryState)
	if !known {
		return nil, jmap.Errorf(jmap.CannotCalculateChanges, "what the query found then is not remembered")
	}
	state, all, fault := r.findBoxes(c, q)
	if fault != nil {
		return nil, fault
	}
	out, fault := a.Answer(c, state, old, all)
	if fault != nil {
		return nil, fault
	}
	return out, nil
}

// treeQuery is a question for mailboxes.
type treeQuery struct {
	filter, sort       json.RawMessage
	asTree, filterTree bool
}

func (q treeQuery) key(c *call.Call) [32]byte {
	return keyOf("Mailbox", c.Name, q.filter, q.sort, q.asTree, q.filterTree)
}

func (r *Room) findBoxes(c *call.Call, q treeQuery) (state string, all []jmap.ID, fault *jmap.Error) {
	f, err := jmap.ParseFilter(q.filter)
	var sort []jmap.Comparator
	if err == nil {
		sort, err = jmap.ParseSort(q.sort)
	}
	if err != nil {
		return "", nil, jmap.Errorf(jmap.InvalidArguments, "%v", err)
	}
	err = r.lookAtBoxes(c, func(v *catalog.View, boxes map[jmap.ID]*catalog.Box) error {
		state = finding.At(v.ModSeq).String()
		tree := finding.Tree{AsTree: q.asTree, FilterTree: q.filterTree}
		shape := boxShape(v)
		for id, b := range boxes {
			o := shape.Of(id, b)
			n := finding.Node{ID: id, Name: o["name"].(string), SortOrder: o["sortOrder"].(int), Subscribed: b.Subscribed}
			n.Parent, _ = o["parentId"].(jmap.ID)
			n.Role, _ = o["role"].(string)
			tree.Nodes = append(tree.Nodes, n)
		}
		var fault *jmap.Error
		if all, fault = tree.Query(f, sort); fault != nil {
			return fault
		}
		return nil
	})
	if err != nil {
		return "", nil, c.Failed(err)
	}
	r.results.put(q.key(c), state, all)
	return state, all, nil
}
