package jmapserver_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// copyOf is what a client has of an account, kept up to date by changes alone.
type copyOf struct {
	w      *world
	states map[string]string            // by type
	has    map[string]map[string]string // by type and id, what it looks like
	query  []string                     // of all mails, threads collapsed
	qstate string
}

var kinds = []string{"Email", "Thread", "Mailbox"}

// fetch gets records by id.
func (k *copyOf) fetch(kind string, ids []any) map[string]string {
	out := map[string]string{}
	properties := map[string]string{"Email": `"id", "keywords", "mailboxIds"`, "Thread": `"id", "emailIds"`, "Mailbox": `"id", "name", "totalEmails", "unreadEmails", "totalThreads", "unreadThreads"`}[kind]
	got := k.w.call(kind+"/get", `"ids": `+text(ids)+`, "properties": [`+properties+`]`)
	for _, r := range got["list"].([]any) {
		out[r.(object)["id"].(string)] = text(r)
	}
	return out
}

// sync asks for changes, a few at a time.
func (k *copyOf) sync(r *rand.Rand) {
	for _, kind := range kinds {
		for {
			got := k.w.call(kind+"/changes", fmt.Sprintf(`"sinceState": %q, "maxChanges": %d`, k.states[kind], 1+r.IntN(4)))
			for _, id := range got["destroyed"].([]any) {
				delete(k.has[kind], id.(string))
			}
			for _, id := range got["created"].([]any) {
				if _, known := k.has[kind][id.(string)]; known && kind == "Mailbox" {
					k.w.t.Errorf("mailbox %v is created a second time", id)
				}
			}
			for _, id := range got["updated"].([]any) {
				if _, known := k.has[kind][id.(string)]; !known && kind == "Email" {
					k.w.t.Errorf("%s %v was never told of, and is updated", kind, id)
				}
			}
			maps.Copy(k.has[kind], k.fetch(kind, append(got["created"].([]any), got["updated"].([]any)...)))
			k.states[kind] = got["newState"].(string)
			if got["hasMoreChanges"] == false {
				break
			}
		}
	}
	got := k.w.call("Email/queryChanges", `"sinceQueryState": "`+k.qstate+`", "collapseThreads": true`)
	gone := map[any]bool{}
	for _, id := range got["removed"].([]any) {
		gone[id] = true
	}
	k.query = slices.DeleteFunc(k.query, func(id string) bool { return gone[id] })
	for _, a := range got["added"].([]any) {
		k.query = slices.Insert(k.query, int(a.(object)["index"].(float64)), a.(object)["id"].(string))
	}
	k.qstate = got["newQueryState"].(string)
}

// look gets everything.
func (k *copyOf) look() (has map[string]map[string]string, query []string, qstate string) {
	has = map[string]map[string]string{}
	q := k.w.call("Email/query", ``)["ids"].([]any)
	has["Email"] = k.fetch("Email", q)
	var threads []any
	for _, r := range k.w.call("Email/get", `"ids": `+text(q)+`, "properties": ["threadId"]`)["list"].([]any) {
		threads = append(threads, r.(object)["threadId"])
	}
	has["Thread"] = k.fetch("Thread", append([]any{}, threads...))
	has["Mailbox"] = map[string]string{}
	for _, r := range k.w.call("Mailbox/get", `"properties": ["id", "name", "totalEmails", "unreadEmails", "totalThreads", "unreadThreads"]`)["list"].([]any) {
		has["Mailbox"][r.(object)["id"].(string)] = text(r)
	}
	got := k.w.call("Email/query", `"collapseThreads": true`)
	for _, id := range got["ids"].([]any) {
		query = append(query, id.(string))
	}
	return has, query, got["queryState"].(string)
}

// step changes something, by the store as IMAP, deliveries and commands do.
func (w *world) step(r *rand.Rand, n int) error {
	ctx := w.t.Context()
	boxes, err := w.boxes.Boxes(ctx, "you")
	if err != nil {
		return err
	}
	b := boxes[r.IntN(len(boxes))]
	uids := []mailbox.Range{{Low: uint32(1 + r.IntN(5)), High: uint32(3 + r.IntN(5))}}
	switch r.IntN(8) {
	case 0, 1:
		message := fmt.Sprintf("Message-ID: <%d@x>\r\nReferences: <%d@x>\r\n\r\nx\r\n", n, r.IntN(n+1))
		_, _, err = w.boxes.Append(ctx, "you", b.Name, []mailboxes.Appended{{Date: noon.Add(time.Duration(n) * time.Second), Content: delivery.Bytes(message), MessageID: fmt.Sprintf("%d@x", n), References: []string{fmt.Sprintf("%d@x", r.IntN(n+1))}}})
	case 2:
		_, err = w.boxes.SetFlags(ctx, b.ID, uids, mailboxes.FlagChange{Mode: "+-="[r.IntN(3)], Flags: []string{[]string{`\Seen`, `\Deleted`, "todo"}[r.IntN(3)]}})
	case 3:
		_, err = w.boxes.Copy(ctx, b.ID, uids, boxes[r.IntN(len(boxes))].Name)
	case 4:
		_, err = w.boxes.Move(ctx, b.ID, uids, boxes[r.IntN(len(boxes))].Name)
	case 5:
		_, _, err = w.boxes.Expunge(ctx, b.ID, uids)
	case 6:
		if _, err = w.boxes.Create(ctx, "you", fmt.Sprintf("box%d", n), ""); err == nil && b.Use == "" && b.Name != mailbox.Inbox {
			err = w.boxes.Delete(ctx, "you", b.Name)
		}
	default:
		ids := w.call("Email/query", ``)["ids"].([]any)
		if len(ids) > 0 {
			id := ids[r.IntN(len(ids))].(string)
			w.call("Email/set", []string{`"update": {"` + id + `": {"keywords": {"$seen": true}, "mailboxIds": {"` + string(w.box("INBOX")) + `": true, "` + string(w.box("Archive")) + `": true}}}`,
				`"update": {"` + id + `": {"keywords/$seen": null, "keywords/todo": true}}`, `"destroy": ["` + id + `"]`}[r.IntN(3)])
		}
	}
	return err
}

