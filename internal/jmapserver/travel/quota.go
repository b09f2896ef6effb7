package travel

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"waxwing/internal/jmapserver/call"
	"waxwing/internal/mailboxes"
	"waxwing/jmap"
)

// quotaCapability is that of RFC 9425.
const quotaCapability = "urn:ietf:params:jmap:quota"

// mailCapability is that of the types that the quotas are about.
const mailCapability = "urn:ietf:params:jmap:mail"

// quotaMethods are those of RFC 9425.
func (r *Room) quotaMethods() map[string]call.Method {
	return map[string]call.Method{"Quota/get": r.quotaGet, "Quota/changes": r.quotaChanges, "Quota/query": r.quotaQuery, "Quota/queryChanges": r.quotaQueryChanges}
}

// quotaIDs are those that there can be, which are also their resource types.
var quotaIDs = []jmap.ID{"count", "octets"}

// quota is a bound of an account, and what is used of it. None has the limit 0.
type quota struct{ used, limit int64 }

var quotaNames = []string{"id", "resourceType", "used", "hardLimit", "warnLimit", "softLimit", "scope", "name", "types", "description"}

// quotas are those that an account has: of mails and of octets, as IMAP tells them (MBX-5).
func (r *Room) quotas(c *call.Call) (map[jmap.ID]quota, error) {
	u, err := r.Boxes.Usage(c.Ctx, c.Name)
	return quotasOf(u), err
}

func quotasOf(u mailboxes.Usage) map[jmap.ID]quota {
	out := map[jmap.ID]quota{}
	if u.Max.Octets > 0 {
		out["octets"] = quota{u.Octets, u.Max.Octets}
	}
	if u.Max.Messages > 0 {
		out["count"] = quota{u.Messages, u.Max.Messages}
	}
	return out
}

// quotaState says all that the quotas say, so that changes can be told without remembering anything.
func quotaState(all map[jmap.ID]quota) string {
	var words []string
	for _, id := range quotaIDs {
		words = append(words, strconv.FormatInt(all[id].used, 36), strconv.FormatInt(all[id].limit, 36))
	}
	return strings.Join(words, "-")
}

// quotasIn reads a state; false: it is none.
func quotasIn(state string) (map[jmap.ID]quota, bool) {
	words := strings.Split(state, "-")
	if len(words) != 2*len(quotaIDs) {
		return nil, false
	}
	out := map[jmap.ID]quota{}
	for i, id := range quotaIDs {
		used, err := strconv.ParseInt(words[2*i], 36, 64)
		limit, bad := strconv.ParseInt(words[2*i+1], 36, 64)
		if err != nil || bad != nil {
			return nil, false
		}
		if limit > 0 {
			out[id] = quota{used, limit}
		}
	}
	return out, true
}

func (r *Room) quotaStates(c *call.Call) (map[string]string, error) {
	all, err := r.quotas(c)
	return map[string]string{"Quota": quotaState(all)}, err
}

func (r *Room) quotaGet(c *call.Call, args call.Args) (any, *jmap.Error) {
	var g call.Get
	if err := args.Decode(&g); err != nil {
		return nil, err
	}
	all, err := r.quotas(c)
	if err != nil {
		return nil, c.Failed(err)
	}
	state := quotaState(all)
	if !c.Using[mailCapability] { // RFC 9425 §4.1: types that the client does not know are not told, nor quotas of no other types
		all = nil
	}
	out, fault := call.Pick(c, &g, state, all, call.Shape[quota]{Names: quotaNames, Of: func(id jmap.ID, q quota) map[string]any {
		return map[string]any{"id": id, "resourceType": id, "used": q.used, "hardLimit": q.limit, "warnLimit": nil, "softLimit": nil, "scope": "account", "name": c.Name, "types": []string{"Email"}, "description": nil}
	}})
	if fault != nil {
		return nil, fault
	}
	return out, nil
}

