package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"waxwing/internal/certs"
	"waxwing/internal/hostkeys"
	"waxwing/internal/keystage"
)

// showPause is how soon a certificate or key that another machine has brought in is
// shown here.
const showPause = 2 * time.Second

// RunShow keeps what is shown the same as what is in the store.
func (s *Service) RunShow(ctx context.Context) error {
	var last [2]int64
	next := time.Time{}
	for {
		now, err := s.generations(ctx)
		if err == nil && (now != last || s.Now().After(next)) {
			err = s.Show(ctx)
			last, next = now, s.Now().Add(time.Hour)
		}
		if err != nil && ctx.Err() == nil {
			s.once("show", err.Error(), func() { s.Log.Error("certificates stay as they are shown now", "error", err) })
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(showPause):
		}
	}
}

func (s *Service) generations(ctx context.Context) (g [2]int64, err error) {
	for i, area := range []string{certs.Area, hostkeys.Area} {
		n, err := s.Certs.DB.Generation(ctx, area)
		if err != nil {
			return g, err
		}
		g[i] = n
	}
	return g, nil
}

// ErrNoKeys: there is no host key at all.
var ErrNoKeys = errors.New("the host has no keys yet: \"waxwing cert make\" makes them")

// Show puts into the book what is to be shown: for each key in use the host's
// certificate, and those of further names.
func (s *Service) Show(ctx context.Context) error {
	rolls, err := s.rolls(ctx)
	if err != nil {
		return err
	}
	if len(rolls) == 0 {
		return ErrNoKeys
	}
	all, err := s.Certs.All(ctx)
	if err != nil {
		return err
	}
	var host []*tls.Certificate
	for _, r := range rolls {
		c, err := s.hostCertificate(r, all)
		if err != nil {
			s.once("show "+r.Current.Key.ID, err.Error(), func() { s.Log.Error("a host key cannot be used", "key", r.ID(r.Current.Key.ID), "error", err) })
			continue
		}
		host = append(host, c)
		if s.Metrics != nil && !s.HostFiles {
			s.Metrics.Certificate("host", string(r.Algorithm), c.Leaf.NotAfter)
		}
	}
	names := s.further(rolls, all)
	s.Book.Set(host, names)
	s.first(names)
	s.stages(rolls)
	if len(host) == 0 {
		return fmt.Errorf("this machine has none of the keys that %s uses: copy them from the machine that has them to %s", s.Host, s.Keys.Dir)
	}
	return nil
}

// hostCertificate is what is shown for a key in use: an authority's certificate, or one
// of the key by itself.
func (s *Service) hostCertificate(r hostkeys.Roll, all []certs.Issued) (*tls.Certificate, error) {
	id := r.Current.Key.ID
	k, ok := r.Keys[id]
	if !ok {
		return nil, fmt.Errorf("its file is not in %s: copy it from the machine that has it, or from a backup", s.Keys.Dir)
	}
	for _, i := range all {
		if i.Name == s.Host.ASCII() && i.Key == id && len(i.Chain) > 0 {
			return certs.Pair(i.Chain, k.Signer)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.shown[id]; c != nil && s.Now().Before(c.Leaf.NotAfter.AddDate(-1, 0, 0)) {
		return c, nil
	}
	c, err := certs.SelfSigned(s.Host.ASCII(), k.Signer, s.Now())
	if err != nil {
		return nil, err
	}
	if s.shown == nil {
		s.shown = map[string]*tls.Certificate{}
	}
	s.shown[id] = c
	return c, nil
}

// further are the certificates of other names: of several for one name the one that
// ends last.
func (s *Service) further(rolls []hostkeys.Roll, all []certs.Issued) map[string]*tls.Certificate {
	names := map[string]*tls.Certificate{}
	for _, i := range all {
		k := key(rolls, i.Key)
		if i.Name == s.Host.ASCII() || k == nil || i.Leaf() == nil {
			continue
		}
		if have := names[i.Name]; have != nil && have.Leaf.NotAfter.After(i.Leaf().NotAfter) {
			continue
		}
		c, err := certs.Pair(i.Chain, k.Signer)
		if err != nil {
			s.once("show "+i.Name, err.Error(), func() { s.Log.Error("a certificate cannot be shown", "name", i.Name, "error", err) })
			continue
		}
		names[i.Name] = c
	}
	return names
}

// first tells of the other names' certificate that ends first.
func (s *Service) first(names map[string]*tls.Certificate) {
	var until time.Time
	for _, c := range names {
		if until.IsZero() || c.Leaf.NotAfter.Before(until) {
			until = c.Leaf.NotAfter
		}
	}
	if s.Metrics != nil && !until.IsZero() {
		s.Metrics.Certificate("other", string(hostkeys.ECDSA), until)
	}
}

func (s *Service) stages(rolls []hostkeys.Roll) {
	if s.Metrics == nil || s.HostFiles {
		return
	}
	for _, r := range rolls {
		s.Metrics.HostKey(string(r.Algorithm), "current", string(keystage.Of(r.Current.Key, r.Current.Sight, s.Rules, s.Now())))
		next := ""
		if r.Next != nil {
			next = string(keystage.Of(r.Next.Key, r.Next.Sight, s.Rules, s.Now()))
		}
		s.Metrics.HostKey(string(r.Algorithm), "next", next)
	}
}
