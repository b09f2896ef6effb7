package sorting

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"waxwing/internal/delivery"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/mails"
	"waxwing/internal/scripts"
	"waxwing/internal/store"
	"waxwing/jmap"
	"waxwing/sieve"
)

// kind begins the ids of scripts.
const kind = 'F'

// script is one of an account's.
type script struct {
	scripts.Script
	text string
}

// blobID is that of a script's text: another text has another id (RFC 8620 §6).
func (s *script) blobID() jmap.ID {
	sum := sha256.Sum256([]byte(s.text))
	return jmap.ID(string(mails.ScriptKind) + delivery.ID(s.ID).String() + "_" + hex.EncodeToString(sum[:8]))
}

// scripts are all of an account, with their texts where they are wanted.
func (r *Room) scripts(ctx context.Context, account string, texts bool) (map[jmap.ID]*script, error) {
	list, err := r.Scripts.List(ctx, account)
	out := map[jmap.ID]*script{}
	for _, s := range list {
		one := &script{Script: s}
		if texts && err == nil {
			if one.text, err = r.Scripts.Get(ctx, account, s.Name); errors.Is(err, scripts.ErrNoSuchScript) {
				err = nil
				continue // it has gone meanwhile
			}
		}
		out[call.ID(kind, s.ID)] = one
	}
	return out, err
}

// Text is that of a script, by the id of its blob.
func (r *Room) Text(ctx context.Context, account string, id jmap.ID) (string, bool, error) {
	all, err := r.scripts(ctx, account, true)
	for _, s := range all {
		if s.blobID() == id {
			return s.text, true, err
		}
	}
	return "", false, err
}

// state is another one with each change of a script.
func state(all map[jmap.ID]*script) string {
	h := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(all)) {
		s := all[id]
		fmt.Fprintf(h, "%s %q %v %d;", id, s.Name, s.Active, store.Time(s.Changed))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:12])
}

func (r *Room) scriptStates(c *call.Call) (map[string]string, error) {
	all, err := r.scripts(c.Ctx, c.Name, false)
	return map[string]string{"SieveScript": state(all)}, err
}

var scriptShape = call.Shape[*script]{Names: []string{"id", "name", "blobId", "isActive"}, Of: func(id jmap.ID, s *script) map[string]any {
	return map[string]any{"id": id, "name": s.Name, "blobId": s.blobID(), "isActive": s.Active}
}}

// scriptGet is SieveScript/get (RFC 9661 §2.3).
func (r *Room) scriptGet(c *call.Call, args call.Args) (any, *jmap.Error) {
	var g call.Get
	if err := args.Decode(&g); err != nil {
		return nil, err
	}
	all, err := r.scripts(c.Ctx, c.Name, true)
	if err != nil {
		return nil, c.Failed(err)
	}
	out, fault := call.Pick(c, &g, state(all), all, scriptShape)
	if fault != nil {
		return nil, fault
	}
	return out, nil
}

// scriptQuery is SieveScript/query (RFC 9661 §2.5).
func (r *Room) scriptQuery(c *call.Call, args call.Args) (any, *jmap.Error) {
	var q call.Query
	if err := args.Decode(&q); err != nil {
		return nil, err
	}
	filter, err := jmap.ParseFilter(q.Filter)
	if err != nil {
		return nil, jmap.Errorf(jmap.InvalidArguments, "%v", err)
	}
	order, err := jmap.ParseSort(q.Sort)
	if err != nil {
		return nil, jmap.Errorf(jmap.InvalidArguments, "%v", err)
	}
	for _, o := range order {
		if o.Property != "name" && o.Property != "isActive" || o.Collation != "" || o.Keyword != "" {
			return nil, jmap.Errorf(jmap.UnsupportedSort, "scripts are sorted by name and isActive")
		}
	}
	if fault := checkFilter(filter); fault != nil {
		return nil, fault
	}
	all, err := r.scripts(c.Ctx, c.Name, false)
	if err != nil {
		return nil, c.Failed(err)
	}
	var found []*script
	for _, s := range all {
		if filter.Find(func(f *jmap.Filter) jmap.Finding { return jmap.Is(s.matches(f.Condition)) }) == jmap.Yes {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b *script) int { return compare(order, a, b) })
	ids := make([]jmap.ID, len(found))
	for i, s := range found {
		ids[i] = call.ID(kind, s.ID)
	}
	out, fault := q.Answer(c, state(all), ids)
	if fault != nil {
		return nil, fault
	}
	out.CanCalculate = false
	return out, nil
}

