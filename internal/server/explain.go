package server

import (
	"waxwing/internal/config"
	"waxwing/internal/explain"
	"waxwing/internal/posture"
	"waxwing/internal/store"
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
