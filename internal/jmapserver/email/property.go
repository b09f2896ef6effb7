// Package email writes mails as JMAP has them (RFC 8621 §4.1): from what package structure knows of a
// message, and where that is not enough from its octets.
package email

import (
	"slices"
	"strings"

	"waxwing/jmap"
)

// Form is how the value of a header field is written (RFC 8621 §4.1.2).
type Form uint8

// The forms.
const (
	Raw Form = iota
	Text
	Addresses
	Grouped
	MessageIDs
	Date
	URLs
)

var forms = map[string]Form{"asRaw": Raw, "asText": Text, "asAddresses": Addresses, "asGroupedAddresses": Grouped, "asMessageIds": MessageIDs, "asDate": Date, "asURLs": URLs}

// fieldsOf are the fields of RFC 5322 and RFC 2369 that may be had in a form; other fields may be had in any.
var fieldsOf = map[Form]string{
	Text:       " subject comments keywords ",
	Addresses:  " from sender reply-to to cc bcc resent-from resent-sender resent-reply-to resent-to resent-cc resent-bcc ",
	Grouped:    " from sender reply-to to cc bcc resent-from resent-sender resent-reply-to resent-to resent-cc resent-bcc ",
	MessageIDs: " message-id in-reply-to references resent-message-id ",
	Date:       " date resent-date ",
	URLs:       " list-help list-unsubscribe list-subscribe list-post list-owner list-archive ",
}

// standard are the fields of RFC 5322 and RFC 2369 that have no form but Raw, beside those of fieldsOf.
const standard = " return-path received "

func mayHave(name string, f Form) bool {
	key := " " + strings.ToLower(name) + " "
	if f == Raw || strings.Contains(fieldsOf[f], key) {
		return true
	}
	if strings.Contains(standard, key) {
		return false
	}
	for _, names := range fieldsOf {
		if strings.Contains(names, key) {
			return false
		}
	}
	return true
}

// HeaderProperty is a header field as a property, "header:NAME:asFORM:all".
type HeaderProperty struct {
	Property string // as it was asked for
	Name     string
	Form     Form
	All      bool
}

// ParseHeaderProperty reads one; false for what is no such property.
func ParseHeaderProperty(s string) (h HeaderProperty, ok bool) {
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 4 || parts[0] != "header" || !fieldName(parts[1]) {
		return h, false
	}
	h = HeaderProperty{Property: s, Name: parts[1]}
	rest := parts[2:]
	if n := len(rest); n > 0 && rest[n-1] == "all" {
		h.All, rest = true, rest[:n-1]
	}
	if len(rest) == 1 {
		if h.Form, ok = forms[rest[0]]; !ok {
			return h, false
		}
		rest = nil
	}
	return h, len(rest) == 0 && mayHave(h.Name, h.Form)
}

// fieldName tells whether a text can be the name of a header field (RFC 5322 §2.2).
func fieldName(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == ':' {
			return false
		}
	}
	return s != ""
}

// convenient are the properties that stand for header fields (RFC 8621 §4.1.2.3).
var convenient = map[string]HeaderProperty{
	"messageId": {Name: "Message-ID", Form: MessageIDs}, "inReplyTo": {Name: "In-Reply-To", Form: MessageIDs}, "references": {Name: "References", Form: MessageIDs},
	"sender": {Name: "Sender", Form: Addresses}, "from": {Name: "From", Form: Addresses}, "to": {Name: "To", Form: Addresses}, "cc": {Name: "Cc", Form: Addresses},
	"bcc": {Name: "Bcc", Form: Addresses}, "replyTo": {Name: "Reply-To", Form: Addresses}, "subject": {Name: "Subject", Form: Text}, "sentAt": {Name: "Date", Form: Date},
}

// Convenient is the header field that a property stands for.
func Convenient(property string) (HeaderProperty, bool) {
	h, ok := convenient[property]
	return h, ok
}

var (
	metadata   = []string{"id", "blobId", "threadId", "mailboxIds", "keywords", "size", "receivedAt"}
	bodies     = []string{"bodyStructure", "bodyValues", "textBody", "htmlBody", "attachments", "hasAttachment", "preview", "headers"}
	partFields = []string{"partId", "blobId", "size", "headers", "name", "type", "charset", "disposition", "cid", "language", "location", "subParts"}

	defaults = []string{"id", "blobId", "threadId", "mailboxIds", "keywords", "size", "receivedAt", "messageId", "inReplyTo", "references", "sender", "from",
		"to", "cc", "bcc", "replyTo", "subject", "sentAt", "hasAttachment", "preview", "bodyValues", "textBody", "htmlBody", "attachments"}
	parsed       = []string{"messageId", "inReplyTo", "references", "sender", "from", "to", "cc", "bcc", "replyTo", "subject", "sentAt", "hasAttachment", "preview", "bodyValues", "textBody", "htmlBody", "attachments"}
	partDefaults = []string{"partId", "blobId", "size", "name", "type", "charset", "disposition", "cid", "language", "location"}
)

// maxProperties is how many properties may be asked for.
const maxProperties = 200

// Wanted is what a client wants to know of mails.
type Wanted struct {
	Properties       []string
	PartProperties   []string
	Text, HTML, All  bool  // whose bodyValues are wanted
	MaxBodyValue     int64 // octets of one; 0: all of it
	headers, ofParts map[string]HeaderProperty
}

// Prepare fills in what is not given, and checks the rest: properties of Email/get, or with parsing of Email/parse.
// The error is InvalidArguments.
func (w *Wanted) Prepare(parsing bool) *jmap.Error {
	if w.Properties == nil {
		if w.Properties = defaults; parsing {
			w.Properties = parsed
		}
	}
	if w.PartProperties == nil {
		w.PartProperties = partDefaults
	}
	if len(w.Properties) > maxProperties || len(w.PartProperties) > maxProperties {
		return jmap.Errorf(jmap.InvalidArguments, "up to %d properties can be asked for", maxProperties)
	}
	if w.MaxBodyValue < 0 {
		return jmap.Errorf(jmap.InvalidArguments, "maxBodyValueBytes is no number of octets")
	}
	w.headers, w.ofParts = map[string]HeaderProperty{}, map[string]HeaderProperty{}
	for _, p := range w.Properties {
		if _, ok := convenient[p]; ok || slices.Contains(metadata, p) || slices.Contains(bodies, p) {
			continue
		}
		h, ok := ParseHeaderProperty(p)
		if !ok {
			return jmap.Errorf(jmap.InvalidArguments, "mails have no property %.200q", p)
		}
		w.headers[p] = h
	}
	for _, p := range w.PartProperties {
		if slices.Contains(partFields, p) {
			continue
		}
		h, ok := ParseHeaderProperty(p)
		if !ok {
			return jmap.Errorf(jmap.InvalidArguments, "parts of mails have no property %.200q", p)
		}
		w.ofParts[p] = h
	}
	return nil
}

// NeedsStructure tells whether more is wanted than what is known without looking at the message.
func (w *Wanted) NeedsStructure() bool {
	return slices.ContainsFunc(w.Properties, func(p string) bool { return !slices.Contains(metadata, p) })
}

// NeedsHeader tells whether the octets of the header are needed.
func (w *Wanted) NeedsHeader() bool {
	return len(w.headers) > 0 || slices.Contains(w.Properties, "headers")
}
