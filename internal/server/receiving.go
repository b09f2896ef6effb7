package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"time"

	"waxwing/dkim"
	"waxwing/internal/config"
	"waxwing/internal/disk"
	"waxwing/internal/dmarcresult"
	"waxwing/internal/receive"
	"waxwing/internal/verify"
	"waxwing/message"
	"waxwing/peers"
	"waxwing/smtpserver"
)

// Faces that take mail in by SMTP.

// incomingMemory is for messages that are coming in, beyond 64 KiB of each. Where it is
// used up, they go to the spool sooner.
const incomingMemory = 32 << 20

// maxHold is how long a message may ask to be held before its release (QUE-10).
const maxHold = 60 * 24 * time.Hour

// door makes the one way in for all mail. Long messages wait in the directory spool.
func (b *builder) door(r *Rooms, reserve *disk.Reserve, spool string) receive.Door {
	return receive.Door{Hostname: b.cfg.Hostname.ASCII(), Accounts: r.Accounts, Queue: r.Queue, Postmaster: r.home.Postmaster,
		Room: reserve.Room, Full: r.Mailboxes.Fullness, TempDir: spool, Memory: &receive.Memory{Limit: incomingMemory}, Now: b.Now, Log: b.area(config.LogReceive), Guard: b.guard}
}

// mx serves other mail servers.
func (f *front) mx(l net.Listener, c config.Listen) (serve, error) {
	srv, err := f.smtp(c)
	if err != nil {
		return nil, err
	}
	sink := f.rooms.reports()
	mx := &receive.MX{Door: f.door, DNS: f.rooms.DNS, Reports: sink, IsReport: sink.IsReport, Reader: sink.Reader, Backup: f.cfg.Incoming.BackupFor, Auth: f.authentication(), Rejects: f.rooms.Rejects}
	mx.Milters = f.milters(config.OfServers)
	if f.cfg.Junk.Filter {
		mx.Junk = f.rooms.Junk
	}
	srv.Backend = mx
	return func(ctx context.Context) error { return srv.Serve(ctx, l) }, nil
}

// lmtp serves programs that hand over mail for mailboxes here (INB-14). They have checked it:
// it is not looked at who sent it.
func (f *front) lmtp(l net.Listener, c config.Listen) (serve, error) {
	srv, err := f.smtp(c)
	if err != nil {
		return nil, err
	}
	door := f.door
	door.LMTP, srv.LMTP = true, true
	sink := f.rooms.reports()
	srv.Backend = &receive.MX{Door: door, Reports: sink, IsReport: sink.IsReport, Reader: sink.Reader}
	return func(ctx context.Context) error { return srv.Serve(ctx, l) }, nil
}

// authentication finds out who sent mail from outside; nil where the configuration does
// not want it.
func (f *front) authentication() *receive.Authentication {
	in := f.cfg.Incoming
	if !in.Verify {
		return nil
	}
	var results *dmarcresult.Recorder
	if f.cfg.DMARC.Send {
		results = f.rooms.DMARCResults
	}
	var failed func(*verify.Facts, message.Header, bool)
	if f.cfg.DMARC.FailureReports {
		failed = f.rooms.DMARCFailures.Note
	}
	return &receive.Authentication{ReceivedSPF: in.ReceivedSPF, Results: results, Failed: failed, Forwarders: in.Forwarders, Recipients: f.cfg.Limits.RecipientsUnverified, Beyond: func() { f.rooms.Metrics.Limited(string(config.MX), "recipients-unverified") }, PutOff: f.rooms.PutOff.Note, Decided: f.rooms.Metrics.Incoming,
		Verifier: &verify.Verifier{DNS: f.rooms.DNS, Hostname: f.cfg.Hostname.ASCII(), Now: f.Now, Guard: f.guard, Keys: new(dkim.KeyCache)}}
}

// submission serves the programs of those who have an account here.
func (f *front) submission(l net.Listener, c config.Listen) (serve, error) {
	srv, err := f.smtp(c)
	if err != nil {
		return nil, err
	}
	if srv.Auth, srv.TLS, err = f.logsIn(c, srv.TLS); err != nil {
		return nil, err
	}
	srv.ImplicitTLS, srv.Offer.FutureRelease = c.Kind == config.Submissions, maxHold
	srv.Backend = f.submitted()
	return func(ctx context.Context) error { return srv.Serve(ctx, l) }, nil
}

// submitted takes the mail of those who have an account here.
func (f *front) submitted() *receive.Submission {
	door := f.door
	door.Milters = f.milters(config.OfAccounts)
	return &receive.Submission{Door: door, Signer: f.rooms.Signing, Allowance: f.rooms.Allowance}
}

// smtp is what all SMTP listeners have in common.
func (f *front) smtp(c config.Listen) (*smtpserver.Server, error) {
	conf, err := f.tls(c)
	if err != nil {
		return nil, err
	}
	lim, kind, limits := f.cfg.Limits, string(c.Kind), f.shares(c)
	limits.MessageSize, limits.Recipients = int64(cmp.Or(c.MaxMessageSize, lim.MaxMessageSize)), lim.MaxRecipients
	return &smtpserver.Server{
		Hostname: f.cfg.Hostname.ASCII(), TLS: conf,
		Limits: limits, Peers: f.peers,
		Timeouts: smtpserver.Timeouts{Command: lim.CommandTimeout, Crowded: lim.CrowdedTimeout},
		Offer:    smtpserver.Offer{RequireTLS: !bool(c.NoRequireTLS)}, // INB-11
		Trace:    f.trace(kind),
		Now:      f.Now, Log: f.area(config.LogSMTP).With("listener", kind), Guard: f.guard,
	}, nil
}

// trace counts what happens at an SMTP listener.
func (f *front) trace(kind string) smtpserver.Trace {
	m := f.rooms.Metrics
	return smtpserver.Trace{
		Connected: func(remote netip.Addr, refused string) {
			m.Connected(kind, refused)
			f.traces.Refused(kind, remote, refused)
		},
		Disconnected: func(_ netip.Addr, why string) { m.Disconnected(kind, why) },
		Erred:        func(_ netip.Addr, a peers.Answer) { m.Erred(kind, a) },
		Limited:      func(limit string) { m.Limited(kind, limit) },
		Accepted:     func() { m.Accepted(kind) },
		Refused:      func(code int) { m.Refused(kind, code) },
		TLS: func(remote netip.Addr, _ *tls.ConnectionState, err error) {
			m.Handshaken(kind, f.rooms.Handshakes.Result(remote, err, kind == string(config.MX)))
		},
		Transcript: f.traces.Incoming(kind),
	}
}
