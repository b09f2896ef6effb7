package server

import (
	"waxwing/dns"
	"waxwing/internal/config"
	"waxwing/internal/destination"
	"waxwing/internal/explain"
	"waxwing/internal/posture"
	"waxwing/internal/session"
	"waxwing/internal/store"
	"waxwing/mtasts"
)

// Explainer makes the room that answers what would happen to a mail, for
// commands; it needs no running server.
func Explainer(cfg *config.Config, db *store.Store) (*explain.Explainer, error) {
	s, err := forPlanning(cfg, db)
	if err != nil {
		return nil, err
	}
	return s.explainer(), nil
}

func (s *Server) explainer() *explain.Explainer {
	x := &explain.Explainer{Planner: s.Direct, DNS: s.DNS, Fetcher: s.STS.Fetcher, Routes: s.Routes,
		Seen: (&posture.Recorder{Store: s.Store}).Domain, Now: s.o.Now}
	x.Prober, _ = s.Direct.Session.(explain.Prober)
	return x
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
func Looking(cfg *config.Config, port uint16) (*Look, error) {
	s, err := forPlanning(cfg, nil)
	if err != nil {
		return nil, err
	}
	roots, err := s.roots()
	if err != nil {
		return nil, err
	}
	d := cfg.Delivery
	l := &Look{DNS: s.DNS, Probe: s.session(roots), Finder: &destination.Finder{DNS: s.DNS, AllowPrivate: d.AllowPrivate, MaxHosts: d.MaxHosts, Port: int(port)},
		Fetcher: &mtasts.Fetcher{Resolver: s.DNS, Dial: s.o.Dialer.DialContext, Roots: roots, AllowPrivate: d.AllowPrivate}}
	if port != 0 {
		l.Probe.Port = int(port)
	}
	return l, nil
}
