package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/internal/cli"
	"waxwing/internal/control"
	"waxwing/internal/delivery"
	"waxwing/internal/queue"
)

// queueNoun shows what waits and what became of it, and changes it (QUE-6).
func (p *program) queueNoun() *cobra.Command {
	var f queueFlags
	act := func(v control.Verb, use, short, example string) verb {
		return verb{use: use, short: short, example: example, json: true, flags: func(fs *pflag.FlagSet) { f.choosing(fs, v) }, run: f.act(p, v)}
	}
	return p.noun("queue", "mail that waits, what became of it, and what is to become of it",
		verb{use: "list [FILTERS]", short: "what waits, and why; --all: what is over, too", json: true, flags: f.listing, run: f.list(p),
			example: "queue list\nqueue list --rcpt them@example.net --all\nqueue list --state held --json"},
		verb{use: "show ID", short: "a message: every attempt, decision and answer", json: true, run: func(ctx context.Context, args []string) error {
			id, err := parseID(args[0], "waxwing queue list")
			if err != nil {
				return err
			}
			return p.onDesk(func(ctx context.Context, d control.Desk, _ []string) error { return p.showMessage(ctx, d, id) })(ctx, nil)
		}},
		verb{use: "count", short: "how many recipients are in each state", json: true, run: p.onDesk(p.countQueue)},
		verb{use: "closed", short: "what cannot be reached, and the next try", json: true,
			flags: func(fs *pflag.FlagSet) { fs.IntVar(&f.limit, "limit", 100, "at most `N` destinations, 1000") },
			run: list(p, p.onDesk, func(ctx context.Context, d control.Desk, _ []string) ([]queue.ClosedRow, error) {
				all, err := d.Closed(ctx, f.limit)
				var rows []queue.ClosedRow
				for _, r := range all {
					rows = append(rows, queue.ClosedRow(r))
				}
				return rows, err
			}, closedColumns())},
		act(control.Hold, "hold [ID …]", "keep mail back until it is released", "queue hold --domain example.net --why 'their host loses mail'"),
		act(control.Unhold, "unhold [ID …]", "release what is held", "queue unhold --everything"),
		act(control.Retry, "retry [ID …]", "try now", "queue retry --domain example.net"),
		act(control.Fail, "fail [ID …]", "return to the senders", "queue fail --sender me@example.org --older 24h"),
		act(control.Drop, "drop [ID …]", "forget, and tell nobody", "queue drop --word dane-no-match"),
		act(control.SetTLS, "set-tls NEED [ID …]", "change what mail asks of TLS", "queue set-tls tls-optional --rcpt them@example.net"),
		act(control.SetTransport, "set-transport NAME [ID …]", "which way mail takes; \"\": as the routes say", "queue set-transport isp --domain example.net"))
}

// queueFlags choose recipients; all that are given must match.
type queueFlags struct {
	filter               queue.Filter
	after                delivery.ID
	all, everything      bool
	state, need, purpose string
	older, newer         time.Duration
	why                  string
	limit                int
}

func (f *queueFlags) listing(fs *pflag.FlagSet) {
	fs.BoolVar(&f.all, "all", false, "delivered and failed recipients too")
	fs.TextVar(&f.after, "after", f.after, "only recipients after this `id`, which list --json shows: the next page")
	fs.IntVar(&f.limit, "limit", 100, "at most `N` recipients, 1000")
	f.filters(fs)
}

func (f *queueFlags) choosing(fs *pflag.FlagSet, v control.Verb) {
	switch v {
	case control.Hold:
		fs.StringVar(&f.why, "why", "", "`reason`, for the listing")
	case control.Fail:
		fs.StringVar(&f.why, "why", "", "`reason`, for the listing and the sender")
	}
	fs.BoolVar(&f.everything, "everything", false, "everything in the queue, where neither an id nor a filter is given")
	f.filters(fs)
}

