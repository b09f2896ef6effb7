package certs

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"waxwing/internal/renewal"
	"waxwing/internal/store"
)

// Area is raised in the store when there is another certificate.
const Area = "certificate"

// Issued is a certificate by ACME with the attempts to get one.
type Issued struct {
	Name  string // the one in it
	Key   string // the digest of the key it is for, in hexadecimal
	Chain []*x509.Certificate
	At    time.Time // of issue
	renewal.Window
	WindowAt time.Time // when the authority is asked for its window next
	renewal.Tries
	Error string    // of the last attempt; "": it succeeded
	Asked time.Time // when an operator asked for it; zero: nobody has since the last attempt
}

// Leaf is the certificate itself; nil where there is none yet.
func (i Issued) Leaf() *x509.Certificate {
	if len(i.Chain) == 0 {
		return nil
	}
	return i.Chain[0]
}

// Cert is what package renewal decides by; nil where there is none yet.
func (i Issued) Cert() *renewal.Cert {
	leaf := i.Leaf()
	if leaf == nil {
		return nil
	}
	sum := sha256.Sum256(leaf.Raw)
	return &renewal.Cert{NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, Window: i.Window,
		Spread: float64(binary.BigEndian.Uint32(sum[:])) / (1 << 32)}
}

// Store keeps certificates, challenges and accounts.
type Store struct {
	DB  *store.Store
	Now func() time.Time
}

const issuedColumns = `name, spki, chain, issued, ari_start, ari_end, ari_at, failures, since, tried, not_until, error, asked`

func scanIssued(r store.Row) (i Issued, err error) {
	var chain string
	var at, start, end, ariAt, failures, since, tried, notUntil, asked int64
	if err = r.Scan(&i.Name, &i.Key, &chain, &at, &start, &end, &ariAt, &failures, &since, &tried, &notUntil, &i.Error, &asked); err != nil {
		return i, err
	}
	i.At, i.WindowAt, i.Asked = store.FromTime(at), store.FromTime(ariAt), store.FromTime(asked)
	i.Window = renewal.Window{Start: store.FromTime(start), End: store.FromTime(end)}
	i.Tries = renewal.Tries{Failures: int(failures), Since: store.FromTime(since), Last: store.FromTime(tried), NotUntil: store.FromTime(notUntil)}
	if chain != "" {
		if i.Chain, err = ParseChain([]byte(chain)); err != nil {
			return i, fmt.Errorf("the stored certificate for %s: %w", i.Name, err)
		}
	}
	return i, nil
}

// All are all certificates, by name and key.
func (s *Store) All(ctx context.Context) ([]Issued, error) {
	return store.List(ctx, s.DB, scanIssued, `SELECT `+issuedColumns+` FROM certificate WHERE spki <> '' ORDER BY name, spki`)
}

// Take takes a certificate for this machine to ask for, until the lease ends, and
// returns it as it is then: another machine may just have got it. A name is asked for
// by one machine at a time, whatever the key: of tls-alpn-01 one challenge of a name can
// be answered. The lease is that of the row without a key.
func (s *Store) Take(ctx context.Context, name, key, owner string, lease time.Duration) (is Issued, mine bool, err error) {
	now := s.Now()
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		for _, k := range []string{leaseKey, key} {
			if err := s.row(tx, name, k); err != nil {
				return err
			}
		}
		n, err := tx.Exec(`UPDATE certificate SET owner = ?, lease = ? WHERE name = ? AND spki = ? AND (lease <= ? OR owner = ?)`,
			owner, store.Time(now.Add(lease)), name, leaseKey, store.Time(now), owner)
		if mine = n > 0; !mine || err != nil {
			return err
		}
		return tx.Each(func(r store.Row) error {
			is, err = scanIssued(r)
			return err
		}, `SELECT `+issuedColumns+` FROM certificate WHERE name = ? AND spki = ?`, name, key)
	})
	return is, mine, err
}

// leaseKey is the key of the row whose lease is that of the name.
const leaseKey = ""

// GiveBack ends the lease of a name.
func (s *Store) GiveBack(ctx context.Context, name, owner string) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE certificate SET owner = '', lease = 0 WHERE name = ? AND spki = ? AND owner = ?`, name, leaseKey, owner)
		return err
	})
}

func (s *Store) row(tx *store.Tx, name, key string) error {
	_, err := tx.Exec(`INSERT INTO certificate (`+issuedColumns+`, owner, lease) VALUES (?, ?, '', 0, 0, 0, 0, 0, 0, 0, 0, '', 0, '', 0) ON CONFLICT (name, spki) DO NOTHING`, name, key)
	return err
}

// Ask marks a certificate as wanted now, whatever its age and earlier failures.
func (s *Store) Ask(ctx context.Context, name, key string) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := s.row(tx, name, key); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE certificate SET asked = ? WHERE name = ? AND spki = ?`, store.Time(s.Now()), name, key)
		return err
	})
}

