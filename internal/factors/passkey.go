package factors

import (
	"bytes"
	"context"
	"errors"

	"waxwing/webauthn"
)

// AddPasskey adds a passkey that a browser has made for a challenge. The recovery codes are as with AddTOTP. ErrWrong, ErrExists, ErrMany.
func (s *Store) AddPasskey(ctx context.Context, name, called string, c webauthn.Credential) (recovery []string, err error) {
	return s.add(ctx, row{Factor: Factor{Account: name, Kind: Passkey, Name: called}, ident: c.ID, secret: c.Public, counter: int64(c.Count)})
}

// PasskeyIDs are those of an account's passkeys.
func (s *Store) PasskeyIDs(ctx context.Context, name string) (ids [][]byte, err error) {
	all, err := s.rows(ctx, name, Passkey)
	for _, f := range all {
		ids = append(ids, f.ident)
	}
	return ids, err
}

// Signed checks that one of an account's passkeys has signed a challenge. ErrWrong.
func (s *Store) Signed(ctx context.Context, name string, at webauthn.Party, challenge []byte, signed webauthn.Signed) error {
	all, err := s.rows(ctx, name, Passkey)
	if err != nil {
		return err
	}
	for _, f := range all {
		if !bytes.Equal(f.ident, signed.ID) {
			continue
		}
		count, err := at.Verify(challenge, webauthn.Credential{ID: f.ident, Public: f.secret, Count: uint32(f.counter)}, signed)
		if errors.Is(err, webauthn.ErrWrong) {
			return errors.Join(ErrWrong, err)
		}
		if err != nil {
			return err
		}
		return s.used(ctx, f, int64(count))
	}
	return ErrWrong
}