func (f *queueFlags) filters(fs *pflag.FlagSet) {
	q := &f.filter
	fs.StringVar(&q.Sender, "sender", "", "only mail from this `address`")
	fs.StringVar(&q.SenderDomain, "sender-domain", "", "only mail from addresses of this `domain`")
	fs.StringVar(&q.Domain, "domain", "", "only mail to this `domain`")
	fs.StringVar(&q.Address, "rcpt", "", "only mail to this `address`")
	fs.StringVar(&q.Account, "account", "", "only mail that this `account` submitted")
	fs.StringVar(&q.Transport, "transport", "", "only mail whose own transport is `name`")
	fs.StringVar(&q.Word, "word", "", "only what is in its state for this `reason`, such as dane-no-match")
	fs.StringVar(&q.Host, "host", "", "only what this `host` answered last")
	fs.StringVar(&f.state, "state", "", "only these `states`, with commas between: waiting, leased, held, delivered, failed")
	fs.StringVar(&f.need, "need", "", "only mail with this TLS `need`: follow-policy, require-tls, tls-optional")
	fs.StringVar(&f.purpose, "purpose", "", "only mail of this `purpose`: mail, dsn, tls-report, dmarc-report")
	fs.DurationVar(&f.older, "older", 0, "only what was accepted longer ago than this `time`, such as 2h")
	fs.DurationVar(&f.newer, "newer", 0, "only what was accepted within this `time`")
}

// read makes the filter of the flags.
func (f *queueFlags) read(now time.Time) (queue.Filter, error) {
	q := f.filter
	q.After = int64(f.after)
	if f.older > 0 {
		q.Accepted.Before = now.Add(-f.older)
	}
	if f.newer > 0 {
		q.Accepted.From = now.Add(-f.newer)
	}
	if f.need != "" {
		n, err := delivery.ParseTLSNeed(f.need)
		if err != nil {
			return q, parseFlag("need", err)
		}
		q.Need = &n
	}
	if err := readNames(&q); err != nil {
		return q, err
	}
	for w := range strings.FieldsFuncSeq(f.state, func(r rune) bool { return r == ',' }) {
		s, ok := word(w, states())
		if !ok {
			return q, usagef("--state: %q is none of waiting, leased, held, delivered, failed", w)
		}
		q.States = append(q.States, s)
	}
	if f.all {
		q.States = states()
	}
	if f.purpose != "" {
		p, ok := word(f.purpose, []delivery.Purpose{delivery.Mail, delivery.DSN, delivery.TLSReport, delivery.DMARCReport})
		if !ok {
			return q, usagef("--purpose: %q is none of mail, dsn, tls-report, dmarc-report", f.purpose)
		}
		q.Purpose = &p
	}
	return q, nil
}

// readNames brings the domains of the filter into the form of the rows, and refuses what
// could match nothing.
func readNames(q *queue.Filter) error {
	for name, d := range map[string]*string{"domain": &q.Domain, "sender-domain": &q.SenderDomain} {
		if *d == "" {
			continue
		}
		r, err := delivery.ParseRecipientDomain(*d)
		if err != nil {
			return parseFlag(name, err)
		}
		*d = r.String()
	}
	for name, a := range map[string]string{"rcpt": q.Address, "sender": q.Sender} {
		if a == "" {
			continue
		}
		if _, _, err := parseAddress(a); err != nil {
			return parseFlag(name, err)
		}
	}
	return nil
}

