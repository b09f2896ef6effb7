package admin

import (
	"net/http"
	"net/url"
	"strings"

	"waxwing/internal/delivery"
	"waxwing/internal/listing"
	"waxwing/internal/spool"
	"waxwing/internal/text"
	"waxwing/internal/web/deeds"
	"waxwing/internal/web/pages"
)

// messagePage is one message's whole life (OPS-5).
func (h *Handler) messagePage(r *http.Request) (pages.Page, error) {
	id, err := delivery.ParseID(r.PathValue("id"))
	if err != nil {
		return pages.Page{}, deeds.ErrMissing
	}
	t, err := listing.TravelOf(r.Context(), h.Rooms.DB, int64(id), h.Rooms.TLSReport.Became)
	if isMissing(err) {
		return pages.Page{}, deeds.ErrMissing
	}
	if err != nil {
		return pages.Page{}, err
	}
	p := pages.Page{Title: "Message " + t.ID.String(), Command: "waxwing mail trace " + t.ID.String()}
	p.Blocks = []pages.Block{envelope(&t), recipients(&t)}
	if !t.HistoryOver {
		p.Blocks = append(p.Blocks, pages.Timeline{Title: "How it travelled", Events: events(&t)})
	}
	if inQueue(&t) {
		p.Blocks = append(p.Blocks, onMessage(t.ID))
	}
	return p, nil
}

// envelope is what is known of the whole message.
func envelope(t *listing.Travel) pages.Facts {
	f := pages.Facts{Items: []pages.Fact{{Name: "from", Cell: pages.Cell{Text: "<" + t.Sender + ">"}}, {Name: "accepted", Cell: pages.Cell{When: t.Accepted}}}}
	for _, x := range []pages.Fact{
		{Name: "handed in by", Cell: pages.Cell{Text: t.Peer}},
		{Name: "account", Cell: pages.Cell{Text: t.Account, Link: Path + "account/" + url.PathEscape(t.Account)}},
		{Name: "Message-ID", Cell: pages.Cell{Text: t.MessageID}},
	} {
		if x.Text != "" {
			f.Items = append(f.Items, x)
		}
	}
	if !t.HistoryOver {
		f.Items = append(f.Items, pages.Fact{Name: "size", Cell: pages.Cell{Text: room(t.Size)}}, pages.Fact{Name: "wants of TLS", Cell: pages.Cell{Text: t.Need}})
	}
	return f
}

func recipients(t *listing.Travel) pages.Table {
	out := pages.Table{Title: "Recipients", Heads: []pages.Head{{Text: "TO"}, {Text: "STATE"}, {Text: "TRIES"}, {Text: "NEXT OR LAST"}, {Text: "WHY"}}, None: "Its history is over: only its copies are known."}
	for _, x := range t.Recipients {
		why := strings.TrimSpace(x.Word + "  " + x.Text)
		if x.Reply != "" && x.Reply != x.Text {
			why = strings.TrimSpace(why + "  " + x.Reply)
		}
		out.Rows = append(out.Rows, []pages.Cell{{Text: "<" + x.Recipient + ">"}, {Text: x.State, Tone: toneOfState(x.State)}, {Text: itoa(x.Attempts)}, {When: x.Due}, {Text: why}})
	}
	return out
}

func toneOfState(s string) pages.Tone {
	return map[string]pages.Tone{"delivered": pages.Good, "failed": pages.Bad, "waiting": pages.Waits, "held": pages.Waits, "deferred": pages.Waits}[s]
}

// events are what happened, in its order.
func events(t *listing.Travel) []pages.Event {
	first := "Accepted"
	if t.Peer != "" {
		first = "Accepted from " + t.Peer
	}
	out := []pages.Event{{When: t.Accepted, Title: first, Tone: pages.Good}}
	for i := range t.Attempts {
		out = append(out, attempt(&t.Attempts[i]))
	}
	for _, c := range t.Copies {
		out = append(out, pages.Event{When: c.Received, Title: "A copy lies in " + c.Mailbox + " of " + c.Account, Tone: pages.Good})
	}
	for _, x := range t.Reports {
		out = append(out, pages.Event{Title: "TLS report about " + x.Domain + " of " + x.Day, Lines: []pages.Line{{Cell: pages.Cell{Text: x.State}}}})
	}
	return out
}

// attempt is one job once: what was decided of each host and why, and what was seen.
func attempt(a *listing.Attempt) pages.Event {
	e := pages.Event{When: a.Started, Title: "Attempt for " + a.Domain + " by " + a.Transport, Tone: toneOfAttempt(a)}
	if a.Domain == "" {
		e.Title = "Attempt by " + a.Transport
	}
	say := func(depth int, c pages.Cell) { e.Lines = append(e.Lines, pages.Line{Depth: depth, Cell: c}) }
	if a.Detail.Stop != nil {
		say(0, pages.Cell{Text: "Nothing was dialled: " + a.Detail.Stop.String(), Tone: pages.Bad})
	}
	for _, h := range a.Detail.Hosts {
		say(0, pages.Cell{Text: "Host " + h.Host + ", to be verified by " + h.Verify})
		say(1, pages.Cell{Text: "because " + h.Basis.String()})
		if h.Skip != nil {
			say(1, pages.Cell{Text: "not used: " + h.Skip.String(), Tone: pages.Waits})
		}
		for i := range h.Sessions {
			e.Lines = append(e.Lines, session(&h.Sessions[i])...)
		}
	}
	for _, x := range a.Detail.Recipients {
		say(0, pages.Cell{Text: became(&x), Tone: toneOfState(x.Outcome)})
	}
	return e
}

