package dmarcfailure

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/arf"
	"waxwing/dmarc"
	"waxwing/dns"
	"waxwing/internal/outbox"
	"waxwing/internal/store"
)

// Kind is that of failure reports in the outbox.
const Kind outbox.Kind = 4

// Service sends the reports of what a Recorder has noted. Its fields are set before its first use.
type Service struct {
	*Recorder
	Box *outbox.Box // of DMARC reports, with Kind among its kinds
}

// lookEvery is how often what was noted goes into the store, and is looked at.
const (
	lookEvery = 10 * time.Second
	lease     = 10 * time.Minute // longer than the work on a report
	workTime  = 2 * time.Minute  // which is bounded by this
)

// Run sends what is due until ctx ends.
func (s *Service) Run(ctx context.Context) error { return s.Box.Loop(ctx, nil, s.Step) }

// Step stores what was noted and sends what is due, and returns when it next should be called.
func (s *Service) Step(ctx context.Context) (time.Time, error) {
	next := s.Now().Add(lookEvery)
	if err := s.flush(ctx); err != nil {
		return next, err
	}
	for ctx.Err() == nil {
		x, tries, err := s.claim(ctx)
		if x == nil || err != nil {
			return next, err
		}
		if err := s.send(ctx, x, tries); err != nil && ctx.Err() == nil && !errors.Is(err, outbox.ErrLost) {
			s.Box.Log.Error("DMARC failure report", "domain", x.domain, "error", err) // it comes again when the lease ends
		}
	}
	return next, nil
}

