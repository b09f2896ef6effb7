package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"

	"waxwing/internal/control"
	"waxwing/internal/queue"
)

// queueCall is a call of "waxwing queue".
type queueCall struct {
	storeFlags
	what   string
	filter queue.Filter
}

// runQueue shows what waits and what became of it.
func runQueue(ctx context.Context, e env, args []string) error {
	what, args, err := verb(args, "list", "show", "count")
	if err != nil {
		return err
	}
	c := &queueCall{what: what}
	fs := flags(e, "queue "+what)
	c.add(fs)
	all := fs.Bool("all", false, "delivered and failed recipients too")
	c.filters(fs)
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if *all {
		c.filter.States = []queue.State{queue.Waiting, queue.Leased, queue.Held, queue.Delivered, queue.Failed}
	}
	switch {
	case what == "list" && len(rest) == 0:
		return withDesk(ctx, e, c.storeFlags, func(d control.Desk) error { return c.list(ctx, e, d) })
	case what == "count" && len(rest) == 0:
		return withDesk(ctx, e, c.storeFlags, func(d control.Desk) error { return c.count(ctx, e, d) })
	case what == "show" && len(rest) == 1:
		id, err := parseLogID(rest[0])
		if err != nil {
			return err
		}
		return withDesk(ctx, e, c.storeFlags, func(d control.Desk) error { return c.show(ctx, e, d, id) })
	}
	return usagef("queue list [FILTERS], queue show ID, queue count")
}

// filters are the flags that choose recipients; all that are given must match.
func (c *queueCall) filters(fs *flag.FlagSet) {
	q := &c.filter
	fs.StringVar(&q.Sender, "sender", "", "only mail from this `address`")
	fs.StringVar(&q.Domain, "domain", "", "only mail to this `domain`")
	fs.StringVar(&q.Address, "rcpt", "", "only mail to this `address`")
	fs.StringVar(&q.Account, "account", "", "only mail that this `account` submitted")
	fs.IntVar(&q.Limit, "limit", 100, "at most `N` recipients")
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
	return table(e.stdout, []string{"STATE", "RECIPIENTS"}, cells)
}

// parseLogID reads a message's id as logs and listings show it.
func parseLogID(s string) (int64, error) {
	id, err := strconv.ParseInt(s, 36, 64)
	if err != nil || id <= 0 {
		return 0, usagef("%q is no message id; \"waxwing queue list\" shows them", s)
	}
	return id, nil
}

// queueRow is one recipient as -json prints it.
type queueRow struct {
	Message  string    `json:"message"`
	State    string    `json:"state"`
	Sender   string    `json:"sender"`
	To       string    `json:"recipient"`
	Need     string    `json:"need"`
	Purpose  string    `json:"purpose"`
	Account  string    `json:"account,omitempty"`
	Accepted time.Time `json:"accepted"`
	Due      time.Time `json:"due"`
	Attempts int       `json:"attempts"`
	Word     string    `json:"word,omitempty"`
	Text     string    `json:"text,omitempty"`
	Reply    string    `json:"reply,omitempty"`
	Host     string    `json:"host,omitempty"`
	TLS      string    `json:"tls,omitempty"`
}

func newQueueRow(i queue.Item) queueRow {
	return queueRow{Message: queue.LogID(i.Envelope.ID), State: i.State.String(), Sender: i.Envelope.Sender, To: i.Recipient.Address,
		Need: i.Envelope.Need.String(), Purpose: i.Envelope.Purpose.String(), Account: i.Envelope.Account, Accepted: i.Envelope.Accepted, Due: i.Due,
		Attempts: i.Recipient.Attempts, Word: i.Word, Text: i.Text, Reply: i.Reply, Host: i.Host, TLS: i.TLS}
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
		cells = append(cells, []string{r.Message, r.State, moment(r.Due), strconv.Itoa(r.Attempts), "<" + r.Sender + ">", "<" + r.To + ">", r.Word})
	}
	if c.json {
		return printJSON(e.stdout, rows)
	}
	return table(e.stdout, []string{"MESSAGE", "STATE", "DUE", "TRIES", "FROM", "TO", "WHY"}, cells)
}

func (c *queueCall) show(ctx context.Context, e env, d control.Desk, id int64) error {
	m, err := d.Show(ctx, id)
	if err != nil {
		return fmt.Errorf("message %s: %w", queue.LogID(id), err)
	}
	rows := []queueRow{}
	for _, i := range m.Recipients {
		rows = append(rows, newQueueRow(i))
	}
	if c.json {
		return printJSON(e.stdout, map[string]any{"recipients": rows, "attempts": m.Attempts})
	}
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
	return nil
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
		for _, s := range h.Sessions {
			b, err := json.Marshal(s)
			if err != nil {
				continue
			}
			fmt.Fprintf(e.stdout, "    session %s\n", strings.TrimSpace(string(b)))
		}
	}
	for _, r := range a.Detail.Recipients {
		fmt.Fprintf(e.stdout, "  <%s> %s %s %s %s\n", r.Address, r.Outcome, r.Word, r.TLS, r.Reply)
	}
}
