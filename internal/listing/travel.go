package listing

import (
	"fmt"
	"io"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/internal/spool"
	"waxwing/internal/text"
)

// Travel is one message's whole life (OPS-5): who handed it in, every attempt with its
// decision and what was seen of TLS, where its copies lie, and what was reported.
type Travel struct {
	ID       delivery.ID `json:"id"`
	Accepted time.Time   `json:"accepted"`
	Sender   string      `json:"sender"`
	Peer     string      `json:"peer,omitempty"`    // who handed it in
	Account  string      `json:"account,omitempty"` // whose it is
	Size     int64       `json:"size"`
	Need     string      `json:"need"`
	Purpose  string      `json:"purpose"`
	Message              // recipients and attempts
	Copies   []Place     `json:"copies"`
	Reports  []Reported  `json:"reports"`
	// HistoryOver: nothing but the copies is known any more.
	HistoryOver bool   `json:"history_over,omitempty"`
	MessageID   string `json:"message_id,omitempty"` // of its header, without brackets
}

// Reported is what became of the TLS report about one of its domains.
type Reported struct {
	Day    string `json:"day"`
	Domain string `json:"domain"`
	State  string `json:"state"`
}

// newTravel makes it of what the rooms know.
func newTravel(s *spool.Shown, copies []Place, reports []Reported) Travel {
	e := &s.Envelope
	return Travel{ID: delivery.ID(e.ID), Accepted: e.Accepted, Sender: e.Sender, Peer: e.Peer, Account: e.Account, Size: e.Size, Need: e.Need.String(), Purpose: e.Purpose.String(), MessageID: e.MessageID,
		Message: MessageOf(s), Copies: copies, Reports: reports}
}

// Print writes it for people, in the order in which it happened.
func (t *Travel) Print(w io.Writer) {
	if t.Peer != "" || t.Account != "" {
		fmt.Fprintf(w, "handed in %s", text.Instant(t.Accepted))
		if t.Peer != "" {
			fmt.Fprintf(w, " by %s", t.Peer)
		}
		if t.Account != "" {
			fmt.Fprintf(w, " for the account %s", t.Account)
		}
		fmt.Fprintln(w)
	}
	if t.HistoryOver {
		fmt.Fprintf(w, "message %s: its history is over (delivery.history), and only its copies are known\n", t.ID)
	} else {
		t.Message.Print(w)
	}
	if t.MessageID != "" {
		fmt.Fprintf(w, "\nMessage-ID: <%s>\n", foreign.Shown(t.MessageID))
	}
	for _, c := range t.Copies {
		fmt.Fprintf(w, "\na copy lies in %s of %s since %s: waxwing mail show %s\n", c.Mailbox, c.Account, text.Instant(c.Received), c.ID)
	}
	for _, r := range t.Reports {
		fmt.Fprintf(w, "\nTLS report about %s of %s: %s\n", r.Domain, r.Day, r.State)
	}
}
