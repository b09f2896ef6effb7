package holds

import (
	"context"
	"errors"
	"testing"

	"waxwing/internal/delivery"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

func domain(t *testing.T, s string) delivery.RecipientDomain {
	t.Helper()
	d, err := delivery.ParseRecipientDomain(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// QUE-6: over all rules, every given field must match.
func TestMatchIsAnd(t *testing.T) {
	t.Parallel()
	to := domain(t, "b.test")
	for _, account := range []string{"", "alice", "bob"} {
		for _, sender := range []string{"", "a.test", "x.test"} {
			for _, rcpt := range []string{"", "b.test", "x.test"} {
				r := Rule{Account: account, SenderDomain: sender, RecipientDomain: rcpt}
				want := account != "bob" && sender != "x.test" && rcpt != "x.test"
				if got := Match([]Rule{r}, "alice", "me@A.test", to) != nil; got != want {
					t.Errorf("%+v: %v", r, got)
				}
			}
		}
	}
	if Match([]Rule{{SenderDomain: "a.test"}}, "", "", to) != nil || Match(nil, "alice", "a@a.test", to) != nil {
		t.Error("the null sender has no domain, and no rule matches nothing")
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := context.Background()
		s, other := &Store{DB: db}, &Store{DB: db} // another machine
		match := func() string {
			t.Helper()
			why, err := other.Match(ctx, "alice", "a@a.test", domain(t, "bücher.test"))
			if err != nil {
				t.Fatal(err)
			}
			return why
		}
		if match() != "" {
			t.Error("held without a rule")
		}
		r, err := s.Add(ctx, Rule{Account: "alice", RecipientDomain: "Bücher.test", Note: "asked"})
		if err != nil {
			t.Fatal(err)
		}
		if got := match(); got != "mail of the account alice to xn--bcher-kva.test is held: asked" {
			t.Errorf("%q", got)
		}
		if list, err := s.List(ctx); err != nil || len(list) != 1 || list[0].ID != r.ID {
			t.Errorf("%+v, %v", list, err)
		}
		if err := s.Remove(ctx, r.ID); err != nil || match() != "" {
			t.Errorf("%v", err)
		}
		if err := s.Remove(ctx, r.ID); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		for _, bad := range []Rule{{}, {SenderDomain: "not a domain"}, {RecipientDomain: "["}} {
			if _, err := s.Add(ctx, bad); err == nil {
				t.Errorf("%+v was added", bad)
			}
		}
	})
}
