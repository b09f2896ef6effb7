package upkeep

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"waxwing/internal/accounts"
	"waxwing/internal/acme"
	"waxwing/internal/config"
	"waxwing/internal/control"
	"waxwing/internal/datadir"
	"waxwing/internal/disk"
	"waxwing/internal/dnscheck"
	"waxwing/internal/dnsfinding"
	"waxwing/internal/dnspublish"
	"waxwing/internal/health"
	"waxwing/internal/server"
	"waxwing/internal/spool"
	"waxwing/internal/store"
	"waxwing/internal/text"
	"waxwing/milter"
)

// maxClosed is how many closed destinations are counted.
const maxClosed = 1000

// Health looks at a server from outside, without changing anything: also at one that
// does not run, or whose store is away (OPS-5).
func Health(ctx context.Context, o server.Options) health.Facts {
	if o.Now == nil {
		o.Now = time.Now
	}
	f := health.Facts{Now: o.Now(), DiskReserve: o.Config.DiskReserve(), StoreSize: datadir.StoreSize(o.Config)}
	running, err := control.Dial(ctx, o.Config.DataDir)
	if err != nil {
		f.NotRunning = err.Error()
	}
	if free, ok := (&disk.Reserve{Dir: o.Config.DataDir}).Left(); ok {
		f.DiskKnown, f.DiskFree = true, free
	}
	if info, err := os.Stat(datadir.LastBackup(o.Config)); err == nil {
		f.LastBackup = info.ModTime()
	}
	f.Milters = miltersOf(ctx, o.Config)
	if running != nil && len(f.Milters) > 0 {
		last, err := running.MilterAnswers(ctx) // a server of an older version does not know: nothing is shown then
		for i := range f.Milters {
			if a, ok := last[f.Milters[i].Name]; ok && err == nil {
				f.Milters[i].Last = &a
			}
		}
	}
	if err := fromStore(ctx, o, &f); err != nil {
		f.NoStore = err.Error()
	}
	if c, ok := fileCertificate(o.Config); ok {
		f.Certificates = append(f.Certificates, c)
	}
	return f
}

// milterTime is for how long each milter is waited for.
const milterTime = 3 * time.Second

// miltersOf asks each milter whether it can be asked: it is greeted, and no more.
func miltersOf(ctx context.Context, cfg *config.Config) (out []health.Milter) {
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
func fromStore(ctx context.Context, o server.Options, f *health.Facts) error {
	db, err := datadir.PeekStore(ctx, o.Config)
	if err != nil {
		return err
	}
	defer db.Close()
	depths, err := spool.Depths(ctx, db)
	if err != nil {
		return err
	}
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
	if err := findingsOf(ctx, o, db, f); err != nil {
		return err
	}
	if err := publishingOf(ctx, o, db, f); err != nil {
		return err
	}
	return certificatesOf(ctx, o, db, f)
}

// publishingOf says how the publishing of records goes, where it is left to the server.
func publishingOf(ctx context.Context, o server.Options, db *store.Store, f *health.Facts) error {
	if !o.Config.DNS.Update.Publish {
		return nil
	}
	st, err := dnspublish.StandingOf(ctx, db, o.Config.Hostname)
	f.DNSConflicts, f.DNSFailing, f.DNSFailure = st.Conflicts, st.Failing, st.Failure
	return err
}

// findingsOf counts what the last checks of the hosted domains' DNS found.
func findingsOf(ctx context.Context, o server.Options, db *store.Store, f *health.Facts) error {
	domains, err := (&accounts.Store{DB: db, Now: o.Now}).Domains(ctx)
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

// certificatesOf adds those that the authority has issued.
func certificatesOf(ctx context.Context, o server.Options, db *store.Store, f *health.Facts) error {
	if o.Config.ACME.Directory == "" {
		return nil
	}
	room, err := server.CertificateRoom(o, db)
	if err != nil {
		return err
	}
	rows, err := room.Rows(ctx)
	if errors.Is(err, acme.ErrNoKeys) {
		return nil
	}
	for _, r := range rows {
		if r.State == "issued" {
			f.Certificates = append(f.Certificates, health.Certificate{Of: r.Name + " (" + r.Key + ")", Ends: r.Until, Span: 6 * r.Until.Sub(r.RenewAt)})
		}
	}
	return err
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
