// Package milters asks the operator's milters about mail, in their order, while its client talks
// (JNK-3). What their answers come to is decided by package screening.
package milters

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"

	"waxwing/internal/config"
	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/internal/reason"
	"waxwing/internal/screening"
	"waxwing/internal/turns"
	"waxwing/milter"
	"waxwing/peers"
	"waxwing/smtp"
)

// Bounds on what one milter may do about one message, beside its time.
const (
	maxChanges = 1000
	maxPackets = 100_000
	moreOctets = 4 << 20 // beyond the size of the largest message
	maxText    = 300     // octets of an error in the log
)

// Milter is one that is asked.
type Milter struct {
	Name     string
	Endpoint config.Endpoint
	Timeout  time.Duration
	Rule     screening.Rule
	Places   *turns.Turns // sessions with it at one time, of mail of all sorts; nil: any number
}

// Places are the sessions that there may be with each milter at one time, by its name. A session is
// held for as long as its client takes: one client's network has a quarter of them.
type Places map[string]*turns.Turns

// placeWait is how long a client waits for a session to become free.
const placeWait = 10 * time.Second

// NewPlaces makes them.
func NewPlaces(all []config.Milter) Places {
	p := Places{}
	for _, m := range all {
		n := m.Sessions()
		p[m.Name] = &turns.Turns{AtOnce: n, Waiting: n, Each: max(1, n/4), Wait: placeWait}
	}
	return p
}

// Room has the milters for mail of one sort. Its fields are not changed once it is in use; it is
// safe for concurrent use.
type Room struct {
	Milters []Milter
	Largest int64         // octets of a message, also with a body of a milter's
	Macros  milter.Macros // of all mail
	Log     *slog.Logger
	// Answered is told of each message and milter: what came of it (accepted, refused, deferred, discarded,
	// quarantined, silent), how many changes were not made, and for how long it was waited; nil: nobody is.
	Answered func(milter, result string, notDone int, took time.Duration)
}

// New returns the milters that the configuration has for mail of one sort; nil: none.
func New(all []config.Milter, of config.MailOf, places Places) []Milter {
	var out []Milter
	for _, m := range all {
		if e, err := m.Endpoint(); err == nil && m.AskedAbout(of) {
			out = append(out, Milter{Name: m.Name, Endpoint: e, Timeout: m.Wait(), Rule: screening.Rule{OnFailure: m.OnFailure, Quarantine: m.Quarantine, Of: of}, Places: places[m.Name]})
		}
	}
	return out
}

// Transaction is the milters of one message. Its methods are called in the order of the dialogue;
// it is not safe for concurrent use.
type Transaction struct {
	room   *Room
	client Client
	macros milter.Macros
	all    []*asked
	// Discarded is the name of the milter that has the message thrown away; "": there is none.
	Discarded string
	// Silent are those without an answer, for which the operator wants the message in Junk.
	Silent []string
}

// asked is one milter of a transaction.
type asked struct {
	Milter
	session *milter.Session // nil: it is asked no more
	leave   func()          // gives its place back; nil: it has none
	counted bool
	// failed is what was decided when it gave no answer, if that lets nothing pass: it holds for all
	// that would still have been asked.
	failed screening.Decision
}

// Begin is for a message of a client.
func (r *Room) Begin(c Client) *Transaction {
	t := &Transaction{room: r, client: c, macros: milter.Macros{}}
	for _, m := range []milter.Macros{r.Macros, c.Macros} {
		maps.Copy(t.macros, m)
	}
	return t
}

// Named tells the message's id, which milters get from DATA on.
func (t *Transaction) Named(id string) { t.macros["i"] = id }

// Close ends the sessions there are.
func (t *Transaction) Close() {
	for _, a := range t.all {
		a.drop()
	}
}

func (a *asked) drop() {
	if a.session != nil {
		a.session.Close()
		a.session = nil
	}
	if a.leave != nil {
		a.leave()
		a.leave = nil
	}
}

// Mail asks all milters about the client and the sender: the first refusal, or a decision that is none.
func (t *Transaction) Mail(ctx context.Context, p smtp.MailParams) screening.Decision {
	maps.Copy(t.macros, ofMail(p))
	for _, m := range t.room.Milters {
		a := &asked{Milter: m}
		t.all = append(t.all, a)
		d := t.early(ctx, a, func() (milter.Answer, error) { return t.begin(ctx, a, p) })
		switch d.Action {
		case screening.Refuse:
			t.refused(a, d)
			t.Close()
			return d
		case screening.Discard:
			t.Close()
			return d
		}
	}
	return screening.Decision{}
}

