package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mholt/acmez/v3"

	"waxwing/dns"
	"waxwing/internal/acme"
	"waxwing/internal/alert"
	"waxwing/internal/certs"
	"waxwing/internal/config"
	"waxwing/internal/dnscheck"
	"waxwing/internal/dnsupdate"
	"waxwing/internal/guard"
	"waxwing/internal/hostkeys"
	"waxwing/internal/keystage"
	"waxwing/internal/process"
	"waxwing/internal/sound"
	"waxwing/internal/store"
	"waxwing/internal/stspublish"
	"waxwing/internal/web/gate"
	"waxwing/internal/zones"
)

// certificates makes the room of the host's certificates and keys. It runs where the
// configuration uses them.
func (b *builder) certificates(db *store.Store, resolver *dns.Client, alerts *alert.Service, policies *stspublish.Service) (*acme.Service, error) {
	kept := &certs.Store{DB: db, Now: b.Now}
	stored := acme.Stored{Certs: kept}
	asker := &zones.Asker{DNS: resolver, Guard: b.guard}
	s := &acme.Service{
		Host: b.cfg.Hostname, Certs: kept, Book: &certs.Book{Proof: stored.Proof}, Zones: asker, Rules: keystage.HostKeys(),
		Keys:   &hostkeys.Stages{DB: db, Host: b.cfg.Hostname.ASCII(), Dir: b.cfg.HostKeysDir(), Machine: machineName(b.cfg), Boot: boot(b.Now()), Now: b.Now},
		Alerts: alerts, Metrics: b.metrics, RollAfter: b.cfg.ACME.RollAfter, HostFiles: b.cfg.TLS.CertFile != "",
		AddKeys: b.cfg.Postgres == "", // several machines must have the same keys, and only a person can bring them
		Now:     b.Now, Log: b.area(config.LogCerts),
	}
	leading := &dnscheck.Leading{DNS: resolver, Host: b.cfg.Hostname, Now: b.Now}
	s.Names = func(ctx context.Context) ([]dns.Name, error) {
		names, err := certificateNames(ctx, b.cfg, policies)
		if err != nil || b.cfg.ACME.Directory == "" {
			return names, err
		}
		wanted, err := dnsPlanner(b.Options, db).SetupNames(ctx)
		return append(names[:len(names):len(names)], leading.Of(ctx, wanted)...), err
	}
	var err error
	if s.CA, err = b.authority(kept, asker); err != nil {
		return nil, err
	}
	if b.cfg.UsesHostKeys() {
		b.run("certificates", guard.Watcher, s.Run)
		b.run("certificates shown", guard.Watcher, s.RunShow)
	}
	return s, nil
}

func boot(now time.Time) hostkeys.Boot {
	id, at := process.Boot(now)
	return hostkeys.Boot{ID: id, At: at}
}

// machineName tells machines of one host apart that share a store.
func machineName(cfg *config.Config) string {
	name, err := os.Hostname()
	if err != nil {
		name = "?"
	}
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		dir = cfg.DataDir
	}
	return name + ":" + dir
}

// certificateNames are the names beside the host's that get a certificate (CRT-2): those
// of the configuration, and where MTA-STS policies are served. Those at which mail programs ask
// for settings are added where they lead here.
func certificateNames(ctx context.Context, cfg *config.Config, policies *stspublish.Service) ([]dns.Name, error) {
	if cfg.ACME.Directory == "" {
		return nil, nil
	}
	names := cfg.ACME.Names
	all, err := policies.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if n, err := p.Domain.Prefix("mta-sts"); err == nil {
			names = append(names[:len(names):len(names)], n)
		}
	}
	return names, nil
}

// authority is that of [acme]; nil without one.
func (b *builder) authority(kept *certs.Store, asker *zones.Asker) (*acme.CA, error) {
	a := b.cfg.ACME
	if a.Directory == "" {
		return nil, nil
	}
	var roots *x509.CertPool
	if a.RootsFile != "" {
		var err error
		if roots, err = certs.Roots(a.RootsFile, false); err != nil {
			return nil, fmt.Errorf("acme.roots_file: %w", err)
		}
	}
	ca := &acme.CA{Directory: a.Directory, Roots: roots, Email: a.Email, AgreeTerms: a.AgreeTerms, Profile: a.Profile,
		EABKeyID: a.EABKeyID, EABKey: a.EABKey, UserAgent: "waxwing/" + b.Version, Store: kept, Now: b.Now}
	solvers := map[string]acmez.Solver{
		acme.TLSALPN:    acme.Stored{Certs: kept},
		acme.HTTP:       acme.Stored{Certs: kept},
		acme.DNS:        &acme.Zoned{Updater: updater(b.cfg.DNS.Update, b.Options), Zones: asker},
		acme.DNSPersist: &acme.Standing{Zones: asker, Account: ca.AccountURL},
	}
	ca.Solvers = map[string]acmez.Solver{}
	for _, kind := range b.cfg.Challenges() {
		ca.Solvers[kind] = solvers[kind]
	}
	return ca, nil
}

