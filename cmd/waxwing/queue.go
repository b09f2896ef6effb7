package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"waxwing/internal/control"
	"waxwing/internal/delivery"
	"waxwing/internal/queue"
)

// queueCall is a call of "waxwing queue".
type queueCall struct {
	storeFlags
	what   string
	filter queue.Filter
	action control.Action
	ids    []int64 // of messages; none: what filter says
	every  bool    // really everything
}

func queueActions() []action {
	return []action{
		{"list", "[FILTERS] [-all]", "what waits, and why; -all: what is over, too"},
		{"show", "ID", "a message: every attempt, decision and answer"},
		{"count", "", "how many recipients are in each state"},
		{"closed", "", "what cannot be reached, and the next try"},
		{"hold", "ID …|FILTERS", "keep mail back until it is released"},
		{"unhold", "ID …|FILTERS", "release what is held"},
		{"retry", "ID …|FILTERS", "try now"},
		{"fail", "ID …|FILTERS", "return to the senders"},
		{"drop", "ID …|FILTERS", "forget, and tell nobody"},
		{"set-tls", "NEED ID …|FILTERS", "change what mail asks of TLS"},
		{"set-transport", "NAME ID …|FILTERS", "which way mail takes; \"\": as the routes say"},
	}
}

// runQueue shows what waits and what became of it, and changes it (QUE-6).
func runQueue(ctx context.Context, e env, args []string) error {
	what, args, err := verb(e, "queue", args)
	if err != nil {
		return err
	}
	c := &queueCall{what: what}
	fs := flags(e, "queue", what)
	c.addJSON(fs, what)
	chosen := c.flags(fs)
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if err := chosen(); err != nil {
		return err
	}
	run, err := c.choose(rest)
	if err != nil {
		return err
	}
	return withDesk(ctx, e, c.storeFlags, func(d control.Desk) error { return run(ctx, e, d) })
}

// flags are those of the action. The function returned reads those that need reading.
func (c *queueCall) flags(fs *flag.FlagSet) func() error {
	switch c.what {
	case "show", "count":
		return func() error { return nil }
	case "closed":
		fs.IntVar(&c.filter.Limit, "limit", 100, "at most `N` destinations, 1000")
		return func() error { return nil }
	case "list":
		var after delivery.ID
		all := fs.Bool("all", false, "delivered and failed recipients too")
		fs.TextVar(&after, "after", after, "only recipients after this `id`, which list -json shows: the next page")
		fs.IntVar(&c.filter.Limit, "limit", 100, "at most `N` recipients, 1000")
		chosen := c.filters(fs)
		return func() error {
			c.filter.After = int64(after)
			err := chosen()
			if *all {
				c.filter.States = []queue.State{queue.Waiting, queue.Leased, queue.Held, queue.Delivered, queue.Failed}
			}
			return err
		}
	case "hold":
		fs.StringVar(&c.action.Why, "why", "", "reason, for the listing")
	case "fail":
		fs.StringVar(&c.action.Why, "why", "", "reason, for the listing and the sender")
	}
	fs.BoolVar(&c.every, "everything", false, "everything in the queue, where neither an id nor a filter is given")
	return c.filters(fs)
}

// choose reads the arguments that are no flags.
func (c *queueCall) choose(rest []string) (func(context.Context, env, control.Desk) error, error) {
	switch c.what {
	case "list":
		return c.list, only(rest)
	case "count":
		return c.count, only(rest)
	case "closed":
		return c.closed, only(rest)
	case "show":
		if err := wants("show", rest, "message's id"); err != nil {
			return nil, err
		}
		id, err := parseID(rest[0], "waxwing queue list")
		return func(ctx context.Context, e env, d control.Desk) error { return c.show(ctx, e, d, id) }, err
	}
	c.action.Verb = control.Verb(c.what)
	rest, err := c.value(rest)
	if err != nil {
		return nil, err
	}
	for _, s := range rest {
		id, err := parseID(s, "waxwing queue list")
		if err != nil {
			return nil, err
		}
		c.ids = append(c.ids, int64(id))
	}
	if len(c.ids) == 0 && !c.every && reflect.DeepEqual(c.filter, queue.Filter{}) {
		return nil, usagef("%s what? Give message ids, filters (such as -domain), or -everything", c.what)
	}
	return c.act, nil
}

