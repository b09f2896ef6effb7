package tlsreport

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/outbox"
	"waxwing/internal/outbox/outboxtest"
	"waxwing/internal/queue"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/internal/tlsresult"
	"waxwing/tlsrpt"
)

// inbox receives reports by https, in the machine's process.
type inbox struct {
	mu     sync.Mutex
	killer *outboxtest.Killer
	got    map[string][]string // report-id → the bodies that came
	t      *testing.T
}

func (x *inbox) RoundTrip(r *http.Request) (*http.Response, error) {
	if x.killer.Dead() {
		return nil, outboxtest.ErrKilled
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	rep, err := tlsrpt.Parse(strings.NewReader(string(body)), tlsrpt.Limits{})
	if err != nil {
		x.t.Error(err)
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.got[rep.ID] = append(x.got[rep.ID], string(body))
	return &http.Response{StatusCode: 200, Status: "200 OK", Body: io.NopCloser(strings.NewReader("")), Header: http.Header{}, Request: r}, nil
}

const crashDays = 3

// wanted is every report that the days of crashRun must have made.
func wanted() map[string]bool {
	want := map[string]bool{}
	for d := range crashDays {
		day := saturday.AddDate(0, 0, d).Format(time.DateOnly)
		for _, w := range []string{
			"0 a.example mailto:shared@r.example", "0 b.example mailto:shared@r.example", "0 b.example https://r.example/b",
			"0 c.example https://r.example/c", "1 mx.example mailto:host@mx.example",
		} {
			want[day+" "+w] = true
		}
	}
	return want
}

// crashRun lets a machine live through three days, killed once, and started
// again.
func crashRun(t *testing.T, s *store.Store, k *outboxtest.Killer) *inbox {
	t.Helper()
	in := &inbox{killer: k, got: map[string][]string{}, t: t}
	c := &outboxtest.Clock{}
	c.Set(saturday.AddDate(0, 0, 1))
	boot := func(k *outboxtest.Killer) *rig {
		r := newRig(t, s)
		r.clock, r.Now = c, c.Now
		r.Enqueuer = &queue.Queue{Store: s, Hostname: "mx.sender.example", Now: c.Now}
		r.HTTP = &http.Client{Transport: in}
		r.Crash = k.Commit
		r.record("a.example", "v=TLSRPTv1; rua=mailto:shared@r.example")
		r.record("b.example", "v=TLSRPTv1; rua=https://r.example/b,mailto:shared@r.example")
		r.record("c.example", "v=TLSRPTv1; rua=https://r.example/c")
		r.record("mx.example", "v=TLSRPTv1; rua=mailto:host@mx.example")
		r.record("none.example", "no record")
		return r
	}
	r := boot(k)
	for d := range crashDays {
		// Another number of sessions each day, so that days cannot be mixed up.
		for range d + 1 {
			r.see(t, saturday.AddDate(0, 0, d).Add(12*time.Hour), stsOK("a.example"), daneFailed("a.example", "mx.example"),
				daneFailed("b.example", "mx.example"), stsOK("c.example"), stsOK("none.example"))
		}
	}
	for end := saturday.AddDate(0, 0, crashDays+1); c.Now().Before(end); {
		next, err := r.stepBoth()
		if k.Dead() {
			k = &outboxtest.Killer{}
			in.killer = k
			r = boot(k)
			c.Set(c.Now().Add(11 * time.Minute)) // until the claims run out
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Set(maxTime(next, c.Now().Add(time.Second)))
	}
	return in
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// checkCrash holds what is in the store against what must be: every report
// made once, every mail queued once, every post made and settled once, all of
// it with the sessions of its day.
func checkCrash(t *testing.T, s *store.Store, in *inbox) {
	t.Helper()
	left := wanted()
	reports, err := newRig(t, s).Sent(context.Background(), outbox.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	mails := queuedRefs(t, s)
	ids := map[string]bool{}
	for _, rep := range reports {
		if ids[rep.ReportID] || !strings.HasPrefix(rep.ReportID, rep.Day+".") {
			t.Errorf("id %s of %s", rep.ReportID, rep.Day)
		}
		ids[rep.ReportID] = true
		for _, d := range rep.Deliveries {
			key := fmt.Sprintf("%s %d %s %s", rep.Day, map[bool]int{true: 1}[rep.Host], rep.PolicyDomain, d.URI)
			if !left[key] {
				t.Errorf("unwanted, or a second time: %s", key)
			}
			delete(left, key)
			if strings.HasPrefix(d.URI, "https") {
				if d.State != "accepted" || d.Tries != 1 || !same(in.got[rep.ReportID]) {
					t.Errorf("%s: %s after %d tries, posted %d times", key, d.State, d.Tries, len(in.got[rep.ReportID]))
				}
			} else if d.State != "queued" {
				t.Errorf("%s is %s", key, d.State)
			} else {
				mails.want++
			}
		}
		checkReport(t, s, rep)
	}
	for k := range left {
		t.Errorf("lost: %s", k)
	}
	if mails.want != len(mails.refs) || mails.all != len(mails.refs) {
		t.Errorf("%d mails in the queue for %d deliveries, %d wanted", mails.all, len(mails.refs), mails.want)
	}
}

func same(bodies []string) bool {
	for _, b := range bodies {
		if b != bodies[0] {
			return false
		}
	}
	return len(bodies) > 0
}

func checkReport(t *testing.T, s *store.Store, rep outbox.Sent) {
	t.Helper()
	r, _, err := newRig(t, s).Show(context.Background(), rep.ID)
	if err != nil {
		t.Fatal(err)
	}
	day := r.Begin.Sub(saturday) / (24 * time.Hour)
	perDay := map[string][2]int64{"a.example": {1, 1}, "b.example": {0, 1}, "c.example": {1, 0}, "mx.example": {0, 2}}[rep.PolicyDomain]
	want := [2]int64{perDay[0] * int64(day+1), perDay[1] * int64(day+1)}
	if ok, failed := r.Totals(); r.Check() != nil || [2]int64{ok, failed} != want || [2]int64{rep.OK, rep.Failed} != want || r.Begin.Format(time.DateOnly) != rep.Day || r.End.Sub(r.Begin) != 24*time.Hour-time.Second {
		t.Errorf("%s %s: %d ok, %d failed, %s to %s: %v", rep.Day, rep.PolicyDomain, ok, failed, r.Begin, r.End, r.Check())
	}
}

type queuedMails struct {
	refs      map[string]int
	all, want int
}

func queuedRefs(t *testing.T, s *store.Store) *queuedMails {
	t.Helper()
	var q *queuedMails
	err := s.Read(context.Background(), func(tx *store.Tx) error {
		q = &queuedMails{refs: map[string]int{}}
		rows, err := tx.Query(`SELECT ref FROM messages WHERE purpose = ?`, int(delivery.TLSReport))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var ref string
			if err := rows.Scan(&ref); err != nil {
				return err
			}
			q.refs[ref]++
			q.all++
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func wipe(t *testing.T, s *store.Store) {
	t.Helper()
	err := s.Write(context.Background(), func(tx *store.Tx) error {
		for _, table := range []string{"tls_rows", "tls_details", "outbox_units", "outbox_reports", "outbox_deliveries", "outbox_tries", "outbox_suppressions",
			"outbox_caps", "outbox_secret", "messages", "bodies", "recipients"} {
			if _, err := tx.Exec(`DELETE FROM ` + table); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// RPT-5, RPT-11: whenever the machine is killed, before or after any of its
// commits, each report of each day is made once, no mail twice, none lost, and
// what is posted again is the same report.
func TestCrashAtEveryCommit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		t.Parallel()
		outboxtest.AtEveryCommit(t, s, 30, func(k *outboxtest.Killer) {
			wipe(t, s)
			checkCrash(t, s, crashRun(t, s, k))
		})
	})
}

// A finished day's rows belong to that day for ever: Day is of UTC.
func TestDayBorders(t *testing.T) {
	t.Parallel()
	east := time.FixedZone("", 14*3600)
	last := saturday.AddDate(0, 0, 1).Add(-time.Nanosecond).In(east)
	if d := tlsresult.Day(last); tlsresult.Start(d) != saturday || tlsresult.Day(last.Add(time.Nanosecond)) != d+1 {
		t.Errorf("RPT-1: %s is day %d", last, d)
	}
}
