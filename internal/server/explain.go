package server

import (
	"context"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/destination"
	"waxwing/internal/explain"
	"waxwing/internal/posture"
	"waxwing/internal/queue"
	"waxwing/internal/session"
	"waxwing/internal/store"
	"waxwing/mtasts"
)

// Explainer makes the room that answers what would happen to a mail, for
// commands; it needs no running server.
func Explainer(o Options, db *store.Store) (*explain.Explainer, error) {
	s, err := forPlanning(o, db)
	if err != nil {
		return nil, err
	}
	return s.explainer(), nil
}

func (s *Server) explainer() *explain.Explainer {
	x := &explain.Explainer{Planner: s.Direct, DNS: s.DNS, Fetcher: s.STS.Fetcher, Routes: s.Routes,
		Seen: (&posture.Recorder{Store: s.Store}).Domain, LastFailure: s.lastFailure, Now: s.o.Now}
	x.Prober, _ = s.Direct.Session.(explain.Prober)
	return x
}

// lastFailure is what the queue knows of the last delivery to a domain that failed.
func (s *Server) lastFailure(ctx context.Context, domain delivery.RecipientDomain) (*explain.Failed, error) {
	it, ok, err := (&queue.Queue{Store: s.Store}).LastFailure(ctx, domain)
	if err != nil || !ok {
		return nil, err
	}
	return &explain.Failed{Reason: explain.Reason{Word: delivery.Reason(it.Word), Text: it.Text}, At: it.Recipient.LastAttempt, Host: it.Host,
		Reply: it.Reply, Message: delivery.ID(it.Envelope.ID), State: it.State.String()}, nil
}

// Look is what commands need that look at hosts of others without a store.
type Look struct {
	Finder  *destination.Finder
	Probe   *session.Client
	Fetcher *mtasts.Fetcher
	DNS     dns.Resolver
}

// Looking makes the rooms that look at hosts and MTA-STS policies. A port other
// than 0 is that of the connections and of the TLSA names; otherwise TLSA names are
// those of port 25. Hosts that are this server itself are looked at like any other.
func Looking(o Options, port uint16) (*Look, error) {
	s, err := forPlanning(o, nil)
	if err != nil {
		return nil, err
	}
	roots, err := s.roots()
	if err != nil {
		return nil, err
	}
	d := o.Config.Delivery
	l := &Look{DNS: s.DNS, Probe: s.session(roots), Finder: &destination.Finder{DNS: s.DNS, AllowPrivate: d.AllowPrivate, MaxHosts: d.MaxHosts, Port: int(port)},
		Fetcher: &mtasts.Fetcher{Resolver: s.DNS, Dial: s.o.Dialer.DialContext, Roots: roots, AllowPrivate: d.AllowPrivate, Now: s.o.Now}}
	if port != 0 {
		l.Probe.Port, l.Probe.ImplicitTLS = int(port), port == 465
	}
	return l, nil
}
