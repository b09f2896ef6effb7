// Package checkup finds out how a server does: what package health decides on (OPS-5).
package checkup

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/config"
	"waxwing/internal/datadir"
	"waxwing/internal/disk"
	"waxwing/internal/dnscheck"
	"waxwing/internal/dnsfinding"
	"waxwing/internal/health"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/internal/text"
	"waxwing/internal/trends"
	"waxwing/milter"
)

// maxClosed is how many closed destinations are counted.
const maxClosed = 1000

// Room looks at a server, without changing anything.
type Room struct {
	Config *config.Config
	Now    func() time.Time
	// Running is nil if the server answers; else it says why it does not.
	Running func(ctx context.Context) error
	// OnStore lends its store; the error is that it cannot be used.
	OnStore func(ctx context.Context, fn func(*store.Store) error) error
	// Publishing adds how the publishing of records goes. It is called where that is left to the server.
	Publishing func(ctx context.Context, db *store.Store, f *health.Facts) error
	// Answers say what came of the last message that the server asked each milter about, by name; nil: nobody knows.
	Answers func(ctx context.Context) map[string]health.MilterAnswer
	// DNSSEC is whose word on DNSSEC counts with the server; nil: nobody knows.
	DNSSEC func(ctx context.Context) health.DNSSEC
	// Certificates are those that an authority has issued.
	Certificates func(ctx context.Context, db *store.Store) ([]health.Certificate, error)

	counted counted
}

// Look finds out all there is, also of a server that does not run, or whose store is away.
func (r *Room) Look(ctx context.Context) health.Facts {
	f := health.Facts{Now: r.Now(), DiskReserve: r.Config.DiskReserve(), StoreSize: datadir.StoreSize(r.Config)}
	if err := r.Running(ctx); err != nil {
		f.NotRunning = err.Error()
	}
	if free, ok := (&disk.Reserve{Dir: r.Config.DataDir}).Left(); ok {
		f.DiskKnown, f.DiskFree = true, free
	}
	if info, err := os.Stat(datadir.LastBackup(r.Config)); err == nil {
		f.LastBackup = info.ModTime()
	}
	f.Milters = MiltersOf(ctx, r.Config)
	if r.Answers != nil && len(f.Milters) > 0 {
		last := r.Answers(ctx)
		for i := range f.Milters {
			if a, ok := last[f.Milters[i].Name]; ok {
				f.Milters[i].Last = &a
			}
		}
	}
	if r.DNSSEC != nil && r.Config.Resolver.DNSSEC != config.DNSSECOff {
		f.DNSSEC = r.DNSSEC(ctx)
	}
	if err := r.OnStore(ctx, func(db *store.Store) error { return r.fromStore(ctx, db, &f) }); err != nil {
		f.NoStore = err.Error()
	}
	if c, ok := fileCertificate(r.Config); ok {
		f.Certificates = append(f.Certificates, c)
	}
	return f
}

// milterTime is for how long each milter is waited for.
const milterTime = 3 * time.Second

// MiltersOf asks each milter whether it can be asked: it is greeted, and no more.
func MiltersOf(ctx context.Context, cfg *config.Config) (out []health.Milter) {
	for _, m := range cfg.Milters {
		h := health.Milter{Name: m.Name, Address: m.Address, Failure: cmp.Or(string(m.OnFailure), string(config.DeferOnFailure))}
		for _, of := range []config.MailOf{config.OfServers, config.OfAccounts} {
			if m.AskedAbout(of) {
				h.About = text.Words(h.About, map[config.MailOf]string{config.OfServers: "servers", config.OfAccounts: "accounts"}[of])
			}
		}
		e, err := m.Endpoint()
		if err == nil {
			var s *milter.Session
			s, err = milter.Dial(ctx, e.Network, e.Address, milter.Limits{Time: milterTime, Octets: 1 << 20, Packets: 100, Changes: 1})
			s.Close()
		}
		if err != nil {
			h.Trouble = err.Error()
		}
		out = append(out, h)
	}
	return out
}

// fromStore adds what the store knows.
func (r *Room) fromStore(ctx context.Context, db *store.Store, f *health.Facts) error {
	depths, at, err := r.counted.depths(ctx, db, r.Now)
	if err != nil {
		return err
	}
	f.Counted = at
	for _, d := range depths {
		switch d.State {
		case spool.Waiting:
			f.Waiting, f.Oldest = d.N, d.Oldest
		case spool.Leased:
			f.Leased = d.N
		case spool.Held:
			f.Held = d.N
		}
	}
	closed, err := spool.ListClosed(ctx, db, maxClosed)
	if err != nil {
		return err
	}
	f.Closed = len(closed)
	if err := r.findingsOf(ctx, db, f); err != nil {
		return err
	}
	if r.Config.DNS.Update.Publish {
		if err := r.Publishing(ctx, db, f); err != nil {
			return err
		}
	}
	issued, err := r.Certificates(ctx, db)
	f.Certificates = append(f.Certificates, issued...)
	return err
}

// findingsOf counts what the last checks of the hosted domains' DNS found.
func (r *Room) findingsOf(ctx context.Context, db *store.Store, f *health.Facts) error {
	domains, err := (&accounts.Store{DB: db, Now: r.Now}).Domains(ctx)
	if err != nil {
		return err
	}
	for _, d := range domains {
		all, err := dnscheck.Findings(ctx, db, d.Name.ASCII())
		if err != nil {
			return err
		}
		for _, k := range all {
			switch k.Level {
			case dnsfinding.Fault:
				f.DNSFaults++
			case dnsfinding.Unknown:
				f.DNSUnknown++
			}
		}
	}
	return nil
}

// fileCertificate is the one that the configuration names.
func fileCertificate(cfg *config.Config) (c health.Certificate, ok bool) {
	path, _, _ := cfg.TLSFiles()
	if path == "" {
		return c, false
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return c, false
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return c, false
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return c, false
	}
	return health.Certificate{Of: fmt.Sprintf("%s (%s)", cfg.Hostname.ASCII(), path), Ends: leaf.NotAfter, Span: leaf.NotAfter.Sub(leaf.NotBefore)}, true
}

// Measures are how much waits and how full the disk is, as package trends keeps it (ADM-3).
func Measures(ctx context.Context, cfg *config.Config, db *store.Store, now time.Time) (out []trends.Measure, err error) {
	depths, err := spool.Depths(ctx, db)
	if err != nil {
		return nil, err
	}
	names := map[spool.State]string{spool.Waiting: "waiting", spool.Leased: "under way", spool.Held: "held"}
	for _, d := range depths {
		out = append(out, trends.Measure{Kind: trends.Queue, Name: names[d.State], N: d.N})
		if d.State == spool.Waiting && !d.Oldest.IsZero() {
			out = append(out, trends.Measure{Kind: trends.Age, Name: "oldest", N: int64(max(0, now.Sub(d.Oldest)) / time.Second)})
		}
	}
	out = append(out, trends.Measure{Kind: trends.Disk, Name: "used by the store", N: datadir.StoreSize(cfg)})
	if free, ok := (&disk.Reserve{Dir: cfg.DataDir}).Left(); ok {
		out = append(out, trends.Measure{Kind: trends.Disk, Name: "free", N: free})
	}
	return out, nil
}
