// Package urlauth signs URLs of messages, so that others may fetch them for a while (RFC 4467),
// and keeps the keys for that: one for each mailbox, made when the first URL is signed.
package urlauth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/imap/imapurl"
	"waxwing/internal/store"
)

// Mechanism is the only one that is known: that of the server's own.
const Mechanism = "INTERNAL"

// version begins each token: 01 is HMAC-SHA-256.
const version = "01"

// Keys keeps the keys.
type Keys struct{ DB *store.Store }

// Sign returns a URL, which has whom it is for at its end, with the token behind it.
func (k *Keys) Sign(ctx context.Context, mailbox int64, rump string) (string, error) {
	secret, err := k.secret(ctx, mailbox)
	if errors.Is(err, sql.ErrNoRows) {
		if secret, err = k.make(ctx, mailbox); err == nil {
			secret, err = k.secret(ctx, mailbox) // of another process, perhaps
		}
	}
	if err != nil {
		return "", fmt.Errorf("key for URLs: %w", err)
	}
	return rump + ":" + strings.ToLower(Mechanism) + ":" + token(secret, rump), nil
}

func token(secret []byte, rump string) string {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(rump))
	return version + hex.EncodeToString(m.Sum(nil))
}

func (k *Keys) secret(ctx context.Context, mailbox int64) (secret []byte, err error) {
	err = k.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT secret FROM imap_url_keys WHERE mailbox = ?`, mailbox).Scan(&secret)
	})
	return secret, err
}

func (k *Keys) make(ctx context.Context, mailbox int64) ([]byte, error) {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	return secret, k.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO imap_url_keys (mailbox, secret) VALUES (?, ?) ON CONFLICT DO NOTHING`, mailbox, secret)
		return err
	})
}

// Signed reports that a URL was signed for a mailbox, with the key that it has now.
func (k *Keys) Signed(ctx context.Context, mailbox int64, u *imapurl.URL) (bool, error) {
	secret, err := k.secret(ctx, mailbox)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("key for URLs: %w", err)
	}
	return subtle.ConstantTimeCompare([]byte(token(secret, u.Rump)), []byte(u.Token)) == 1 && u.Mechanism == Mechanism, nil
}

// Reset makes all URLs of a mailbox invalid; of all mailboxes of the account with mailbox 0.
func (k *Keys) Reset(ctx context.Context, account string, mailbox int64) error {
	q, args := `DELETE FROM imap_url_keys WHERE mailbox IN (SELECT id FROM mailboxes WHERE account = ?)`, []any{account}
	if mailbox != 0 {
		q, args = `DELETE FROM imap_url_keys WHERE mailbox IN (SELECT id FROM mailboxes WHERE account = ? AND id = ?)`, []any{account, mailbox}
	}
	err := k.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(q, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("reset keys for URLs: %w", err)
	}
	return nil
}

// Allows decides whether somebody may fetch a URL that is signed (RFC 4467 §3): reader is the account of the
// session. "submit+" is for submission servers, of which none reads here.
func Allows(u *imapurl.URL, reader string, now time.Time) bool {
	if !u.Expire.IsZero() && now.After(u.Expire) {
		return false
	}
	word, name, _ := strings.Cut(u.Access, "+")
	switch word {
	case "anonymous", "authuser":
		return true
	case "user":
		return name == reader
	}
	return false
}