// value takes what set-tls and set-transport set off the arguments.
func (c *queueCall) value(rest []string) ([]string, error) {
	switch c.action.Verb {
	case control.SetTLS:
		if len(rest) == 0 {
			return nil, usagef("set-tls needs one of follow-policy, require-tls, tls-optional")
		}
		var err error
		if c.action.Need, err = delivery.ParseTLSNeed(rest[0]); err != nil {
			return nil, usagef("%v", err)
		}
		return rest[1:], nil
	case control.SetTransport:
		if len(rest) == 0 {
			return nil, usagef("set-transport needs the name of a transport, or \"\" to let the routes choose")
		}
		c.action.Transport = rest[0]
		return rest[1:], nil
	}
	return rest, nil
}

// filters are the flags that choose recipients; all that are given must match.
// The function returned reads those that need reading.
func (c *queueCall) filters(fs *flag.FlagSet) func() error {
	q := &c.filter
	fs.StringVar(&q.Sender, "sender", "", "only mail from this `address`")
	fs.StringVar(&q.SenderDomain, "sender-domain", "", "only mail from addresses of this `domain`")
	fs.StringVar(&q.Domain, "domain", "", "only mail to this `domain`")
	fs.StringVar(&q.Address, "rcpt", "", "only mail to this `address`")
	fs.StringVar(&q.Account, "account", "", "only mail that this `account` submitted")
	fs.StringVar(&q.Transport, "transport", "", "only mail whose own transport is `name`")
	fs.StringVar(&q.Word, "word", "", "only what is in its state for this `reason`, such as dane-no-match")
	fs.StringVar(&q.Host, "host", "", "only what this `host` answered last")
	state := fs.String("state", "", "only these `states`, with commas between: waiting, leased, held, delivered, failed")
	need := fs.String("need", "", "only mail with this TLS `need`: follow-policy, require-tls, tls-optional")
	purpose := fs.String("purpose", "", "only mail of this `purpose`: mail, dsn, tls-report, dmarc-report")
	older := fs.Duration("older", 0, "only what was accepted longer ago than this `time`, such as 2h")
	newer := fs.Duration("newer", 0, "only what was accepted within this `time`")
	return func() error {
		now := now(c.config)
		if *older > 0 {
			q.Accepted.Before = now.Add(-*older)
		}
		if *newer > 0 {
			q.Accepted.From = now.Add(-*newer)
		}
		if *need != "" {
			n, err := delivery.ParseTLSNeed(*need)
			if err != nil {
				return usagef("-need: %v", err)
			}
			q.Need = &n
		}
		if err := c.names(); err != nil {
			return err
		}
		return c.words(*state, *purpose)
	}
}

// names brings the domains of the filter into the form of the rows, and refuses what
// could match nothing.
func (c *queueCall) names() error {
	for name, d := range map[string]*string{"domain": &c.filter.Domain, "sender-domain": &c.filter.SenderDomain} {
		if *d == "" {
			continue
		}
		r, err := delivery.ParseRecipientDomain(*d)
		if err != nil {
			return parseFlag(name, err)
		}
		*d = r.String()
	}
	for name, a := range map[string]string{"rcpt": c.filter.Address, "sender": c.filter.Sender} {
		if a == "" {
			continue
		}
		if _, _, err := parseAddress(a); err != nil {
			return parseFlag(name, err)
		}
	}
	return nil
}

// words reads the filters that are words of a list.
func (c *queueCall) words(states, purpose string) error {
	for _, w := range strings.FieldsFunc(states, func(r rune) bool { return r == ',' }) {
		s, ok := word(w, []queue.State{queue.Waiting, queue.Leased, queue.Held, queue.Delivered, queue.Failed})
		if !ok {
			return usagef("-state: %q is none of waiting, leased, held, delivered, failed", w)
		}
		c.filter.States = append(c.filter.States, s)
	}
	if purpose != "" {
		p, ok := word(purpose, []delivery.Purpose{delivery.Mail, delivery.DSN, delivery.TLSReport, delivery.DMARCReport})
		if !ok {
			return usagef("-purpose: %q is none of mail, dsn, tls-report, dmarc-report", purpose)
		}
		c.filter.Purpose = &p
	}
	return nil
}

// word finds the value that is called w.
func word[T fmt.Stringer](w string, all []T) (T, bool) {
	for _, v := range all {
		if v.String() == w {
			return v, true
		}
	}
	var none T
	return none, false
}

