package accounts

import (
	"context"
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/smtp"
	"waxwing/srs"
)

// scheme rewrites senders with the secret of the store.
type scheme struct {
	mu     sync.Mutex
	secret []byte
}

func (s *Store) srs(ctx context.Context) (srs.Scheme, error) {
	s.scheme.mu.Lock()
	defer s.scheme.mu.Unlock()
	if s.scheme.secret == nil {
		secret, err := s.DB.Secret(ctx, "srs")
		if err != nil {
			return srs.Scheme{}, err
		}
		s.scheme.secret = secret
	}
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	return srs.Scheme{Secret: s.scheme.secret, Now: now()}, nil
}

// Rewrite is the envelope sender with which a message is passed on for an address of domain.
// A sender of a domain hosted here stays: that domain's SPF record names us already. So does
// one that is too long to be rewritten.
func (s *Store) Rewrite(ctx context.Context, sender string, domain dns.Name) (string, error) {
	a, err := smtp.ParseReceived(sender, true)
	if err != nil {
		return sender, nil // "", or none that could be written to
	}
	if name, err := dns.ParseName(a.Domain); err == nil {
		a.Domain = name.ASCII()
		hosted, err := s.IsHosted(ctx, name)
		if err != nil || hosted {
			return sender, err
		}
	}
	scheme, err := s.srs(ctx)
	if err != nil {
		return "", err
	}
	local, err := scheme.Forward(a, domain.ASCII())
	if err != nil {
		return sender, nil
	}
	return smtp.Address{Local: local, Domain: domain.ASCII()}.String(), nil
}

// returned is whom a rewritten address of ours leads back to.
func (s *Store) returned(ctx context.Context, q asked) (account.Target, bool, error) {
	if q.domain.IsZero() || !srs.Is(q.local) {
		return account.Target{}, false, nil
	}
	hosted, err := s.IsHosted(ctx, q.domain)
	if err != nil || !hosted {
		return account.Target{}, false, err
	}
	scheme, err := s.srs(ctx)
	if err != nil {
		return account.Target{}, false, err
	}
	to, err := scheme.Reverse(q.local)
	if err != nil {
		return account.Target{}, false, nil // an address like others
	}
	return account.Target{Address: smtp.Address{Local: q.local, Domain: q.domain.ASCII()}.String(), Return: to.String()}, true, nil
}
