package travel

import (
	"strconv"

	"waxwing/internal/jmapserver/call"
	"waxwing/internal/mailboxes"
	"waxwing/jmap"
)

// quotaCapability is that of RFC 9425.
const quotaCapability = "urn:ietf:params:jmap:quota"

// quotaMethods are those of RFC 9425.
func (r *Room) quotaMethods() map[string]call.Method {
	return map[string]call.Method{"Quota/get": r.quotaGet, "Quota/changes": r.quotaChanges, "Quota/query": r.quotaQuery, "Quota/queryChanges": r.quotaQueryChanges}
}

// quota is a bound of an account, and what is used of it.
type quota struct {
	resource    string
	used, limit int64
}

var quotaNames = []string{"id", "resourceType", "used", "hardLimit", "warnLimit", "softLimit", "scope", "name", "types", "description"}

// quotas are those that an account has: of octets and of mails, as IMAP tells them (MBX-5).
func (r *Room) quotas(c *call.Call) (map[jmap.ID]quota, string, error) {
	u, err := r.Boxes.Usage(c.Ctx, c.Name)
	return quotasOf(u), strconv.FormatInt(u.Messages, 36) + "-" + strconv.FormatInt(u.Octets, 36) + "-" + strconv.FormatInt(u.Max.Messages+u.Max.Octets, 36), err
}

func quotasOf(u mailboxes.Usage) map[jmap.ID]quota {
	out := map[jmap.ID]quota{}
	if u.Max.Octets > 0 {
		out["octets"] = quota{"octets", u.Octets, u.Max.Octets}
	}
	if u.Max.Messages > 0 {
		out["count"] = quota{"count", u.Messages, u.Max.Messages}
	}
	return out
}

func (r *Room) quotaGet(c *call.Call, args call.Args) (any, *jmap.Error) {
	var g call.Get
	if err := args.Decode(&g); err != nil {
		return nil, err
	}
	all, state, err := r.quotas(c)
	if err != nil {
		return nil, c.Failed(err)
	}
	out, fault := call.Pick(c, &g, state, all, call.Shape[quota]{Names: quotaNames, Of: func(id jmap.ID, q quota) map[string]any {
		return map[string]any{"id": id, "resourceType": q.resource, "used": q.used, "hardLimit": q.limit, "warnLimit": nil, "softLimit": nil, "scope": "account", "name": c.Name, "types": []string{"Mail"}, "description": nil}
	}})
	if fault != nil {
		return nil, fault
	}
	return out, nil
}

// quotaChanges tells of changes only that there were some: there are two quotas.
func (r *Room) quotaChanges(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a call.Changes
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	_, state, err := r.quotas(c)
	if err != nil {
		return nil, c.Failed(err)
	}
	if a.SinceState != state {
		return nil, jmap.Errorf(jmap.CannotCalculateChanges, "get all of them: there are two")
	}
	return map[string]any{"accountId": c.ID, "oldState": state, "newState": state, "hasMoreChanges": false, "created": []jmap.ID{}, "updated": []jmap.ID{}, "destroyed": []jmap.ID{}, "updatedProperties": nil}, nil
}

func (r *Room) quotaQuery(c *call.Call, args call.Args) (any, *jmap.Error) {
	var q call.Query
	if err := args.Decode(&q); err != nil {
		return nil, err
	}
	f, err := jmap.ParseFilter(q.Filter)
	if err != nil {
		return nil, jmap.Errorf(jmap.InvalidArguments, "%v", err)
	}
	if f != nil && (f.Operator != "" || len(f.Condition) > 0) {
		return nil, jmap.Errorf(jmap.UnsupportedFilter, "there are two quotas: get them")
	}
	all, state, err := r.quotas(c)
	if err != nil {
		return nil, c.Failed(err)
	}
	ids := []jmap.ID{}
	for _, id := range []jmap.ID{"count", "octets"} {
		if _, has := all[id]; has {
			ids = append(ids, id)
		}
	}
	out, fault := q.Answer(c, state, ids)
	if fault != nil {
		return nil, fault
	}
	out.CanCalculate = false
	return out, nil
}

func (r *Room) quotaQueryChanges(_ *call.Call, _ call.Args) (any, *jmap.Error) {
	return nil, jmap.Errorf(jmap.CannotCalculateChanges, "ask the query again")
}
