package sorting

import (
	"encoding/json"
	"maps"
	"slices"

	"waxwing/internal/delivery"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/store"
	"waxwing/jmap"
)

// scriptArgs are the arguments of SieveScript/set.
type scriptArgs struct {
	call.Set
	Activate   *jmap.ID `json:"onSuccessActivateScript"`
	Deactivate *bool    `json:"onSuccessDeactivateScript"`
}

// scriptSet is SieveScript/set (RFC 9661 §2.4).
func (r *Room) scriptSet(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a scriptArgs
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	all, err := r.scripts(c.Ctx, c.Name, true)
	if err != nil {
		return nil, c.Failed(err)
	}
	if fault := a.Check(c, state(all)); fault != nil {
		return nil, fault
	}
	s := &setting{Room: r, c: c, all: all, done: &call.Done{AccountID: c.ID, OldState: state(all)}}
	s.create(a.Create)
	s.update(a.Update, a.Destroy)
	s.destroy(a.Destroy)
	if len(s.done.NotCreated)+len(s.done.NotUpdated)+len(s.done.NotDestroyed) == 0 {
		if err := s.activate(&a); err != nil {
			return nil, s.done.Failed(c, err)
		}
	}
	if s.wrote {
		if err := r.changed(c); err != nil {
			return nil, s.done.Failed(c, err)
		}
	}
	if all, err = r.scripts(c.Ctx, c.Name, false); err != nil {
		return nil, s.done.Failed(c, err)
	}
	s.done.NewState = state(all)
	return s.done, nil
}

// setting is a call that is being carried out.
type setting struct {
	*Room
	c     *call.Call
	all   map[jmap.ID]*script
	done  *call.Done
	wrote bool
}

// named is the script of a name.
func (s *setting) named(name string) (jmap.ID, bool) {
	for id, o := range s.all {
		if o.Name == name {
			return id, true
		}
	}
	return "", false
}

// taken is why a name cannot be given.
func (s *setting) taken(name string) error {
	id, is := s.named(name)
	if !is {
		return nil
	}
	f := jmap.SetErrorf(jmap.AlreadyExists, []string{"name"}, "there is a script of that name already")
	f.More = map[string]any{"existingId": id}
	return f
}

func (s *setting) create(all map[jmap.ID]json.RawMessage) {
	for _, creation := range slices.Sorted(maps.Keys(all)) {
		id, record, err := s.createOne(all[creation])
		if err != nil {
			call.Refuse(&s.done.NotCreated, creation, s.c.SetFailed(err))
			continue
		}
		s.wrote = true
		s.done.Create(s.c, creation, id, record)
	}
}

// createOne stores a script. One without a name is given one (RFC 9661 §2.1).
func (s *setting) createOne(raw json.RawMessage) (jmap.ID, map[string]any, error) {
	var w struct {
		Name   *string `json:"name"`
		BlobID jmap.ID `json:"blobId"`
	}
	if fault := call.Record(raw, &w); fault != nil {
		return "", nil, fault
	}
	text, err := s.text(s.c, w.BlobID)
	if err != nil {
		return "", nil, err
	}
	name := "script-" + delivery.ID(store.NewID()).String()
	if w.Name != nil {
		name = *w.Name
	}
	if err := s.taken(name); err != nil {
		return "", nil, err
	}
	if err := s.Scripts.Put(s.c.Ctx, s.c.Name, name, text); err != nil {
		return "", nil, faultOf(err)
	}
	if err := s.again(); err != nil {
		return "", nil, err
	}
	id, _ := s.named(name)
	record := scriptShape.Of(id, s.all[id])
	if w.Name != nil {
		delete(record, "name")
	}
	return id, record, nil
}

// again reads the scripts once more.
func (s *setting) again() (err error) {
	s.all, err = s.scripts(s.c.Ctx, s.c.Name, true)
	return err
}

func (s *setting) update(all map[jmap.ID]jmap.Patch, destroy []jmap.ID) {
	for _, id := range slices.Sorted(maps.Keys(all)) {
		to, _ := s.c.Resolve(id)
		if s.c.Doomed(destroy, to) {
			call.Refuse(&s.done.NotUpdated, id, call.WillDestroy())
			continue
		}
		record, err := s.updateOne(to, all[id])
		if err != nil {
			call.Refuse(&s.done.NotUpdated, id, s.c.SetFailed(err))
			continue
		}
		s.wrote = true
		s.done.Update(id, record)
	}
}

