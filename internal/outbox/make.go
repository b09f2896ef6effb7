package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/guard"
	"waxwing/internal/signing"
	"waxwing/internal/store"
	"waxwing/message"
)

// Made is what came of one unit.
type Made struct {
	Key
	Draft
	Partial bool

	parcels []parcel // one for each address
	within  []parcel // those within the daily cap
}

// parcel is a report for one address: to be posted, or as a mail that is signed.
type parcel struct {
	uri     string
	to      string // of a mail; "": it is posted
	from    dns.Name
	domain  delivery.RecipientDomain
	data    []byte
	id      int64            // of the message; prepareMails sets it
	content delivery.Content // data, as the Enqueuer has prepared it; prepareMails sets it
}

// nextUnit works on one due unit. It returns false when none is due.
func (b *Box) nextUnit(ctx context.Context) (bool, error) {
	u, err := b.claimUnit(ctx)
	if u == nil || err != nil {
		return false, err
	}
	failed, err := b.contain(ctx, guard.ReportUnit, fmt.Sprintf("%s %d %s", u.Date(), u.Kind, u.Name),
		func(tx *store.Tx) error { return u.settle(tx, Failed, "", noteInternal) },
		func() error { _, err := b.work(ctx, u); return err })
	if failed {
		b.count(string(Failed))
	}
	if err != nil && ctx.Err() == nil {
		// The unit comes back when its lease ends; the others go on.
		b.Log.Error(b.Name, "run", u.run, "policy-domain", u.Name, "day", u.Date(), "error", err)
		err = nil
	}
	return true, err
}

// work makes one claimed unit's report and settles the unit.
func (b *Box) work(ctx context.Context, u *Unit) (*Made, error) {
	ctx, cancel := context.WithTimeout(ctx, unitTime)
	defer cancel()
	m, err := b.prepare(ctx, u)
	if err == nil && m.State == Open {
		return m, b.later(ctx, u, m.Note)
	}
	if err == nil {
		err = b.send(ctx, m, func(tx *store.Tx, s State, note string) error {
			if err := u.settle(tx, s, strings.Join(m.RUA, "\n"), note); err != nil {
				return err
			}
			if s == None || s == Invalid {
				return b.Maker.Forget(tx, u)
			}
			return nil
		})
	}
	if err != nil {
		if !errors.Is(err, ErrLost) {
			b.count("error") // RPT-25
		}
		return nil, err
	}
	b.count(string(m.State))
	defer func() {
		if err := b.ended(context.WithoutCancel(ctx), u.Day); err != nil {
			b.Log.Error(b.Name+"s", "run", u.run, "error", err)
		}
	}()
	b.Log.Info(b.Name, "run", u.run, "policy-domain", u.Name, "day", u.Date(), "state", string(m.State), "rua", m.RUA, "text", m.Note)
	return m, nil
}

// later keeps a unit whose record could not be looked up, until 24 h after its
// day's end, and a day that was caught up for a few tries at least (RPT-7).
func (b *Box) later(ctx context.Context, u *Unit, note string) error {
	due, expired := retryLookup(u, b.Now())
	err := b.write(ctx, func(tx *store.Tx) error {
		if expired {
			return u.settle(tx, Expired, "", note)
		}
		return u.postpone(tx, due, note)
	})
	if err != nil {
		return fmt.Errorf("keep the %s for later: %w", b.Name, err)
	}
	b.Log.Warn(b.Name+" kept", "run", u.run, "policy-domain", u.Name, "day", u.Date(), "expired", expired, "error", note)
	return nil
}

// retryLookup is when to look a record up again: pauses of 10 min that double up to 4 h.
func retryLookup(u *Unit, now time.Time) (due time.Time, expired bool) {
	if !now.Before(startOf(u.Day+2)) && u.Tries >= 3 {
		return time.Time{}, true
	}
	pause := min(10*time.Minute<<min(u.Tries-1, 5), 4*time.Hour)
	return now.Add(pause), false
}

// prepare has the report made, with its mails; it writes nothing.
func (b *Box) prepare(ctx context.Context, u *Unit) (*Made, error) {
	from, signs, err := b.Submitter(ctx)
	if err != nil {
		return nil, err
	}
	d, err := b.Maker.Make(ctx, u, from)
	m := &Made{Key: u.Key, Draft: d, Partial: u.Partial}
	if m.State != Reported || err != nil {
		return m, err
	}
	return m, b.addressAll(ctx, m, from, signs)
}

// addressAll adds what each address gets.
func (b *Box) addressAll(ctx context.Context, m *Made, from dns.Name, signs bool) error {
	for _, uri := range m.RUA {
		note, err := b.address(ctx, m, uri, from, signs)
		if err != nil {
			return err
		}
		m.note(note)
	}
	if len(m.parcels) == 0 {
		m.State = Skipped
	}
	return nil
}

