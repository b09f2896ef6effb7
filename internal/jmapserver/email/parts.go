package email

import (
	"bytes"
	"encoding/json"
	"mime"
	"strings"

	"waxwing/jmap"
	"waxwing/message"
)

// newPart is a part of a mail that is to be written (RFC 8621 §4.1.4).
type newPart struct {
	PartID      *string           `json:"partId"`
	BlobID      *jmap.ID          `json:"blobId"`
	Size        *int64            `json:"size"` // ignored, with a blobId (RFC 8621 §4.6)
	Name        *string           `json:"name"`
	Type        *string           `json:"type"`
	Charset     *string           `json:"charset"`
	Format      *string           `json:"format"` // our own: "flowed" (RFC 3676) for text with a partId
	Method      *string           `json:"method"` // our own: of text/calendar (RFC 6047 §2.4)
	Disposition *string           `json:"disposition"`
	CID         *string           `json:"cid"`
	Language    []string          `json:"language"`
	Location    *string           `json:"location"`
	SubParts    []json.RawMessage `json:"subParts"`

	in     string // the property in which it stands
	fields []written
}

// Bounds of what is written.
const (
	maxParts = 500
	maxLevel = 20
)

// body is the message's content.
func (d *Draft) body() (e message.Entity, fault *jmap.SetError) {
	raw, whole := d.Properties["bodyStructure"]
	lists := map[string][]json.RawMessage{}
	for _, name := range []string{"textBody", "htmlBody", "attachments"} {
		value, ok := d.Properties[name]
		if !ok || string(value) == "null" {
			continue
		}
		var list []json.RawMessage
		if json.Unmarshal(value, &list) != nil || len(list) > maxParts {
			return e, bad(name, "it is a list of up to %d parts", maxParts)
		}
		if whole {
			return e, bad(name, "bodyStructure is given, too")
		}
		lists[name] = list
	}
	if whole {
		left := maxParts
		e, fault = d.entity(raw, "bodyStructure", place{left: &left})
	} else {
		e, fault = d.assemble(lists)
	}
	if fault != nil {
		return e, fault
	}
	for id := range d.values {
		if !d.used[id] {
			return e, bad("bodyValues", "no part has the partId %.100q", id)
		}
	}
	return e, nil
}

// assemble puts text, HTML and attachments together: what the HTML shows stands beside it, other files beside all.
func (d *Draft) assemble(lists map[string][]json.RawMessage) (e message.Entity, fault *jmap.SetError) {
	left := maxParts
	var bodies, inline, files []message.Entity
	for _, l := range []struct{ name, is string }{{"textBody", "text/plain"}, {"htmlBody", "text/html"}} {
		if n := len(lists[l.name]); n == 0 {
			continue
		} else if n > 1 {
			return e, bad(l.name, "it has one part")
		}
		p, fault := d.entity(lists[l.name][0], l.name, place{left: &left, is: l.is})
		if fault != nil {
			return e, fault
		}
		bodies = append(bodies, p)
	}
	for _, raw := range lists["attachments"] {
		p, fault := d.entity(raw, "attachments", place{left: &left})
		if fault != nil {
			return e, fault
		}
		if len(lists["htmlBody"]) > 0 && isInline(p) {
			inline = append(inline, p)
		} else {
			files = append(files, p)
		}
	}
	if n := len(bodies); n > 0 && len(inline) > 0 {
		bodies[n-1] = together("multipart/related", append([]message.Entity{bodies[n-1]}, inline...))
	}
	var all []message.Entity
	if len(bodies) > 0 {
		all = append(all, together("multipart/alternative", bodies))
	}
	all = append(all, files...)
	if len(all) == 0 {
		return message.Entity{Type: "text/plain", Params: map[string]string{"charset": "utf-8"}, Body: []byte("\r\n")}, nil
	}
	return together("multipart/mixed", all), nil
}

// isInline tells whether a part has an id by which HTML refers to it, and does not ask to be a file.
func isInline(e message.Entity) bool {
	cid := false
	for _, f := range e.Fields {
		if strings.EqualFold(f.Name, "Content-ID") {
			cid = true
		}
		if strings.EqualFold(f.Name, "Content-Disposition") && strings.HasPrefix(strings.ToLower(f.Value), "attachment") {
			return false
		}
	}
	return cid
}

