package login

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"

	"waxwing/sasl"
	"waxwing/smtp"
)

// OPS-8, INB-3: guesses of API keys are slowed down and refused by network, as those of
// passwords are; a key that was used there before goes on.
func TestAPIKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		counted := map[string]int{}
		c := &Checker{Accounts: newPeople(), Count: func(mechanism, result string) { counted[mechanism+" "+result]++ }}
		home, away := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		try := func(from netip.Addr, id, account string) error {
			return c.APIKey(t.Context(), from, id, func(context.Context) (string, error) { return account, nil })
		}
		if err := try(home, "good", "joe"); err != nil {
			t.Fatal(err)
		}
		if err := try(home, "of-off", "off"); !errors.Is(err, sasl.ErrFailed) {
			t.Errorf("an account that may not log in: %v", err)
		}
		broken := errors.New("the store is away")
		if err := c.APIKey(t.Context(), away, "x", func(context.Context) (string, error) { return "", broken }); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
		for range 20 {
			for _, from := range []netip.Addr{home, away} {
				if err := try(from, "guess", ""); err == nil {
					t.Fatal("a guess is right")
				}
			}
		}
		var reply *smtp.Reply
		if err := try(away, "good", "joe"); !errors.As(err, &reply) || !reply.Temporary() {
			t.Errorf("after 20 guesses: %v", err)
		}
		if err := try(home, "good", "joe"); err != nil {
			t.Errorf("beside a guesser at home: %v", err)
		}
		if counted["API-KEY ok"] != 2 || counted["API-KEY failed"] < 20 || counted["API-KEY refused"] == 0 || counted["API-KEY error"] != 1 {
			t.Errorf("%v", counted)
		}
	})
}
