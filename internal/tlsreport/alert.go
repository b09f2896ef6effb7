package tlsreport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
	"waxwing/message"
	"waxwing/tlsrpt"
)

const (
	// A domain is clean when no report of the seven days before says otherwise.
	cleanFor = 7 * 24 * time.Hour
	// A report on what is long past alerts nobody.
	stale = 4 * 24 * time.Hour
	// Reports come in the first hours of a day: the others of the hour go into the same mail.
	gather = time.Hour
)

// alert is the first failure of a domain that was clean (RPT-18).
type alert struct {
	day        int64
	domain     string
	submitter  string
	report     int64
	ok, failed int64
	types      []failed
}

// failed is how many sessions failed in one way.
type failed struct {
	Type     tlsrpt.ResultType `json:"type"`
	MXHost   string            `json:"mx-host,omitempty"`
	Sessions int64             `json:"sessions"`
}

// maxAlertTypes bounds what an alert lists of one report.
const maxAlertTypes = 10

func failureTypes(r *tlsrpt.Report) []failed {
	var out []failed
	for _, p := range r.Policies {
		for _, d := range p.Details {
			out = addFailure(out, failed{clipType(d.Type), clip(d.MXHostname), d.Sessions})
		}
	}
	return out
}

func addFailure(list []failed, f failed) []failed {
	for i := range list {
		if list[i].Type == f.Type && list[i].MXHost == f.MXHost {
			list[i].Sessions += f.Sessions
			return list
		}
	}
	if len(list) == maxAlertTypes {
		return list
	}
	return append(list, f)
}

func clipType(t tlsrpt.ResultType) tlsrpt.ResultType { return tlsrpt.ResultType(clip(string(t))) }