// act changes the queue, message by message where ids are given.
func (c *queueCall) act(ctx context.Context, e env, d control.Desk) error {
	var sum queue.Changed
	ids := c.ids
	if len(ids) == 0 {
		ids = []int64{0}
	}
	for _, id := range ids {
		c.action.Filter = c.filter
		c.action.Filter.Message = id
		n, err := d.Act(ctx, c.action)
		sum.Done += n.Done
		sum.Busy += n.Busy
		if err != nil {
			return err
		}
	}
	// What is to be tried, and is being tried, is as it should be.
	ok := sum.Done > 0 || c.action.Verb == control.Retry && sum.Busy > 0
	if c.json {
		if err := printJSON(e.stdout, map[string]int{"done": sum.Done, "busy": sum.Busy}); err != nil {
			return err
		}
	}
	switch {
	case !ok:
		return errors.New(c.told(sum))
	case !c.json:
		fmt.Fprintln(e.stdout, c.told(sum))
	}
	return nil
}

// told is what an action came to, in words.
func (c *queueCall) told(sum queue.Changed) string {
	done := map[control.Verb]string{control.Hold: "held", control.Unhold: "released", control.Retry: "to be tried now", control.Fail: "returned to their senders",
		control.Drop: "dropped", control.SetTLS: "set to " + c.action.Need.String(), control.SetTransport: "given the transport " + strconv.Quote(c.action.Transport)}[c.action.Verb]
	s := number(sum.Done, "recipient") + " " + done
	if sum.Done == 0 && sum.Busy == 0 {
		return "nothing in the queue matches that this could be done with; \"waxwing queue list\" shows what there is"
	}
	if sum.Busy > 0 && c.action.Verb == control.Retry {
		return s + fmt.Sprintf("; %s being tried just now", number(sum.Busy, "recipient"))
	}
	if sum.Busy > 0 {
		s += fmt.Sprintf("; %s being tried just now and left alone: ask again in a moment", number(sum.Busy, "recipient"))
	}
	return s
}

// count prints how many recipients are in each state.
func (c *queueCall) count(ctx context.Context, e env, d control.Desk) error {
	n, err := d.Count(ctx)
	if err != nil {
		return err
	}
	byWord, cells := map[string]int{}, [][]string{}
	for _, s := range []queue.State{queue.Waiting, queue.Leased, queue.Held, queue.Delivered, queue.Failed} {
		byWord[s.String()] = n[s]
		cells = append(cells, []string{s.String(), strconv.Itoa(n[s])})
	}
	if c.json {
		return printJSON(e.stdout, byWord)
	}
	return table(e, []string{"STATE", "RECIPIENTS"}, cells)
}

// closedRow is one destination that cannot be reached, as -json prints it.
type closedRow struct {
	Domain    string    `json:"domain,omitempty"`
	Transport string    `json:"transport,omitempty"`
	Until     time.Time `json:"until"`
	Since     time.Time `json:"since"`
	Failures  int       `json:"failures"`
	Text      string    `json:"text"`
}

// closed lists the destinations whose mail waits together, since nobody answers there.
func (c *queueCall) closed(ctx context.Context, e env, d control.Desk) error {
	all, err := d.Closed(ctx, c.filter.Limit)
	if err != nil {
		return err
	}
	rows, cells := []closedRow{}, [][]string{}
	for _, r := range all {
		rows = append(rows, closedRow(r))
		cells = append(cells, []string{r.Domain, r.Transport, moment(r.Since), moment(r.Until), strconv.Itoa(r.Failures), r.Text})
	}
	if c.json {
		return printJSON(e.stdout, rows)
	}
	return table(e, []string{"DOMAIN", "TRANSPORT", "SINCE", "NEXT TRY", "FAILURES", "WHY"}, cells, "FAILURES", "SINCE")
}

// queueRow is one recipient as -json prints it.
type queueRow struct {
	ID       delivery.ID `json:"id"` // of the recipient, for -after
	Message  delivery.ID `json:"message"`
	State    string      `json:"state"`
	Sender   string      `json:"sender"`
	To       string      `json:"recipient"`
	Need     string      `json:"need"`
	Purpose  string      `json:"purpose"`
	Account  string      `json:"account,omitempty"`
	Via      string      `json:"transport,omitempty"` // its own; without one the routes choose
	Accepted time.Time   `json:"accepted"`
	Due      time.Time   `json:"due"`
	Attempts int         `json:"attempts"`
	Word     string      `json:"word,omitempty"`
	Text     string      `json:"text,omitempty"`
	Reply    string      `json:"reply,omitempty"`
	Host     string      `json:"host,omitempty"`
	TLS      string      `json:"tls,omitempty"`
}

