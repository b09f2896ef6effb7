package acme

import (
	"context"
	"slices"
	"strings"
	"time"

	"waxwing/internal/foreign"
	"waxwing/internal/hostkeys"
	"waxwing/internal/zones"
)

// lookTime bounds a look at all servers of the zone.
const lookTime = time.Minute

// look asks the zone's servers for the host's TLSA records when that is due.
func (s *Service) look(ctx context.Context) error {
	if s.Zones == nil {
		return nil
	}
	mine, err := s.Keys.TakeLook(ctx, lookPause)
	if err != nil || !mine {
		return err
	}
	return s.Look(ctx)
}

// Look asks the servers now, and notes what they show. A look that does not reach all
// of them is noted as such, and moves no key.
func (s *Service) Look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	at := s.Now()
	name, err := s.Host.Prefix("_25._tcp")
	if err != nil {
		return err
	}
	view, err := s.Zones.Ask(ctx, name, "TLSA")
	if err == nil {
		err = view.Missing()
	}
	if err != nil {
		why := foreign.Text(strings.ReplaceAll(err.Error(), "\n", "; "), 500)
		s.once("look", why, func() {
			s.Log.Warn("not every server of the host's zone answers: no key moves on until one look reaches all", "host", s.Host.ASCII(), "error", why)
		})
		return s.Keys.Missed(context.WithoutCancel(ctx), why)
	}
	s.once("look", "", func() {})
	return s.Keys.Looked(ctx, sighted(view, at))
}

// sighted is what a view of all servers says of keys.
func sighted(view zones.View, at time.Time) hostkeys.Look {
	l := hostkeys.Look{At: at, TTL: view.TTL()}
	for _, r := range view {
		var digests []string
		for _, v := range r.Values {
			l.Set = true
			if d, ok := strings.CutPrefix(v, "3 1 1 "); ok {
				digests = append(digests, d)
			}
		}
		slices.Sort(digests)
		l.Servers = append(l.Servers, digests)
	}
	return l
}
