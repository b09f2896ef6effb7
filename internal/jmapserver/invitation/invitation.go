// Package invitation answers Invitation/get and Invitation/reply, methods of our own (MAIL-2): what a mail invites to, whether
// somebody of the account is invited by it, and the answer to it as a calendar object (iTIP, RFC 5546), which the client then sends as
// any other mail (iMIP, RFC 6047). Nothing is kept of an invitation here: the mail is all there is.
package invitation

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"waxwing/ical"
	"waxwing/internal/delivery"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/email"
	"waxwing/internal/jmapserver/mails"
	"waxwing/jmap"
	"waxwing/message"
	"waxwing/structure"
)

// Capability is our own.
const Capability = "urn:waxwing:params:jmap:invitation"

// Bounds.
const (
	maxMails   = 20   // in one call
	maxComment = 1000 // octets
)

// Room answers the methods. Its fields are set before its first use.
type Room struct {
	// Mails opens blobs of JMAP; *mails.Room does.
	Mails interface {
		Blob(ctx context.Context, account string, id jmap.ID) (io.ReadCloser, string, error)
	}
	// Uploads keeps answers until they are sent; *uploads.Store does.
	Uploads interface {
		Put(ctx context.Context, account, mediaType string, c delivery.Content) (id int64, err error)
	}
	// Own are the addresses that an account writes from.
	Own func(c *call.Call) ([]string, error)
	Now func() time.Time
}

// Served is the capability with what it does.
func (r *Room) Served() call.Capability {
	return call.Capability{URI: Capability, Session: map[string]any{}, Account: map[string]any{"maxMails": maxMails, "maxSizeComment": maxComment},
		Methods: map[string]call.Method{"Invitation/get": r.get, "Invitation/reply": r.reply}}
}

// Invitation is what a mail invites to, or answers.
type Invitation struct {
	ID     jmap.ID      `json:"id"` // of the mail
	Method string       `json:"method"`
	Events []ical.Event `json:"events"`
	As     *string      `json:"as"` // the address of the account that is invited and can answer; nil: none
}

// get is Invitation/get. A mail without a calendar object is not found.
func (r *Room) get(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a struct {
		AccountID jmap.ID   `json:"accountId"`
		IDs       []jmap.ID `json:"ids"`
	}
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	if len(a.IDs) > maxMails {
		return nil, jmap.Errorf(jmap.RequestTooLarge, "%d mails can be asked about at once", maxMails)
	}
	list, missing := []Invitation{}, []jmap.ID{}
	for _, id := range call.Once(a.IDs) {
		text, err := r.calendar(c, id)
		if err != nil {
			return nil, c.Failed(err)
		}
		found, ok := ical.Parse(text)
		if text == "" || !ok || len(found.Events) == 0 {
			missing = append(missing, id)
			continue
		}
		i := Invitation{ID: id, Method: found.Method, Events: found.Events}
		as, err := r.invited(c, &found)
		if err != nil {
			return nil, c.Failed(err)
		}
		if as != "" {
			i.As = &as
		}
		list = append(list, i)
	}
	return map[string]any{"accountId": c.ID, "list": list, "notFound": missing}, nil
}

// invited is the address of the account that a calendar object invites; "": none.
func (r *Room) invited(c *call.Call, found *ical.Calendar) (string, error) {
	own, err := r.Own(c)
	if err != nil {
		return "", err
	}
	slices.Sort(own)
	for _, address := range own {
		if _, ok := found.Invites(address); ok {
			return address, nil
		}
	}
	return "", nil
}

// reply is Invitation/reply: the answer to the invitation in a mail, as a blob of text/calendar, with who gets it.
func (r *Room) reply(c *call.Call, args call.Args) (any, *jmap.Error) {
	var a struct {
		AccountID jmap.ID `json:"accountId"`
		ID        jmap.ID `json:"emailId"`
		Status    string  `json:"status"`
		Comment   string  `json:"comment"`
	}
	if err := args.Decode(&a); err != nil {
		return nil, err
	}
	if len(a.Comment) > maxComment {
		return nil, jmap.Errorf(jmap.InvalidArguments, "a comment has %d octets at most", maxComment)
	}
	text, err := r.calendar(c, a.ID)
	if err != nil {
		return nil, c.Failed(err)
	}
	found, _ := ical.Parse(text)
	as, err := r.invited(c, &found)
	if err != nil {
		return nil, c.Failed(err)
	}
	answer, err := ical.Reply(text, ical.Answer{Address: as, Status: ical.Status(strings.ToUpper(a.Status)), Comment: a.Comment, Now: r.Now(), Product: "-//Waxwing//EN"})
	switch {
	case errors.Is(err, ical.ErrStatus):
		return nil, jmap.Errorf(jmap.InvalidArguments, "status is accepted, tentative or declined")
	case err != nil:
		return nil, jmap.Errorf(jmap.InvalidArguments, "%s", err)
	}
	id, err := r.Uploads.Put(c.Ctx, c.Name, "text/calendar", delivery.Bytes(answer))
	if err != nil {
		return nil, c.Failed(err)
	}
	to := found.Events[0].Organizer
	return map[string]any{"accountId": c.ID, "blobId": mails.UploadID(id), "type": "text/calendar", "size": len(answer), "from": as,
		"to": map[string]any{"name": orNull(to.Name), "email": to.Address}, "summary": found.Events[0].Summary}, nil
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// calendar is the first calendar object of a mail; "": there is none, or no such mail.
func (r *Room) calendar(c *call.Call, id jmap.ID) (string, error) {
	n, ok := call.Number(call.EmailKind, id)
	if !ok {
		return "", nil
	}
	body, err := r.open(c, mails.BlobID(n, ""))
	if err != nil || body == nil {
		return "", err
	}
	defer body.Close()
	built, err := structure.Parse(body)
	if err != nil {
		return "", err
	}
	for _, p := range email.PartsOf(built).All {
		if p.Is("text/calendar") {
			return r.text(c, mails.BlobID(n, p.Number), p)
		}
	}
	return "", nil
}

func (r *Room) open(c *call.Call, blob jmap.ID) (io.ReadCloser, error) {
	body, _, err := r.Mails.Blob(c.Ctx, c.Name, blob)
	return body, err
}

// text is a part in UTF-8.
func (r *Room) text(c *call.Call, blob jmap.ID, p email.Leaf) (string, error) {
	body, err := r.open(c, blob)
	if err != nil || body == nil {
		return "", err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, ical.MaxOctets))
	if err != nil {
		return "", err
	}
	if charset := p.Param("charset"); charset != "" {
		if s, ok := message.DecodeCharset(charset, b); ok {
			return s, nil
		}
	}
	return string(b), nil
}
