package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/alert"
	"waxwing/internal/config"
	"waxwing/internal/dmarcfailure"
	"waxwing/internal/dmarcreport"
	dmarcintake "waxwing/internal/dmarcreport/intake"
	"waxwing/internal/dmarcresult"
	"waxwing/internal/guard"
	"waxwing/internal/home"
	"waxwing/internal/outbox"
	"waxwing/internal/queue"
	"waxwing/internal/reportbox"
	"waxwing/internal/reportdoor"
	"waxwing/internal/store"
	"waxwing/internal/tlsreport"
	"waxwing/internal/tlsreport/intake"
)

// Rooms of reports and alerts.

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// box makes what sends reports of one family.
func (b *builder) box(db *store.Store, resolver *dns.Client, q *queue.Queue) *outbox.Box {
	return &outbox.Box{Store: db, DNS: resolver, Enqueuer: q, AllowPrivate: b.cfg.Delivery.AllowPrivate, Roots: b.roots, Dial: b.Dialer.DialContext,
		Hostname: b.cfg.Hostname, Keep: days(b.cfg.TLSRPT.RetentionDays), Now: b.Now, Log: b.area(config.LogTLSRPT), Guard: b.guard}
}

// tlsReports makes the room of the TLS reports that we send.
func (b *builder) tlsReports(db *store.Store, home *home.Home, resolver *dns.Client, q *queue.Queue) *tlsreport.Service {
	r, box := b.cfg.TLSRPT, b.box(db, resolver, q)
	box.Off, box.Cap = !r.Send, r.MaxPerOrg
	s := tlsreport.New(box, tlsreport.Service{Success: tlsreport.Success(r.ReportSuccess), Send: reportsTo(b.cfg)})
	b.sends(box, home, r.From, s.Prune)
	return s
}

// dmarcReports makes the room of the DMARC reports that we send.
func (b *builder) dmarcReports(db *store.Store, home *home.Home, resolver *dns.Client, q *queue.Queue) *dmarcreport.Service {
	r, box := b.cfg.DMARC, b.box(db, resolver, q)
	box.Off, box.Cap, box.Keep, box.Log = !r.Send, r.MaxPerOrg, days(r.RetentionDays), b.area(config.LogDMARC)
	s := dmarcreport.New(box)
	b.sends(box, home, r.From, s.Prune)
	return s
}

// dmarcFailures makes the room of the DMARC failure reports that we send, where the operator
// wants them sent (DMR-4). They go out by the box of DMARC reports.
func (b *builder) dmarcFailures(db *store.Store, out *dmarcreport.Service) (*dmarcfailure.Service, error) {
	r, key := b.cfg.DMARC, make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("make the key by which names are made unreadable: %w", err)
	}
	s := &dmarcfailure.Service{Box: out.Box, Recorder: &dmarcfailure.Recorder{Store: db, Hostname: b.cfg.Hostname.ASCII(), Redactor: dmarcfailure.Redactor{Key: key},
		Send: b.reportsDMARC, Most: r.MaxFailures, Now: b.Now}}
	if r.FailureReports {
		b.run("DMARC failure reports", guard.Reports, s.Run)
		b.everyHour("counts of DMARC failure reports were not removed", s.Tidy)
	}
	return s, nil
}

// reportsDMARC is whether DMARC reports of any sort go to a policy domain.
func (b *builder) reportsDMARC(domain string) bool {
	return !slices.ContainsFunc(b.cfg.DMARC.Exclude, func(n dns.Name) bool { return n.ASCII() == domain })
}

// sends completes a box that sends mail, and runs it.
func (b *builder) sends(box *outbox.Box, home *home.Home, from string, prune func(context.Context) error) {
	box.Signer, box.Hosted = home.Keys, home.Accounts.IsHosted
	box.Count = func(result string) { b.metrics.Report(box.Noun, "out", result) }
	box.FromLocal, _, _ = strings.Cut(from, "@")
	b.run(box.Name+"s", guard.Reports, box.Run)
	b.run(box.Name+"s by HTTPS", guard.Reports, box.RunPosts)
	b.everyHour("old "+box.Name+"s were not removed", prune)
}

// dmarcResults is what counts messages for DMARC reports.
func (b *builder) dmarcResults(db *store.Store) *dmarcresult.Recorder {
	return &dmarcresult.Recorder{Store: db, Now: b.Now, Send: b.reportsDMARC}
}

