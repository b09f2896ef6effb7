package api

import (
	"fmt"
	"mime"
	"slices"
	"strings"

	"waxwing/message"
)

// Message is a message in its JSON form. The server adds Date and Message-ID where they are
// missing, and the account's DKIM signature.
type Message struct {
	From        string        `json:"from" doc:"The author: joe@example.org, or Joe <joe@example.org>. It must be an address of the key's account."`
	To          []string      `json:"to,omitempty" doc:"Recipients, each an address with or without a name."`
	CC          []string      `json:"cc,omitempty"`
	BCC         []string      `json:"bcc,omitempty" doc:"Recipients that do not stand in the message."`
	ReplyTo     []string      `json:"reply_to,omitempty"`
	Subject     string        `json:"subject,omitempty"`
	Text        string        `json:"text,omitempty" doc:"The message as plain text."`
	HTML        string        `json:"html,omitempty" doc:"The message as HTML. With text, both are alternatives of each other."`
	Headers     []HeaderField `json:"headers,omitempty" doc:"Further header fields. Those that are made of the rest of the message cannot be given, nor those of the way (Received, Return-Path, DKIM-Signature)."`
	Attachments []Attachment  `json:"attachments,omitempty"`
	Options
}

// HeaderField is one field of a header.
type HeaderField struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Attachment is a file that goes with a message.
type Attachment struct {
	Name      string `json:"name" doc:"Its file name."`
	Type      string `json:"type,omitempty" doc:"Its media type; without one, application/octet-stream."`
	Content   []byte `json:"content" doc:"Its octets in base64."`
	ContentID string `json:"content_id,omitempty" doc:"With one, it belongs to the HTML, which refers to it as cid:ID."`
}

const (
	maxHeaders     = 100
	maxAttachments = 100
)

// made are fields that a program cannot give: they are made of the rest, or on the way.
func made() []string {
	return []string{"From", "To", "Cc", "Bcc", "Reply-To", "Subject", "Sender", "MIME-Version", "Received", "Return-Path", "Delivered-To",
		"DKIM-Signature", "ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results", "Authentication-Results", "TLS-Required"}
}

// size is how many octets there are to be encoded.
func (m *Message) size() int64 {
	n := len(m.Text) + len(m.HTML)
	for i := range m.Attachments {
		n += len(m.Attachments[i].Content)
	}
	return int64(n)
}

// compose makes the message as it is handed in. It is pure but for boundaries. An error is
// of the program that calls.
func compose(m *Message) ([]byte, error) {
	var out []byte
	for _, l := range []struct {
		name string
		list []string
	}{{"From", []string{m.From}}, {"Reply-To", m.ReplyTo}, {"To", m.To}, {"Cc", m.CC}} {
		if len(l.list) == 0 {
			continue
		}
		v, err := message.EncodeAddressList(strings.Join(l.list, ", "))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", strings.ToLower(l.name), err)
		}
		out = append(out, message.Fold(l.name, v)...)
	}
	if m.Subject != "" {
		out = append(out, message.Fold("Subject", message.EncodeWord(m.Subject))...)
	}
	if m.TLS == tlsOptional {
		out = append(out, "TLS-Required: No\r\n"...)
	}
	fields, err := headerFields(m.Headers)
	if err != nil {
		return nil, err
	}
	content, err := m.content()
	if err != nil {
		return nil, err
	}
	out = append(append(out, fields...), "MIME-Version: 1.0\r\n"...)
	return append(out, content.Write()...), nil
}

// headerFields writes the fields that a program has given.
func headerFields(all []HeaderField) (out []byte, err error) {
	if len(all) > maxHeaders {
		return nil, fmt.Errorf("headers: at most %d are taken", maxHeaders)
	}
	for _, f := range all {
		if f.Name == "" || len(f.Name) > 100 || strings.ContainsFunc(f.Name, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == ':' }) {
			return nil, fmt.Errorf("headers: %.100q is no name of a header field", f.Name)
		}
		if strings.HasPrefix(strings.ToLower(f.Name), "content-") || slices.ContainsFunc(made(), func(n string) bool { return strings.EqualFold(n, f.Name) }) {
			return nil, fmt.Errorf("headers: %s cannot be given here: it is made by the server, or has a place of its own", f.Name)
		}
		if strings.ContainsAny(f.Value, "\r\n\x00") {
			return nil, fmt.Errorf("headers: the value of %s has more than one line", f.Name)
		}
		out = append(out, message.Fold(f.Name, message.EncodeWord(f.Value))...)
	}
	return out, nil
}

// content is what follows the header: text, HTML or both, with the files of the HTML beside
// it, and other files beside all that.
func (m *Message) content() (message.Entity, error) {
	if len(m.Attachments) > maxAttachments {
		return message.Entity{}, fmt.Errorf("attachments: at most %d are taken", maxAttachments)
	}
	var inline, files []message.Entity
	for i := range m.Attachments {
		e, err := m.Attachments[i].entity()
		if err != nil {
			return e, err
		}
		if m.Attachments[i].ContentID != "" && m.HTML != "" {
			inline = append(inline, e)
		} else {
			files = append(files, e)
		}
	}
	plain, html := textEntity("text/plain", m.Text), multipart("multipart/related", append([]message.Entity{textEntity("text/html", m.HTML)}, inline...))
	body := plain
	switch {
	case m.HTML != "" && m.Text != "":
		body = multipart("multipart/alternative", []message.Entity{plain, html})
	case m.HTML != "":
		body = html
	}
	return multipart("multipart/mixed", append([]message.Entity{body}, files...)), nil
}

func textEntity(mediaType, text string) message.Entity {
	return message.Entity{Type: mediaType, Params: map[string]string{"charset": "utf-8"}, Body: message.ToCRLF(text)}
}

// multipart is one entity of several parts; a single part is that itself.
func multipart(mediaType string, parts []message.Entity) message.Entity {
	if len(parts) == 1 {
		return parts[0]
	}
	return message.Entity{Type: mediaType, Parts: parts}
}

// entity is an attachment as a part of a message.
func (a *Attachment) entity() (message.Entity, error) {
	mediaType, params, err := "application/octet-stream", map[string]string(nil), error(nil)
	if a.Type != "" {
		if mediaType, params, err = mime.ParseMediaType(a.Type); err != nil || !strings.Contains(mediaType, "/") {
			return message.Entity{}, fmt.Errorf("attachments: %.100q is no media type such as application/pdf", a.Type)
		}
	}
	if strings.HasPrefix(mediaType, "multipart/") || mediaType == "message/rfc822" {
		return message.Entity{}, fmt.Errorf("attachments: %s has parts of its own and cannot be encoded: give it as application/octet-stream", mediaType)
	}
	kind := "attachment"
	if a.ContentID != "" {
		kind = "inline"
	}
	disposition := kind
	if a.Name != "" {
		if disposition = mime.FormatMediaType(kind, map[string]string{"filename": a.Name}); disposition == "" {
			return message.Entity{}, fmt.Errorf("attachments: %.100q is no file name", a.Name)
		}
	}
	e := message.Entity{Type: mediaType, Params: params, Encoding: message.Base64, Body: a.Content, Fields: []message.Pair{{Name: "Content-Disposition", Value: disposition}}}
	if id := a.ContentID; id != "" {
		if len(id) > 200 || strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '<' || c == '>' }) {
			return message.Entity{}, fmt.Errorf("attachments: %.100q is no content id", id)
		}
		e.Fields = append(e.Fields, message.Pair{Name: "Content-ID", Value: "<" + id + ">"})
	}
	return e, nil
}
