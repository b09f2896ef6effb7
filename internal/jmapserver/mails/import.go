package mails

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"waxwing/internal/delivery"
	"waxwing/internal/imapserver/incoming"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/email"
	"waxwing/jmap"
)

// emailImport is Email/import (RFC 8621 §4.8).
func (r *Room) emailImport(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a struct {
		AccountID jmap.ID                     `json:"accountId"`
		IfInState *string                     `json:"ifInState"`
		Emails    map[jmap.ID]json.RawMessage `json:"emails" must:"be"`
	}
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	state, err := r.State(c)
	if err != nil {
		return nil, c.Failed(err)
	}
	check := call.Set{IfInState: a.IfInState, Create: a.Emails}
	if fault := check.Check(c, state); fault != nil {
		return nil, fault
	}
	done := &call.Done{AccountID: c.ID, OldState: state}
	for _, id := range slices.Sorted(maps.Keys(a.Emails)) {
		record, err := r.importOne(c, a.Emails[id])
		if err != nil {
			call.Refuse(&done.NotCreated, id, createError(c, err))
			continue
		}
		done.Create(c, id, record["id"].(jmap.ID), record)
	}
	if done.NewState, err = r.State(c); err != nil {
		return nil, done.Failed(c, err)
	}
	return map[string]any{"accountId": done.AccountID, "oldState": done.OldState, "newState": done.NewState, "created": done.Created, "notCreated": done.NotCreated}, nil
}

func (r *Room) importOne(c *call.Call, raw json.RawMessage) (map[string]any, error) {
	var in struct {
		placed
		Blob jmap.ID `json:"blobId"`
	}
	if fault := call.Record(raw, &in); fault != nil {
		return nil, fault
	}
	id, _ := c.Resolve(in.Blob)
	body, _, err := r.Blob(c.Ctx, c.Name, id)
	if err != nil {
		return nil, err
	}
	if body == nil {
		return nil, jmap.SetErrorf(jmap.InvalidProperties, []string{"blobId"}, "there is no blob %.100q", string(in.Blob))
	}
	defer body.Close()
	m, err := incoming.Read(body, r.TempDir, nil) // lines end in CRLF as everywhere
	if err != nil {
		m.Close() // what could be read
		return nil, err
	}
	defer m.Close()
	if m.Size() == 0 {
		return nil, jmap.SetErrorf(jmap.InvalidEmail, nil, "the blob is no message")
	}
	if m.Size() > c.Limits.SizeUpload {
		return nil, jmap.SetErrorf(jmap.TooLarge, nil, "a mail can have %d octets", c.Limits.SizeUpload)
	}
	return r.put(c, in.placed, m.Content())
}

// emailCopy is Email/copy (RFC 8621 §4.7): a client sees one account, so that there is no other to copy from.
func (r *Room) emailCopy(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a struct {
		From        jmap.ID                     `json:"fromAccountId" must:"be"`
		IfFrom      *string                     `json:"ifFromInState"`
		AccountID   jmap.ID                     `json:"accountId"`
		IfInState   *string                     `json:"ifInState"`
		Create      map[jmap.ID]json.RawMessage `json:"create" must:"be"`
		DestroyFrom bool                        `json:"onSuccessDestroyOriginal"`
		DestroyIf   *string                     `json:"destroyFromIfInState"`
	}
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	return nil, fromOther(c, a.From, len(a.Create))
}

// BlobCopy is Blob/copy (RFC 8620 §6.3).
func (r *Room) BlobCopy(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a struct {
		From      jmap.ID   `json:"fromAccountId" must:"be"`
		AccountID jmap.ID   `json:"accountId"`
		BlobIDs   []jmap.ID `json:"blobIds" must:"be"`
	}
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	return nil, fromOther(c, a.From, len(a.BlobIDs))
}

// fromOther is why n objects are not copied.
func fromOther(c *call.Call, from jmap.ID, n int) *jmap.Error {
	if n > c.Limits.ObjectsInSet {
		return jmap.Errorf(jmap.RequestTooLarge, "%d objects can be copied at once", c.Limits.ObjectsInSet)
	}
	if from == c.ID {
		return jmap.Errorf(jmap.InvalidArguments, "fromAccountId and accountId are the same")
	}
	return jmap.Errorf(jmap.FromAccountNotFound, "there is no account %.100q", string(from))
}

// emailParse is Email/parse (RFC 8621 §4.9).
func (r *Room) emailParse(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a struct {
		AccountID  jmap.ID   `json:"accountId"`
		BlobIDs    []jmap.ID `json:"blobIds" must:"be"`
		Properties *[]string `json:"properties"`
		bodyArgs
	}
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	if len(a.BlobIDs) > c.Limits.ObjectsInGet {
		return nil, jmap.Errorf(jmap.RequestTooLarge, "%d blobs can be asked for at once", c.Limits.ObjectsInGet)
	}
	w, fault := a.wanted(a.Properties, true)
	if fault != nil {
		return nil, fault
	}
	parsed, written := map[jmap.ID]any{}, &records{}
	var not, missing []jmap.ID
	for _, id := range call.Once(a.BlobIDs) {
		data, _, ok, err := r.read(c.Ctx, c.Name, id, maxInner)
		switch {
		case err == errTooLarge:
			not = append(not, id)
			continue
		case err != nil:
			return nil, c.Failed(err)
		case !ok:
			missing = append(missing, id)
			continue
		}
		m := &email.Message{Content: delivery.Bytes(data), Blob: blobOf(id)}
		if err := parse(m); err != nil {
			return nil, c.Failed(err)
		}
		if !isMessage(data) {
			not = append(not, id)
			continue
		}
		out := map[string]any{}
		for _, p := range w.Properties {
			switch p { // RFC 8621 §4.9: what is of a mail that lies somewhere is null
			case "id", "mailboxIds", "keywords", "receivedAt", "threadId":
				out[p] = nil
			case "blobId":
				out[p] = id
			case "size":
				out[p] = len(data)
			}
		}
		if err := m.Facts(w, out); err != nil {
			return nil, c.Failed(err)
		}
		if parsed[id], err = written.write(out); err != nil {
			return nil, c.Failed(err)
		}
	}
	return map[string]any{"accountId": c.ID, "parsed": orNil(parsed), "notParsable": not, "notFound": missing}, nil
}

func orNil(m map[jmap.ID]any) map[jmap.ID]any {
	if len(m) == 0 {
		return nil
	}
	return m
}

// isMessage tells whether octets begin with a header field.
func isMessage(data []byte) bool {
	head, _, _ := bytes.Cut(data, []byte("\n"))
	return len(email.ReadHeader(head)) > 0
}