// SendOne sends a report for which there is no unit: whoever has noted what it is made of forgets
// it within the transaction that queues the report, so that there is never a second one. Of a
// report that goes nowhere the state says so, and within is called all the same.
func (b *Box) SendOne(ctx context.Context, k Key, d Draft, within func(*store.Tx) error) (*Made, error) {
	from, signs, err := b.Submitter(ctx)
	if err != nil {
		return nil, err
	}
	m := &Made{Key: k, Draft: d}
	if err := b.addressAll(ctx, m, from, signs); err != nil {
		return nil, err
	}
	if err := b.send(ctx, m, func(tx *store.Tx, _ State, _ string) error { return within(tx) }); err != nil {
		return nil, err
	}
	b.count(string(m.State))
	return m, nil
}

// note adds to the note.
func (m *Made) note(s string) {
	if m.Note != "" && s != "" {
		s = "; " + s
	}
	m.Note += s
}

// address adds what one address gets; note says why it gets nothing.
func (b *Box) address(ctx context.Context, m *Made, uri string, from dns.Name, signs bool) (note string, err error) {
	suppressed, err := b.Suppressed(ctx, uri)
	if err != nil {
		return "", err
	}
	if suppressed {
		return uri + " is suppressed", nil
	}
	a, err := b.Address(uri)
	switch {
	case err != nil:
		return err.Error(), nil
	case a.HTTPS != "":
		m.parcels = append(m.parcels, parcel{uri: a.HTTPS})
		return "", nil
	case !signs || b.Enqueuer == nil:
		return "no hosted domain above " + b.Hostname.ASCII() + " signs with DKIM: no report by mail to " + a.Mail, nil
	}
	domain, err := delivery.ParseRecipientDomain(a.Mail[strings.LastIndexByte(a.Mail, '@')+1:])
	if err != nil {
		return uri + ": " + err.Error(), nil
	}
	local, _, _ := strings.Cut(b.Contact(from), "@")
	letter := Letter{From: message.Address{Local: local, Domain: from.ASCII()}.String(), To: a.Mail, Subject: m.Subject, Fields: m.Fields, Body: m.Mail}
	data := letter.Bytes(b.Now(), from)
	var extra []string
	for _, f := range m.Fields {
		extra = append(extra, f.Name)
	}
	fields, err := b.Signer.Sign(ctx, from, data, extra)
	if err == nil && len(fields) == 0 {
		err = errors.New("no signature was made")
	}
	if err != nil {
		return "", fmt.Errorf("sign the report to %s: %w", a.Mail, err)
	}
	m.parcels = append(m.parcels, parcel{uri: uri, to: a.Mail, from: from, domain: domain, data: append(fields, data...)})
	return "", nil
}

// Contact is the address that reports of a domain are sent from.
func (b *Box) Contact(from dns.Name) string {
	return cmp.Or(b.FromLocal, b.Local) + "@" + from.ASCII()
}

// Submitter is the domain that reports are sent from: the nearest domain at or
// above our host name that is hosted here and signs with DKIM (RPT-9). Without
// one, signs is false, no mail is sent, and the host name stands in reports by HTTPS.
func (b *Box) Submitter(ctx context.Context) (domain dns.Name, signs bool, err error) {
	if b.Hosted == nil || b.Signer == nil {
		return b.Hostname, false, nil
	}
	for d := b.Hostname; !d.IsZero(); d = d.Parent() {
		hosted, err := b.Hosted(ctx, d)
		var keys []signing.Key
		if hosted && err == nil {
			keys, err = b.Signer.Keys(ctx, d)
		}
		if err != nil {
			return d, false, fmt.Errorf("find the domain to send %ss from: %w", b.Name, err)
		}
		if slices.ContainsFunc(keys, func(k signing.Key) bool { return k.Stage() == signing.Signing }) {
			return d, true, nil
		}
	}
	return b.Hostname, false, nil
}

// send keeps a report, queues its mails and notes its posts, all in one
// transaction with settle (RPT-11), which is told what the report comes to once
// the daily cap was looked at.
func (b *Box) send(ctx context.Context, m *Made, settle func(tx *store.Tx, s State, note string) error) error {
	if err := b.prepareMails(ctx, m.parcels); err != nil {
		return err
	}
	secret, err := b.returnSecret(ctx)
	if err != nil {
		return err
	}
	state, note := m.State, m.Note
	err = b.write(ctx, func(tx *store.Tx) error {
		if state, note, err = b.capped(tx, m); err != nil {
			return err
		}
		if err := settle(tx, state, note); state != Reported || err != nil {
			return err
		}
		return b.keep(tx, m, secret)
	})
	if err != nil {
		return fmt.Errorf("settle the %s: %w", b.Name, err)
	}
	m.State, m.Note = state, note
	for _, p := range m.within {
		if p.to != "" {
			b.Enqueuer.Wake()
		} else {
			b.WakePosts()
		}
	}
	return nil
}