func newQueueRow(i queue.Item) queueRow {
	return queueRow{ID: delivery.ID(i.Recipient.ID), Message: delivery.ID(i.Envelope.ID), State: i.State.String(), Sender: i.Envelope.Sender, To: i.Recipient.Address,
		Need: i.Envelope.Need.String(), Purpose: i.Envelope.Purpose.String(), Account: i.Envelope.Account, Via: i.Envelope.Transport, Accepted: i.Envelope.Accepted, Due: i.Due,
		Attempts: i.Recipient.Attempts, Word: i.Word, Text: i.Text, Reply: i.Reply, Host: i.Host, TLS: i.TLS}
}

// attemptRow is one attempt at delivery as "queue show -json" prints it.
type attemptRow struct {
	ID        delivery.ID  `json:"id"`
	Domain    string       `json:"domain"`
	Transport string       `json:"transport"`
	Owner     string       `json:"owner"` // the machine that made it
	Started   time.Time    `json:"started"`
	Ended     time.Time    `json:"ended"`
	Detail    queue.Detail `json:"detail"`
}

func (c *queueCall) list(ctx context.Context, e env, d control.Desk) error {
	items, err := d.List(ctx, c.filter)
	if err != nil {
		return err
	}
	rows := []queueRow{}
	cells := [][]string{}
	for _, i := range items {
		r := newQueueRow(i)
		rows = append(rows, r)
		cells = append(cells, []string{r.Message.String(), r.State, moment(r.Due), strconv.Itoa(r.Attempts), "<" + r.Sender + ">", "<" + r.To + ">", r.Word})
	}
	if c.json {
		return printJSON(e.stdout, rows)
	}
	return table(e, []string{"MESSAGE", "STATE", "DUE", "TRIES", "FROM", "TO", "WHY"}, cells, "FROM", "TRIES", "DUE")
}

func (c *queueCall) show(ctx context.Context, e env, d control.Desk, id delivery.ID) error {
	m, err := d.Show(ctx, int64(id))
	if err != nil {
		return fmt.Errorf("message %s: %w", id, err)
	}
	rows := []queueRow{}
	for _, i := range m.Recipients {
		rows = append(rows, newQueueRow(i))
	}
	if c.json {
		attempts := []attemptRow{}
		for _, a := range m.Attempts {
			attempts = append(attempts, attemptRow{delivery.ID(a.ID), a.Domain, a.Transport, a.Owner, a.Started, a.Ended, a.Detail})
		}
		return printJSON(e.stdout, map[string]any{"recipients": rows, "attempts": attempts})
	}
	e, end := e.prose()
	env := m.Envelope
	fmt.Fprintf(e.stdout, "message %s from <%s>, accepted %s, %d octets, %s\n", queue.LogID(env.ID), env.Sender, moment(env.Accepted), env.Size, env.Need)
	for _, r := range rows {
		fmt.Fprintf(e.stdout, "  to <%s>: %s, %d attempts, next or last %s\n", r.To, r.State, r.Attempts, moment(r.Due))
		for _, s := range []string{r.Word, r.Text, r.Reply} {
			if s != "" {
				fmt.Fprintf(e.stdout, "      %s\n", s)
			}
		}
	}
	for i, a := range m.Attempts {
		fmt.Fprintf(e.stdout, "\nattempt %d, %s, %s by %s\n", i+1, moment(a.Started), a.Transport, a.Owner)
		printAttempt(e, a)
	}
	return end()
}

func printAttempt(e env, a queue.Attempt) {
	if a.Detail.Stop != "" {
		fmt.Fprintf(e.stdout, "  nothing was dialled: %s\n", a.Detail.Stop)
	}
	for _, h := range a.Detail.Hosts {
		fmt.Fprintf(e.stdout, "  host %s, to be verified by %s; because %s\n", h.Host, h.Verify, h.Basis)
		if h.Skip != "" {
			fmt.Fprintf(e.stdout, "    not used: %s\n", h.Skip)
		}
		for i := range h.Sessions {
			printSession(e, &h.Sessions[i])
		}
	}
	for _, r := range a.Detail.Recipients {
		fmt.Fprintf(e.stdout, "  <%s> %s %s %s %s\n", r.Address, r.Outcome, r.Word, r.TLS, r.Reply)
	}
}
