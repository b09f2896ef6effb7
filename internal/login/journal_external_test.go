package login_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"testing"

	"waxwing/internal/login"
	"waxwing/sasl"
)

// ACC-3: the log of logins tells of certificates and API keys as it does of passwords, and of tries with an
// account that may not log in, too.
func TestJournalOfOtherProofs(t *testing.T) {
	t.Parallel()
	ours, roots := newAuthority(t, "ours"), x509.NewCertPool()
	roots.AddCert(ours.cert)
	acc := company(t)
	journal := &login.Journal{DB: acc.DB}
	c := &login.Checker{Accounts: acc, Limits: login.Limits{Delay: -1}, Journal: journal}
	addr := door(t, login.NewExternal(c, login.Trust{Roots: roots}), &tls.Config{Certificates: []tls.Certificate{*ours.issue(nil)}, ClientAuth: tls.RequestClientCert, ClientCAs: roots})
	for account, want := range map[string]string{"you": "235", "off": "535"} {
		v, _ := visit(t, addr, ours.issue(nil, account+"@example.test"))
		v.say("AUTH EXTERNAL =\r\n", want)
	}
	from := netip.MustParseAddr("192.0.2.1")
	for _, account := range []string{"you", "off"} {
		err := c.APIKey(t.Context(), from, "key", func(context.Context) (string, error) { return account, nil })
		if (account == "off") != errors.Is(err, sasl.ErrFailed) {
			t.Errorf("%s: %v", account, err)
		}
	}
	journal.Wait()
	for account, result := range map[string]string{"you": "ok", "off": "failed"} {
		all, err := journal.Entries(t.Context(), account)
		must(t, err)
		found := map[string]string{}
		for _, e := range all {
			found[e.Protocol+" "+e.Mechanism+" "+e.Address] = e.Result
		}
		if len(all) != 2 || found["smtp EXTERNAL 127.0.0.1"] != result || found["api API-KEY 192.0.2.1"] != result {
			t.Errorf("%s: %v", account, found)
		}
	}
}
