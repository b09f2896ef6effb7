package alert

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/outbox"
	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
	"waxwing/tlsrpt"
)

const (
	// Reports come in the first hours of a day: the others of the hour go into the same mail.
	gather = time.Hour
	keep   = 400 * 24 * time.Hour
)

// Failure is the first report of failures of a domain that was clean (RPT-18). Its
// JSON is what the webhook gets.
type Failure struct {
	day       int64
	Domain    string      `json:"domain"`
	Submitter string      `json:"reporter"`
	Report    delivery.ID `json:"report"` // for waxwing tlsrpt show
	OK        int64       `json:"ok"`
	Failed    int64       `json:"failed"`
	Failures  []Count     `json:"failures"`
}

// Count is how many sessions failed in one way.
type Count struct {
	Type     tlsrpt.ResultType `json:"type"`
	MXHost   string            `json:"mx-host,omitempty"`
	Sessions int64             `json:"sessions"`
}

// maxCounts bounds what an alert lists of one report.
const maxCounts = 10

// Counts are the ways in which sessions of a report failed.
func Counts(r *tlsrpt.Report) []Count {
	var out []Count
	for _, p := range r.Policies {
		for _, d := range p.Details {
			out = addCount(out, Count{tlsrpt.ResultType(outbox.Clip(string(d.Type))), outbox.Clip(d.MXHostname), d.Sessions})
		}
	}
	return out
}

func addCount(list []Count, c Count) []Count {
	for i := range list {
		if list[i].Type == c.Type && list[i].MXHost == c.MXHost {
			list[i].Sessions += c.Sessions
			return list
		}
	}
	if len(list) == maxCounts {
		return list
	}
	return append(list, c)
}

// Add notes a first failure, to be told; of one domain only one a UTC day.
func (s *Service) Add(tx *store.Tx, f Failure) error {
	types, err := json.Marshal(f.Failures)
	if err != nil {
		return err
	}
	now := s.Now()
	_, err = tx.Exec(`INSERT INTO tls_alerts (day, domain, created, told, submitter, report, ok, failed, types)
		VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?) ON CONFLICT (day, domain) DO NOTHING`,
		tlsresult.Day(now), f.Domain, store.Time(now), f.Submitter, f.Report, f.OK, f.Failed, string(types))
	return err
}

// alerts mails what there is to tell, once a UTC day at most: an hour after the
// first failure, or the next day if today's mail is out. The webhook gets the
// same.
func (s *Service) alerts(ctx context.Context) error {
	if s.nobody() {
		return nil
	}
	now := s.Now()
	due, err := s.due(ctx, now)
	if len(due) == 0 || err != nil {
		return err
	}
	subject := "TLS failures reported for " + due[0].Domain
	if len(due) > 1 {
		subject += fmt.Sprintf(" and %d more domains", len(due)-1)
	}
	hook := struct {
		Event  string    `json:"event"`
		Host   string    `json:"host"`
		Alerts []Failure `json:"alerts"`
	}{"tlsrpt.first-failures", s.Hostname.ASCII(), due}
	told, err := s.tell(ctx, subject, text(due), hook, func(tx *store.Tx) error {
		for _, a := range due {
			n, err := tx.Exec(`UPDATE tls_alerts SET told = ? WHERE day = ? AND domain = ? AND told = 0`, store.Time(now), a.day, a.Domain)
			if err == nil && n != 1 {
				err = errTold
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("queue the alert: %w", err)
	}
	if told {
		s.Log.Warn("first TLS failures of domains that were clean", "domains", len(due), "first", due[0].Domain)
	}
	return nil
}

// due are the failures to be told now.
func (s *Service) due(ctx context.Context, now time.Time) (out []Failure, err error) {
	err = s.Store.Read(ctx, func(tx *store.Tx) error {
		out = nil
		var oldest, last int64
		err := tx.Row(`SELECT coalesce(min(created), 0) FROM tls_alerts WHERE told = 0`).Scan(&oldest)
		if err != nil || oldest == 0 || now.Before(store.FromTime(oldest).Add(gather)) {
			return err
		}
		if err := tx.Row(`SELECT coalesce(max(told), 0) FROM tls_alerts`).Scan(&last); err != nil {
			return err
		}
		if last != 0 && tlsresult.Day(store.FromTime(last)) >= tlsresult.Day(now) {
			return nil
		}
		out, err = store.Collect(tx, func(r store.Row) (a Failure, err error) {
			var types string
			if err := r.Scan(&a.day, &a.Domain, &a.Submitter, &a.Report, &a.OK, &a.Failed, &types); err != nil {
				return a, err
			}
			return a, json.Unmarshal([]byte(types), &a.Failures)
		}, `SELECT day, domain, submitter, report, ok, failed, types FROM tls_alerts WHERE told = 0 ORDER BY domain, day LIMIT 1000`)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for alerts: %w", err)
	}
	return out, nil
}

func text(due []Failure) string {
	var b strings.Builder
	b.WriteString("Other mail servers reported TLS failures for domains that were without any for a week.\n")
	for _, a := range due {
		fmt.Fprintf(&b, "\n%s: %d sessions failed, %d ok, as %s reports\n", a.Domain, a.Failed, a.OK, outbox.Line(a.Submitter))
		told := map[tlsrpt.ResultType]bool{}
		for _, f := range a.Failures {
			fmt.Fprintf(&b, "  %d x %s", f.Sessions, outbox.Line(string(f.Type)))
			if f.MXHost != "" {
				fmt.Fprintf(&b, " at %s", outbox.Line(f.MXHost))
			}
			b.WriteByte('\n')
			if told[f.Type] {
				continue
			}
			told[f.Type] = true
			meaning, cure := f.Type.Advice(a.Domain)
			fmt.Fprintf(&b, "      %s\n      %s\n", meaning, cure)
		}
		fmt.Fprintf(&b, "  The whole report: waxwing tlsrpt show %s\n", a.Report)
	}
	b.WriteString("\nNo further mail of this kind is sent today.\n")
	return b.String()
}
