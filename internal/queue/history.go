package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"waxwing/internal/bounce"
	"waxwing/internal/delivery"
	"waxwing/internal/store"
)

// Detail is what the history keeps of an attempt beside its columns (QUE-8).
type Detail struct {
	Recipients []RecipientDetail `json:"recipients"`
	Stop       string            `json:"stop,omitempty"` // why nothing was dialled
	Hosts      []HostDetail      `json:"hosts,omitempty"`
}

// RecipientDetail is what an attempt meant for one recipient.
type RecipientDetail struct {
	Address string          `json:"address"`
	Outcome string          `json:"outcome"` // delivered, deferred, failed, interrupted
	Word    delivery.Reason `json:"word,omitempty"`
	Reply   string          `json:"reply,omitempty"`
	Text    string          `json:"text,omitempty"`
	Host    string          `json:"host,omitempty"`
	TLS     string          `json:"tls,omitempty"`
}

// HostDetail is one host: what was decided, why, and what was seen.
type HostDetail struct {
	Host     string          `json:"host"`
	Skip     string          `json:"skip,omitempty"` // why it was not used
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
	TLSFailure string             `json:"tls_failure,omitempty"` // reason word and text
	PKIX       string             `json:"pkix,omitempty"`        // "ok" or why not
	DANE       string             `json:"dane,omitempty"`
	Error      string             `json:"error,omitempty"`
	Transcript []string           `json:"transcript,omitempty"`
}

func encodeDetail(res *delivery.Result, outcomes []bounce.Outcome, next []Entry) string {
	var d Detail
	for i := range outcomes {
		rr := &outcomes[i].Result
		d.Recipients = append(d.Recipients, RecipientDetail{
			Address: next[i].Address, Outcome: outcomeWord(&next[i], &outcomes[i]), Word: rr.Word, Reply: clean(rr.Reply.String()),
			Text: clean(rr.Text), Host: rr.Host.ASCII(), TLS: rr.TLS,
		})
	}
	if res.Decision.Stop != nil {
		d.Stop = clean(res.Decision.Stop.Text)
	}
	for _, p := range res.Decision.Plans {
		if p.Skip != nil {
			d.Hosts = append(d.Hosts, HostDetail{Host: p.Host.Name.ASCII(), Verify: p.Verify(), Basis: p.Basis,
				Skip: string(p.Skip.Cause) + ": " + clean(p.Skip.Text)})
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
		PKIX: verificationText(s.PKIX), DANE: verificationText(s.DANE), Transcript: s.Transcript}
	if s.TLSFailure != nil {
		d.TLSFailure = failureText(s.TLSFailure)
	}
	if s.Err != nil {
		d.Error = clean(s.Err.Text)
	}
	return d
}

func verificationText(v *delivery.Verification) string {
	switch {
	case v == nil:
		return ""
	case v.Failure == nil:
		return "ok"
	}
	return failureText(v.Failure)
}

func failureText(f *delivery.TLSFailure) string { return string(f.Reason) + ": " + clean(f.Text) }

// maxText bounds what is kept of a text, in octets.
const maxText = 2000

// clean makes a text fit for both engines: valid UTF-8 without NUL, bounded.
func clean(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

const (
	sweepBatch = 200  // messages looked at in one transaction of the sweep
	sweepRows  = 2000 // rows removed in it: a message may have had thousands of recipients
)

// sweep removes what the history has kept long enough, and bodies that nobody holds.
func (q *Queue) sweep(ctx context.Context) {
	for ctx.Err() == nil {
		more, err := q.sweepHistory(ctx)
		if err != nil {
			if ctx.Err() == nil {
				q.Log.Error("history not cleaned, will try again", "error", err)
			}
			return
		}
		if !more {
			break
		}
	}
	if err := q.bodies().Sweep(ctx); err != nil && ctx.Err() == nil {
		q.Log.Error("left-over bodies not removed, will try again", "error", err)
	}
	if err := q.sweepClosed(ctx); err != nil && ctx.Err() == nil {
		q.Log.Error("closed destinations that nothing waits for not forgotten, will try again", "error", err)
	}
	if err := q.openMisdated(ctx); err != nil && ctx.Err() == nil {
		q.Log.Error("destinations closed by a wrong clock not opened, will try again", "error", err)
	}
}

// sweepHistory removes some of what was kept long enough; more says that there is more.
func (q *Queue) sweepHistory(ctx context.Context) (more bool, err error) {
	before := q.Now().Add(-max(q.History, 0))
	err = q.Store.Write(ctx, func(tx *store.Tx) error {
		old, err := store.Column[int64](tx, `SELECT id FROM messages WHERE finished > 0 AND finished < ? ORDER BY finished LIMIT ?`+tx.Lock(),
			store.Time(before), int64(sweepBatch))
		if err != nil {
			return err
		}
		more = len(old) == sweepBatch
		for room := int64(sweepRows); len(old) > 0; old = old[1:] {
			n, err := deleteMessage(tx, old[0], room)
			if err != nil {
				return err
			}
			if room -= n; room <= 0 { // there may be more of this message
				more = true
				return nil
			}
		}
		return nil
	})
	return more, err
}

// deleteMessage removes a message and all that belongs to it but its body: up to limit
// rows, and the message itself with the last of them. It returns how many.
func deleteMessage(tx *store.Tx, id, limit int64) (int64, error) {
	var first, last int64
	if err := tx.Row(`SELECT first_recipient, last_recipient FROM messages WHERE id = ?`, id).Scan(&first, &last); err != nil {
		return 0, fmt.Errorf("message %s: %w", LogID(id), err)
	}
	n, err := tx.Exec(`DELETE FROM recipients WHERE id IN (SELECT id FROM recipients WHERE id BETWEEN ? AND ? AND message = ? LIMIT ?)`, first, last, id, limit)
	if err != nil || n >= limit {
		return n, err
	}
	a, err := tx.Exec(`DELETE FROM attempts WHERE id IN (SELECT id FROM attempts WHERE message = ? LIMIT ?)`, id, limit-n)
	if n += a; err != nil || n >= limit {
		return n, err
	}
	m, err := tx.Exec(`DELETE FROM messages WHERE id = ?`, id)
	return n + m, err
}
