package mails

import (
	"maps"
	"strings"

	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/catalog"
	"waxwing/internal/jmapserver/finding"
	"waxwing/internal/mailbox"
	"waxwing/internal/store"
	"waxwing/jmap"
)

var mailboxNames = []string{"id", "name", "parentId", "role", "sortOrder", "totalEmails", "unreadEmails", "totalThreads", "unreadThreads", "myRights", "isSubscribed"}

// roles are those of mailboxes by their special use (RFC 8621 §2).
var roles = map[string]string{mailbox.UseArchive: "archive", mailbox.UseDrafts: "drafts", mailbox.UseJunk: "junk", mailbox.UseSent: "sent", mailbox.UseTrash: "trash"}

func roleOf(b *catalog.Box) any {
	if b.Name == mailbox.Inbox {
		return "inbox"
	}
	if r, ok := roles[b.Use]; ok {
		return r
	}
	return nil
}

// sortOrders have the mailboxes that everybody has first.
var sortOrders = map[any]int{"inbox": 1, "drafts": 2, "sent": 3, "archive": 4, "junk": 5, "trash": 6}

func sortOrder(b *catalog.Box) int {
	if b.Order >= 0 {
		return int(b.Order)
	}
	if n, ok := sortOrders[roleOf(b)]; ok {
		return n
	}
	return 10
}

// boxShape writes the mailboxes of a view.
func boxShape(v *catalog.View) call.Shape[*catalog.Box] {
	byName := map[string]int64{}
	for _, b := range v.Boxes {
		if !b.Removed {
			byName[b.Name] = b.ID
		}
	}
	return call.Shape[*catalog.Box]{Names: mailboxNames, Of: func(id jmap.ID, b *catalog.Box) map[string]any {
		n := v.Count(b.ID)
		parent, name := parentOf(byName, b.Name)
		out := map[string]any{"id": id, "name": name, "parentId": nil, "role": roleOf(b), "sortOrder": sortOrder(b), "totalEmails": n.Emails, "unreadEmails": n.UnreadEmails,
			"totalThreads": n.Threads, "unreadThreads": n.UnreadThreads, "myRights": rightsOf(b), "isSubscribed": b.Subscribed}
		if parent != 0 {
			out["parentId"] = ID(boxKind, parent)
		}
		return out
	}}
}

// parentOf is the mailbox above one, 0 for none, and what it is called there. One whose parent was deleted stands at the top
// with its whole name.
func parentOf(byName map[string]int64, name string) (parent int64, rest string) {
	if i := strings.LastIndexByte(name, '/'); i > 0 {
		if id, ok := byName[name[:i]]; ok {
			return id, name[i+1:]
		}
	}
	return 0, name
}

// rightsOf are those of its owner: everything but what INBOX does not allow.
func rightsOf(b *catalog.Box) map[string]bool {
	free := b.Name != mailbox.Inbox
	return map[string]bool{"mayReadItems": true, "mayAddItems": true, "mayRemoveItems": true, "maySetSeen": true, "maySetKeywords": true,
		"mayCreateChild": true, "mayRename": free, "mayDelete": free, "maySubmit": true}
}

func boxesOf(v *catalog.View) map[jmap.ID]*catalog.Box {
	out := map[jmap.ID]*catalog.Box{}
	for id, b := range v.Boxes {
		if !b.Removed {
			out[ID(boxKind, id)] = b
		}
	}
	return out
}

// mailboxGet is Mailbox/get (RFC 8621 §2.1).
func (r *Room) mailboxGet(c *call.Call, args call.Args) (any, *jmap.Error) {
	var g call.Get
	if err := args.Decode(&g); err != nil {
		return nil, err
	}
	var out *call.Got
	var fault *jmap.Error
	err := r.Catalog.Look(c.Ctx, c.Name, func(_ *store.Tx, v *catalog.View) error {
		out, fault = call.Pick(c, &g, finding.At(v.ModSeq).String(), boxesOf(v), boxShape(v))
		return nil
	})
	if err != nil {
		return nil, c.Failed(err)
	}
	return out, fault
}

// changedKind is a type of records with its changes.
type changedKind struct {
	kind byte
	of   func(v *catalog.View, c catalog.Changed) []finding.Change
}

// changes answers /changes of a type.
func (r *Room) changes(c *call.Call, args call.Args, k changedKind) (*call.Changed, *jmap.Error) {
	var a call.Changes
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	most, fault := a.Max()
	if fault != nil {
		return nil, fault
	}
	since, err := finding.ParseState(a.SinceState)
	if err != nil {
		return nil, jmap.Errorf(jmap.CannotCalculateChanges, "%v", err)
	}
	var told finding.Changes
	err = r.Catalog.Look(c.Ctx, c.Name, func(tx *store.Tx, v *catalog.View) error {
		all, complete, err := v.Since(tx, c.Name, since)
		if err != nil {
			return err
		}
		if !complete {
			return jmap.Errorf(jmap.CannotCalculateChanges, "what has changed since then is not remembered any more")
		}
		told = finding.Tell(k.of(v, all), since, v.ModSeq, most)
		return nil
	})
	if err != nil {
		return nil, c.Failed(err)
	}
	return &call.Changed{AccountID: c.ID, OldState: a.SinceState, NewState: told.State.String(), More: told.More,
		Created: ids(k.kind, told.Created), Updated: ids(k.kind, told.Updated), Destroyed: ids(k.kind, told.Destroyed)}, nil
}

