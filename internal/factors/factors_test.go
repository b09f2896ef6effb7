package factors

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/otp"
	"waxwing/webauthn"
)

type house struct {
	*Store
	clock time.Time
}

func each(t *testing.T, fn func(t *testing.T, h *house)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		h := &house{clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
		h.Store = &Store{DB: db, Accounts: &accounts.Store{DB: db}, Now: func() time.Time { return h.clock }}
		for _, name := range []string{"joe", "ann"} {
			if err := h.Accounts.AddAccount(t.Context(), name, "no-one-knows-this"); err != nil {
				t.Fatal(err)
			}
		}
		fn(t, h)
	})
}

func (h *house) code(key []byte) string { return otp.HOTP(key, uint64(otp.Step(h.clock))) }

func (h *house) app(t *testing.T, account, called string) (key []byte, codes []string) {
	t.Helper()
	key = otp.NewKey()
	codes, err := h.AddTOTP(t.Context(), account, called, key, h.code(key))
	if err != nil {
		t.Fatal(err)
	}
	return key, codes
}

// WEB-3: an app's code is good once, and a recovery code is; both of this account alone.
func TestCode(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		if _, err := h.AddTOTP(ctx, "joe", "phone", otp.NewKey(), "000000x"); !errors.Is(err, ErrWrong) {
			t.Errorf("an app without its code: %v", err)
		}
		if has, err := h.Has(ctx, "joe"); has || err != nil {
			t.Errorf("%t, %v", has, err)
		}
		key, codes := h.app(t, "joe", "My phone")
		if len(codes) != 10 {
			t.Fatalf("%d recovery codes", len(codes))
		}
		check := func(account, typed string, want Kind) {
			t.Helper()
			got, err := h.Code(ctx, account, typed)
			if want == "" {
				if !errors.Is(err, ErrWrong) {
					t.Errorf("%s, %q: %q, %v", account, typed, got, err)
				}
			} else if got != want || err != nil {
				t.Errorf("%s, %q: %q, %v", account, typed, got, err)
			}
		}
		check("joe", h.code(key), "") // it was used to add the app
		h.clock = h.clock.Add(otp.StepLasts)
		check("ann", h.code(key), "")
		code := h.code(key)
		check("joe", code[:3]+" "+code[3:], TOTP)
		check("joe", code, "")
		for _, odd := range []string{"", "12345", "1234567", strings.Repeat("x", 1000), "' OR 1=1 --"} {
			check("joe", odd, "")
		}
		check("ann", codes[0], "")
		check("joe", strings.ToUpper(codes[0]), Recovery)
		check("joe", codes[0], "")
		check("joe", strings.ReplaceAll(codes[1], "-", ""), Recovery)
		if n, err := h.CodesLeft(ctx, "joe"); n != 8 || err != nil {
			t.Errorf("%d left, %v", n, err)
		}
		again, err := h.NewCodes(ctx, "joe")
		if err != nil || len(again) != 10 {
			t.Fatal(again, err)
		}
		check("joe", codes[2], "")
		check("joe", again[2], Recovery)
		if _, err := h.NewCodes(ctx, "ann"); !errors.Is(err, ErrNone) {
			t.Errorf("codes without a factor: %v", err)
		}
		all, err := h.List(ctx, "joe")
		if err != nil || len(all) != 1 || all[0].Name != "My phone" || all[0].Kind != TOTP || !all[0].Used.Equal(h.clock) {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

// Of many who show the same code at the same moment, one gets in.
func TestOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		key, codes := h.app(t, "joe", "phone")
		h.clock = h.clock.Add(otp.StepLasts)
		for _, typed := range []string{h.code(key), codes[0]} {
			var wg sync.WaitGroup
			var mu sync.Mutex
			in := 0
			for range 8 {
				wg.Go(func() {
					if _, err := h.Code(context.Background(), "joe", typed); err == nil {
						mu.Lock()
						in++
						mu.Unlock()
					} else if !errors.Is(err, ErrWrong) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if in != 1 {
				t.Errorf("%d got in with one code", in)
			}
		}
	})
}

// WEB-3: an account's password lets no program in while it has a factor, and does again after the last one went.
func TestAccess(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		access := func(account_ string, want bool) {
			t.Helper()
			a, err := h.Accounts.Access(ctx, account_)
			if err != nil || a.SecondFactor != want || a.NeedsApp(account.IMAP) != want || a.NeedsApp(account.Web) {
				t.Errorf("%s: %+v, %v", account_, a, err)
			}
		}
		h.app(t, "joe", "phone")
		if _, codes := h.app(t, "joe", "tablet"); codes != nil {
			t.Error("a second factor replaces the recovery codes")
		}
		access("joe", true)
		access("ann", false)
		if err := h.Accounts.ChangeAccess(ctx, "joe", func(a account.Access) account.Access { a.SecondFactor, a.Admin = false, true; return a }); err != nil {
			t.Fatal(err)
		}
		access("joe", true) // other rules do not touch it
		for _, name := range []string{"phone", "", " ", strings.Repeat("x", 65), "two\nlines"} {
			key := otp.NewKey()
			if _, err := h.AddTOTP(ctx, "joe", name, key, h.code(key)); !errors.Is(err, ErrExists) && !errors.Is(err, ErrName) {
				t.Errorf("%q: %v", name, err)
			}
		}
		all, err := h.List(ctx, "joe")
		if err != nil || len(all) != 2 {
			t.Fatal(all, err)
		}
		if err := h.Remove(ctx, "ann", all[0].ID); !errors.Is(err, ErrNone) {
			t.Errorf("another account's factor: %v", err)
		}
		access("ann", false)
		access("joe", true)
		for i, f := range all {
			if err := h.Remove(ctx, "joe", f.ID); err != nil {
				t.Fatal(err)
			}
			access("joe", i == 0)
		}
		if n, err := h.CodesLeft(ctx, "joe"); n != 0 || err != nil {
			t.Errorf("%d codes left, %v", n, err)
		}
		h.app(t, "joe", "phone")
		if err := h.Reset(ctx, "joe"); err != nil {
			t.Fatal(err)
		}
		access("joe", false)
		if err := h.Reset(ctx, "nobody"); !errors.Is(err, accounts.ErrNoSuchAccount) {
			t.Errorf("%v", err)
		}
		for n := range maxFactors + 1 {
			key := otp.NewKey()
			_, err := h.AddTOTP(ctx, "ann", "n"+strings.Repeat("x", n), key, h.code(key))
			if n == maxFactors != errors.Is(err, ErrMany) || err != nil && n < maxFactors {
				t.Errorf("%d: %v", n, err)
			}
		}
	})
}

// WEB-3: what is no signature of an account's own passkey lets nobody in. (That a good one does is seen in a browser, and in package webauthn.)
func TestSigned(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		if _, err := h.AddPasskey(ctx, "joe", "key", webauthn.Credential{ID: []byte("an id"), Public: []byte("no key"), Count: 1}); err != nil {
			t.Fatal(err)
		}
		ids, err := h.PasskeyIDs(ctx, "joe")
		if err != nil || len(ids) != 1 || string(ids[0]) != "an id" {
			t.Errorf("%q, %v", ids, err)
		}
		for _, account := range []string{"joe", "ann"} {
			for _, id := range []string{"an id", "another"} {
				if err := h.Signed(ctx, account, webauthn.Party{ID: "x", Origin: "https://x"}, []byte("0123456789abcdef"), webauthn.Signed{ID: []byte(id)}); !errors.Is(err, ErrWrong) {
					t.Errorf("%s, %s: %v", account, id, err)
				}
			}
		}
	})
}
