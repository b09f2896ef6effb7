// Package listing is what is shown of several rooms together, and of the queue: the shapes that
// commands print, and pages and programs get, the queries that choose them, and their tables
// and texts for people. What is of one room has its shape there.
package listing

import (
	"cmp"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
	"waxwing/internal/spool"
	"waxwing/internal/text"
)

// Recipient is one recipient in the queue.
type Recipient struct {
	ID        delivery.ID `json:"id"` // of the recipient
	Message   delivery.ID `json:"message"`
	State     string      `json:"state"`
	Sender    string      `json:"sender"`
	Recipient string      `json:"recipient"`
	Need      string      `json:"need"`
	Purpose   string      `json:"purpose"`
	Account   string      `json:"account,omitempty"`
	Transport string      `json:"transport,omitempty"` // its own; without one the routes choose
	Accepted  time.Time   `json:"accepted"`
	Due       time.Time   `json:"due"`
	Attempts  int         `json:"attempts"`
	Word      string      `json:"word,omitempty"`
	Text      string      `json:"text,omitempty"`
	Last      *spool.Why  `json:"last,omitempty"` // what the last attempt failed by, where word is expired
	Reply     string      `json:"reply,omitempty"`
	Host      string      `json:"host,omitempty"`
	TLS       string      `json:"tls,omitempty"`
}

// Recipients makes those of the queue's.
func Recipients(items []spool.Item) []Recipient {
	out := make([]Recipient, len(items))
	for i := range items {
		x := &items[i]
		out[i] = Recipient{ID: delivery.ID(x.Recipient.ID), Message: delivery.ID(x.Envelope.ID), State: x.State.String(), Sender: x.Envelope.Sender, Recipient: x.Recipient.Address,
			Need: x.Envelope.Need.String(), Purpose: x.Envelope.Purpose.String(), Account: x.Envelope.Account, Transport: x.Envelope.Transport, Accepted: x.Envelope.Accepted,
			Due: x.Due, Attempts: x.Recipient.Attempts, Word: string(x.Word), Text: x.Text, Last: spool.LastOf(x.Last), Reply: x.Reply, Host: x.Host, TLS: x.TLS}
	}
	return out
}

// RecipientListing is how recipients are listed for people.
func RecipientListing() text.List[Recipient] {
	return text.List[Recipient]{Columns: text.Columns("MESSAGE|STATE|DUE|TRIES|FROM|TO|WHY", "FROM", "TRIES", "DUE"), Cells: func(r *Recipient) []any {
		tone := map[string]text.Tone{"delivered": text.Good, "failed": text.Bad, "waiting": text.Waits, "held": text.Waits}[r.State]
		return []any{r.Message, text.Cell{Text: r.State, Tone: tone}, r.Due, r.Attempts, "<" + r.Sender + ">", "<" + r.Recipient + ">", r.Word}
	}}
}

// Closed is one contact that cannot be reached, and whose mail waits together for that.
type Closed struct {
	Domain    string      `json:"domain,omitempty"`
	Transport string      `json:"transport,omitempty"`
	Until     time.Time   `json:"until"`
	Since     time.Time   `json:"since"`
	Failures  int         `json:"failures"`
	Word      reason.Word `json:"word,omitempty"`
	Text      string      `json:"text"`
}

// ClosedContacts makes those of the queue's.
func ClosedContacts(all []spool.Closed) (out []Closed) {
	for _, x := range all {
		out = append(out, Closed(x))
	}
	return out
}

// ClosedListing is how contacts that cannot be reached are listed for people.
func ClosedListing() text.List[Closed] {
	return text.List[Closed]{Columns: text.Columns("DOMAIN|TRANSPORT|SINCE|NEXT TRY|FAILURES|WHY", "FAILURES", "SINCE"),
		Cells: func(r *Closed) []any {
			return []any{r.Domain, r.Transport, r.Since, r.Until, r.Failures, cmp.Or(r.Text, string(r.Word))}
		}}
}

// Counts is how many recipients are in each state, by its word.
func Counts(n map[spool.State]int) map[string]int {
	out := map[string]int{}
	for _, s := range States() {
		out[s.String()] = n[s]
	}
	return out
}

// CountListing is how the States are listed for people, with how many recipients are in each.
func CountListing(n map[spool.State]int) text.List[spool.State] {
	return text.List[spool.State]{Columns: text.Columns("STATE|RECIPIENTS"), Cells: func(s *spool.State) []any { return []any{*s, n[*s]} }}
}