// reportsTo is tlsrpt.send for one recipient domain (RPT-3).
func reportsTo(cfg *config.Config) func(domain string) bool {
	return func(domain string) bool {
		return !slices.ContainsFunc(cfg.TLSRPT.Exclude, func(n dns.Name) bool { return n.ASCII() == domain })
	}
}

// alerts makes the room of what the operator is told once.
func (b *builder) alerts(db *store.Store, home *home.Home, resolver *dns.Client, q *queue.Queue) *alert.Service {
	box, postmaster := b.box(db, resolver, q), home.Postmaster
	box.To = b.cfg.TLSRPT.AlertWebhook
	if !b.cfg.TLSRPT.Alerts {
		postmaster = nil
	}
	s := alert.New(box, postmaster)
	b.run("alerts", guard.Reports, s.Run)
	b.run("alerts to the webhook", guard.Reports, s.RunPosts)
	b.everyHour("old alerts were not removed", s.Prune)
	return s
}

// takes makes what keeps the reports of others, of one sort.
func (b *builder) takes(sort reportbox.Sort, out *outbox.Box) *reportbox.Box {
	box := &reportbox.Box{Sort: sort, Store: out.Store, Outbox: out, Keep: out.Keep, Now: b.Now, Log: out.Log,
		Count: func(result string) { b.metrics.Report(sort.Noun, "in", result) }}
	b.everyHour("old "+sort.Name+"s of others were not removed", box.Prune)
	return box
}

// tlsIntake makes the room of the TLS reports that come in.
func (b *builder) tlsIntake(home *home.Home, resolver *dns.Client, out *tlsreport.Service, alerts *alert.Service) *intake.Service {
	r, box := b.cfg.TLSRPT, b.takes(intake.Sort(), out.Box)
	box.PerReporter, box.PerDay, box.OctetsPerDay, box.Addresses = r.MaxPerReporter, r.MaxReceived, int64(r.MaxOctets), b.reportAddresses(out.Store, box.Noun, r.Address)
	return &intake.Service{Box: box, DNS: resolver, Hosted: home.Accounts.IsHosted, Hostname: b.cfg.Hostname, HostNames: hostNames(b.cfg), Alerts: alerts}
}

// dmarcIntake makes the room of the DMARC reports that come in.
func (b *builder) dmarcIntake(home *home.Home, resolver *dns.Client, out *dmarcreport.Service) *dmarcintake.Service {
	r, box, failures := b.cfg.DMARC, b.takes(dmarcintake.Sort(), out.Box), b.takes(dmarcintake.FailureSort(), out.Box)
	for _, x := range []*reportbox.Box{box, failures} {
		x.PerReporter, x.PerDay, x.OctetsPerDay = r.MaxPerReporter, r.MaxReceived, int64(r.MaxOctets)
	}
	box.Addresses = b.reportAddresses(out.Store, box.Noun, r.Address)
	failures.Addresses = box.Addresses
	return &dmarcintake.Service{Box: box, Failures: failures, DNS: resolver, Hosted: home.Accounts.IsHosted, Hostname: b.cfg.Hostname, Forwarders: b.cfg.Incoming.Forwarders}
}

// reportAddresses makes what knows where reports of a sort come to (RPT-21).
func (b *builder) reportAddresses(db *store.Store, noun, local string) *reportbox.Addresses {
	a := &reportbox.Addresses{Noun: noun, Local: local, Own: b.cfg.OwnReportAddresses(config.ReportSort(noun)), Store: db, Now: b.Now}
	b.everyHour("the address for reports was not noted: a former one may be forgotten", a.Note)
	return a
}

// reports plugs the reports into the mail that comes in.
func (r *Rooms) reports() *reportdoor.Door {
	return &reportdoor.Door{TLS: r.TLSIntake, DMARC: r.DMARCIntake, To: r.home.Reports, IsOurs: r.home.IsOurs}
}

// hostNames are the names that results of DANE may be about beside those below
// hosted domains (RPT-17): the host's own, as it calls itself.
func hostNames(cfg *config.Config) []dns.Name {
	names := []dns.Name{cfg.Hostname}
	if ehlo := cfg.Delivery.EHLO; !ehlo.IsZero() && ehlo != cfg.Hostname {
		names = append(names, ehlo)
	}
	return names
}
