package dsn

import (
	"errors"
	"strings"

	"waxwing/message"
)

// Bounds of Parse.
const (
	maxRecipients = 1000
	maxNested     = 3       // notices within notices
	maxHuman      = 1 << 20 // octets of the part for people
)

// Parse reads a notification, ours or another's, as it comes (QUE-13): fields that
// cannot be read are left empty, and what is wrong with a part costs that part.
// Original is the third part, Full where that is a whole message. A message that
// is no notification at all is an error.
func Parse(msg []byte) (*Report, error) { return parse(msg, 0) }

func parse(msg []byte, depth int) (*Report, error) {
	h, body, err := message.SplitHeader(msg)
	if err != nil {
		return nil, err
	}
	r := &Report{Date: date(h.Get("Date")), From: firstAddress(h, "From"), To: firstAddress(h, "To")}
	var enclosed [][]byte
	err = message.Walk(msg, message.Limits{}, func(p message.Part) error {
		if inner := r.readPart(p); inner != nil {
			enclosed = append(enclosed, inner)
		}
		return nil
	})
	if len(r.Recipients) == 0 {
		r.readExim(h, body)
	}
	if len(r.Recipients) > 0 {
		return r, nil
	}
	for _, inner := range enclosed {
		if depth == maxNested {
			break
		}
		if nested, err := parse(inner, depth+1); err == nil {
			return nested, nil // a notice that somebody passed on
		}
	}
	if err != nil {
		return nil, err
	}
	return nil, errors.New("message has no delivery status")
}

// readPart takes what a part tells, and returns the message that it encloses.
func (r *Report) readPart(p message.Part) (enclosed []byte) {
	switch p.MediaType {
	case "message/delivery-status", "message/global-delivery-status":
		body, _ := p.Body() // what could be decoded of it
		r.readStatus(body)
	case "message/rfc822", "message/global":
		body, err := p.Body()
		if err == nil && r.Original == nil {
			r.Original, r.Full = body, true
		}
		return body
	case "text/rfc822-headers", "message/rfc822-headers", "message/global-headers":
		if body, err := p.Body(); err == nil && r.Original == nil {
			r.Original = body
		}
	case "text/plain":
		if r.Human == "" {
			body, _ := p.Body()
			r.Human = string(body[:min(len(body), maxHuman)])
		}
	}
	return nil
}

// readExim reads what Exim sent before it knew RFC 3464: its field names those that
// failed for good, and the text says why.
func (r *Report) readExim(h message.Header, body []byte) {
	list, err := message.ParseAddressList(h.Get("X-Failed-Recipients"))
	if err != nil {
		return
	}
	for _, a := range list[:min(len(list), maxRecipients)] {
		rc := Recipient{Address: a.Addr(), Action: Failed, Reply: quotedReply(r.Human, a.Addr())}
		if rc.Reply != nil {
			rc.Status = rc.Reply.Enhanced
		}
		if rc.Status.IsZero() {
			rc.Status.Class = 5
		}
		r.Recipients = append(r.Recipients, rc)
	}
}

func firstAddress(h message.Header, name string) string {
	list, err := message.ParseAddressList(h.Get(name))
	if err != nil || len(list) == 0 {
		return ""
	}
	return list[0].Addr()
}

// word is the first word of a field's value, without comments.
func word(s string) string {
	s, _, _ = strings.Cut(s, "(")
	if f := strings.Fields(s); len(f) > 0 {
		return f[0]
	}
	return ""
}