// refused counts a refusal of the whole message.
func (t *Transaction) refused(a *asked, d screening.Decision) {
	if d.Reply.Temporary() {
		t.count(a, "deferred", 0)
		return
	}
	t.count(a, "refused", 0)
}

// begin dials a milter and tells it all up to MAIL.
func (t *Transaction) begin(ctx context.Context, a *asked, p smtp.MailParams) (answer milter.Answer, err error) {
	if a.Places != nil {
		if a.leave, err = a.Places.Take(ctx, turns.Caller{Party: peers.Client(t.client.Addr.Addr()).String()}); err != nil {
			return answer, err
		}
	}
	if a.session, err = t.dial(ctx, a.Milter); err != nil {
		return answer, err
	}
	if answer, err = a.session.Connect(ctx, t.client.Client, t.macros); err != nil || answer.Verb != milter.Continue {
		return answer, err
	}
	if answer, err = a.session.HELO(ctx, t.client.HELO, t.macros); err != nil || answer.Verb != milter.Continue {
		return answer, err
	}
	return a.session.Mail(ctx, p.Sender(), params(p), t.macros)
}

func (t *Transaction) dial(ctx context.Context, m Milter) (*milter.Session, error) {
	return milter.Dial(ctx, m.Endpoint.Network, m.Endpoint.Address, milter.Limits{Time: m.Timeout, Octets: t.room.Largest + moreOctets, Packets: maxPackets, Changes: maxChanges})
}

// Rcpt asks about a recipient: a refusal is about that one alone. A milter that has failed at one
// refuses all that come after it, and the message: nobody has looked at them.
func (t *Transaction) Rcpt(ctx context.Context, r delivery.Recipient) screening.Decision {
	maps.Copy(t.macros, ofRcpt(r))
	for _, a := range t.all {
		if t.Discarded != "" {
			break
		}
		if a.failed.Action == screening.Refuse {
			return a.failed
		}
		if a.session == nil {
			continue
		}
		if d := t.early(ctx, a, func() (milter.Answer, error) { return a.session.Rcpt(ctx, r.Address, nil, t.macros) }); d.Action == screening.Refuse {
			return d
		}
	}
	return screening.Decision{}
}

// decide has what a milter says at one point decided.
func (t *Transaction) decide(ctx context.Context, a *asked, ask func() (milter.Answer, error)) screening.Decision {
	answer, err := ask()
	if err != nil && (ctx.Err() != nil || errors.Is(err, turns.ErrBusy)) {
		a.counted = true
		a.drop() // the client or the server ends, or others have all its sessions: this tells nothing of the milter, and lets nothing pass it
		a.failed = screening.Decide(screening.Said{Silent: true}, screening.Rule{OnFailure: config.DeferOnFailure})
		return a.failed
	}
	d := screening.Decide(screening.Said{Silent: err != nil, Answer: answer}, a.Rule)
	if err != nil && !milter.IsLocal(err) {
		t.silent(a, err, d)
	}
	if d.Action == screening.Discard {
		t.Discarded = a.Name
		t.count(a, "discarded", 0)
	}
	return d
}

// early is decide before the message is here: what is decided is all that comes of the milter.
func (t *Transaction) early(ctx context.Context, a *asked, ask func() (milter.Answer, error)) screening.Decision {
	d := t.decide(ctx, a, ask)
	switch {
	case d.Action == screening.LeaveOut:
		t.count(a, "accepted", 0)
		a.drop()
	case d.Action == screening.Refuse && !d.Silent && t.room.Log != nil:
		t.room.Log.Info("refused by a milter", "filter", a.Name, "word", string(reason.MilterReject), "from", t.macros["{mail_addr}"], "recipient", t.macros["{rcpt_addr}"], "text", d.Reply.String(), "peer", t.macros["_"])
	}
	return d
}

// silent notes that a milter gives no answer.
func (t *Transaction) silent(a *asked, err error, d screening.Decision) {
	if t.room.Log != nil {
		t.room.Log.Warn("filter gives no answer", "filter", a.Name, "message", t.macros["i"], "text", foreign.Text(err.Error(), maxText), "on_failure", string(a.Rule.OnFailure))
	}
	switch {
	case d.Junk:
		t.Silent = append(t.Silent, a.Name)
	case d.Action == screening.Refuse:
		a.failed = d
	}
	t.count(a, "silent", 0)
	a.drop()
}

// count tells of a milter's answer to a message, once.
func (t *Transaction) count(a *asked, result string, notDone int) {
	if a.counted || t.room.Answered == nil {
		return
	}
	a.counted = true
	var took time.Duration
	if a.session != nil {
		took = a.session.Spent()
	}
	t.room.Answered(a.Name, result, notDone, took)
}