// prepareMails hands the octets of mails to the Enqueuer, ahead of the transaction
// that queues them.
func (b *Box) prepareMails(ctx context.Context, parcels []parcel) (err error) {
	for i := range parcels {
		p := &parcels[i]
		if p.to == "" {
			continue
		}
		p.id = store.NewID()
		if p.content, err = b.Enqueuer.Prepare(ctx, &delivery.Envelope{ID: p.id}, delivery.Bytes(p.data)); err != nil {
			return fmt.Errorf("store the report to %s: %w", p.to, err)
		}
	}
	return nil
}

// expiry is how long a report is tried to be delivered (RFC 8460 §5.5).
const expiry = 24 * time.Hour

// keep keeps a report, with a delivery for each address, and hands its mails to the queue.
func (b *Box) keep(tx *store.Tx, m *Made, secret []byte) error {
	now, id := b.Now(), store.NewID()
	_, err := tx.Exec(`INSERT INTO outbox_reports (id, day, kind, policy_domain, report_id, created, ok, failed, partial, state, body)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'sending', ?)`,
		id, m.Day, int(m.Kind), cmp.Or(m.About, m.Name), m.ID, store.Time(now), m.OK, m.Failed, m.Partial, m.Body)
	if err != nil {
		return err
	}
	for _, p := range m.within {
		state, d := "waiting", store.NewID()
		if p.to != "" {
			state = "queued"
			if err := b.Enqueuer.EnqueueTx(tx, b.envelope(p, d, secret, now), p.content); err != nil {
				return fmt.Errorf("queue the report to %s: %w", p.to, err)
			}
		}
		_, err := tx.Exec(`INSERT INTO outbox_deliveries (id, report, uri, state, due, tries, claim, expires, changed, note)
			VALUES (?, ?, ?, ?, ?, 0, 0, ?, ?, '')`, d, id, p.uri, state, store.Time(now), store.Time(now.Add(expiry)), store.Time(now))
		if err != nil {
			return err
		}
	}
	return nil
}

// Post adds something that is posted to To, without a unit. Who calls it calls
// WakePosts after the commit.
func (b *Box) Post(tx *store.Tx, kind Kind, body []byte) error {
	// Not To itself, which may hold a secret.
	return b.keep(tx, &Made{Key: Key{dayOf(b.Now()), kind, ""}, Draft: Draft{Body: body}, within: []parcel{{uri: "webhook"}}}, nil)
}

// envelope: nobody is told if the report does not arrive (RPT-12). Ref names the delivery that waits for its
// outcome, and so does the return path, for a bounce that comes by mail.
func (b *Box) envelope(p parcel, deliveryID int64, secret []byte, now time.Time) *delivery.Envelope {
	return &delivery.Envelope{
		ID: p.id, Sender: b.returnPath(secret, deliveryID) + "@" + p.from.ASCII(), Need: b.Need, Purpose: b.Purpose,
		Ref: strconv.FormatInt(deliveryID, 10), Size: int64(len(p.data)), Accepted: now, Peer: "outbox",
		Recipients: []delivery.Recipient{{
			ID: store.NewID(), Address: p.to, Domain: p.domain, Notify: delivery.NotifyNever,
		}},
	}
}

// Letter is a mail that this server writes.
type Letter struct {
	From    string // as in its field
	To      string // local@domain
	Subject string
	Fields  []message.Pair // further ones
	Body    message.Entity
}

// Bytes is the mail, without a signature; host is that of its Message-ID.
func (l Letter) Bytes(now time.Time, host dns.Name) (out []byte) {
	for _, f := range slices.Concat([]message.Pair{
		{Name: "From", Value: l.From},
		{Name: "To", Value: "<" + l.To + ">"},
		{Name: "Subject", Value: l.Subject},
		{Name: "Date", Value: message.FormatDate(now)},
		{Name: "Message-ID", Value: message.NewMessageID(now, nil, host)},
	}, l.Fields, []message.Pair{
		{Name: "Auto-Submitted", Value: "auto-generated"},
		{Name: "MIME-Version", Value: "1.0"},
	}) {
		out = append(out, message.Fold(f.Name, f.Value)...)
	}
	return append(out, l.Body.Write()...)
}
