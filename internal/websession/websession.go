// Package websession keeps the sessions of people's browsers (WEB-3): which account has logged in
// with which browser, from where and since when. A token is 256 random bits; the store has its hash.
//
// A session ends when it was not used for a while, when it is old, when it is revoked, when its
// account's password changes, and with its account.
package websession

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/internal/store"
	"waxwing/internal/text"
)

// Scope is what a session is for.
type Scope string

// The scopes.
const (
	Admin  Scope = "admin"       // the admin pages
	Person Scope = "person"      // what everybody has of an account: its mail, and the pages about it
	Step   Scope = "second-step" // nothing yet: the password was right, and a second factor is still to come
)

// Session is one session without its token.
type Session struct {
	ID      delivery.ID `json:"id"`
	Account string      `json:"account"`
	Scope   Scope       `json:"scope"`
	Created time.Time   `json:"created"`
	Used    time.Time   `json:"used"` // within a minute
	Remote  string      `json:"remote"`
	Agent   string      `json:"agent"`                   // what the browser calls itself
	Factor  string      `json:"second_factor,omitempty"` // that it was begun with; "": the password alone

	// Challenge is what a passkey of this browser is to sign; "": none was asked for.
	Challenge string `json:"-"`
}

// Store is the sessions. Its methods may be called at the same time.
type Store struct {
	DB  *store.Store
	Now func() time.Time
	// Proof is the same as long as an account lets somebody in from an address who has its password; "" ends the sessions that began there.
	Proof func(ctx context.Context, account, remote string) (string, error)
}

// Ends is when sessions end by themselves.
type Ends struct {
	Idle   time.Duration // when they were not used for so long
	Oldest time.Duration // when they are so old
}

// EndsOf is when sessions of a scope end: those that administer a server soon, those of people at their mail late.
func EndsOf(scope Scope) Ends {
	switch scope {
	case Step:
		return Ends{10 * time.Minute, 10 * time.Minute}
	case Admin:
		return Ends{time.Hour, 12 * time.Hour}
	}
	return Ends{24 * time.Hour, 30 * 24 * time.Hour}
}

// Area is the generation that the end of a session raises: connections that lasted with it end too.
const Area = "web sessions"

// ErrOver is all that is told of a token that is none, and of a session that has ended.
var ErrOver = errors.New("there is no such session, or it has ended: log in again")

const (
	maxSessions = 50          // of one account and scope; the oldest ends with the next
	maxTries    = 5           // wrong second factors, before the password is asked for again
	maxAgent    = 300         // octets
	usedEvery   = time.Minute // how exactly the last use is known
	tokenOctets = 32
)

// Begin makes a session and returns its token, which nobody can read again. Account, Scope, Remote
// and Agent are the caller's.
func (s *Store) Begin(ctx context.Context, x Session) (Session, string, error) {
	proof, err := s.Proof(ctx, x.Account, x.Remote)
	if err != nil {
		return x, "", err
	}
	if proof == "" {
		return x, "", ErrOver
	}
	var token [tokenOctets]byte
	rand.Read(token[:])
	hash := sha256.Sum256(token[:])
	x.ID, x.Created, x.Agent, x.Remote = delivery.ID(store.NewID()), s.Now(), foreign.Clip(strings.TrimSpace(foreign.Line(x.Agent)), maxAgent), foreign.Clip(foreign.Line(x.Remote), 60)
	x.Used = x.Created
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM web_sessions WHERE account = ? AND scope = ? AND id NOT IN
			(SELECT id FROM web_sessions WHERE account = ? AND scope = ? ORDER BY used DESC, id DESC LIMIT ?)`, x.Account, string(x.Scope), x.Account, string(x.Scope), maxSessions-1)
		if err == nil {
			_, err = tx.Exec(`INSERT INTO web_sessions (hash, id, account, scope, proof, created, used, remote, agent, factor, challenge) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
				hash[:], int64(x.ID), x.Account, string(x.Scope), []byte(proof), store.Time(x.Created), store.Time(x.Used), x.Remote, x.Agent, x.Factor, x.Challenge)
		}
		return err
	})
	if err != nil {
		return x, "", fmt.Errorf("begin a session: %w", err)
	}
	return x, base64.RawURLEncoding.EncodeToString(token[:]), nil
}

const columns = `SELECT id, account, scope, created, used, remote, agent, factor, challenge FROM web_sessions `

func scan(r store.Row, more ...any) (x Session, err error) {
	var id, created, used int64
	err = r.Scan(append([]any{&id, &x.Account, &x.Scope, &created, &used, &x.Remote, &x.Agent, &x.Factor, &x.Challenge}, more...)...)
	x.ID, x.Created, x.Used = delivery.ID(id), store.FromTime(created), store.FromTime(used)
	return x, err
}

// Find is the session of a token for a scope, and notes its use; ErrOver. Any other error is the store's.
func (s *Store) Find(ctx context.Context, token string, scope Scope) (Session, error) {
	x, err := s.Look(ctx, token, scope)
	if err != nil {
		return Session{}, err
	}
	return x, s.use(ctx, &x)
}