// updateOne changes name and text.
func (s *setting) updateOne(id jmap.ID, p jmap.Patch) (map[string]any, error) {
	is := s.all[id]
	if is == nil {
		return nil, jmap.SetErrorf(jmap.NotFound, nil, "there is no such script")
	}
	steps, fault := p.Steps()
	if fault != nil {
		return nil, fault
	}
	name, text := is.Name, ""
	var blob *jmap.ID
	for _, step := range steps {
		if len(step.Path) > 1 {
			return nil, jmap.SetErrorf(jmap.InvalidPatch, nil, "nothing can be set in %.100q", step.Path[0])
		}
		var err error
		switch property := step.Path[0]; property {
		case "name":
			if err = json.Unmarshal(step.Value, &name); err == nil && step.IsNull() {
				name = "script-" + delivery.ID(store.NewID()).String()
			}
		case "blobId":
			err = json.Unmarshal(step.Value, &blob)
		default:
			if !same(step, scriptShape.Of(id, is)) {
				return nil, jmap.SetErrorf(jmap.InvalidProperties, []string{property}, "it cannot be set")
			}
		}
		if err != nil || blob == nil && step.Path[0] == "blobId" {
			return nil, jmap.SetErrorf(jmap.InvalidProperties, []string{step.Path[0]}, "it has a wrong type")
		}
	}
	var err error
	if blob != nil {
		if text, err = s.text(s.c, *blob); err != nil {
			return nil, err
		}
	}
	if name != is.Name {
		if err := s.taken(name); err != nil {
			return nil, err
		}
	}
	if blob != nil { // first: where the text is wrong, nothing is changed
		err = s.Scripts.Put(s.c.Ctx, s.c.Name, is.Name, text)
	}
	if err == nil && name != is.Name {
		err = s.Scripts.Rename(s.c.Ctx, s.c.Name, is.Name, name)
	}
	if err != nil {
		return nil, faultOf(err)
	}
	if err := s.again(); err != nil || s.all[id] == nil || blob == nil {
		return nil, err
	}
	return map[string]any{"blobId": s.all[id].blobID()}, nil
}

// same tells whether a property that cannot be set is sent as it is.
func same(step jmap.Step, record map[string]any) bool {
	has, ok := record[step.Path[0]]
	b, err := json.Marshal(has)
	return ok && err == nil && string(b) == string(step.Value)
}

func (s *setting) destroy(all []jmap.ID) {
	for _, id := range call.Once(all) {
		to, _ := s.c.Resolve(id)
		err := error(jmap.SetErrorf(jmap.NotFound, nil, "there is no such script"))
		if is := s.all[to]; is != nil {
			err = faultOf(s.Scripts.Delete(s.c.Ctx, s.c.Name, is.Name))
		}
		if err != nil {
			call.Refuse(&s.done.NotDestroyed, id, s.c.SetFailed(err))
			continue
		}
		s.wrote = true
		delete(s.all, to)
		s.done.Destroyed = append(s.done.Destroyed, to)
	}
}

// activate changes which script runs, after all else has succeeded. Of an id that names no script nothing comes.
func (s *setting) activate(a *scriptArgs) error {
	var was, to jmap.ID
	for id, o := range s.all {
		if o.Active {
			was = id
		}
	}
	to = was
	if a.Deactivate != nil && *a.Deactivate {
		to = ""
	}
	if a.Activate != nil {
		if id, ok := s.c.Resolve(*a.Activate); ok && s.all[id] != nil {
			to = id
		}
	}
	if to == was {
		return nil
	}
	name := ""
	if to != "" {
		name = s.all[to].Name
	}
	if err := s.Scripts.Activate(s.c.Ctx, s.c.Name, name); err != nil {
		return err
	}
	s.wrote = true
	s.note(was, false)
	s.note(to, true)
	return nil
}

// note tells the client that a script has begun or ceased to run.
func (s *setting) note(id jmap.ID, active bool) {
	if id == "" {
		return
	}
	for _, made := range s.done.Created {
		if m, ok := made.(map[string]any); ok && m["id"] == id {
			m["isActive"] = active
			return
		}
	}
	record, _ := s.done.Updated[id].(map[string]any)
	if record == nil {
		record = map[string]any{}
	}
	record["isActive"] = active
	s.done.Update(id, record)
}