// JMP-1, RFC 8620 §5.2, §5.6: whatever changes by whatever way, a client that asks for changes alone, in pieces of any size, has
// what one has that asks for everything.
func TestChangesAgainstModel(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db)
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		k := &copyOf{w: w, states: map[string]string{}}
		k.has, k.query, k.qstate = k.look()
		for _, kind := range kinds {
			k.states[kind] = w.call(kind+"/get", `"ids": []`)["state"].(string)
		}
		steps := 120
		if testing.Short() {
			steps = 40
		}
		if n, err := strconv.Atoi(os.Getenv("WAXWING_JMAP_MODEL_STEPS")); err == nil {
			steps = n
		}
		for n := 1; n <= steps && !t.Failed(); n++ {
			if err := w.step(r, n); err != nil {
				t.Fatal(err)
			}
			if r.IntN(3) > 0 {
				continue
			}
			k.sync(r)
			has, query, _ := k.look()
			for _, kind := range kinds {
				if a, b := text(k.has[kind]), text(has[kind]); a != b {
					t.Errorf("after step %d, %s: by changes %s\nall at once %s", n, kind, a, b)
				}
			}
			if !slices.Equal(k.query, query) {
				t.Errorf("after step %d, query: by changes %v\nall at once %v", n, k.query, query)
			}
		}
	})
}

// JMP-1: states that were never told, and those of which too much is forgotten, cannot be asked about.
func TestCannotCalculate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	id := w.mail("INBOX", letter)
	before := w.call("Email/get", `"ids": []`)["state"].(string)
	w.call("Email/set", `"destroy": ["`+string(id)+`"]`)
	for _, state := range []string{"", "x y", "zzzzzz", "-1"} {
		if got := w.fails("Email/changes", `"sinceState": "`+state+`"`); got != "cannotCalculateChanges" {
			t.Errorf("state %q: %s", state, got)
		}
	}
	w.want(w.call("Email/changes", `"sinceState": "`+before+`"`)["destroyed"], `["`+string(id)+`"]`)
	if err := w.boxes.Forget(t.Context(), noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		if got := w.fails(kind+"/changes", `"sinceState": "`+before+`"`); got != "cannotCalculateChanges" {
			t.Errorf("%s after all is forgotten: %s", kind, got)
		}
	}
	if got := w.fails("Email/queryChanges", `"sinceQueryState": "`+before+`"`); got != "cannotCalculateChanges" {
		t.Errorf("a query that was never asked: %s", got)
	}
}

// events reads the event source.
func (w *world) events(query, last string) (*bufio.Reader, *http.Response) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), "GET", w.url+"/jmap/eventsource/?"+query, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.SetBasicAuth("you", "you")
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := w.http.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { resp.Body.Close() })
	return bufio.NewReader(resp.Body), resp
}

// event is the next event; "" at the end.
func event(t *testing.T, r *bufio.Reader) (name, id, data string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err == io.EOF {
			return "", "", ""
		}
		if err != nil {
			t.Fatal(err)
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch {
		case field == "event":
			name = value
		case field == "id":
			id = value
		case field == "data":
			data = value
		case line == "\n" && name != "":
			return name, id, data
		}
	}
}

// JMP-1, RFC 8620 §7.3: many who wait hear of a change at once, with the types that they want; who comes again hears of what it
// has missed; closeafter ends the connection.
func TestEventSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	many := 90
	if testing.Short() {
		many = 20
	}
	var all []*bufio.Reader
	for range many {
		r, resp := w.events("types=*&closeafter=no&ping=0", "")
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("%d %v", resp.StatusCode, resp.Header)
		}
		all = append(all, r)
	}
	once, _ := w.events("types=Email&closeafter=state&ping=0", "")
	other, _ := w.events("types=Identity&closeafter=no&ping=1", "")
	from := time.Now()
	w.mail("INBOX", letter)
	var last string
	for _, r := range append(all, once) {
		name, id, data := event(t, r)
		var change struct {
			Type    string `json:"@type"`
			Changed map[string]map[string]string
		}
		if err := json.Unmarshal([]byte(data), &change); err != nil || name != "state" || change.Type != "StateChange" {
			t.Fatalf("%s %s %s", name, id, data)
		}
		for _, states := range change.Changed {
			if r == once && len(states) != 1 || states["Email"] == "" {
				t.Errorf("changed: %v", states)
			}
		}
		last = id
	}
	if took := time.Since(from); took > time.Second {
		t.Errorf("the last of %d heard after %s", many, took)
	}
	if name, _, _ := event(t, once); name != "" {
		t.Errorf("after closeafter=state: %s", name)
	}
	if name, _, data := event(t, other); name != "ping" || data != `{"interval":1}` {
		t.Errorf("who wants other types heard %s %s", name, data)
	}
	w.mail("INBOX", letter)
	again, _ := w.events("types=*&closeafter=state&ping=0", last)
	if name, _, _ := event(t, again); name != "state" {
		t.Errorf("who has missed something heard %q", name)
	}
	if _, resp := w.events("closeafter=maybe", ""); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("closeafter=maybe: %d", resp.StatusCode)
	}
}
