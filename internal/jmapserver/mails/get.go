package mails

import (
	"context"
	"encoding/json"
	"io"

	"waxwing/internal/delivery"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/catalog"
	"waxwing/internal/jmapserver/email"
	"waxwing/internal/jmapserver/finding"
	"waxwing/internal/store"
	"waxwing/jmap"
	"waxwing/structure"
)

// bodyArgs are the arguments of Email/get and Email/parse about bodies (RFC 8621 §4.2).
type bodyArgs struct {
	BodyProperties []string `json:"bodyProperties"`
	Text           bool     `json:"fetchTextBodyValues"`
	HTML           bool     `json:"fetchHTMLBodyValues"`
	All            bool     `json:"fetchAllBodyValues"`
	MaxBodyValue   int64    `json:"maxBodyValueBytes"`
}

// wanted is what is asked for.
func (b *bodyArgs) wanted(properties *[]string, parsing bool) (*email.Wanted, *jmap.Error) {
	w := &email.Wanted{PartProperties: b.BodyProperties, Text: b.Text, HTML: b.HTML, All: b.All, MaxBodyValue: b.MaxBodyValue}
	if properties != nil {
		w.Properties = append([]string{}, *properties...)
	}
	return w, w.Prepare(parsing)
}

// emailGet is Email/get (RFC 8621 §4.2).
func (r *Room) emailGet(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a struct {
		call.Get
		bodyArgs
	}
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	if err := a.Check(c); err != nil {
		return nil, err
	}
	w, fault := a.wanted(a.Properties, false)
	if fault != nil {
		return nil, fault
	}
	out := &call.Got{AccountID: c.ID, NotFound: []jmap.ID{}}
	list := &records{made: []any{}}
	var found []known
	err := r.Catalog.Look(c.Ctx, c.Name, func(tx *store.Tx, v *catalog.View) (err error) {
		out.State = finding.At(v.ModSeq).String()
		found, out.NotFound, err = pick(c, tx, v, picked{a.IDs, w.NeedsStructure()})
		return err
	})
	if err != nil {
		return nil, c.Failed(err)
	}
	for i := range found {
		record, err := r.show(c, &found[i], w)
		if err != nil {
			return nil, c.Failed(err)
		}
		if record == nil { // it has gone meanwhile
			out.NotFound = append(out.NotFound, ID(emailKind, found[i].ID))
			continue
		}
		if err := list.add(record); err != nil {
			return nil, c.Failed(err)
		}
	}
	out.List = list.made
	return out, nil
}

// maxRecords is how many octets the mails of one answer may have: no more of them are read and written. A mail's texts
// alone can have 16 MiB, and a thousand mails can be asked for.
const maxRecords = 32 << 20

// records are what an answer has.
type records struct {
	made []any
	size int
}

// write writes one. The error is RequestTooLarge where all together would be too long.
func (r *records) write(record map[string]any) (json.RawMessage, error) {
	b, err := json.Marshal(record)
	if err != nil {
		return nil, err
	}
	if r.size += len(b); r.size > maxRecords {
		return nil, jmap.Errorf(jmap.RequestTooLarge, "what is asked for has more than %d octets: ask for less at once, or set maxBodyValueBytes", maxRecords)
	}
	return b, nil
}

func (r *records) add(record map[string]any) error {
	b, err := r.write(record)
	if err == nil {
		r.made = append(r.made, b)
	}
	return err
}

// known is a mail with what is kept about it.
type known struct {
	finding.Email
	words     []string
	structure []byte
}

// picked are the mails that are asked for.
type picked struct {
	ids       *[]jmap.ID // nil: all
	structure bool
}

func pick(c *call.Call, tx *store.Tx, v *catalog.View, p picked) (found []known, missing []jmap.ID, err error) {
	missing = []jmap.ID{}
	var all []*finding.Email
	if p.ids == nil {
		for _, e := range v.Sorted() {
			if e.Lies() {
				all = append(all, e)
			}
		}
		if len(all) > c.Limits.ObjectsInGet {
			return nil, nil, jmap.Errorf(jmap.RequestTooLarge, "there are %d mails, %d can be asked for at once", len(all), c.Limits.ObjectsInGet)
		}
	} else {
		for _, id := range call.Once(*p.ids) {
			n, ok := number(emailKind, id)
			if e := v.Mail(n); ok && e != nil {
				all = append(all, e)
			} else {
				missing = append(missing, id)
			}
		}
	}
	var kept map[int64][]byte
	if p.structure {
		if kept, err = catalog.Structures(tx, all); err != nil {
			return nil, nil, err
		}
	}
	for _, e := range all {
		k := known{Email: *e, words: v.Words, structure: kept[e.ID]}
		k.Places = append([]finding.Place{}, e.Places...)
		found = append(found, k)
	}
	return found, missing, nil
}

// show writes an Email (RFC 8621 §4.1); nil: it is not there any more.
func (r *Room) show(c *call.Call, k *known, w *email.Wanted) (map[string]any, error) {
	out := map[string]any{"id": ID(emailKind, k.ID)}
	for _, p := range w.Properties {
		switch p {
		case "blobId":
			out[p] = BlobID(k.ID, "")
		case "threadId":
			out[p] = ID(threadKind, k.Thread)
		case "mailboxIds":
			out[p] = boxIDs(&k.Email)
		case "keywords":
			out[p] = finding.Keywords(k.Flags(), k.words)
		case "size":
			out[p] = k.Size
		case "receivedAt":
			out[p] = jmap.UTCDate{Time: store.FromTime(k.Received).Truncate(1e9)}
		}
	}
	if !w.NeedsStructure() {
		return out, nil
	}
	m, err := r.message(c.Ctx, k.ID, k.structure)
	if err != nil {
		if isGone(err) {
			return nil, nil
		}
		return nil, err
	}
	return out, m.Facts(w, out)
}

// message is a mail that can be written. Its octets are read where they are needed.
func (r *Room) message(ctx context.Context, id int64, kept []byte) (*email.Message, error) {
	content := &lazy{get: func() (delivery.Content, error) {
		c, _, err := r.Boxes.Content(ctx, id)
		return c, err
	}}
	built, err := r.built(ctx, id, kept, content)
	if err != nil {
		return nil, err
	}
	return &email.Message{Built: built, Content: content, Blob: func(number string) jmap.ID { return BlobID(id, number) }}, nil
}

// built is how a mail is built. Where that is not known yet, it is found out and kept.
func (r *Room) built(ctx context.Context, id int64, kept []byte, c delivery.Content) (*structure.Message, error) {
	if len(kept) > 0 {
		if built, err := structure.Decode(kept); err == nil {
			return built, nil
		}
	}
	body, err := c.Open()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	built, err := structure.Parse(body)
	if err != nil {
		return nil, err
	}
	if kept, err := built.AppendBinary(nil); err == nil {
		_ = r.Boxes.Reparsed(ctx, id, kept) // else the next who asks finds out again
	}
	return built, nil
}

// lazy is a content that is looked for when it is read first. It is for one goroutine.
type lazy struct {
	get  func() (delivery.Content, error)
	have delivery.Content
}

// Size is 0 where there is no content.
func (l *lazy) Size() int64 {
	if _, err := l.found(); err != nil {
		return 0
	}
	return l.have.Size()
}

// Open reads it.
func (l *lazy) Open() (io.ReadCloser, error) {
	if _, err := l.found(); err != nil {
		return nil, err
	}
	return l.have.Open()
}

func (l *lazy) found() (c delivery.Content, err error) {
	if l.have == nil {
		l.have, err = l.get()
	}
	return l.have, err
}