// updater writes records as [dns.update] says, into no zone but its own.
func updater(u config.DNSUpdate, o Options) dnsupdate.Updater {
	var by dnsupdate.Updater = &dnsupdate.Dynamic{Server: u.Server, KeyName: u.KeyName, Algorithm: u.Algorithm, Secret: u.Secret, Now: o.Now}
	if len(u.Command) > 0 {
		by = &dnsupdate.Command{Path: u.Command[0], Args: u.Command[1:]}
	}
	return &dnsupdate.Only{Zones: u.Zones, Updater: by}
}

// book is what listeners show; nil without a certificate.
func (b *builder) book(ctx context.Context, r *Rooms) (*certs.Book, error) {
	if !b.cfg.HasTLS() {
		return nil, nil
	}
	if cert, key, _ := b.cfg.TLSFiles(); cert != "" {
		f, err := b.files(cert, key, "host")
		if err != nil && b.cfg.TLS.LocalCA {
			err = fmt.Errorf("%w; tls.local_ca needs what \"waxwing quickstart --local\" makes in %s", err, filepath.Dir(cert))
		}
		if err != nil {
			return nil, err
		}
		r.Certificates.Book.Host = f.Get
	}
	if b.cfg.UsesHostKeys() {
		if err := r.Certificates.Show(ctx); err != nil {
			return nil, err
		}
	}
	return r.Certificates.Book, nil
}

// files are a certificate and its key, which are read again when they change; of is what
// the metric calls it.
func (b *builder) files(cert, key, of string) (*certs.Files, error) {
	f := &certs.Files{Cert: cert, Key: key, Now: b.Now, Log: b.area(config.LogCerts), Loaded: func(c *x509.Certificate) {
		b.metrics.Certificate(of, strings.ToLower(c.PublicKeyAlgorithm.String()), c.NotAfter)
	}}
	if err := f.Load(); err != nil {
		return nil, err
	}
	b.onReload(func() error {
		if err := f.Load(); err != nil {
			return fmt.Errorf("the certificate stays as it was: %w", err)
		}
		return nil
	})
	return f, nil
}

// tls is the TLS of a listener, or nil without a certificate (CRT-2, CRT-4).
func (f *front) tls(c config.Listen) (*tls.Config, error) {
	book := f.book
	if c.Socket != "" {
		return nil, nil
	}
	if c.CertFile != "" {
		own, err := f.files(c.CertFile, c.KeyFile, fmt.Sprintf("listener:%d", c.Address.Port()))
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", c.Where(), err)
		}
		book = &certs.Book{Host: own.Get, Proof: f.rooms.Certificates.Book.Proof}
	}
	if book == nil {
		return nil, nil
	}
	conf := sound.Server(c.Kind == config.MX)
	conf.GetCertificate, conf.Time = book.Get, f.Now
	// A client's certificate is looked at in each session.
	conf.SessionTicketsDisabled = c.TakesCertificates() || c.Kind == config.MX && !c.SessionTickets
	return conf, nil
}

// http serves challenges of http-01, and leads all else to HTTPS.
func (f *front) http(l net.Listener, c config.Listen) (serve, error) {
	mux := http.NewServeMux()
	mux.Handle("GET "+acme.WellKnown, acme.Stored{Certs: f.rooms.Certificates.Certs})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		name, err := dns.ParseName(host)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		http.Redirect(w, r, "https://"+name.ASCII()+r.URL.EscapedPath(), http.StatusPermanentRedirect)
	})
	srv := gate.Bounded(f.area(config.LogHTTP), &http.Server{Handler: gate.Guarded(f.guard, guard.HTTP, mux)})
	gated := f.gated(l, c, guard.HTTP)
	return func(ctx context.Context) error { return gate.ServePlain(ctx, srv, gated) }, nil
}

// CertificateRoom makes the room of certificates and keys, for commands.
func CertificateRoom(o Options, db *store.Store) (*acme.Service, error) {
	return oneRoom(o, db, func(r *Rooms) *acme.Service { return r.Certificates })
}

// ProfileSigner makes what signs profiles of mail programs, for commands.
func ProfileSigner(ctx context.Context, o Options, db *store.Store) (func([]byte) ([]byte, error), error) {
	b, err := newBuilder(o)
	if err != nil {
		return nil, err
	}
	b.owner = "command"
	r, err := b.rooms(db)
	if err != nil {
		return nil, err
	}
	if _, err := b.book(ctx, r); err != nil {
		return nil, err
	}
	return func(profile []byte) ([]byte, error) { return SignProfile(r, profile, b.Now()) }, nil
}
