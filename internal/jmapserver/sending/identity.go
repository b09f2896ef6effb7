package sending

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"waxwing/internal/delivery"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/store"
	"waxwing/jmap"
)

// Bounds of identities.
const (
	maxIdentities = 200
	maxSettings   = 64 << 10 // octets of one
)

// ofAddress is the id of the identity that an address is by itself.
func ofAddress(address string) jmap.ID {
	return jmap.ID("A" + base64.RawURLEncoding.EncodeToString([]byte(address)))
}

// identities are all of an account.
func (r *Room) identities(c *call.Call) (map[jmap.ID]*identity, error) {
	out := map[jmap.ID]*identity{}
	all, err := r.Accounts.AddressesOf(c.Ctx, c.Name)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if !a.Refused && !strings.HasPrefix(a.Address, "*@") {
			out[ofAddress(a.Address)] = &identity{email: a.Address}
		}
	}
	type row struct{ id, email, text string }
	rows, err := store.List(c.Ctx, r.DB, func(x store.Row) (o row, err error) { return o, x.Scan(&o.id, &o.email, &o.text) },
		`SELECT id, email, settings FROM jmap_identities WHERE account = ?`, c.Name)
	if err != nil {
		return nil, err
	}
	for _, x := range rows {
		i := out[jmap.ID(x.id)]
		own := i == nil
		if own {
			if strings.HasPrefix(x.id, "A") {
				continue // the address is no more
			}
			i = &identity{email: x.email, own: true}
			out[jmap.ID(x.id)] = i
		}
		if err := json.Unmarshal([]byte(x.text), &i.settings); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Own are the addresses that an account writes from.
func (r *Room) Own(c *call.Call) ([]string, error) {
	all, err := r.identities(c)
	var out []string
	for _, i := range all {
		out = append(out, i.email)
	}
	return out, err
}

// identityGet is Identity/get (RFC 8621 §6.1).
func (r *Room) identityGet(c *call.Call, args call.Args) (any, *jmap.Error) {
	var g call.Get
	if err := args.Decode(&g); err != nil {
		return nil, err
	}
	all, err := r.identities(c)
	if err != nil {
		return nil, c.Failed(err)
	}
	out, fault := call.Pick(c, &g, identityState(all), all, call.Shape[*identity]{Names: identityNames, Of: func(id jmap.ID, i *identity) map[string]any { return i.shown(id) }})
	if fault != nil {
		return nil, fault
	}
	return out, nil
}

// identityChanges is Identity/changes (RFC 8621 §6.2). What has changed is not remembered: there are few identities.
func (r *Room) identityChanges(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a call.Changes
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	if _, err := a.Max(); err != nil {
		return nil, err
	}
	all, err := r.identities(c)
	if err != nil {
		return nil, c.Failed(err)
	}
	state := identityState(all)
	if a.SinceState != state {
		return nil, jmap.Errorf(jmap.CannotCalculateChanges, "get all of them: there are few")
	}
	return &call.Changed{AccountID: c.ID, OldState: state, NewState: state, Created: []jmap.ID{}, Updated: []jmap.ID{}, Destroyed: []jmap.ID{}}, nil
}

// identitySet is Identity/set (RFC 8621 §6.3).
func (r *Room) identitySet(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a call.Set
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	all, err := r.identities(c)
	if err != nil {
		return nil, c.Failed(err)
	}
	state := identityState(all)
	if fault := a.Check(c, state); fault != nil {
		return nil, fault
	}
	done := &call.Done{AccountID: c.ID, OldState: state}
	for _, id := range slices.Sorted(maps.Keys(a.Create)) {
		r.createIdentity(c, all, creation{id, a.Create[id]}, done)
	}
	for _, id := range slices.Sorted(maps.Keys(a.Update)) {
		to, _ := c.Resolve(id)
		if i := all[to]; i != nil && i.own && c.Doomed(a.Destroy, to) {
			call.Refuse(&done.NotUpdated, id, call.WillDestroy())
			continue
		}
		if err := r.updateIdentity(c, all[to], to, a.Update[id]); err != nil {
			call.Refuse(&done.NotUpdated, id, c.SetFailed(err))
			continue
		}
		done.Update(id, nil)
	}
	for _, id := range call.Once(a.Destroy) {
		to, _ := c.Resolve(id)
		if err := r.destroyIdentity(c, all[to], to); err != nil {
			call.Refuse(&done.NotDestroyed, id, c.SetFailed(err))
			continue
		}
		done.Destroyed = append(done.Destroyed, to)
	}
	if all, err = r.identities(c); err != nil {
		return nil, done.Failed(c, err)
	}
	done.NewState = identityState(all)
	return done, nil
}

// creation is what is to be made, with its creation id.
type creation struct {
	id  jmap.ID
	raw json.RawMessage
}

func (r *Room) createIdentity(c *call.Call, all map[jmap.ID]*identity, n creation, done *call.Done) {
	i := &identity{own: true}
	fault := i.patch(jmap.Patch(members(n.raw)), true)
	if fault == nil && len(all) >= maxIdentities {
		fault = jmap.SetErrorf(jmap.OverQuota, nil, "an account can have %d identities", maxIdentities)
	}
	if fault == nil {
		may, err := r.Accounts.MaySendAs(c.Ctx, c.Name, i.email)
		switch {
		case err != nil:
			fault = c.SetFailed(err)
		case !may:
			fault = jmap.SetErrorf(jmap.ForbiddenFrom, []string{"email"}, "the account may not write as %.200q", i.email)
		}
	}
	id := jmap.ID("I" + delivery.ID(store.NewID()).String())
	if fault == nil {
		if err := r.keep(c, id, i); err != nil {
			fault = c.SetFailed(err)
		}
	}
	if fault != nil {
		call.Refuse(&done.NotCreated, n.id, fault)
		return
	}
	all[id] = i
	done.Create(c, n.id, id, i.shown(id))
}

// members is an object; nil: it is none.
func members(raw json.RawMessage) (m map[string]json.RawMessage) {
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	return m
}

// patch sets properties.
func (i *identity) patch(p jmap.Patch, create bool) *jmap.SetError {
	steps, fault := p.Steps()
	if fault != nil {
		return fault
	}
	for _, s := range steps {
		var err error
		name := s.Path[0]
		switch {
		case len(s.Path) > 1:
			return jmap.SetErrorf(jmap.InvalidPatch, nil, "nothing can be set in %.100q", name)
		case name == "email" && create:
			err = json.Unmarshal(s.Value, &i.email)
		case name == "name":
			err = json.Unmarshal(s.Value, &i.Name)
		case name == "textSignature":
			err = json.Unmarshal(s.Value, &i.Text)
		case name == "htmlSignature":
			err = json.Unmarshal(s.Value, &i.HTML)
		case name == "replyTo":
			i.ReplyTo, err = addresses(s)
		case name == "bcc":
			i.Bcc, err = addresses(s)
		default:
			return jmap.SetErrorf(jmap.InvalidProperties, []string{name}, "it cannot be set")
		}
		if err != nil {
			return jmap.SetErrorf(jmap.InvalidProperties, []string{name}, "it has a wrong type")
		}
	}
	switch {
	case i.email == "":
		return jmap.SetErrorf(jmap.InvalidProperties, []string{"email"}, "an identity has an email")
	case len(i.Name)+len(i.Text)+len(i.HTML)+len(i.ReplyTo)+len(i.Bcc) > maxSettings:
		return jmap.SetErrorf(jmap.TooLarge, nil, "an identity has up to %d octets", maxSettings)
	}
	return nil
}

// addresses is a list of addresses, as JSON; nil: null.
func addresses(s jmap.Step) (json.RawMessage, error) {
	if s.IsNull() {
		return nil, nil
	}
	var list []struct {
		Name  *string `json:"name"`
		Email string  `json:"email"`
	}
	if err := json.Unmarshal(s.Value, &list); err != nil {
		return nil, err
	}
	return json.Marshal(list)
}

func (r *Room) updateIdentity(c *call.Call, i *identity, id jmap.ID, p jmap.Patch) error {
	if i == nil {
		return jmap.SetErrorf(jmap.NotFound, nil, "there is no such identity")
	}
	next := *i
	if fault := next.patch(p, false); fault != nil {
		return fault
	}
	*i = next
	return r.keep(c, id, i)
}

func (r *Room) keep(c *call.Call, id jmap.ID, i *identity) error {
	text, err := json.Marshal(i.settings)
	if err != nil {
		return err
	}
	return r.DB.Write(c.Ctx, func(tx *store.Tx) error {
		if _, err := r.turn(tx, c.Name); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO jmap_identities (account, id, email, settings) VALUES (?, ?, ?, ?)
			ON CONFLICT (account, id) DO UPDATE SET settings = excluded.settings`, c.Name, string(id), i.email, string(text))
		return err
	})
}

func (r *Room) destroyIdentity(c *call.Call, i *identity, id jmap.ID) error {
	switch {
	case i == nil:
		return jmap.SetErrorf(jmap.NotFound, nil, "there is no such identity")
	case !i.own:
		return jmap.SetErrorf(jmap.Forbidden, nil, "it is an address of the account")
	}
	return r.DB.Write(c.Ctx, func(tx *store.Tx) error {
		if _, err := r.turn(tx, c.Name); err != nil {
			return err
		}
		_, err := tx.Exec(`DELETE FROM jmap_identities WHERE account = ? AND id = ?`, c.Name, string(id))
		return err
	})
}
