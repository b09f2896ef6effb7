package push

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/internal/jmapserver/call"
	"waxwing/internal/store"
	"waxwing/jmap"
)

var names = []string{"id", "deviceClientId", "verificationCode", "expires", "types"}

func (s *subscription) shown(id jmap.ID) map[string]any {
	out := map[string]any{"id": id, "deviceClientId": s.device, "verificationCode": nil, "expires": jmap.UTCDate{Time: s.expires}, "types": s.types}
	if s.verified { // before, whoever reads it here would not have to get it at the address
		out["verificationCode"] = s.code
	}
	return out
}

// mine are the subscriptions that the password of a request has made.
func (r *Room) mine(c *call.Call) (credential string, all map[jmap.ID]*subscription, fault *jmap.Error) {
	credential, err := c.Credential()
	if err == nil && credential == "" {
		return "", nil, jmap.Errorf(jmap.Forbidden, "push subscriptions belong to a password: log in with one")
	}
	if err == nil {
		all, err = r.list(c.Ctx, c.Name, credential)
	}
	if err != nil {
		return "", nil, c.Failed(err)
	}
	return credential, all, nil
}

// get is PushSubscription/get (RFC 8620 §7.2.1).
func (r *Room) get(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a struct {
		IDs        *[]jmap.ID `json:"ids"`
		Properties *[]string  `json:"properties"`
	}
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	if a.Properties != nil && (slices.Contains(*a.Properties, "url") || slices.Contains(*a.Properties, "keys")) {
		return nil, jmap.Errorf(jmap.Forbidden, "url and keys are not told")
	}
	_, all, fault := r.mine(c)
	if fault != nil {
		return nil, fault
	}
	got, fault := call.Pick(c, &call.Get{IDs: a.IDs, Properties: a.Properties}, "", all, call.Shape[*subscription]{Names: names,
		Of: func(id jmap.ID, s *subscription) map[string]any { return s.shown(id) }})
	if fault != nil {
		return nil, fault
	}
	return map[string]any{"list": got.List, "notFound": got.NotFound}, nil
}

// set is PushSubscription/set (RFC 8620 §7.2.2).
func (r *Room) set(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a struct {
		Create  map[jmap.ID]json.RawMessage `json:"create"`
		Update  map[jmap.ID]jmap.Patch      `json:"update"`
		Destroy []jmap.ID                   `json:"destroy"`
	}
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	if fault := (&call.Set{Create: a.Create, Update: a.Update, Destroy: a.Destroy}).Check(c, ""); fault != nil {
		return nil, fault
	}
	credential, all, fault := r.mine(c)
	if fault != nil {
		return nil, fault
	}
	done := &call.Done{}
	for _, id := range slices.Sorted(maps.Keys(a.Create)) {
		record, err := r.create(c, credential, a.Create[id])
		if err != nil {
			call.Refuse(&done.NotCreated, id, c.SetFailed(err))
			continue
		}
		done.Create(c, id, record["id"].(jmap.ID), record)
	}
	if len(done.Created) > 0 { // which may be named by what follows
		if _, all, fault = r.mine(c); fault != nil {
			return nil, done.Failed(c, fault)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(a.Update)) {
		to, _ := c.Resolve(id)
		if c.Doomed(a.Destroy, to) {
			call.Refuse(&done.NotUpdated, id, call.WillDestroy())
			continue
		}
		record, err := r.change(c, all[to], a.Update[id])
		if err != nil {
			call.Refuse(&done.NotUpdated, id, c.SetFailed(err))
			continue
		}
		done.Update(id, record)
	}
	for _, id := range call.Once(a.Destroy) {
		to, _ := c.Resolve(id)
		err := error(jmap.SetErrorf(jmap.NotFound, nil, "there is no such subscription"))
		if s := all[to]; s != nil {
			err = r.remove(c.Ctx, s.id)
		}
		if err != nil {
			call.Refuse(&done.NotDestroyed, id, c.SetFailed(err))
			continue
		}
		done.Destroyed = append(done.Destroyed, to)
	}
	return map[string]any{"created": done.Created, "updated": done.Updated, "destroyed": done.Destroyed,
		"notCreated": done.NotCreated, "notUpdated": done.NotUpdated, "notDestroyed": done.NotDestroyed}, nil
}

// wanted is a subscription that is to be made.
type wanted struct {
	Device string `json:"deviceClientId"`
	URL    string `json:"url"`
	Keys   *struct {
		P256DH string `json:"p256dh"`
		Auth   string `json:"auth"`
	} `json:"keys"`
	Code    *string       `json:"verificationCode"`
	Expires *jmap.UTCDate `json:"expires"`
	Types   []string      `json:"types"`
}

// create makes a subscription; the code is posted at once.
func (r *Room) create(c *call.Call, credential string, raw json.RawMessage) (map[string]any, error) {
	var w wanted
	if fault := call.Record(raw, &w); fault != nil {
		return nil, fault
	}
	s, fault := r.read(&w)
	if fault != nil {
		return nil, fault
	}
	s.account, s.credential = c.Name, credential
	if !r.mayCreate(c.Name) {
		return nil, jmap.SetErrorf(jmap.RateLimit, nil, "an account can make %d subscriptions an hour", maxCreations)
	}
	ok, err := r.insert(c.Ctx, s)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, jmap.SetErrorf(jmap.OverQuota, nil, "an account can have %d subscriptions", maxSubscriptions)
	}
	r.wake()
	record := map[string]any{"id": call.ID(kind, s.id), "expires": jmap.UTCDate{Time: s.expires}, "verificationCode": nil}
	if w.Keys == nil {
		record["keys"] = nil
	}
	if w.Types == nil {
		record["types"] = nil
	}
	return record, nil
}