// became is what came of one recipient: "<joe@example.test> delivered (accepted), TLS: dane. The answer: 250 ok".
func became(x *spool.RecipientDetail) string {
	s := "<" + x.Address + "> " + x.Outcome
	if x.Word != "" {
		s += " (" + string(x.Word) + ")"
	}
	if x.TLS != "" {
		s += ", TLS: " + x.TLS
	}
	if x.Reply != "" {
		s += ". The answer: " + x.Reply
	}
	return s
}

func toneOfAttempt(a *listing.Attempt) pages.Tone {
	tone := pages.Good
	for _, x := range a.Detail.Recipients {
		switch toneOfState(x.Outcome) {
		case pages.Bad:
			return pages.Bad
		case pages.Waits:
			tone = pages.Waits
		}
	}
	return tone
}

// session is one connection: how it was protected, and what the host said.
func session(s *spool.SessionDetail) (out []pages.Line) {
	out = append(out, pages.Line{Depth: 1, Cell: pages.Cell{Text: "Session with " + s.Addr, When: s.Started}})
	tone := pages.Good
	if s.TLS == nil {
		tone = pages.Waits
	}
	out = append(out, pages.Line{Depth: 2, Cell: pages.Cell{Text: strings.Join(listing.Secured(s), "; "), Tone: tone}})
	if s.TLSFailure != nil {
		out = append(out, pages.Line{Depth: 2, Cell: pages.Cell{Text: "TLS failed: " + s.TLSFailure.String(), Tone: pages.Bad}})
	}
	if s.Error != nil {
		out = append(out, pages.Line{Depth: 2, Cell: pages.Cell{Text: "failed: " + s.Error.String(), Tone: pages.Bad}})
	}
	for _, reply := range s.Transcript {
		out = append(out, pages.Line{Depth: 2, Code: true, Cell: pages.Cell{Text: reply}})
	}
	return out
}

// inQueue reports whether there is something left to be done with the message.
func inQueue(t *listing.Travel) bool {
	for _, x := range t.Recipients {
		if x.State != spool.Delivered.String() && x.State != spool.Failed.String() {
			return true
		}
	}
	return false
}

func onMessage(id delivery.ID) pages.Actions {
	a := pages.Actions{Title: "With its recipients that are still in the queue"}
	for _, v := range verbs() {
		a.Forms = append(a.Forms, pages.Form{Method: "post", Action: Path + "queue/act", Submit: v.says, Danger: v.danger, Sure: v.sure, Command: "waxwing queue " + v.usage() + " " + id.String(),
			Fields: append(v.fields, pages.Field{Name: "verb", Kind: "hidden", Value: string(v.verb)}, pages.Field{Name: "message", Kind: "hidden", Value: id.String()})})
	}
	return a
}

// tracePage finds messages by an id, an address or a Message-ID.
func (h *Handler) tracePage(r *http.Request) (pages.Page, error) {
	what := strings.TrimSpace(r.URL.Query().Get("what"))
	p := pages.Page{Title: "Trace a message", Lead: "By its id in the log, its Message-ID, or an address that it came from or went to.", Command: "waxwing mail trace " + text.ShellWord(what)}
	form := pages.Form{Method: "get", Action: Path + "trace", Submit: "Find", Fields: []pages.Field{{Name: "what", Label: "Id, Message-ID or address", Kind: "search", Value: what, Required: true}}}
	p.Blocks = []pages.Block{form}
	if what == "" {
		p.Command = "waxwing mail trace ID"
		return p, nil
	}
	var before int64
	if id, err := delivery.ParseID(r.URL.Query().Get("before")); err == nil {
		before = int64(id)
	}
	ids, next, err := listing.TracedFrom(r.Context(), h.Rooms.DB, what, before)
	if err != nil {
		return p, err
	}
	t := pages.Table{Title: "Found, the newest first", Heads: []pages.Head{{Text: "MESSAGE"}, {Text: "ACCEPTED"}, {Text: "FROM"}, {Text: "TO"}}}
	heads, err := spool.Heads(r.Context(), h.Rooms.DB, ids)
	if err != nil {
		return p, err
	}
	for _, id := range ids {
		x, ok := heads[id]
		if !ok { // its history is over: only its copies are known
			if x, err = h.headOfCopies(r, id); isMissing(err) {
				continue // it has been forgotten meanwhile
			}
			if err != nil {
				return p, err
			}
		}
		t.Rows = append(t.Rows, headRow(x))
	}
	t.None = "No message is known that has this id or Message-ID, or went from or to this address. Settled ones are kept for delivery.history; those that arrived are found in mailboxes."
	if next > 0 {
		t.None = "None among the newest."
		t.Next = Path + "trace?" + url.Values{"what": {what}, "before": {delivery.ID(next).String()}}.Encode()
	}
	p.Blocks = append(p.Blocks, t)
	return p, nil
}

// headOfCopies is what a list says of a message of which only copies are left.
func (h *Handler) headOfCopies(r *http.Request, id int64) (spool.Head, error) {
	x, err := listing.TravelOf(r.Context(), h.Rooms.DB, id, h.Rooms.TLSReport.Became)
	out := spool.Head{ID: int64(x.ID), Sender: x.Sender, Accepted: x.Accepted}
	for _, rcpt := range x.Recipients {
		out.To = append(out.To, rcpt.Recipient)
	}
	return out, err
}

func headRow(x spool.Head) []pages.Cell {
	id := delivery.ID(x.ID).String()
	var to []string
	for _, a := range x.To {
		to = append(to, "<"+a+">")
	}
	if x.More {
		to = append(to, "and more")
	}
	return []pages.Cell{{Text: id, Link: Path + "message/" + id}, {When: x.Accepted}, {Text: "<" + x.Sender + ">"}, {Text: strings.Join(to, " ")}}
}
