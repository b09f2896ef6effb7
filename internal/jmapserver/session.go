package jmapserver

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"time"

	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/finding"
	"waxwing/internal/jmapserver/push"
	"waxwing/jmap"
)

// Capabilities that are always there.
const (
	Core      = "urn:ietf:params:jmap:core"
	Mail      = "urn:ietf:params:jmap:mail"
	WebSocket = "urn:ietf:params:jmap:websocket" // RFC 8887
)

// AccountID is how clients call an account.
func AccountID(account string) jmap.ID { return call.AccountID(account) }

// DefaultLimits are what is taken at once.
func DefaultLimits(message int64) call.Limits {
	return call.Limits{SizeUpload: max(message, 50<<20), SizeRequest: 10 << 20, ConcurrentUpload: 4, ConcurrentRequests: 8, CallsInRequest: 64, ObjectsInGet: 1000, ObjectsInSet: 1000, RequestTime: time.Minute}
}

// Bounds of RFC 8621 §1.3.1, as package mailboxes has them.
const (
	maxDepth = 20
	maxName  = 255
)

// capabilities are all that are served.
func (s *Server) capabilities() []Capability {
	l := s.Limits
	core := Capability{URI: Core, Session: map[string]any{"maxSizeUpload": l.SizeUpload, "maxConcurrentUpload": l.ConcurrentUpload, "maxSizeRequest": l.SizeRequest,
		"maxConcurrentRequests": l.ConcurrentRequests, "maxCallsInRequest": l.CallsInRequest, "maxObjectsInGet": l.ObjectsInGet, "maxObjectsInSet": l.ObjectsInSet,
		"collationAlgorithms": finding.Collations()}, Methods: map[string]call.Method{"Core/echo": echo, "Blob/copy": s.Mails.BlobCopy}}
	if s.Push != nil {
		maps.Copy(core.Methods, s.Push.Methods())
	}
	mail := Capability{URI: Mail, Session: map[string]any{}, Methods: s.Mails.Methods(), States: s.Mails.States,
		Account: map[string]any{"maxMailboxesPerEmail": nil, "maxMailboxDepth": maxDepth, "maxSizeMailboxName": maxName, "maxSizeAttachmentsPerEmail": l.SizeUpload,
			"emailQuerySortOptions": finding.SortOptions(), "mayCreateTopLevelMailbox": true}}
	out := append([]Capability{core, mail, {URI: WebSocket, Session: map[string]any{}}}, s.Rooms...)
	if s.Push != nil {
		out = append(out, Capability{URI: push.Capability, Session: map[string]any{}})
	}
	return out
}

// document is the session resource (RFC 8620 §2) without its state.
func (s *Server) document(c client) map[string]any {
	id := AccountID(c.account)
	all, ofAccount, primary := map[string]any{}, map[string]any{}, map[string]any{}
	for _, k := range s.capabilities() {
		all[k.URI] = k.Session
		if k.Account != nil {
			ofAccount[k.URI], primary[k.URI] = k.Account, id
		}
	}
	base := "http" + secure(c.r) + s.host(c.r) + Path
	all[WebSocket] = map[string]any{"url": "ws" + secure(c.r) + s.host(c.r) + Path + "ws/", "supportsPush": true}
	if s.Push != nil {
		key, err := s.Push.PublicKey(c.r.Context())
		if all[push.Capability] = map[string]any{"applicationServerKey": key}; err != nil {
			s.Log.Error("JMAP push", "error", err)
			delete(all, push.Capability) // RFC 9749 §3: clients do without
		}
	}
	return map[string]any{
		"capabilities":    all,
		"accounts":        map[jmap.ID]any{id: map[string]any{"name": c.account, "isPersonal": true, "isReadOnly": false, "accountCapabilities": ofAccount}},
		"primaryAccounts": primary,
		"username":        c.account,
		"apiUrl":          base + "api",
		"downloadUrl":     base + "download/{accountId}/{blobId}/{name}?type={type}",
		"uploadUrl":       base + "upload/{accountId}/",
		"eventSourceUrl":  base + "eventsource/?types={types}&closeafter={closeafter}&ping={ping}",
	}
}

// session answers with the session resource.
func (s *Server) session(w http.ResponseWriter, c client) error {
	doc := s.document(c)
	doc["state"] = stateOf(doc)
	return answer(w, http.StatusOK, doc)
}

// stateOf is another one for another session resource (RFC 8620 §2).
func stateOf(doc map[string]any) string {
	b, err := json.Marshal(doc)
	if err != nil {
		return "0" // a value that cannot be written is answered as an error
	}
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// answer writes v as JSON.
func answer(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // a client that has gone
	return nil
}

// secure is what a scheme has at its end, and "://". Without TLS, which pages on a loopback address are, clients go on without.
func secure(r *http.Request) string {
	if r.TLS == nil {
		return "://"
	}
	return "s://"
}