// Look is Find for what is no use.
func (s *Store) Look(ctx context.Context, token string, scope Scope) (Session, error) {
	hash, ok := hashOf(token)
	if !ok {
		return Session{}, ErrOver
	}
	var x Session
	var kept []byte
	err := s.DB.Read(ctx, func(tx *store.Tx) (err error) {
		kept = nil
		x, err = scan(tx.Row(`SELECT id, account, scope, created, used, remote, agent, factor, challenge, proof FROM web_sessions WHERE hash = ?`, hash), &kept)
		return err
	})
	switch {
	case errors.Is(err, sql.ErrNoRows), err == nil && (x.Scope != scope || s.over(x)):
		return Session{}, ErrOver
	case err != nil:
		return Session{}, fmt.Errorf("find a session: %w", err)
	}
	proof, err := s.Proof(ctx, x.Account, x.Remote)
	if err != nil {
		return Session{}, err
	}
	if proof == "" || subtle.ConstantTimeCompare([]byte(proof), kept) == 0 {
		return Session{}, ErrOver
	}
	return x, nil
}

// over reports whether a session has ended by its age.
func (s *Store) over(x Session) bool {
	now, ends := s.Now(), EndsOf(x.Scope)
	return now.Sub(x.Used) >= ends.Idle || now.Sub(x.Created) >= ends.Oldest
}

func (s *Store) use(ctx context.Context, x *Session) error {
	now := s.Now()
	if now.Sub(x.Used) < usedEvery {
		return nil
	}
	x.Used = now
	err := s.DB.WriteSoon(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE web_sessions SET used = ? WHERE id = ? AND used < ?`, store.Time(now), int64(x.ID), store.Time(now))
		return err
	})
	if err != nil {
		return fmt.Errorf("note the use of a session: %w", err)
	}
	return nil
}

func hashOf(token string) ([]byte, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != tokenOctets {
		return nil, false
	}
	hash := sha256.Sum256(raw)
	return hash[:], true
}

// List returns the sessions of an account that have not ended by their age, or of all with "".
func (s *Store) List(ctx context.Context, account string) ([]Session, error) {
	all, err := store.List(ctx, s.DB, func(r store.Row) (Session, error) { return scan(r) }, columns+`WHERE ? = '' OR account = ? ORDER BY used DESC, id DESC LIMIT 1000`, account, account)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	var live []Session
	for _, x := range all {
		if x.Scope != Step && !s.over(x) {
			live = append(live, x)
		}
	}
	return live, nil
}

// Revoke ends a session of an account; ErrOver where there is none.
func (s *Store) Revoke(ctx context.Context, account string, id delivery.ID) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM web_sessions WHERE id = ? AND account = ?`, int64(id), account)
		if err == nil && n == 0 {
			err = ErrOver
		}
		if err != nil {
			return err
		}
		return tx.Raise(Area)
	})
}

// RevokeOthers ends all sessions of an account but one.
func (s *Store) RevokeOthers(ctx context.Context, account string, but delivery.ID) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(`DELETE FROM web_sessions WHERE account = ? AND id <> ?`, account, int64(but)); err != nil {
			return err
		}
		return tx.Raise(Area)
	})
}

// NewChallenge is 256 random bits, as text.
func NewChallenge() string {
	var b [tokenOctets]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// SetChallenge says what a passkey of the session's browser is to sign, from now on.
func (s *Store) SetChallenge(ctx context.Context, x Session, challenge string) error {
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE web_sessions SET challenge = ? WHERE id = ? AND account = ?`, challenge, int64(x.ID), x.Account)
		return err
	})
	if err != nil {
		return fmt.Errorf("ask for a passkey: %w", err)
	}
	return nil
}

// Wrong counts a wrong second factor. The session ends with the last that is suffered.
func (s *Store) Wrong(ctx context.Context, x Session) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE web_sessions SET tries = tries + 1 WHERE id = ?`, int64(x.ID))
		if err == nil {
			_, err = tx.Exec(`DELETE FROM web_sessions WHERE id = ? AND tries >= ?`, int64(x.ID), int64(maxTries))
		}
		return err
	})
}

// Tidy forgets those that have ended.
func (s *Store) Tidy(ctx context.Context) error {
	now := s.Now()
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		for _, scope := range []Scope{Admin, Person, Step} {
			ends := EndsOf(scope)
			if _, err := tx.Exec(`DELETE FROM web_sessions WHERE scope = ? AND (used <= ? OR created <= ?)`, string(scope), store.Time(now.Add(-ends.Idle)), store.Time(now.Add(-ends.Oldest))); err != nil {
				return err
			}
		}
		return nil
	})
}

// Listing is how sessions are listed for people.
func Listing() text.List[Session] {
	return text.List[Session]{Columns: text.Columns("ID|ACCOUNT|FOR|SECOND FACTOR|FROM|SINCE|USED|BROWSER", "BROWSER", "SINCE", "SECOND FACTOR"), Cells: func(x *Session) []any {
		return []any{x.ID, x.Account, string(x.Scope), x.Factor, x.Remote, x.Created, x.Used, x.Agent}
	}}
}
