package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
	"waxwing/internal/text"
)

// Filter chooses reports. A zero field chooses all.
type Filter struct {
	Domain string    // policy domain
	Since  time.Time // received or made then or later
	Limit  int       // 0: 1,000
}

// Sent is a report of ours.
type Sent struct {
	ID           delivery.ID `json:"id"`
	Day          string      `json:"day"`
	PolicyDomain string      `json:"policy_domain"`
	Kind         Kind        `json:"-"`
	Host         bool        `json:"mx_host,omitempty"`        // the policy domain is an MX host (RPT-6)
	Single       bool        `json:"failure_report,omitempty"` // of single messages that failed (DMR-4)
	ReportID     string      `json:"report_id"`
	Created      time.Time   `json:"created"`
	OK           int64       `json:"ok"`
	Failed       int64       `json:"failed"`
	Partial      bool        `json:"partial"`
	State        string      `json:"state"` // sending, delivered, failed
	Deliveries   []Delivery  `json:"deliveries"`
}

// Delivery is what became of a report at one address.
type Delivery struct {
	URI   string    `json:"uri"`
	State string    `json:"state"` // queued, waiting, accepted, failed
	Tries int       `json:"tries"`
	At    time.Time `json:"changed"`
	Note  string    `json:"note,omitempty"`
}

// Sent lists the reports of this sort, newest first, with their deliveries.
func (b *Box) Sent(ctx context.Context, f Filter) ([]Sent, error) {
	var out []Sent
	err := b.Store.Read(ctx, func(tx *store.Tx) error {
		out = nil
		return tx.Each(func(r store.Row) (err error) {
			if out, err = addSent(out, r); err == nil {
				last := &out[len(out)-1]
				last.Host, last.Single = b.isHost(last.Kind), b.OneKind != 0 && last.Kind == b.OneKind
			}
			return err
		}, `SELECT r.id, r.day, r.kind, r.policy_domain, r.report_id, r.created, r.ok, r.failed, r.partial, r.state,
				coalesce(d.uri, ''), coalesce(d.state, ''), coalesce(d.tries, 0), coalesce(d.changed, 0), coalesce(d.note, '')
			FROM (SELECT * FROM outbox_reports WHERE created >= ? AND (? = '' OR policy_domain = ?) AND kind IN `+b.kinds()+`
				ORDER BY created DESC, id DESC LIMIT ?) AS r
			LEFT JOIN outbox_deliveries AS d ON d.report = r.id ORDER BY r.created DESC, r.id DESC, d.id`,
			store.Time(f.Since), f.Domain, f.Domain, cmp.Or(f.Limit, 1000))
	})
	if err != nil {
		return nil, fmt.Errorf("list sent %ss: %w", b.Name, err)
	}
	return out, nil
}

// addSent adds one row of Sent's query: a report's first row begins an entry.
func addSent(out []Sent, row store.Row) ([]Sent, error) {
	var r Sent
	var d Delivery
	var day, created, partial, changed int64
	err := row.Scan(&r.ID, &day, &r.Kind, &r.PolicyDomain, &r.ReportID, &created, &r.OK, &r.Failed, &partial, &r.State,
		&d.URI, &d.State, &d.Tries, &changed, &d.Note)
	if err != nil {
		return nil, err
	}
	if n := len(out); n == 0 || out[n-1].ID != r.ID {
		r.Day, r.Partial, r.Created = date(day), partial != 0, store.FromTime(created)
		out = append(out, r)
	}
	if d.URI != "" {
		d.At = store.FromTime(changed)
		last := &out[len(out)-1]
		last.Deliveries = append(last.Deliveries, d)
	}
	return out, nil
}

// ErrNoReport is returned by Body for an id that is not stored.
var ErrNoReport = errors.New("no such report")

// Body is a sent report exactly as it went out.
func (b *Box) Body(ctx context.Context, id delivery.ID) (body []byte, err error) {
	err = b.Store.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT body FROM outbox_reports WHERE id = ? AND kind IN `+b.kinds(), int64(id)).Scan(&body)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoReport
	}
	return body, err
}

// Outcome is what came of one unit: reported or why not.
type Outcome struct {
	Day          string    `json:"day"`
	PolicyDomain string    `json:"policy_domain"`
	Kind         Kind      `json:"-"`
	Host         bool      `json:"mx_host,omitempty"`
	State        State     `json:"state"` // failed is an internal error
	Note         string    `json:"note,omitempty"`
	RUA          []string  `json:"rua,omitempty"`
	Due          time.Time `json:"due,omitzero"` // of an open one
	Tries        int       `json:"tries"`
}

// Outcomes lists what came of the units of a UTC day that is over; they are kept
// for a week. Domain "" means all.
func (b *Box) Outcomes(ctx context.Context, t time.Time, domain string) ([]Outcome, error) {
	out, err := store.List(ctx, b.Store, func(r store.Row) (o Outcome, err error) {
		var due int64
		var rua string
		err = r.Scan(&o.Kind, &o.PolicyDomain, &o.State, &o.Note, &rua, &due, &o.Tries)
		o.Day, o.Due = date(dayOf(t)), store.FromTime(due)
		o.RUA, o.Host = strings.Fields(rua), b.isHost(o.Kind)
		return o, err
	}, `SELECT kind, name, state, note, rua, due, tries FROM outbox_units WHERE day = ? AND (? = '' OR name = ?) AND kind IN `+b.kinds()+`
		ORDER BY name, kind`, dayOf(t), domain, domain)
	if err != nil {
		return nil, fmt.Errorf("list what came of the %ss: %w", b.Name, err)
	}
	return out, nil
}

func (f Family) isHost(k Kind) bool { return f.HostKind != 0 && k == f.HostKind }

// Became says what became of the report about a domain of a day.
func (b *Box) Became(ctx context.Context, day time.Time, domain string) (string, error) {
	all, err := b.Outcomes(ctx, day, domain)
	state := "not yet: the day is not over, or its results are gone"
	for _, x := range all {
		state = text.Words(string(x.State), x.Note, strings.Join(x.RUA, ", "))
	}
	return state, err
}

// Summary is what SendDay did.
type Summary struct {
	Day     string    `json:"day"`
	DryRun  bool      `json:"dry_run"`
	Partial bool      `json:"partial"`
	Made    []Settled `json:"made"` // in the order of the run
}

// Settled is what came of one unit of a run.
type Settled struct {
	PolicyDomain string   `json:"policy_domain"`
	Host         bool     `json:"mx_host,omitempty"`
	State        State    `json:"state"`
	Note         string   `json:"note,omitempty"`
	RUA          []string `json:"rua,omitempty"`
	Text         []byte   `json:"-"` // of the report
}

// SendDay makes the run for a day now, not waiting for its time (RPT-13). Units
// that are settled already are left out. One that another machine is at is taken
// over: whoever settles it first has made the report, the other makes none.
func (b *Box) SendDay(ctx context.Context, o SendOptions) (Summary, error) {
	run, err := b.sendDay(ctx, o)
	sum := Summary{Day: run.day, DryRun: o.DryRun, Partial: run.partial}
	for _, m := range run.made {
		sum.Made = append(sum.Made, Settled{m.Name, b.isHost(m.Kind), m.State, m.Note, m.RUA, m.Text})
	}
	return sum, err
}