// read says what is wrong with a subscription that is to be made.
func (r *Room) read(w *wanted) (*subscription, *jmap.SetError) {
	bad := func(property, format string, args ...any) *jmap.SetError {
		return jmap.SetErrorf(jmap.InvalidProperties, []string{property}, format, args...)
	}
	s := &subscription{id: store.NewID(), device: w.Device, url: w.URL, code: rand.Text(), types: w.Types, expires: r.end(w.Expires)}
	switch {
	case w.Device == "" || len(w.Device) > maxDevice:
		return nil, bad("deviceClientId", "it has 1 to %d octets", maxDevice)
	case w.Code != nil:
		return nil, bad("verificationCode", "it is posted to the address, and comes back by an update")
	case !s.expires.After(r.Now()):
		return nil, bad("expires", "it is past")
	case !typesFit(w.Types):
		return nil, bad("types", "there are fewer types, with shorter names")
	}
	if err := checkURL(w.URL); err != nil {
		return nil, bad("url", "%v", err)
	}
	if w.Keys != nil {
		var err error
		if s.keys, err = parseKeys(w.Keys.P256DH, w.Keys.Auth); err != nil {
			return nil, bad("keys", "%v", err)
		}
	}
	return s, nil
}

func typesFit(all []string) bool {
	return len(all) <= maxTypes && !slices.ContainsFunc(all, func(t string) bool { return t == "" || len(t) > maxDevice })
}

// end is when a subscription ends that a client wants to end then; nil: as late as may be.
func (r *Room) end(wanted *jmap.UTCDate) time.Time {
	latest := r.Now().Add(longest).Truncate(time.Second)
	if wanted == nil || wanted.After(latest) {
		return latest
	}
	return wanted.UTC()
}

// checkURL says why nothing can be posted to an address. Ports of other services are left alone.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxURL || u.Scheme != "https" || !strings.HasPrefix(text, "https://") || u.Hostname() == "" {
		return errors.New("it is no URL that begins with https:// and has up to 2048 octets")
	}
	if u.User != nil || u.Fragment != "" {
		return errors.New("it has a user or a fragment")
	}
	if p := u.Port(); p != "" && p != "443" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n < 1024 {
			return errors.New("its port is that of another service")
		}
	}
	return nil
}

// change updates a subscription: its end, its types, or that it is verified. It returns what became other than the client has set it.
func (r *Room) change(c *call.Call, s *subscription, p jmap.Patch) (map[string]any, error) {
	if s == nil {
		return nil, jmap.SetErrorf(jmap.NotFound, nil, "there is no such subscription")
	}
	steps, fault := p.Steps()
	if fault != nil {
		return nil, fault
	}
	next := *s
	var record map[string]any
	for _, step := range steps {
		if len(step.Path) > 1 {
			return nil, jmap.SetErrorf(jmap.InvalidPatch, nil, "nothing can be set in %.100q", step.Path[0])
		}
		switch name := step.Path[0]; name {
		case "expires":
			var at *jmap.UTCDate
			if json.Unmarshal(step.Value, &at) != nil {
				return nil, jmap.SetErrorf(jmap.InvalidProperties, []string{name}, "it is no UTCDate")
			}
			if next.expires = r.end(at); at == nil || !next.expires.Equal(at.Time) {
				record = map[string]any{"expires": jmap.UTCDate{Time: next.expires}}
			}
		case "types":
			next.types = nil
			if json.Unmarshal(step.Value, &next.types) != nil || !typesFit(next.types) {
				return nil, jmap.SetErrorf(jmap.InvalidProperties, []string{name}, "it is a list of names of types, or null")
			}
		case "verificationCode":
			var code string
			if json.Unmarshal(step.Value, &code) != nil || subtle.ConstantTimeCompare([]byte(code), []byte(s.code)) != 1 {
				return nil, jmap.SetErrorf(jmap.InvalidProperties, []string{name}, "it is not the code that was posted")
			}
			next.verified = true
		default:
			if !s.is(step) {
				return nil, jmap.SetErrorf(jmap.InvalidProperties, []string{name}, "it cannot be changed")
			}
		}
	}
	var now verifiedNow
	if next.verified && !s.verified {
		var err error
		if now, err = r.now(c.Ctx, c.Name); err != nil {
			return nil, err
		}
	}
	if err := r.update(c.Ctx, &next, now); err != nil {
		return nil, err
	}
	*s = next
	return record, nil
}

// is tells whether an immutable property is sent as it is.
func (s *subscription) is(step jmap.Step) bool {
	var text string
	if json.Unmarshal(step.Value, &text) != nil {
		return false
	}
	return step.Path[0] == "id" && jmap.ID(text) == call.ID(kind, s.id) || step.Path[0] == "deviceClientId" && text == s.device
}