func checkFilter(f *jmap.Filter) *jmap.Error {
	err := f.Conditions(func(f *jmap.Filter) error {
		for name, raw := range f.Condition {
			var text *string
			var is *bool
			switch {
			case name == "name" && json.Unmarshal(raw, &text) == nil && text != nil:
			case name == "isActive" && json.Unmarshal(raw, &is) == nil && is != nil:
			case name == "name" || name == "isActive":
				return jmap.Errorf(jmap.InvalidArguments, "%s of a filter has a wrong type", name)
			default:
				return jmap.Errorf(jmap.UnsupportedFilter, "scripts are found by name and isActive")
			}
		}
		return nil
	})
	var fault *jmap.Error
	errors.As(err, &fault)
	return fault
}

// matches tells whether a script fulfils a condition that was checked.
func (s *script) matches(condition map[string]json.RawMessage) bool {
	for name, raw := range condition {
		var text string
		var is bool
		if name == "name" && json.Unmarshal(raw, &text) == nil && !strings.Contains(s.Name, text) {
			return false
		}
		if name == "isActive" && json.Unmarshal(raw, &is) == nil && s.Active != is {
			return false
		}
	}
	return true
}

func compare(order []jmap.Comparator, a, b *script) int {
	for _, o := range order {
		n := strings.Compare(a.Name, b.Name)
		if o.Property == "isActive" {
			n = rank(a.Active) - rank(b.Active)
		}
		if o.Descending {
			n = -n
		}
		if n != 0 {
			return n
		}
	}
	return strings.Compare(a.Name, b.Name)
}

func rank(is bool) int {
	if is {
		return 1
	}
	return 0
}

// scriptValidate is SieveScript/validate (RFC 9661 §2.6).
func (r *Room) scriptValidate(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a struct {
		AccountID jmap.ID `json:"accountId"`
		BlobID    jmap.ID `json:"blobId" must:"be"`
	}
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	out := map[string]any{"accountId": c.ID, "error": nil}
	text, err := r.text(c, a.BlobID)
	if err == nil {
		err = faultOf(scripts.Check(text))
	}
	var fault *jmap.SetError
	switch {
	case errors.As(err, &fault) && fault.Type == jmap.BlobNotFound:
		return nil, jmap.Errorf(jmap.BlobNotFound, "%s", fault.Description)
	case fault != nil:
		out["error"] = fault
	case err != nil:
		return nil, c.Failed(err)
	}
	return out, nil
}

// text is a script that was uploaded. The error may be a *jmap.SetError.
func (r *Room) text(c *call.Call, id jmap.ID) (string, error) {
	to, _ := c.Resolve(id)
	body, _, err := r.Blob(c.Ctx, c.Name, to)
	if err != nil {
		return "", err
	}
	if body == nil {
		f := jmap.SetErrorf(jmap.BlobNotFound, []string{"blobId"}, "there is no blob %.100q", string(id))
		f.More = map[string]any{"notFound": []jmap.ID{id}}
		return "", f
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, scripts.MaxScript+1))
	if err == nil && len(b) > scripts.MaxScript {
		err = faultOf(scripts.ErrTooLarge)
	}
	return string(b), err
}

// faultOf is what an error of package scripts means; one of the store's stays.
func faultOf(err error) error {
	var wrong *sieve.Error
	var name *scripts.NameError
	switch {
	case errors.As(err, &wrong):
		return jmap.SetErrorf(jmap.InvalidScript, nil, "%v", wrong)
	case errors.As(err, &name):
		return jmap.SetErrorf(jmap.InvalidProperties, []string{"name"}, "%v", name)
	case errors.Is(err, scripts.ErrTooLarge):
		f := jmap.SetErrorf(jmap.TooLarge, nil, "%v", err)
		f.More = map[string]any{"maxSize": scripts.MaxScript}
		return f
	case errors.Is(err, scripts.ErrTooMany):
		return jmap.SetErrorf(jmap.OverQuota, nil, "%v", err)
	case errors.Is(err, scripts.ErrActive):
		return jmap.SetErrorf(jmap.ScriptIsActive, nil, "%v", err)
	case errors.Is(err, scripts.ErrNoSuchScript):
		return jmap.SetErrorf(jmap.NotFound, nil, "there is no such script")
	case errors.Is(err, scripts.ErrExists):
		return jmap.SetErrorf(jmap.AlreadyExists, []string{"name"}, "%v", err)
	}
	return err
}
