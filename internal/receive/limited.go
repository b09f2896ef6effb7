package receive

import (
	"context"
	"fmt"

	"waxwing/dns"
	"waxwing/internal/account"
	"waxwing/smtp"
)

// limited is Accounts of which a user may use some addresses only.
type limited struct {
	Accounts
	allowed map[string]bool
}

// LimitTo is Accounts of which somebody may use some addresses only.
func LimitTo(a Accounts, addresses []string) (Accounts, error) {
	l := &limited{Accounts: a, allowed: map[string]bool{}}
	for _, s := range addresses {
		key, err := addressKey(s)
		if err != nil {
			return nil, err
		}
		l.allowed[key] = true
	}
	return l, nil
}

// addressKey is an address as it is compared.
func addressKey(s string) (string, error) {
	a, err := smtp.ParseAddress(s, true)
	if err != nil {
		return "", fmt.Errorf("address %q: %w", s, err)
	}
	d, err := dns.ParseName(a.Domain)
	if err != nil {
		return "", fmt.Errorf("address %q: %w", s, err)
	}
	return smtp.Address{Local: account.NormalizeLocal(a.Local), Domain: d.ASCII()}.String(), nil
}

// MaySendAs asks the account only about what the user may send from.
func (l *limited) MaySendAs(ctx context.Context, name, address string) (bool, error) {
	key, err := addressKey(address)
	if err != nil || !l.allowed[key] {
		return false, nil
	}
	return l.Accounts.MaySendAs(ctx, name, address)
}