// noteFailure makes an alert of a report with failures, if the domain was clean
// before the report's time, and had no alert today.
func (s *Service) noteFailure(tx *store.Tx, a alert, begin time.Time) error {
	now := s.now()
	if begin.Before(now.Add(-stale)) {
		return nil
	}
	var before int
	err := tx.Row(`SELECT count(*) FROM (SELECT 1 FROM tls_received WHERE policy_domain = ? AND first >= ? AND first <= ?
		AND source = 'mail' AND failed > 0 AND id <> ? LIMIT 1) AS r`,
		a.domain, store.Time(begin.Add(-cleanFor)), store.Time(begin.Add(24*time.Hour)), a.report).Scan(&before)
	if err != nil || before > 0 {
		return err
	}
	types, err := json.Marshal(a.types)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO tls_alerts (day, domain, created, told, submitter, report, ok, failed, types)
		VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?) ON CONFLICT (day, domain) DO NOTHING`,
		tlsresult.Day(now), a.domain, store.Time(now), a.submitter, delivery.ID(a.report), a.ok, a.failed, string(types))
	return err
}

// alerts mails what there is to tell, once a UTC day at most: an hour after the
// first failure, or the next day if today's mail is out. The webhook gets the
// same.
func (s *Service) alerts(ctx context.Context) error {
	if s.Postmaster == nil && s.Webhook == "" {
		return nil
	}
	now := s.now()
	due, err := s.dueAlerts(ctx, now)
	if len(due) == 0 || err != nil {
		return err
	}
	subject := "TLS failures reported for " + due[0].domain
	if len(due) > 1 {
		subject += fmt.Sprintf(" and %d more domains", len(due)-1)
	}
	env, data, err := s.mailToPostmaster(ctx, subject, alertText(due))
	if err != nil {
		return fmt.Errorf("compose the alert: %w", err)
	}
	body, err := json.Marshal(alertBody(s.Hostname, due))
	if err != nil {
		return err
	}
	var content delivery.Content
	if env != nil {
		if content, err = s.Enqueuer.Prepare(ctx, env, delivery.Bytes(data)); err != nil {
			return fmt.Errorf("store the alert: %w", err)
		}
	}
	err = s.write(ctx, func(tx *store.Tx) error {
		for _, a := range due {
			n, err := tx.Exec(`UPDATE tls_alerts SET told = ? WHERE day = ? AND domain = ? AND told = 0`, store.Time(now), a.day, a.domain)
			if err == nil && n != 1 {
				err = errLost // another machine tells it
			}
			if err != nil {
				return err
			}
		}
		if env != nil {
			if err := s.Enqueuer.EnqueueTx(tx, env, content); err != nil {
				return err
			}
		}
		return s.hook(tx, body, now)
	})
	switch {
	case errors.Is(err, errLost):
		return nil
	case err != nil:
		return fmt.Errorf("queue the alert: %w", err)
	}
	if env != nil {
		s.Enqueuer.Wake()
	}
	s.log().Warn("first TLS failures of domains that were clean", "domains", len(due), "first", due[0].domain)
	return nil
}

func (s *Service) dueAlerts(ctx context.Context, now time.Time) ([]alert, error) {
	var out []alert
	err := s.Store.Read(ctx, func(tx *store.Tx) error {
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
		rows, err := tx.Query(`SELECT day, domain, submitter, report, ok, failed, types FROM tls_alerts WHERE told = 0 ORDER BY domain, day LIMIT 1000`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var a alert
			var types string
			if err := rows.Scan(&a.day, &a.domain, &a.submitter, &a.report, &a.ok, &a.failed, &types); err != nil {
				return err
			}
			if err := json.Unmarshal([]byte(types), &a.types); err != nil {
				return err
			}
			out = append(out, a)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("look for alerts: %w", err)
	}
	return out, nil
}

// hookAlert is one domain in the JSON that the webhook gets.
type hookAlert struct {
	Domain   string      `json:"domain"`
	Reporter string      `json:"reporter"`
	Report   delivery.ID `json:"report"` // id, for waxwing tlsrpt show
	OK       int64       `json:"ok"`
	Failed   int64       `json:"failed"`
	Failures []failed    `json:"failures"`
}

func alertBody(host dns.Name, due []alert) any {
	out := struct {
		Event  string      `json:"event"`
		Host   string      `json:"host"`
		Alerts []hookAlert `json:"alerts"`
	}{Event: "tlsrpt.first-failures", Host: host.ASCII()}
	for _, a := range due {
		out.Alerts = append(out.Alerts, hookAlert{a.domain, a.submitter, delivery.ID(a.report), a.ok, a.failed, a.types})
	}
	return out
}

// mailToPostmaster is a mail to the postmaster; nil where there is none to write to.
func (s *Service) mailToPostmaster(ctx context.Context, subject, body string) (*delivery.Envelope, []byte, error) {
	if s.Postmaster == nil || s.Enqueuer == nil {
		return nil, nil, nil
	}
	to, err := s.Postmaster(ctx)
	if to == "" || err != nil {
		return nil, nil, err
	}
	at := strings.LastIndexByte(to, '@')
	domain, err := delivery.ParseRecipientDomain(to[at+1:])
	if err != nil {
		return nil, nil, err
	}
	now := s.now()
	var data []byte
	for _, f := range []message.Pair{
		{Name: "From", Value: "Waxwing <postmaster@" + s.Hostname.ASCII() + ">"},
		{Name: "To", Value: "<" + to + ">"},
		{Name: "Subject", Value: subject},
		{Name: "Date", Value: message.FormatDate(now)},
		{Name: "Message-ID", Value: message.NewMessageID(now, nil, s.Hostname)},
		{Name: "Auto-Submitted", Value: "auto-generated"},
		{Name: "MIME-Version", Value: "1.0"},
	} {
		data = append(data, message.Fold(f.Name, f.Value)...)
	}
	text := message.Entity{Type: "text/plain", Params: map[string]string{"charset": "utf-8"}, Body: message.ToCRLF(body)}
	data = append(data, text.Write()...)
	return &delivery.Envelope{
		ID: store.NewID(), Size: int64(len(data)), Accepted: now, Peer: "tlsreport",
		Recipients: []delivery.Recipient{{ID: store.NewID(), Address: to, Domain: domain, Notify: delivery.NotifyNever}},
	}, data, nil
}

func alertText(due []alert) string {
	var b strings.Builder
	b.WriteString("Other mail servers reported TLS failures for domains that were without any for a week.\n")
	for _, a := range due {
		fmt.Fprintf(&b, "\n%s: %d sessions failed, %d ok, as %s reports\n", a.domain, a.failed, a.ok, plain(errors.New(a.submitter)))
		told := map[tlsrpt.ResultType]bool{}
		for _, f := range a.types {
			fmt.Fprintf(&b, "  %d x %s", f.Sessions, plain(errors.New(string(f.Type))))
			if f.MXHost != "" {
				fmt.Fprintf(&b, " at %s", plain(errors.New(f.MXHost)))
			}
			b.WriteByte('\n')
			if told[f.Type] {
				continue
			}
			told[f.Type] = true
			meaning, cure := tlsrpt.Explain(f.Type, a.domain)
			fmt.Fprintf(&b, "      %s\n      %s\n", meaning, cure)
		}
		fmt.Fprintf(&b, "  The whole report: waxwing tlsrpt show %s\n", delivery.ID(a.report))
	}
	b.WriteString("\nNo further mail of this kind is sent today.\n")
	return b.String()
}
