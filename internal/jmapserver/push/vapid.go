package push

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"waxwing/internal/store"
)

// Capability is that under which clients find the key of this server (RFC 9749 §3). A client names it to its push service, which then takes from
// nobody else what is posted to the client's address.
const Capability = "urn:ietf:params:jmap:webpush-vapid"

// tokenTime is for how long a token counts: RFC 8292 §2 allows a day.
const tokenTime = 12 * time.Hour

// PublicKey is the key that clients are told: the uncompressed point, in base64url.
func (r *Room) PublicKey(ctx context.Context) (string, error) {
	key, err := r.serverKey(ctx)
	if err != nil {
		return "", err
	}
	return publicOf(key)
}

func publicOf(key *ecdsa.PrivateKey) (string, error) {
	b, err := key.PublicKey.Bytes()
	return base64.RawURLEncoding.EncodeToString(b), err
}

// serverKey is the key that all machines of a store have in common. The first that needs it makes it.
func (r *Room) serverKey(ctx context.Context) (*ecdsa.PrivateKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.key != nil {
		return r.key, nil
	}
	secret, err := r.secret(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		if err = r.makeSecret(ctx); err == nil {
			secret, err = r.secret(ctx) // of another machine, perhaps
		}
	}
	if err == nil {
		r.key, err = ecdsa.ParseRawPrivateKey(elliptic.P256(), secret)
	}
	if err != nil {
		return nil, fmt.Errorf("key for push services: %w", err)
	}
	return r.key, nil
}

func (r *Room) secret(ctx context.Context) (secret []byte, err error) {
	err = r.DB.Read(ctx, func(tx *store.Tx) error { return tx.Row(`SELECT secret FROM jmap_push_key WHERE id = 1`).Scan(&secret) })
	return secret, err
}

func (r *Room) makeSecret(ctx context.Context) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	secret, err := key.Bytes()
	if err != nil {
		return err
	}
	return r.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO jmap_push_key (id, secret, made) VALUES (1, ?, ?) ON CONFLICT DO NOTHING`, secret, store.Time(r.Now()))
		return err
	})
}

// authorization shows the push service at an address who posts there (RFC 8292 §3).
func (r *Room) authorization(ctx context.Context, address string) (string, error) {
	key, err := r.serverKey(ctx)
	if err != nil {
		return "", err
	}
	public, err := publicOf(key)
	if err != nil {
		return "", err
	}
	token, err := signed(key, claims{Audience: originOf(address), Expires: r.Now().Add(tokenTime).Unix(), Subject: r.Contact})
	return "vapid t=" + token + ", k=" + public, err
}

// originOf is the origin of an https URL (RFC 6454 §6.2).
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "" // it was looked at when the subscription was made
	}
	return "https://" + strings.TrimSuffix(strings.ToLower(u.Host), ":443")
}

// claims are what a token says (RFC 8292 §2).
type claims struct {
	Audience string `json:"aud"`
	Expires  int64  `json:"exp"`
	Subject  string `json:"sub,omitempty"`
}

// signed is a JWT with ES256 (RFC 7515 §3.1, RFC 7518 §3.4).
func signed(key *ecdsa.PrivateKey, c claims) (string, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"ES256"}`)) + "." + base64.RawURLEncoding.EncodeToString(b)
	sum := sha256.Sum256([]byte(text))
	x, y, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return "", err
	}
	const size = 32 // octets of each half
	signature := make([]byte, 2*size)
	x.FillBytes(signature[:size])
	y.FillBytes(signature[size:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
