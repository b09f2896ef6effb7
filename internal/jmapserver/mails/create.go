package mails

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/catalog"
	"waxwing/internal/jmapserver/email"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/jmap"
	"waxwing/message"
	"waxwing/structure"
)

// placed is where a new mail is to lie, and with what.
type placed struct {
	Boxes    map[jmap.ID]bool `json:"mailboxIds"`
	Keywords json.RawMessage  `json:"keywords"`
	Received *jmap.UTCDate    `json:"receivedAt"`
}

// createEmails makes new mails (RFC 8621 §4.6).
func (r *Room) createEmails(c *call.Call, all map[jmap.ID]json.RawMessage, done *call.Done) error {
	for _, id := range slices.Sorted(maps.Keys(all)) {
		record, err := r.create(c, all[id])
		if err != nil {
			call.Refuse(&done.NotCreated, id, createError(c, err))
			continue
		}
		done.Create(c, id, record["id"].(jmap.ID), record)
	}
	return nil
}

func createError(c *call.Call, err error) *jmap.SetError {
	var s *jmap.SetError
	switch {
	case errors.As(err, &s):
		return s
	case errors.Is(err, errTooLarge):
		return jmap.SetErrorf(jmap.TooLarge, nil, "%v", err)
	}
	return setError(c, err)
}

// create composes one mail, and puts it into its mailboxes.
func (r *Room) create(c *call.Call, raw json.RawMessage) (map[string]any, error) {
	var properties map[string]json.RawMessage
	var at placed
	if json.Unmarshal(raw, &properties) != nil || json.Unmarshal(raw, &at) != nil {
		return nil, jmap.SetErrorf(jmap.InvalidProperties, []string{"mailboxIds", "receivedAt"}, "a mail is an object with mailboxIds")
	}
	for _, name := range []string{"mailboxIds", "keywords", "receivedAt"} {
		delete(properties, name)
	}
	d := email.Draft{Properties: properties, Max: c.Limits.SizeUpload, Now: r.now(), MessageID: message.NewMessageID(r.now(), rand.Reader, r.Hostname),
		Blob: func(id jmap.ID) ([]byte, string, bool, error) {
			to, ok := c.Resolve(id)
			if !ok {
				return nil, "", false, nil
			}
			return r.read(c.Ctx, c.Name, to, c.Limits.SizeUpload)
		}}
	text, err := d.Compose()
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > 2*c.Limits.SizeUpload {
		return nil, errTooLarge
	}
	return r.put(c, at, delivery.Bytes(text))
}

func (r *Room) now() time.Time {
	if r.Now == nil {
		return time.Now()
	}
	return r.Now()
}

// put stores a message in its mailboxes, and says what the server has set.
func (r *Room) put(c *call.Call, at placed, content delivery.Content) (map[string]any, error) {
	words, ok := keywordsIn(at.Keywords)
	if !ok {
		return nil, jmap.SetErrorf(jmap.InvalidProperties, []string{"keywords"}, "keywords are names of up to 255 characters, each with true")
	}
	for _, is := range at.Boxes {
		if !is {
			return nil, badBoxes()
		}
	}
	var boxes []int64
	var name string
	err := r.Catalog.Look(c.Ctx, c.Name, func(_ *store.Tx, v *catalog.View) error {
		var fault *jmap.SetError
		if boxes, fault = boxNumbers(c, v, at.Boxes); fault != nil {
			return fault
		}
		name = v.Box(boxes[0]).Name
		return nil
	})
	if err != nil {
		return nil, err
	}
	m, err := appended(content)
	if err != nil {
		return nil, err
	}
	m.Flags = words
	if m.Date = r.now(); at.Received != nil {
		m.Date = at.Received.Time
	} else if t, ok := lastReceived(m.built, content); ok {
		m.Date = t
	}
	var id, thread int64
	_, _, err = r.Boxes.AppendWith(c.Ctx, c.Name, name, []mailboxes.Appended{m.Appended}, func(tx *store.Tx) error {
		// The account's turn is this transaction's: the newest entry is the one that was just made.
		err := tx.Row(`SELECT m.id, m.thread FROM mailbox_entries e JOIN mails m ON m.id = e.mail WHERE e.mailbox = ? ORDER BY e.uid DESC LIMIT 1`, boxes[0]).Scan(&id, &thread)
		if err == nil && len(boxes) > 1 {
			err = r.Boxes.AmendWithin(tx, c.Name, []mailboxes.Amendment{{Mail: id, In: boxes}})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"id": ID(emailKind, id), "blobId": BlobID(id, ""), "threadId": ID(threadKind, thread), "size": content.Size()}, nil
}

// built is a message that is to be stored.
type toStore struct {
	mailboxes.Appended
	built *structure.Message
}

// appended reads a message as it is to be stored.
func appended(content delivery.Content) (m toStore, err error) {
	body, err := content.Open()
	if err != nil {
		return m, err
	}
	defer body.Close()
	if m.built, err = structure.Parse(body); err != nil {
		return m, err
	}
	m.Content, m.References = content, m.built.Answers()
	m.MessageID = message.CleanMessageID(m.built.Envelope.MessageID)
	m.Appended.Structure, err = m.built.AppendBinary(nil)
	return m, err
}

// lastReceived is when a message was received, as its first Received field says (RFC 8621 §4.8).
func lastReceived(built *structure.Message, content delivery.Content) (t time.Time, ok bool) {
	m := email.Message{Built: built, Content: content}
	values, err := m.Values("Received")
	if err != nil || len(values) == 0 {
		return t, false
	}
	return email.ReceivedAt(values[0])
}