// claim takes one due report for a while; nil: none is due.
func (s *Service) claim(ctx context.Context) (x *row, tries int64, err error) {
	now := s.Now()
	err = s.Store.Write(ctx, func(tx *store.Tx) error {
		x = &row{}
		return tx.Row(`UPDATE dmarc_failures SET tries = tries + 1, due = ? WHERE id = (SELECT id FROM dmarc_failures WHERE due <= ? ORDER BY due, id LIMIT 1`+tx.Lock()+`)
			RETURNING id, domain, spf, report, original, incidents, tries`, store.Time(now.Add(lease)), store.Time(now)).
			Scan(&x.id, &x.domain, &x.spf, &x.report, &x.original, &x.incidents, &tries)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("claim a DMARC failure report: %w", err)
	}
	return x, tries, nil
}

// done removes a claimed report, if it is still ours.
func done(tx *store.Tx, x *row, tries int64) error {
	n, err := tx.Exec(`DELETE FROM dmarc_failures WHERE id = ? AND tries = ?`, x.id, tries)
	if err == nil && n != 1 {
		err = outbox.ErrLost
	}
	return err
}

// send looks up where a report goes, and has it sent. Where a lookup fails it waits for the next
// claim, for a day.
func (s *Service) send(ctx context.Context, x *row, tries int64) error {
	ctx, cancel := context.WithTimeout(ctx, workTime)
	defer cancel()
	ruf, why, err := s.find(ctx, x.domain)
	if err != nil {
		return s.later(ctx, x, tries, err)
	}
	if len(ruf) == 0 {
		s.Box.Log.Info("DMARC failure report not sent", "domain", x.domain, "text", why)
		return s.Store.Write(ctx, func(tx *store.Tx) error { return done(tx, x, tries) })
	}
	draft, err := s.draft(ctx, x)
	if err != nil {
		return err
	}
	draft.RUA, draft.Note = ruf, why
	made, err := s.Box.SendOne(ctx, outbox.Key{Day: s.Now().Unix() / 86400, Kind: Kind, Name: x.domain}, draft, func(tx *store.Tx) error { return done(tx, x, tries) })
	if err != nil {
		return err
	}
	s.Box.Log.Info("DMARC failure report", "domain", x.domain, "state", string(made.State), "rua", made.RUA, "text", made.Note)
	return nil
}

// later leaves a report for its next claim, unless it has waited for too long.
func (s *Service) later(ctx context.Context, x *row, tries int64, cause error) error {
	now := store.Time(s.Now())
	err := s.Store.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM dmarc_failures WHERE id = ? AND tries = ? AND until <= ?`, x.id, tries, now)
		return err
	})
	s.Box.Log.Warn("DMARC failure report kept", "domain", x.domain, "error", cause)
	return err
}

// maxAddresses are those of a record that are reported to.
const maxAddresses = 5

// find looks up where the failures of a policy domain are told (RFC 9991 §5). Why says which
// addresses get nothing; the error is that of a lookup.
func (s *Service) find(ctx context.Context, domain string) (ruf []string, why string, err error) {
	at, err := dns.ParseLax(domain)
	var name dns.Name
	if err == nil {
		name, err = at.Prefix("_dmarc")
	}
	if err != nil {
		return nil, err.Error(), nil
	}
	a, err := s.Box.DNS.LookupTXT(ctx, name)
	if err != nil {
		return nil, "", err
	}
	rec := dmarc.Single(a.Records)
	if rec == nil || len(rec.RUF) == 0 || rec.PSD == dmarc.PSDYes {
		return nil, "the record asks for none any more", nil
	}
	all, err := dmarc.Destinations(ctx, s.Box.DNS, at, rec.RUF, "ruf")
	if err != nil {
		return nil, "", err
	}
	var notes []string
	for _, d := range all {
		to, err := s.Box.Address(d.URI)
		switch {
		case d.Problem != "":
			notes = append(notes, d.Problem)
		case err != nil || to.Mail == "":
			notes = append(notes, d.URI+" is no mail address")
		case len(ruf) < maxAddresses:
			ruf = append(ruf, d.URI)
		}
	}
	return ruf, strings.Join(notes, "; "), nil
}

// draft composes a report.
func (s *Service) draft(ctx context.Context, x *row) (d outbox.Draft, err error) {
	var r arf.Report
	if err := json.Unmarshal([]byte(x.report), &r); err != nil {
		return d, fmt.Errorf("read the failure noted for %s: %w", x.domain, err)
	}
	r.Incidents, r.Original = x.incidents, x.original
	r.SPFRecord = s.spfRecord(ctx, x.spf)
	return outbox.Draft{State: outbox.Reported, ID: x.id, Failed: x.incidents, Text: []byte(r.Text()), Body: r.File(),
		Subject: fmt.Sprintf("DMARC failure report about %s from %s", r.Domain, r.Source), Mail: r.Entity(readable(&r))}, nil
}

// spfRecord is the SPF record of a domain as RFC 6591 §3.2.6 writes it; "" where it is not known.
func (s *Service) spfRecord(ctx context.Context, domain string) string {
	n, err := dns.ParseLax(domain)
	if domain == "" || err != nil {
		return ""
	}
	a, err := s.Box.DNS.LookupTXT(ctx, n)
	if err != nil {
		return ""
	}
	for _, text := range a.Records {
		if strings.EqualFold(text, "v=spf1") || len(text) > 6 && strings.EqualFold(text[:7], "v=spf1 ") {
			return fmt.Sprintf("txt : %s : %q", n.ASCII(), ascii(text[:min(len(text), 450)]))
		}
	}
	return ""
}

// readable is the part for people.
func readable(r *arf.Report) string {
	count := "a message"
	if r.Incidents > 1 {
		count = fmt.Sprintf("%d messages alike", r.Incidents)
	}
	return fmt.Sprintf("This is a failure report (RFC 9991) from %s about %s\nthat %s to be from %s and came from %s.\n\n"+
		"Only some fields of the header are shown, and local parts of addresses are replaced:\nthe same one gives the same word for some time.\n", r.MTA, count, claims(r), r.Domain, r.Source)
}

func claims(r *arf.Report) string {
	if r.Incidents > 1 {
		return "claim"
	}
	return "claims"
}

// Tidy forgets how many reports there were on days that are over.
func (s *Service) Tidy(ctx context.Context) error {
	return s.Store.Prune(ctx, "counts of DMARC failure reports", store.Old{Query: `DELETE FROM dmarc_failure_room WHERE day < ?`, Before: s.Now().Unix()/86400 - 7})
}
