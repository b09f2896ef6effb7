package sorting

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"waxwing/internal/jmapserver/call"
	"waxwing/internal/scripts"
	"waxwing/internal/store"
	"waxwing/jmap"
)

// singleton is the id of the one vacation response that an account has.
const singleton jmap.ID = "singleton"

var vacationNames = []string{"id", "isEnabled", "fromDate", "toDate", "subject", "textBody", "htmlBody"}

// stateOf is another one with each change.
func stateOf(v *scripts.Vacation) string { return strconv.FormatInt(store.Time(v.Changed), 36) }

func (r *Room) vacationStates(c *call.Call) (map[string]string, error) {
	v, err := r.Scripts.Vacation(c.Ctx, c.Name)
	return map[string]string{"VacationResponse": stateOf(&v)}, err
}

func shownVacation(id jmap.ID, v *scripts.Vacation) map[string]any {
	return map[string]any{"id": id, "isEnabled": v.Enabled, "fromDate": jmap.UTCDate{Time: v.Since}, "toDate": jmap.UTCDate{Time: v.Until},
		"subject": orNull(v.Subject), "textBody": orNull(v.Plain), "htmlBody": orNull(v.HTML)}
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// vacationGet is VacationResponse/get (RFC 8621 §8.1).
func (r *Room) vacationGet(c *call.Call, args call.Args) (any, *jmap.Error) {
	var g call.Get
	if err := args.Decode(&g); err != nil {
		return nil, err
	}
	v, err := r.Scripts.Vacation(c.Ctx, c.Name)
	if err != nil {
		return nil, c.Failed(err)
	}
	out, fault := call.Pick(c, &g, stateOf(&v), map[jmap.ID]*scripts.Vacation{singleton: &v}, call.Shape[*scripts.Vacation]{Names: vacationNames, Of: shownVacation})
	if fault != nil {
		return nil, fault
	}
	return out, nil
}

// vacationSet is VacationResponse/set (RFC 8621 §8.2).
func (r *Room) vacationSet(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a call.Set
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	v, err := r.Scripts.Vacation(c.Ctx, c.Name)
	if err != nil {
		return nil, c.Failed(err)
	}
	if fault := a.Check(c, stateOf(&v)); fault != nil {
		return nil, fault
	}
	done := &call.Done{AccountID: c.ID, OldState: stateOf(&v)}
	one := jmap.SetErrorf(jmap.Singleton, nil, "there is exactly one vacation response")
	for id := range a.Create {
		call.Refuse(&done.NotCreated, id, one)
	}
	for _, id := range a.Destroy {
		call.Refuse(&done.NotDestroyed, id, one)
	}
	for _, id := range slices.Sorted(maps.Keys(a.Update)) {
		if err := r.updateVacation(c, id, &v, a.Update[id]); err != nil {
			call.Refuse(&done.NotUpdated, id, c.SetFailed(err))
			continue
		}
		done.Update(id, nil)
	}
	if v, err = r.Scripts.Vacation(c.Ctx, c.Name); err != nil {
		return nil, done.Failed(c, err)
	}
	done.NewState = stateOf(&v)
	return done, nil
}

func (r *Room) updateVacation(c *call.Call, id jmap.ID, v *scripts.Vacation, p jmap.Patch) error {
	if id != singleton {
		return jmap.SetErrorf(jmap.NotFound, nil, "the id is singleton")
	}
	next := *v
	if fault := patchVacation(&next, p); fault != nil {
		return fault
	}
	err := r.Scripts.SetVacation(c.Ctx, c.Name, next, func(tx *store.Tx) error { return r.Changed(tx, c.Name) })
	if errors.Is(err, scripts.ErrVacationTooLarge) {
		return jmap.SetErrorf(jmap.TooLarge, nil, "%v", err)
	}
	return err
}

// patchVacation sets properties.
func patchVacation(v *scripts.Vacation, p jmap.Patch) *jmap.SetError {
	steps, fault := p.Steps()
	if fault != nil {
		return fault
	}
	for _, s := range steps {
		name := s.Path[0]
		if len(s.Path) > 1 {
			return jmap.SetErrorf(jmap.InvalidPatch, nil, "nothing can be set in %.100q", name)
		}
		var err error
		switch name {
		case "isEnabled":
			v.Enabled = false // of null: the default
			err = json.Unmarshal(s.Value, &v.Enabled)
		case "fromDate":
			v.Since, err = date(s.Value)
		case "toDate":
			v.Until, err = date(s.Value)
		case "subject":
			v.Subject, err = textOf(s.Value)
		case "textBody":
			v.Plain, err = textOf(s.Value)
		case "htmlBody":
			v.HTML, err = textOf(s.Value)
		default:
			if id, err := textOf(s.Value); name == "id" && err == nil && jmap.ID(id) == singleton {
				continue
			}
			return jmap.SetErrorf(jmap.InvalidProperties, []string{name}, "it cannot be set")
		}
		if err != nil {
			return jmap.SetErrorf(jmap.InvalidProperties, []string{name}, "it has a wrong type")
		}
	}
	return nil
}

func date(raw json.RawMessage) (time.Time, error) {
	var d *jmap.UTCDate
	if err := json.Unmarshal(raw, &d); err != nil || d == nil {
		return time.Time{}, err
	}
	if d.Year() < 1900 || d.Year() > 2200 {
		return time.Time{}, errors.New("no time of a vacation")
	}
	return d.Time, nil
}

// textOf is a text; null is none.
func textOf(raw json.RawMessage) (string, error) {
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil || s == nil {
		return "", err
	}
	return *s, nil
}
