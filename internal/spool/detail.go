package spool

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/bounce"
	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/smtp"
)

// Detail is what the history keeps of an attempt beside its columns (QUE-8).
type Detail struct {
	Recipients []RecipientDetail `json:"recipients"`
	Stop       *Why              `json:"stop,omitempty"` // why nothing was dialled
	Hosts      []HostDetail      `json:"hosts,omitempty"`
}

// RecipientDetail is what an attempt meant for one recipient.
type RecipientDetail struct {
	Address string      `json:"address"`
	Outcome string      `json:"outcome"` // delivered, deferred, failed, interrupted
	Word    reason.Word `json:"word,omitempty"`
	Reply   string      `json:"reply,omitempty"`
	Text    string      `json:"text,omitempty"`
	Last    *Why        `json:"last,omitempty"` // what this attempt failed by, where Word says that it was one too many
	Host    string      `json:"host,omitempty"`
	TLS     string      `json:"tls,omitempty"`
}

// HostDetail is one host: what was decided, why, and what was seen.
type HostDetail struct {
	Host     string          `json:"host"`
	Skip     *Why            `json:"skip,omitempty"` // why it was not used
	Required bool            `json:"tls_required,omitempty"`
	Verify   string          `json:"verify"`
	Basis    delivery.Basis  `json:"basis,omitempty"`
	Sessions []SessionDetail `json:"sessions,omitempty"`
}

// SessionDetail is one connection.
type SessionDetail struct {
	Addr       string             `json:"addr"`
	Started    time.Time          `json:"started"`
	Reused     bool               `json:"reused,omitempty"` // made for an earlier message and kept (SES-6)
	SmallHello bool               `json:"small_hello,omitempty"`
	Plaintext  bool               `json:"plaintext,omitempty"`
	TLS        *delivery.TLSFacts `json:"tls,omitempty"`
	TLSFailure *Why               `json:"tls_failure,omitempty"`
	PKIX       *Verified          `json:"pkix,omitempty"`
	DANE       *Verified          `json:"dane,omitempty"`
	Error      *Why               `json:"error,omitempty"` // what ended it otherwise
	Transcript []string           `json:"transcript,omitempty"`
}

// DetailOf is what the history keeps of an attempt, as JSON; next are its recipients as
// they stand after it.
func DetailOf(res *delivery.Result, outcomes []bounce.Outcome, next []Entry) string {
	var d Detail
	for i := range outcomes {
		rr := &outcomes[i].Result
		d.Recipients = append(d.Recipients, RecipientDetail{
			Address: next[i].Address, Outcome: next[i].OutcomeWord(&outcomes[i]), Word: rr.Word, Reply: Clip(rr.Reply.String()),
			Text: Clip(rr.Text), Last: LastOf(rr.Last), Host: rr.Host.ASCII(), TLS: rr.TLS,
		})
	}
	d.Stop = whyOf(res.Decision.Stop)
	for _, p := range res.Decision.Plans {
		if p.Skip != nil {
			d.Hosts = append(d.Hosts, HostDetail{Host: p.Host.Name.ASCII(), Verify: p.Verify(), Basis: p.Basis, Skip: whyOf(p.Skip)})
		}
	}
	for _, a := range res.Visits {
		h := HostDetail{Host: a.Plan.Host.Name.ASCII(), Required: a.Plan.TLS == delivery.TLSRequired, Verify: a.Plan.Verify(), Basis: a.Plan.Basis}
		if a.Plan.Skip != nil {
			continue // listed above
		}
		for _, s := range a.Sessions {
			h.Sessions = append(h.Sessions, sessionDetail(s))
		}
		d.Hosts = append(d.Hosts, h)
	}
	b, err := json.Marshal(d)
	if err != nil { // there is nothing in it that could not be marshalled
		return "{}"
	}
	return string(b)
}

func sessionDetail(s delivery.Session) SessionDetail {
	d := SessionDetail{Addr: s.Addr.String(), Started: s.Started, Reused: s.Reused, SmallHello: s.SmallHello, Plaintext: s.Plaintext, TLS: s.TLS,
		PKIX: verified(s.PKIX), DANE: verified(s.DANE), Error: whyOf(s.Err), Transcript: s.Transcript}
	if f := s.TLSFailure; f != nil {
		d.TLSFailure = &Why{f.Word, Clip(f.Text)}
	}
	return d
}

// OutcomeWord is what an attempt meant for a recipient that stands like this after it, in
// one word.
func (e *Entry) OutcomeWord(o *bounce.Outcome) string {
	switch {
	case e.State == Held:
		return "held"
	case o.Undone:
		return "interrupted"
	case e.State == Waiting:
		return "deferred"
	}
	return e.State.String()
}

// LastResult is what a row tells of its last attempt.
func (e *Entry) LastResult() delivery.RecipientResult {
	rr := delivery.RecipientResult{ID: e.ID, Word: e.Word, Text: e.Text, Reply: parseReply(e.Reply)}
	rr.Host.Name, _ = dns.ParseName(e.Host) // zero where there was none
	return rr
}

// parseReply reads a reply that was stored; nil for "".
func parseReply(s string) *smtp.Reply {
	var r smtp.Reply
	code, text, _ := strings.Cut(s, " ")
	n, err := strconv.Atoi(code)
	if err != nil || n < 200 || n > 599 {
		return nil
	}
	r.Code = n
	word, rest, _ := strings.Cut(text, " ")
	if k, _ := fmt.Sscanf(word, "%d.%d.%d", &r.Enhanced.Class, &r.Enhanced.Subject, &r.Enhanced.Detail); k == 3 {
		text = rest
	} else {
		r.Enhanced = smtp.Enhanced{}
	}
	r.Lines = []string{text}
	return &r
}
