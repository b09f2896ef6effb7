package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"waxwing/clientconfig"
	"waxwing/dns"
	"waxwing/internal/accounts"
	"waxwing/internal/certs"
	"waxwing/internal/clientsetup"
	"waxwing/internal/config"
	"waxwing/internal/guard"
	"waxwing/internal/web/autoconfig"
	"waxwing/internal/web/gate"
	"waxwing/internal/web/policies"
	"waxwing/internal/web/reports"
)

// https serves strangers over HTTPS: TLS reports that are posted (RPT-15), and
// the MTA-STS policies of hosted domains (STS-11); mail programs: their settings
// (CLI-1); other programs: the API (OPS-8); and people: their pages, and mail by JMAP (WEB-2, JMP-1).
// What else is public has its place in the same mux.
func (f *front) https(l net.Listener, c config.Listen) (serve, error) {
	conf, err := f.tls(c)
	switch {
	case err != nil:
		return nil, err
	case conf == nil:
		return nil, fmt.Errorf("listen on %s: https needs a certificate: set acme.directory, or tls.cert_file and tls.key_file", c.Where())
	}
	conf.NextProtos = []string{"h2", "http/1.1", certs.ALPN}
	srv := gate.Bounded(f.area(config.LogHTTPS), &http.Server{Handler: f.overTLS(f.strangers()), TLSConfig: conf})
	gated := f.gated(l, c, guard.HTTPS)
	gated.Crowd = func(is bool) { srv.SetKeepAlivesEnabled(!is) } // which ends the idle ones
	srv.ConnState = gate.Shaken
	return func(ctx context.Context) error { return gate.ServeTLS(ctx, f.guard, srv, gated) }, nil
}

// overTLS is what stands before all that is served over HTTPS.
func (f *front) overTLS(mux *gate.Mux) http.Handler {
	return gate.Secured(true, gate.Guarded(f.guard, guard.HTTPS, gate.Others(mux, gate.Counted(f.rooms.Metrics.Requested, "other", mux))))
}

// strangers is what there is.
func (f *front) strangers() *gate.Mux {
	mux := &gate.Mux{}
	count := f.rooms.Metrics.Requested
	mux.Handle("POST "+reports.Path, gate.Counted(count, "tlsrpt", &reports.Handler{Sink: f.rooms.TLSIntake, Now: f.Now, Log: f.area(config.LogTLSRPT),
		Count: f.rooms.Metrics.Posted}))
	mux.Handle("POST "+reports.DMARCPath, gate.Counted(count, "dmarc", &reports.Handler{Sink: f.rooms.DMARCIntake, DMARC: true, Now: f.Now, Log: f.area(config.LogDMARC)}))
	mux.Handle("GET "+policies.Path, gate.Counted(count, "mta-sts", &policies.Handler{Source: f.rooms.STSPublish, Log: f.area(config.LogMTASTS)}))
	f.autoconfig(mux)
	f.api(mux)
	f.people(mux, false)
	return mux
}

// autoconfig serves what mail programs are set up with.
func (f *front) autoconfig(mux *gate.Mux) {
	h := &autoconfig.Handler{Now: f.Now, Log: f.area(config.LogHTTPS), Settings: f.settings,
		Sign: func(profile []byte) ([]byte, error) { return SignProfile(f.rooms, profile, f.Now()) }}
	for _, r := range h.Routes() {
		mux.Handle(r.Pattern, gate.Counted(f.rooms.Metrics.Requested, "autoconfig", r.Handler))
	}
}

func (f *front) settings(ctx context.Context, domain dns.Name) (clientconfig.Settings, bool, error) {
	return ClientSettings(ctx, f.live.Load(), f.rooms.Accounts, domain)
}

// ClientSettings are what mail programs of a hosted domain are told (CLI-1); false for any other.
func ClientSettings(ctx context.Context, cfg *config.Config, users *accounts.Store, domain dns.Name) (clientconfig.Settings, bool, error) {
	hosted, elsewhere, err := users.Keeps(ctx, domain)
	return clientsetup.Of(cfg, clientsetup.Domain{Name: domain, Elsewhere: elsewhere}), hosted, err
}

// SignProfile signs a profile where the host has a certificate with which that means something.
func SignProfile(r *Rooms, profile []byte, at time.Time) ([]byte, error) {
	signed, err := r.Certificates.Book.Sign(profile, at)
	if errors.Is(err, certs.ErrNoAuthority) {
		return profile, nil
	}
	return signed, err
}