// together is one entity of several; of one, that itself.
func together(mediaType string, all []message.Entity) message.Entity {
	if len(all) == 1 {
		return all[0]
	}
	return message.Entity{Type: mediaType, Parts: all}
}

// place is where a part stands.
type place struct {
	left  *int   // parts that may still come
	level int    // parts around it
	is    string // the media type that it must have; "": any
}

// entity writes a part and those in it.
func (d *Draft) entity(raw json.RawMessage, in string, at place) (e message.Entity, fault *jmap.SetError) {
	if *at.left--; *at.left < 0 || at.level > maxLevel {
		return e, bad(in, "a mail has up to %d parts, and %d levels of them", maxParts, maxLevel)
	}
	p, fault := readPart(raw, in)
	if fault != nil {
		return e, fault
	}
	for _, f := range p.fields {
		if in == "bodyStructure" && at.level == 0 && d.top[strings.ToLower(f.name)] {
			return e, bad(in, "the mail itself has the field %s", f.name)
		}
	}
	e.Type = "text/plain"
	if at.is != "" {
		e.Type = at.is
	}
	if p.Type != nil {
		e.Type = strings.ToLower(*p.Type)
	}
	if !mediaType(e.Type) || at.is != "" && e.Type != at.is {
		return e, bad(in, "%.100q is not the media type that a part has here", e.Type)
	}
	if fault := p.describe(&e); fault != nil {
		return e, fault
	}
	if p.Method != nil {
		if e.Type != "text/calendar" || !mediaType("x/"+*p.Method) {
			return e, bad(in, "method is that of a text/calendar, such as \"REPLY\"")
		}
		param(&e, "method", *p.Method)
	}
	if strings.HasPrefix(e.Type, "multipart/") {
		if p.PartID != nil || p.BlobID != nil || len(p.SubParts) == 0 {
			return e, bad(in, "a multipart has subParts, and neither partId nor blobId")
		}
		for _, sub := range p.SubParts {
			s, fault := d.entity(sub, in, place{left: at.left, level: at.level + 1})
			if fault != nil {
				return e, fault
			}
			e.Parts = append(e.Parts, s)
		}
		return e, nil
	}
	return e, d.fill(&e, p)
}

// fill gives a part what is in it.
func (d *Draft) fill(e *message.Entity, p *newPart) *jmap.SetError {
	isText := strings.HasPrefix(e.Type, "text/")
	switch {
	case p.Format != nil && (*p.Format != "flowed" || p.PartID == nil || e.Type != "text/plain"):
		return bad(p.in, "format is \"flowed\", for plain text with a partId")
	case (p.PartID == nil) == (p.BlobID == nil) || len(p.SubParts) > 0:
		return bad(p.in, "a part has a partId or a blobId")
	case p.PartID != nil:
		v, ok := d.values[*p.PartID]
		switch {
		case !ok:
			return bad(p.in, "bodyValues has no %.100q", *p.PartID)
		case !isText:
			return bad(p.in, "a part with a partId is text")
		case p.Charset != nil:
			return bad(p.in, "a part with a partId has no charset: the server chooses it")
		}
		if p.Size != nil {
			return bad(p.in, "a part with a partId has no size: it is that of its value")
		}
		d.used[*p.PartID] = true
		param(e, "charset", "utf-8")
		if p.Format != nil {
			param(e, "format", "flowed")
		}
		e.Body = message.ToCRLF(v.Value)
		return d.grow(e)
	}
	data, _, ok, err := d.Blob(*p.BlobID)
	if err != nil {
		d.failed = err
		return bad(p.in, "the blob cannot be read")
	}
	if !ok {
		s := jmap.SetErrorf(jmap.BlobNotFound, nil, "there is no blob %.100q", string(*p.BlobID))
		s.More = map[string]any{"notFound": []jmap.ID{*p.BlobID}}
		return s
	}
	e.Body = data
	if isText && p.Charset != nil {
		param(e, "charset", *p.Charset)
	}
	if isText && bytes.Contains(data, []byte("\n")) && !bytes.Contains(data, []byte("\r\n")) {
		e.Encoding = message.Base64 // the octets stay as they are
	}
	return d.grow(e)
}