func states() []queue.State {
	return []queue.State{queue.Waiting, queue.Leased, queue.Held, queue.Delivered, queue.Failed}
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
func (f *queueFlags) act(p *program, v control.Verb) action {
	return func(ctx context.Context, args []string) error {
		a := control.Action{Verb: v, Why: f.why}
		var err error
		switch v {
		case control.SetTLS:
			if a.Need, err = delivery.ParseTLSNeed(args[0]); err != nil {
				return usageError{err.Error()}
			}
			args = args[1:]
		case control.SetTransport:
			a.Transport, args = args[0], args[1:]
		}
		ids, err := parseIDs(args, "waxwing queue list")
		if err != nil {
			return err
		}
		if a.Filter, err = f.read(p.now()); err != nil {
			return err
		}
		switch {
		case len(ids) > 0:
		case f.everything, !reflect.DeepEqual(a.Filter, queue.Filter{}):
			ids = []delivery.ID{0}
		default:
			return usagef("%s what? Give message ids, filters (such as --domain), or --everything", v)
		}
		return p.onDesk(func(ctx context.Context, d control.Desk, _ []string) error { return p.change(ctx, d, a, ids) })(ctx, nil)
	}
}

func (p *program) change(ctx context.Context, d control.Desk, a control.Action, ids []delivery.ID) error {
	var sum queue.Changed
	for _, id := range ids {
		a.Filter.Message = int64(id)
		n, err := d.Act(ctx, a)
		sum.Done += n.Done
		sum.Busy += n.Busy
		if err != nil {
			return err
		}
	}
	// What is to be tried, and is being tried, is as it should be.
	ok := sum.Done > 0 || a.Verb == control.Retry && sum.Busy > 0
	if ok || p.json {
		if err := p.answer(map[string]int{"done": sum.Done, "busy": sum.Busy}, "%s", changed(a, sum)); err != nil {
			return err
		}
	}
	if !ok {
		return errors.New(changed(a, sum))
	}
	return nil
}

// changed is what an action came to, in words.
func changed(a control.Action, sum queue.Changed) string {
	done := map[control.Verb]string{control.Hold: "held", control.Unhold: "released", control.Retry: "to be tried now", control.Fail: "returned to their senders",
		control.Drop: "dropped", control.SetTLS: "set to " + a.Need.String(), control.SetTransport: "given the transport " + strconv.Quote(a.Transport)}[a.Verb]
	s := number(sum.Done, "recipient") + " " + done
	if sum.Done == 0 && sum.Busy == 0 {
		return "nothing in the queue matches that this could be done with; \"waxwing queue list\" shows what there is"
	}
	if sum.Busy > 0 && a.Verb == control.Retry {
		return s + fmt.Sprintf("; %s being tried just now", number(sum.Busy, "recipient"))
	}
	if sum.Busy > 0 {
		s += fmt.Sprintf("; %s being tried just now and left alone: ask again in a moment", number(sum.Busy, "recipient"))
	}
	return s
}

// countQueue prints how many recipients are in each state.
func (p *program) countQueue(ctx context.Context, d control.Desk, _ []string) error {
	n, err := d.Count(ctx)
	if err != nil {
		return err
	}
	if p.json {
		byWord := map[string]int{}
		for _, s := range states() {
			byWord[s.String()] = n[s]
		}
		return printJSON(p.stdout, byWord)
	}
	return show(p, states(), cli.List[queue.State]{Columns: columns("STATE|RECIPIENTS"), Cells: func(s *queue.State) []any { return []any{*s, n[*s]} }})
}

// closedColumns are those of contacts whose mail waits together, since nobody answers there.
func closedColumns() cli.List[queue.ClosedRow] {
	return cli.List[queue.ClosedRow]{Columns: columns("DOMAIN|TRANSPORT|SINCE|NEXT TRY|FAILURES|WHY", "FAILURES", "SINCE"),
		Cells: func(r *queue.ClosedRow) []any {
			return []any{r.Domain, r.Transport, r.Since, r.Until, r.Failures, r.Text}
		}}
}

func (f *queueFlags) list(p *program) action {
	return func(ctx context.Context, args []string) error {
		filter, err := f.read(p.now())
		if err != nil {
			return err
		}
		filter.Limit = f.limit
		return list(p, p.onDesk, func(ctx context.Context, d control.Desk, _ []string) ([]queue.Row, error) {
			items, err := d.List(ctx, filter)
			return queue.Rows(items), err
		}, queueColumns())(ctx, args)
	}
}

func queueColumns() cli.List[queue.Row] {
	return cli.List[queue.Row]{Columns: columns("MESSAGE|STATE|DUE|TRIES|FROM|TO|WHY", "FROM", "TRIES", "DUE"), Cells: func(r *queue.Row) []any {
		tone := map[string]cli.Tone{"delivered": cli.Good, "failed": cli.Bad, "waiting": cli.Waits, "held": cli.Waits}[r.State]
		return []any{r.Message, cli.Cell{Text: r.State, Tone: tone}, r.Due, r.Attempts, "<" + r.Sender + ">", "<" + r.Recipient + ">", r.Word}
	}}
}

func (p *program) showMessage(ctx context.Context, d control.Desk, id delivery.ID) error {
	m, err := d.Show(ctx, int64(id))
	if err != nil {
		return fmt.Errorf("message %s: %w", id, err)
	}
	return p.prose(m.Rows(), func(w io.Writer) { printMessage(w, &m) })
}

func printMessage(w io.Writer, m *queue.Shown) {
	env := m.Envelope
	fmt.Fprintf(w, "message %s from <%s>, accepted %s, %d octets, %s\n", queue.LogID(env.ID), env.Sender, moment(env.Accepted), env.Size, env.Need)
	for _, r := range queue.Rows(m.Recipients) {
		fmt.Fprintf(w, "  to <%s>: %s, %d attempts, next or last %s\n", r.Recipient, r.State, r.Attempts, moment(r.Due))
		for _, s := range []string{r.Word, r.Text, r.Reply} {
			if s != "" {
				fmt.Fprintf(w, "      %s\n", s)
			}
		}
	}
	for i, a := range m.Attempts {
		fmt.Fprintf(w, "\nattempt %d, %s, %s by %s\n", i+1, moment(a.Started), a.Transport, a.Owner)
		printAttempt(w, a)
	}
}

func printAttempt(w io.Writer, a queue.Attempt) {
	if a.Detail.Stop != "" {
		fmt.Fprintf(w, "  nothing was dialled: %s\n", a.Detail.Stop)
	}
	for _, h := range a.Detail.Hosts {
		fmt.Fprintf(w, "  host %s, to be verified by %s; because %s\n", h.Host, h.Verify, h.Basis)
		if h.Skip != "" {
			fmt.Fprintf(w, "    not used: %s\n", h.Skip)
		}
		for i := range h.Sessions {
			printSession(w, &h.Sessions[i])
		}
	}
	for _, r := range a.Detail.Recipients {
		fmt.Fprintf(w, "  <%s> %s %s %s %s\n", r.Address, r.Outcome, r.Word, r.TLS, r.Reply)
	}
}

// printSession shows one connection of an attempt: what it was, then what the
// host said.
func printSession(w io.Writer, s *queue.SessionDetail) {
	kind := "a new connection"
	if s.Reused {
		kind = "reused: a connection kept from an earlier message"
	}
	fmt.Fprintf(w, "    session with %s, %s, %s\n", s.Addr, moment(s.Started), kind)
	fmt.Fprintf(w, "      %s\n", strings.Join(secured(s), "; "))
	for _, x := range []struct{ what, text string }{{"TLS failed: ", s.TLSFailure}, {"failed: ", s.Error}} {
		if x.text != "" {
			fmt.Fprintf(w, "      %s%s\n", x.what, x.text)
		}
	}
	for _, reply := range s.Transcript {
		fmt.Fprintf(w, "      < %s\n", reply)
	}
}

// secured says in parts how the session was protected.
func secured(s *queue.SessionDetail) []string {
	parts := []string{tlsText(s.TLS, s.Reused)}
	if s.SmallHello {
		parts[0] += ": once more with a small TLS hello, after the first had failed"
	}
	if f := s.TLS; f != nil && f.Weak != nil {
		parts = append(parts, "weak: "+string(f.Weak.Reason)+": "+f.Weak.Text)
	}
	if s.Plaintext {
		parts[0] += ": once more without, after TLS had failed"
	}
	for _, x := range []struct{ what, verdict string }{{"PKIX", s.PKIX}, {"DANE", s.DANE}} {
		if x.verdict != "" {
			parts = append(parts, x.what+" "+x.verdict)
		}
	}
	return parts
}

// tlsText is one TLS session in a line. A reused connection has that of the
// message it was made for; a resumed one skipped the exchange of certificates.
func tlsText(f *delivery.TLSFacts, reused bool) string {
	if f == nil {
		return "no TLS"
	}
	parts := []string{f.Version}
	for _, x := range []string{f.Cipher, f.KeyExchange} {
		if x != "" {
			parts = append(parts, x)
		}
	}
	switch {
	case f.Resumed:
		parts = append(parts, "resumed from an earlier TLS session")
	case reused:
		parts = append(parts, "not resumed")
	default:
		parts = append(parts, "full handshake")
	}
	if f.Fingerprint != "" {
		parts = append(parts, "certificate SHA-256 "+f.Fingerprint)
	}
	return strings.Join(parts, ", ")
}
