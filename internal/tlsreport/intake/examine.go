package intake

import (
	"context"
	"sync"
	"time"

	"waxwing/dkim"
	"waxwing/dns"
)

// verifier is who checks the signatures. The keys are looked up here, from the
// header alone: a sender whose DNS is slow must not keep a turn for so long.
func (s *Service) verifier(ctx context.Context, header []byte) Verifier {
	v := dkimVerifier{keys: &keyring{Resolver: s.DNS}, now: s.Now}
	// What comes of it does not matter: the body is missing. Verify asks again.
	_, _ = v.Verify(ctx, header)
	return v
}

type dkimVerifier struct {
	keys *keyring
	now  func() time.Time
}

func (v dkimVerifier) Verify(ctx context.Context, msg []byte) ([]dkim.Verification, error) {
	return dkim.Verify(ctx, v.keys, msg, dkim.Limits{Now: v.now})
}

// keyring is a resolver that asks for each TXT name once, for one message.
type keyring struct {
	dns.Resolver
	mu    sync.Mutex
	known map[dns.Name]txtAnswer
}

type txtAnswer struct {
	dns.Answer[string]
	err error
}

func (k *keyring) LookupTXT(ctx context.Context, name dns.Name) (dns.Answer[string], error) {
	k.mu.Lock()
	got, ok := k.known[name]
	k.mu.Unlock()
	if ok {
		return got.Answer, got.err
	}
	got.Answer, got.err = k.Resolver.LookupTXT(ctx, name)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil {
		k.known = map[dns.Name]txtAnswer{}
	}
	k.known[name] = got
	return got.Answer, got.err
}
