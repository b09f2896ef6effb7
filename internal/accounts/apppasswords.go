package accounts

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"waxwing/internal/account"
	"waxwing/internal/store"
)

const (
	maxApps = 50 // app passwords of one account
	// appUsedEvery is how exactly the last use is known: a program that polls must not write each time.
	appUsedEvery = 10 * time.Minute
)

// AddAppPassword makes an app password of secret (ACC-3), which nobody can read again. Account, Name,
// Protocols and Expires are the caller's. ErrExists, ErrNoSuchAccount.
func (s *Store) AddAppPassword(ctx context.Context, p account.AppPassword, secret string) error {
	p.Created = store.FromTime(s.now())
	if err := p.Check(p.Created); err != nil {
		return err
	}
	own, err := reading(ctx, s, func(w Within) (account.Credentials, error) {
		c, _, err := w.credentials(p.Account)
		return c, err
	})
	if err != nil {
		return err
	}
	k, err := account.NewAppKeys(p, secret, own) // slow: not in the transaction
	if err != nil {
		return err
	}
	return s.change(ctx, func(w Within) error { return w.addApp(k) })
}

func (w Within) addApp(k account.AppKeys) error {
	full, err := exists(w.tx, `SELECT count(*) - ? FROM app_passwords WHERE account = ?`, maxApps-1, k.Account)
	if err != nil {
		return err
	}
	if full {
		return fmt.Errorf("account %s has %d app passwords already: remove some", k.Account, maxApps)
	}
	stored := account.Credentials{SCRAM256: k.SCRAM256, SCRAM1: k.SCRAM1}.Stored()
	return w.set(ErrExists, "app password "+k.Name+" of "+k.Account, `INSERT INTO app_passwords (account, name, protocols, hash, scram256, scram1, created, expires, used, used_from)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, '') ON CONFLICT DO NOTHING`,
		k.Account, k.Name, account.JoinProtocols(k.Protocols), k.Hash, stored.SCRAM256, stored.SCRAM1, store.Time(k.Created), store.Time(k.Expires))
}

// RemoveAppPassword ends an app password: nobody logs in with it from then on. ErrNoSuchApp.
func (s *Store) RemoveAppPassword(ctx context.Context, acct, name string) error {
	return s.change(ctx, func(w Within) error {
		return w.set(ErrNoSuchApp, "app password "+name+" of "+acct, `DELETE FROM app_passwords WHERE account = ? AND name = ?`, acct, name)
	})
}

// AppPasswords are those of an account, by name.
func (s *Store) AppPasswords(ctx context.Context, acct string) (out []account.AppPassword, err error) {
	all, err := reading(ctx, s, func(w Within) ([]account.AppKeys, error) { return w.appKeys(acct) })
	for _, k := range all {
		out = append(out, k.AppPassword)
	}
	return out, err
}

func (w Within) appKeys(acct string) ([]account.AppKeys, error) {
	return store.Collect(w.tx, func(r store.Row) (k account.AppKeys, err error) {
		var protocols string
		var stored account.Stored
		var created, expires, used int64
		if err = r.Scan(&k.Account, &k.Name, &protocols, &k.Hash, &stored.SCRAM256, &stored.SCRAM1, &created, &expires, &used, &k.UsedFrom); err != nil {
			return k, err
		}
		k.Created, k.Expires, k.Used = store.FromTime(created), store.FromTime(expires), store.FromTime(used)
		if k.Protocols, err = account.ParseProtocols(protocols); err != nil {
			return k, fmt.Errorf("app password %s of %s: %w", k.Name, k.Account, err)
		}
		c, err := stored.Credentials()
		k.SCRAM256, k.SCRAM1 = c.SCRAM256, c.SCRAM1
		return k, err
	}, `SELECT account, name, protocols, hash, scram256, scram1, created, expires, used, used_from FROM app_passwords WHERE account = ? ORDER BY name`, acct)
}

// saltsOfApps are credentials with the salts that an account's app passwords need kept; none without any.
func (w Within) saltsOfApps(acct string) (account.Credentials, error) {
	some, err := exists(w.tx, `SELECT count(*) FROM app_passwords WHERE account = ?`, acct)
	if err != nil || !some {
		return account.Credentials{}, err
	}
	c, _, err := w.credentials(acct)
	return c, err
}

// AppUsed notes that an app password, as it was read, logged in from an address.
func (s *Store) AppUsed(ctx context.Context, p account.AppPassword, from netip.Addr) error {
	now := s.now()
	if store.FromTime(now).Sub(p.Used) < appUsedEvery {
		return nil
	}
	return s.DB.WriteSoon(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE app_passwords SET used = ?, used_from = ? WHERE account = ? AND name = ? AND used < ?`,
			now, from.Unmap().String(), p.Account, p.Name, now)
		return err
	})
}
