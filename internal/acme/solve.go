package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"waxwing/dns"
	"waxwing/internal/certs"
	"waxwing/internal/dnsupdate"
	"waxwing/internal/zones"
)

// The kinds of challenges, as configurations name them.
const (
	TLSALPN    = acme.ChallengeTypeTLSALPN01
	HTTP       = acme.ChallengeTypeHTTP01
	DNS        = acme.ChallengeTypeDNS01
	DNSPersist = acme.ChallengeTypeDNSPersist01
)

// Stored solves challenges that any machine answers which the authority comes to:
// tls-alpn-01 and http-01.
type Stored struct{ Certs *certs.Store }

func stored(c acme.Challenge) certs.Challenge {
	return certs.Challenge{Kind: c.Type, Name: strings.ToLower(c.Identifier.Value), Token: c.Token, Proof: c.KeyAuthorization}
}

// Present has all machines answer.
func (s Stored) Present(ctx context.Context, c acme.Challenge) error {
	return s.Certs.Present(ctx, stored(c))
}

// CleanUp ends that.
func (s Stored) CleanUp(ctx context.Context, c acme.Challenge) error {
	return s.Certs.TakeBack(context.WithoutCancel(ctx), stored(c))
}

// Proof shows the certificate of a tls-alpn-01 challenge under way (RFC 8737 §3).
func (s Stored) Proof(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name, err := dns.ParseName(hello.ServerName)
	if err != nil {
		return nil, errors.New("tls-alpn-01 needs a server name")
	}
	all, err := s.Certs.Challenges(hello.Context(), TLSALPN, name.ASCII())
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("no challenge of this name is under way")
	}
	c := all[len(all)-1]
	return acmez.TLSALPN01ChallengeCert(acme.Challenge{Type: c.Kind, Token: c.Token, KeyAuthorization: c.Proof, Identifier: acme.Identifier{Type: "dns", Value: c.Name}})
}

// WellKnown is the path of http-01 challenges (RFC 8555 §8.3).
const WellKnown = "/.well-known/acme-challenge/"

// ServeHTTP answers http-01 challenges under way.
func (s Stored) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	token, ok := strings.CutPrefix(r.URL.Path, WellKnown)
	name, err := dns.ParseName(host)
	if !ok || err != nil {
		http.NotFound(w, r)
		return
	}
	all, err := s.Certs.Challenges(r.Context(), HTTP, name.ASCII())
	if err != nil {
		http.Error(w, "temporarily unavailable", http.StatusServiceUnavailable)
		return
	}
	for _, c := range all {
		if c.Token == token {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Write([]byte(c.Proof))
			return
		}
	}
	http.NotFound(w, r)
}

// Zoned solves dns-01 by an update of the zone, and waits until all of its servers
// have the record.
type Zoned struct {
	Updater dnsupdate.Updater
	Zones   *zones.Asker
	Most    time.Duration // at most, for the servers; 0: 5 min
	Poll    time.Duration // 0: 5 s
}

const proofTTL = 60

func (z *Zoned) name(c acme.Challenge) (dns.Name, error) {
	return dns.ParseLax(c.DNS01TXTRecordName())
}

// change adds or removes a challenge's record and leaves others of the name alone.
func (z *Zoned) change(ctx context.Context, c acme.Challenge, add bool) error {
	name, err := z.name(c)
	if err != nil {
		return err
	}
	zone, _, err := z.Zones.Servers(ctx, name)
	if err != nil {
		return err
	}
	seen, err := z.Zones.Ask(ctx, name, "TXT")
	if err != nil {
		return err
	}
	var was, raw []string
	for _, r := range seen {
		if r.Err == nil {
			was, raw = r.Values, r.Raw
		}
	}
	value := c.DNS01KeyAuthorization()
	wanted := slices.DeleteFunc(slices.Clone(was), func(v string) bool { return v == value })
	if add {
		wanted = append(wanted, value)
	}
	if slices.Equal(was, wanted) {
		return nil
	}
	return z.Updater.Update(ctx, []dnsupdate.Change{{Zone: zone, Name: name, Type: "TXT", TTL: proofTTL, Was: was, Raw: raw, Values: wanted}})
}

// Present writes the record.
func (z *Zoned) Present(ctx context.Context, c acme.Challenge) error { return z.change(ctx, c, true) }

// CleanUp removes it.
func (z *Zoned) CleanUp(ctx context.Context, c acme.Challenge) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return z.change(ctx, c, false)
}

// Wait waits for the servers.
func (z *Zoned) Wait(ctx context.Context, c acme.Challenge) error {
	name, err := z.name(c)
	if err != nil {
		return err
	}
	most, poll := z.Most, z.Poll
	if most == 0 {
		most = 5 * time.Minute
	}
	if poll == 0 {
		poll = 5 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		seen, err := z.Zones.Ask(ctx, name, "TXT")
		if err == nil && everywhere(seen, c.DNS01KeyAuthorization()) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not every server of the zone has the record of %s after %s: %w", name, most, errors.Join(err, seen.Missing()))
		case <-time.After(poll):
		}
	}
}

func everywhere(seen zones.View, value string) bool {
	for _, r := range seen {
		if r.Err != nil || !slices.Contains(r.Values, value) {
			return false
		}
	}
	return len(seen) > 0
}

// Standing solves dns-persist-01: its record stays in DNS for ever, and names our
// account. Nothing is to be done but to say which record, where it is missing.
type Standing struct {
	Zones   *zones.Asker
	Account func(ctx context.Context) (string, error) // the URL of our account
}

// Present looks for the record.
func (s *Standing) Present(ctx context.Context, c acme.Challenge) error {
	account, err := s.Account(ctx)
	if err != nil {
		return err
	}
	name, err := dns.ParseLax(c.DNSPersist01TXTRecordName())
	if err != nil {
		return err
	}
	seen, err := s.Zones.Ask(ctx, name, "TXT")
	if err != nil {
		return err
	}
	for _, r := range seen {
		for _, v := range r.Values {
			for _, issuer := range c.IssuerDomainNames {
				if strings.HasPrefix(v, issuer) && strings.Contains(v, "accounturi="+account) {
					return nil
				}
			}
		}
	}
	if len(c.IssuerDomainNames) == 0 {
		return errors.New("dns-persist-01: the authority names no domain of its own")
	}
	want := c.DNSPersist01TXTRecordValue(acme.Account{Location: account}, c.IssuerDomainNames[0], false)
	return fmt.Errorf("dns-persist-01 needs this record, which then stays: %s. IN TXT %q", name, want)
}

// CleanUp does nothing: the record stays.
func (s *Standing) CleanUp(context.Context, acme.Challenge) error { return nil }