// quotaChanges is Quota/changes (RFC 9425 §4.3).
func (r *Room) quotaChanges(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a call.Changes
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	most, fault := a.Max()
	if fault != nil {
		return nil, fault
	}
	now, err := r.quotas(c)
	if err != nil {
		return nil, c.Failed(err)
	}
	was, ok := quotasIn(a.SinceState)
	if !ok {
		return nil, jmap.Errorf(jmap.CannotCalculateChanges, "there has been no such state")
	}
	out := &call.Changed{AccountID: c.ID, OldState: a.SinceState, Created: []jmap.ID{}, Updated: []jmap.ID{}, Destroyed: []jmap.ID{}}
	told, onlyUsed := 0, true
	for _, id := range quotaIDs {
		if was[id] == now[id] {
			continue
		}
		if told++; most > 0 && told > most {
			out.More = true
			break
		}
		switch {
		case was[id].limit == 0:
			out.Created = append(out.Created, id)
		case now[id].limit == 0:
			out.Destroyed = append(out.Destroyed, id)
		default:
			out.Updated = append(out.Updated, id)
			onlyUsed = onlyUsed && was[id].limit == now[id].limit
		}
		was[id] = now[id]
	}
	out.NewState = quotaState(was)
	var updated *[]string
	if len(out.Updated) > 0 && onlyUsed {
		updated = &[]string{"used"}
	}
	return struct {
		*call.Changed
		Properties *[]string `json:"updatedProperties"`
	}{out, updated}, nil
}

// quotaQuery is Quota/query (RFC 9425 §4.4).
func (r *Room) quotaQuery(c *call.Call, args call.Args) (any, *jmap.Error) {
	var q call.Query
	if err := args.Decode(&q); err != nil {
		return nil, err
	}
	f, err := jmap.ParseFilter(q.Filter)
	var by []jmap.Comparator
	if err == nil {
		by, err = jmap.ParseSort(q.Sort)
	}
	if err != nil {
		return nil, jmap.Errorf(jmap.InvalidArguments, "%v", err)
	}
	all, err := r.quotas(c)
	if err != nil {
		return nil, c.Failed(err)
	}
	ids := []jmap.ID{}
	for _, id := range quotaIDs {
		found, fault := matches(c, id, f)
		if fault != nil {
			return nil, fault
		}
		if _, has := all[id]; has && found && c.Using[mailCapability] {
			ids = append(ids, id)
		}
	}
	if fault := sortQuotas(ids, all, by); fault != nil {
		return nil, fault
	}
	out, fault := q.Answer(c, quotaState(all), ids)
	if fault != nil {
		return nil, fault
	}
	out.CanCalculate = false
	return out, nil
}

// matches tells whether a quota is found. The error is UnsupportedFilter or InvalidArguments.
func matches(c *call.Call, id jmap.ID, f *jmap.Filter) (bool, *jmap.Error) {
	var fault *jmap.Error
	_ = f.Conditions(func(f *jmap.Filter) error {
		for name, raw := range f.Condition {
			var text *string
			switch {
			case !slices.Contains([]string{"name", "scope", "resourceType", "type"}, name):
				fault = jmap.Errorf(jmap.UnsupportedFilter, "there is no condition %.100q", name)
			case json.Unmarshal(raw, &text) != nil || text == nil:
				fault = jmap.Errorf(jmap.InvalidArguments, "filter: %s is a text", name)
			}
		}
		return nil
	})
	if fault != nil {
		return false, fault
	}
	return f.Find(func(f *jmap.Filter) jmap.Finding {
		for name, raw := range f.Condition {
			var text string
			if json.Unmarshal(raw, &text) != nil || name == "name" && !strings.Contains(c.Name, text) {
				return jmap.No
			}
			if is := map[string]string{"scope": "account", "resourceType": string(id), "type": "Email", "name": text}; is[name] != text {
				return jmap.No
			}
		}
		return jmap.Yes
	}) == jmap.Yes, nil
}

// sortQuotas sorts them by used; their names are the same.
func sortQuotas(ids []jmap.ID, all map[jmap.ID]quota, by []jmap.Comparator) *jmap.Error {
	for _, b := range by {
		if b.Property != "name" && b.Property != "used" {
			return jmap.Errorf(jmap.UnsupportedSort, "quotas are sorted by name and used")
		}
	}
	slices.SortStableFunc(ids, func(x, y jmap.ID) int {
		for _, b := range by {
			n := all[x].used - all[y].used
			if b.Descending {
				n = -n
			}
			if b.Property == "used" && n != 0 {
				return int(min(max(n, -1), 1))
			}
		}
		return 0
	})
	return nil
}

// quotaQueryChanges is Quota/queryChanges (RFC 9425 §4.5): the query says that it cannot be asked.
func (r *Room) quotaQueryChanges(_ *call.Call, args call.Args) (any, *jmap.Error) {
	var q call.QueryChanges
	if err := args.Decode(&q); err != nil {
		return nil, err
	}
	return nil, jmap.Errorf(jmap.CannotCalculateChanges, "ask the query again")
}
