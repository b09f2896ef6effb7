package dsn

import (
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/message"
	"waxwing/smtp"
)

// maxRecipients bounds the groups of fields that Parse reads.
const maxRecipients = 1000

// Parse reads a notification, ours or another's. Original is its third part,
// Full where that is a whole message. Fields that cannot be read are left
// empty; a message that is no notification at all is an error.
func Parse(msg []byte) (*Report, error) {
	h, _, err := message.SplitHeader(msg)
	if err != nil {
		return nil, err
	}
	r := &Report{Date: date(h.Get("Date")), From: firstAddress(h, "From"), To: firstAddress(h, "To")}
	found := false
	err = message.Walk(msg, message.Limits{}, func(p message.Part) error {
		body, _ := p.Body() // what cannot be decoded costs this part (QUE-13)
		switch p.MediaType {
		case "message/delivery-status", "message/global-delivery-status":
			found = true
			return r.readStatus(body)
		case "message/rfc822", "message/global":
			r.Original, r.Full = body, true
		case "text/rfc822-headers", "message/global-headers":
			r.Original = body
		case "text/plain":
			if r.Human == "" {
				r.Human = string(body)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !found || len(r.Recipients) == 0 {
		return nil, errors.New("message has no delivery status")
	}
	return r, nil
}

func firstAddress(h message.Header, name string) string {
	list, err := message.ParseAddressList(h.Get(name))
	if err != nil || len(list) == 0 {
		return ""
	}
	return list[0].Addr()
}

// readStatus reads the groups of fields that empty lines part (RFC 3464 §2.1).
func (r *Report) readStatus(body []byte) error {
	h, rest, err := message.SplitHeader(body)
	if err != nil {
		return fmt.Errorf("delivery status: %w", err)
	}
	r.EnvID = h.Get("Original-Envelope-Id")
	r.Arrival = date(h.Get("Arrival-Date"))
	_, r.ReceivedBy = typed(h.Get("Received-From-MTA"))
	_, host := typed(h.Get("Reporting-MTA"))
	if n, err := dns.ParseLax(host); err == nil {
		r.Hostname = n
	}
	for len(rest) > 0 {
		h, rest, err = message.SplitHeader(rest)
		if err != nil {
			return fmt.Errorf("delivery status: %w", err)
		}
		if !h.Has("Final-Recipient") {
			continue // more empty lines than needed
		}
		if len(r.Recipients) == maxRecipients {
			return fmt.Errorf("delivery status for more than %d recipients", maxRecipients)
		}
		r.Recipients = append(r.Recipients, recipient(h))
	}
	return nil
}

func recipient(h message.Header) Recipient {
	var rc Recipient
	typ, addr := typed(h.Get("Final-Recipient"))
	rc.Address = addr
	if plain, ok := decodeUnitext(addr); ok && strings.EqualFold(typ, "utf-8") {
		rc.Address = plain
	}
	rc.Original = h.Get("Original-Recipient")
	rc.Action = Action(strings.ToLower(h.Get("Action")))
	rc.Status = enhanced(h.Get("Status"))
	_, mta := typed(h.Get("Remote-MTA"))
	mta, comment, _ := strings.Cut(mta, " (")
	rc.RemoteMTA = mta
	comment = strings.TrimPrefix(strings.Trim(comment, "[])"), "IPv6:")
	if a, err := netip.ParseAddr(comment); err == nil {
		rc.RemoteAddr = a
	}
	if typ, diag := typed(h.Get("Diagnostic-Code")); strings.EqualFold(typ, "smtp") {
		rc.Reply = reply(diag)
	}
	rc.LastAttempt = date(h.Get("Last-Attempt-Date"))
	rc.RetryUntil = date(h.Get("Will-Retry-Until"))
	rc.LogID = h.Get("Final-Log-ID")
	return rc
}

// typed splits "type; value".
func typed(s string) (typ, value string) {
	typ, value, _ = strings.Cut(s, ";")
	return strings.TrimSpace(typ), strings.TrimSpace(value)
}

func date(s string) time.Time {
	t, err := mail.ParseDate(s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// enhanced reads "5.1.1", with anything after it.
func enhanced(s string) smtp.Enhanced {
	word, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	var n [3]int
	parts := strings.Split(word, ".")
	if len(parts) != 3 {
		return smtp.Enhanced{}
	}
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 16)
		if err != nil || v > 999 {
			return smtp.Enhanced{}
		}
		n[i] = int(v)
	}
	return smtp.Enhanced{Class: n[0], Subject: n[1], Detail: n[2]}
}

// reply reads a diagnostic code of type smtp: code, enhanced code, text.
func reply(s string) *smtp.Reply {
	code, text, _ := strings.Cut(s, " ")
	n, err := strconv.Atoi(code)
	if err != nil || n < 200 || n > 599 {
		return nil
	}
	r := &smtp.Reply{Code: n, Lines: []string{text}}
	if e := enhanced(text); !e.IsZero() {
		r.Enhanced = e
		_, rest, _ := strings.Cut(text, " ")
		r.Lines = []string{rest}
	}
	return r
}