// New is a certificate that was issued just now.
type New struct {
	Name  string // the one in it
	Key   string // the digest of the key it is for, in hexadecimal
	Chain []byte // PEM
	renewal.Window
	WindowAt time.Time // when the authority is asked for its window next
}

// Put stores a certificate that was issued.
func (s *Store) Put(ctx context.Context, n New) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := s.row(tx, n.Name, n.Key); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE certificate SET chain = ?, issued = ?, ari_start = ?, ari_end = ?, ari_at = ?, failures = 0, since = 0, tried = ?, not_until = 0, error = '', asked = 0
			WHERE name = ? AND spki = ?`, string(n.Chain), store.Time(s.Now()), store.Time(n.Start), store.Time(n.End), store.Time(n.WindowAt), store.Time(s.Now()), n.Name, n.Key)
		if err != nil {
			return err
		}
		return tx.Raise(Area)
	})
}

// Failed notes an attempt that failed.
func (s *Store) Failed(ctx context.Context, name, key, why string, notUntil time.Time) error {
	now := store.Time(s.Now())
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE certificate SET failures = failures + 1, since = CASE since WHEN 0 THEN ? ELSE since END, tried = ?, not_until = ?, error = ?, asked = 0
			WHERE name = ? AND spki = ?`, now, now, store.Time(notUntil), why, name, key)
		return err
	})
}

// SetWindow notes when the authority suggests to renew, and when it is asked again.
func (s *Store) SetWindow(ctx context.Context, name, key string, w renewal.Window, next time.Time) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE certificate SET ari_start = ?, ari_end = ?, ari_at = ? WHERE name = ? AND spki = ?`, store.Time(w.Start), store.Time(w.End), store.Time(next), name, key)
		return err
	})
}

// Forget removes a certificate that nobody wants any more.
func (s *Store) Forget(ctx context.Context, name, key string) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`DELETE FROM certificate WHERE name = ? AND spki = ?`, name, key); err != nil {
			return err
		}
		return tx.Raise(Area)
	})
}

// Challenge is what proves to an authority that a name is ours.
type Challenge struct{ Kind, Name, Token, Proof string }

// challengeLife is how long a challenge is answered that nobody took back.
const challengeLife = time.Hour

// Present has all machines answer a challenge.
func (s *Store) Present(ctx context.Context, c Challenge) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`DELETE FROM acme_challenge WHERE until < ?`, store.Time(s.Now())); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO acme_challenge (kind, name, token, proof, until) VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, name, token) DO UPDATE SET proof = excluded.proof, until = excluded.until`,
			c.Kind, c.Name, c.Token, c.Proof, store.Time(s.Now().Add(challengeLife)))
		return err
	})
}

// TakeBack ends that.
func (s *Store) TakeBack(ctx context.Context, c Challenge) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM acme_challenge WHERE kind = ? AND name = ? AND token = ?`, c.Kind, c.Name, c.Token)
		return err
	})
}

// Challenges are those of a kind for a name that are answered now.
func (s *Store) Challenges(ctx context.Context, kind, name string) ([]Challenge, error) {
	return store.List(ctx, s.DB, func(r store.Row) (c Challenge, err error) {
		err = r.Scan(&c.Kind, &c.Name, &c.Token, &c.Proof)
		return c, err
	}, `SELECT kind, name, token, proof FROM acme_challenge WHERE kind = ? AND name = ? AND until >= ?`, kind, name, store.Time(s.Now()))
}

// Account is an account at an authority.
type Account struct {
	Directory string
	Key       string // PEM
	Location  string // its URL; "": not registered yet
}

// Account returns the account at an authority, or keeps the one given if there is
// none: two machines that register at the same time end with the same key.
func (s *Store) Account(ctx context.Context, fresh Account) (a Account, err error) {
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if fresh.Key != "" {
			if _, err := tx.Exec(`INSERT INTO acme_account (directory, key, location, made) VALUES (?, ?, ?, ?) ON CONFLICT (directory) DO NOTHING`,
				fresh.Directory, fresh.Key, fresh.Location, store.Time(s.Now())); err != nil {
				return err
			}
		}
		a = Account{}
		return tx.Each(func(r store.Row) error { return r.Scan(&a.Directory, &a.Key, &a.Location) },
			`SELECT directory, key, location FROM acme_account WHERE directory = ?`, fresh.Directory)
	})
	return a, err
}

// Registered notes where an account is.
func (s *Store) Registered(ctx context.Context, a Account) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE acme_account SET location = ? WHERE directory = ?`, a.Location, a.Directory)
		return err
	})
}

// maxChain bounds the certificates of a chain, the first included.
const maxChain = 10

// ParseChain reads certificates in PEM form, the host's own first.
func ParseChain(text []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		if chain = append(chain, c); len(chain) > maxChain {
			return nil, fmt.Errorf("more than %d certificates in a chain", maxChain)
		}
	}
	if len(chain) == 0 {
		return nil, errors.New("there is no certificate in PEM form in it")
	}
	return chain, nil
}