// grow counts what is put in.
func (d *Draft) grow(e *message.Entity) *jmap.SetError {
	if d.size += int64(len(e.Body)); d.size > d.Max {
		return jmap.SetErrorf(jmap.TooLarge, nil, "the parts of the mail have more than %d octets", d.Max)
	}
	return nil
}

func param(e *message.Entity, name, value string) {
	if e.Params == nil {
		e.Params = map[string]string{}
	}
	e.Params[name] = value
}

// mediaType tells whether a text is type/subtype.
func mediaType(s string) bool {
	a, b, ok := strings.Cut(s, "/")
	token := func(s string) bool {
		return s != "" && len(s) < 100 && !strings.ContainsFunc(s, func(r rune) bool {
			return r <= ' ' || r > '~' || strings.ContainsRune(`()<>@,;:\"/[]?=`, r)
		})
	}
	return ok && token(a) && token(b)
}

// readPart reads a part, and its header fields.
func readPart(raw json.RawMessage, in string) (*newPart, *jmap.SetError) {
	var all map[string]json.RawMessage
	p := &newPart{in: in}
	if json.Unmarshal(raw, &all) != nil || json.Unmarshal(raw, p) != nil {
		return nil, bad(in, "a part is an object with properties as RFC 8621 §4.1.4 has them")
	}
	for name, v := range all {
		switch name {
		case "partId", "blobId", "size", "name", "type", "charset", "format", "method", "disposition", "cid", "language", "location", "subParts":
			continue
		}
		h, ok := ParseHeaderProperty(name)
		if !ok || strings.EqualFold(h.Name, "Content-Transfer-Encoding") || strings.EqualFold(h.Name, "Content-Type") {
			return nil, bad(in, "a part cannot be given %.100q", name)
		}
		if string(v) == "null" {
			continue
		}
		some, fault := fieldsFrom(in, h, v)
		if fault != nil {
			return nil, fault
		}
		p.fields = append(p.fields, some...)
	}
	return p, nil
}

// describe writes what is said of a part in its header.
func (p *newPart) describe(e *message.Entity) *jmap.SetError {
	for _, s := range append([]string{}, p.Language...) {
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' }) {
			return bad(p.in, "language has what is no language tag")
		}
	}
	add := func(name, value string) { e.Fields = append(e.Fields, message.Pair{Name: name, Value: value}) }
	disposition := ""
	if p.Disposition != nil {
		if disposition = strings.ToLower(*p.Disposition); !mediaType("x/" + disposition) {
			return bad(p.in, "%.100q is no disposition", disposition)
		}
	}
	if p.Name != nil && *p.Name != "" {
		name := oneLine(*p.Name)
		if disposition == "" {
			disposition = "attachment"
		}
		add("Content-Disposition", withParam(disposition, "filename", name))
		if ascii(name) {
			param(e, "name", name) // for programs that know no other
		}
	} else if disposition != "" {
		add("Content-Disposition", disposition)
	}
	if p.CID != nil && *p.CID != "" {
		if strings.ContainsFunc(*p.CID, func(r rune) bool { return r <= ' ' || r > '~' || r == '<' || r == '>' }) {
			return bad(p.in, "%.100q is no cid", *p.CID)
		}
		add("Content-ID", "<"+*p.CID+">")
	}
	if len(p.Language) > 0 {
		add("Content-Language", strings.Join(p.Language, ", "))
	}
	if p.Location != nil && *p.Location != "" {
		if !ascii(*p.Location) {
			return bad(p.in, "location is a URI")
		}
		add("Content-Location", *p.Location)
	}
	for _, f := range p.fields {
		add(f.name, strings.TrimSpace(f.value))
	}
	return nil
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// withParam is a field's value with a parameter, in the form of RFC 2231 where it needs that.
func withParam(value, name, param string) string {
	if v := mime.FormatMediaType(value, map[string]string{name: param}); v != "" {
		return v
	}
	return value
}
