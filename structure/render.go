package structure

import (
	"strconv"

	"waxwing/imap"
)

// What stands in an ENVELOPE for what an address lacks. A NIL would make it a group. The
// words are Dovecot's, which clients know.
const (
	missingMailbox = "MISSING_MAILBOX"
	missingHost    = "MISSING_DOMAIN"
)

// AppendEnvelope appends ENVELOPE (RFC 9051 §7.5.2). utf8 says that the client takes UTF-8 in
// quoted strings.
func (m *Message) AppendEnvelope(b []byte, utf8 bool) []byte {
	return m.Envelope.appendIMAP(b, utf8)
}

func (e *Envelope) appendIMAP(b []byte, utf8 bool) []byte {
	b = append(b, '(')
	b = appendNString(b, e.Date, e.Present&HasDate != 0, utf8)
	b = appendNString(append(b, ' '), e.Subject, e.Present&HasSubject != 0, utf8)
	sender, replyTo := e.Sender, e.ReplyTo
	if len(sender) == 0 {
		sender = e.From
	}
	if len(replyTo) == 0 {
		replyTo = e.From
	}
	for _, list := range [...][]Address{e.From, sender, replyTo, e.To, e.Cc, e.Bcc} {
		b = appendAddressList(append(b, ' '), list, utf8)
	}
	b = appendNString(append(b, ' '), e.InReplyTo, e.Present&HasInReplyTo != 0, utf8)
	b = appendNString(append(b, ' '), e.MessageID, e.Present&HasMessageID != 0, utf8)
	return append(b, ')')
}

func appendAddressList(b []byte, list []Address, utf8 bool) []byte {
	if len(list) == 0 {
		return append(b, "NIL"...)
	}
	b = append(b, '(')
	for i := range list {
		b = list[i].appendIMAP(b, utf8)
	}
	return append(b, ')')
}

func (a *Address) appendIMAP(b []byte, utf8 bool) []byte {
	switch a.Kind {
	case GroupStart:
		b = append(b, "(NIL NIL "...)
		return append(imap.AppendString(b, a.Mailbox, utf8), " NIL)"...)
	case GroupEnd:
		return append(b, "(NIL NIL NIL NIL)"...)
	}
	b = appendNString(append(b, '('), a.Name, a.Name != "", utf8)
	b = appendNString(append(b, ' '), a.Route, a.Route != "", utf8)
	b = imap.AppendString(append(b, ' '), or(a.Mailbox, missingMailbox), utf8)
	b = imap.AppendString(append(b, ' '), or(a.Host, missingHost), utf8)
	return append(b, ')')
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func appendNString(b []byte, s string, there, utf8 bool) []byte {
	if !there {
		return append(b, "NIL"...)
	}
	return imap.AppendString(b, s, utf8)
}

// AppendBody appends BODYSTRUCTURE (RFC 9051 §7.5.2), or BODY, which is the same without
// extension data.
func (m *Message) AppendBody(b []byte, extended, utf8 bool) []byte {
	return m.Root.appendIMAP(b, extended, utf8)
}

// AppendBody appends the same of a part (BODYPARTSTRUCTURE, RFC 5524).
func (p *Part) AppendBody(b []byte, extended, utf8 bool) []byte {
	return p.appendIMAP(b, extended, utf8)
}

func (p *Part) appendIMAP(b []byte, extended, utf8 bool) []byte {
	b = append(b, '(')
	if p.IsMultipart() {
		b = p.appendMultipart(b, extended, utf8)
	} else {
		b = p.appendLeaf(b, extended, utf8)
	}
	if extended {
		b = p.appendDisposition(append(b, ' '), utf8)
		b = p.appendLanguage(append(b, ' '), utf8)
		b = appendNString(append(b, ' '), p.Location, p.Location != "", utf8)
	}
	return append(b, ')')
}

// nothing is the part that is shown where the grammar wants one and none is there.
var nothing = Part{Type: "text", Subtype: "plain"}

func (p *Part) appendMultipart(b []byte, extended, utf8 bool) []byte {
	for _, child := range p.Parts {
		b = child.appendIMAP(b, extended, utf8)
	}
	if len(p.Parts) == 0 {
		b = nothing.appendIMAP(b, extended, utf8)
	}
	b = imap.AppendString(append(b, ' '), p.Subtype, utf8)
	if extended {
		b = appendParams(append(b, ' '), p.Params, false, utf8)
	}
	return b
}

func (p *Part) appendLeaf(b []byte, extended, utf8 bool) []byte {
	text := equalFold(p.Type, "text")
	b = imap.AppendString(b, p.Type, utf8)
	b = imap.AppendString(append(b, ' '), p.Subtype, utf8)
	b = appendParams(append(b, ' '), p.Params, text, utf8)
	b = appendNString(append(b, ' '), p.ID, p.ID != "", utf8)
	b = appendNString(append(b, ' '), p.Description, p.Description != "", utf8)
	b = imap.AppendString(append(b, ' '), or(p.Encoding, "7bit"), utf8)
	b = strconv.AppendInt(append(b, ' '), p.End-p.Body, 10)
	if p.Envelope != nil {
		b = p.Envelope.appendIMAP(append(b, ' '), utf8)
		inner := &nothing
		if p.IsMessage() {
			inner = p.Parts[0]
		}
		b = inner.appendIMAP(append(b, ' '), extended, utf8)
	}
	if text || p.Envelope != nil {
		b = strconv.AppendInt(append(b, ' '), p.Lines, 10)
	}
	if extended {
		b = appendNString(append(b, ' '), p.MD5, p.MD5 != "", utf8)
	}
	return b
}

// appendParams appends parameters; text without a charset is said to be US-ASCII (RFC 2045
// §5.2).
func appendParams(b []byte, params []Param, text, utf8 bool) []byte {
	if len(params) == 0 && !text {
		return append(b, "NIL"...)
	}
	b = append(b, '(')
	for i, p := range params {
		if i > 0 {
			b = append(b, ' ')
		}
		b = imap.AppendString(b, p.Name, utf8)
		b = imap.AppendString(append(b, ' '), p.Value, utf8)
		text = text && !equalFold(p.Name, "charset")
	}
	if text {
		if len(params) > 0 {
			b = append(b, ' ')
		}
		b = append(b, `"charset" "us-ascii"`...)
	}
	return append(b, ')')
}

func (p *Part) appendDisposition(b []byte, utf8 bool) []byte {
	if p.Disposition == "" {
		return append(b, "NIL"...)
	}
	b = imap.AppendString(append(b, '('), p.Disposition, utf8)
	b = appendParams(append(b, ' '), p.DispParams, false, utf8)
	return append(b, ')')
}

func (p *Part) appendLanguage(b []byte, utf8 bool) []byte {
	if len(p.Language) == 0 {
		return append(b, "NIL"...)
	}
	b = append(b, '(')
	for i, l := range p.Language {
		if i > 0 {
			b = append(b, ' ')
		}
		b = imap.AppendString(b, l, utf8)
	}
	return append(b, ')')
}