func ids(kind byte, all []int64) []jmap.ID {
	out := make([]jmap.ID, len(all))
	for i, n := range all {
		out[i] = ID(kind, n)
	}
	return out
}

// mailboxChanged is the response of Mailbox/changes (RFC 8621 §2.2).
type mailboxChanged struct {
	*call.Changed
	Properties *[]string `json:"updatedProperties"`
}

func (r *Room) mailboxChanges(c *call.Call, args call.Args) (any, *jmap.Error) {
	var boxes map[int64]*catalog.Box
	out, err := r.changes(c, args, changedKind{boxKind, func(v *catalog.View, c catalog.Changed) []finding.Change {
		boxes = maps.Clone(v.Boxes)
		return c.Boxes
	}})
	if err != nil {
		return nil, err
	}
	return mailboxChanged{out, updatedProperties(out, boxes)}, nil
}

// updatedProperties are the properties that may have changed, where these are only the counts; nil: others have, too.
func updatedProperties(out *call.Changed, boxes map[int64]*catalog.Box) *[]string {
	since, err := finding.ParseState(out.OldState)
	if err != nil || len(out.Updated) == 0 {
		return nil
	}
	for _, id := range out.Updated {
		n, _ := number(boxKind, id)
		if b := boxes[n]; b == nil || since.Before(b.Shaped, n) {
			return nil
		}
	}
	return &[]string{"totalEmails", "unreadEmails", "totalThreads", "unreadThreads"}
}

// threadGet is Thread/get (RFC 8621 §3.1).
func (r *Room) threadGet(c *call.Call, args call.Args) (any, *jmap.Error) {
	var g call.Get
	if err := args.Decode(&g); err != nil {
		return nil, err
	}
	var out *call.Got
	var fault *jmap.Error
	err := r.Catalog.Look(c.Ctx, c.Name, func(_ *store.Tx, v *catalog.View) error {
		threads := map[jmap.ID][]*finding.Email{}
		for _, id := range threadsOf(&g, v) {
			if n, ok := number(threadKind, id); ok && len(v.Thread(n)) > 0 {
				threads[id] = v.Thread(n)
			}
		}
		out, fault = call.Pick(c, &g, finding.At(v.ModSeq).String(), threads, call.Shape[[]*finding.Email]{Names: []string{"id", "emailIds"},
			Of: func(id jmap.ID, all []*finding.Email) map[string]any {
				emails := []jmap.ID{}
				for _, e := range all {
					emails = append(emails, ID(emailKind, e.ID))
				}
				return map[string]any{"id": id, "emailIds": emails}
			}})
		return nil
	})
	if err != nil {
		return nil, c.Failed(err)
	}
	return out, fault
}

// threadsOf are the threads that are asked for.
func threadsOf(g *call.Get, v *catalog.View) []jmap.ID {
	if g.IDs != nil {
		return *g.IDs
	}
	seen := map[int64]bool{}
	var all []jmap.ID
	for _, e := range v.Sorted() {
		if e.Lies() && !seen[e.Thread] {
			seen[e.Thread] = true
			all = append(all, ID(threadKind, e.Thread))
		}
	}
	return all
}

func (r *Room) threadChanges(c *call.Call, args call.Args) (any, *jmap.Error) {
	out, err := r.changes(c, args, changedKind{threadKind, func(_ *catalog.View, c catalog.Changed) []finding.Change { return c.Threads }})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (r *Room) emailChanges(c *call.Call, args call.Args) (any, *jmap.Error) {
	out, err := r.changes(c, args, changedKind{emailKind, func(_ *catalog.View, c catalog.Changed) []finding.Change { return c.Emails }})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// boxIDs are the mailboxes in which a mail lies, each once.
func boxIDs(e *finding.Email) map[jmap.ID]bool {
	out := map[jmap.ID]bool{}
	for _, p := range e.Places {
		if p.Flags&mailbox.Deleted == 0 {
			out[ID(boxKind, p.Box)] = true
		}
	}
	return out
}

// State is the state of an account's mail, which Mailbox, Thread and Email have in common.
func (r *Room) State(c *call.Call) (string, error) {
	var s string
	err := r.Catalog.Look(c.Ctx, c.Name, func(_ *store.Tx, v *catalog.View) error {
		s = finding.At(v.ModSeq).String()
		return nil
	})
	return s, err
}

// States are those of the types of this room, for push (RFC 8620 §7.1); EmailDelivery changes only when a mail has come
// (RFC 8621 §1.5).
func (r *Room) States(c *call.Call) (map[string]string, error) {
	var out map[string]string
	err := r.Catalog.Look(c.Ctx, c.Name, func(_ *store.Tx, v *catalog.View) error {
		s := finding.At(v.ModSeq).String()
		out = map[string]string{"Mailbox": s, "Thread": s, "Email": s, "EmailDelivery": finding.At(v.Newest).String()}
		return nil
	})
	return out, err
}
