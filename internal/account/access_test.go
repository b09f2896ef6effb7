package account_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"waxwing/internal/account"
	"waxwing/internal/reason"
)

// ACC-3: every combination of an account's rules with who wants to log in, against the rules told
// one by one.
func TestLogIn(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	inside := netip.MustParsePrefix("192.0.2.0/24")
	froms := map[string]bool{"192.0.2.9": true, "::ffff:192.0.2.9": true, "192.0.3.1": false, "2001:db8::1": false, "": false}
	seen := map[reason.Word]int{}
	for _, appOnly := range []bool{false, true} {
		for _, networks := range [][]netip.Prefix{nil, {inside}, {netip.MustParsePrefix("203.0.113.0/24"), inside}} {
			for _, by := range []account.Proof{account.ByPassword, account.ByApp, account.ByCertificate, account.ByKey} {
				for _, expires := range []time.Time{{}, now.Add(-1), now, now.Add(1)} {
					for _, protocols := range [][]account.Protocol{{account.SMTP}, {account.IMAP}, {account.SMTP, account.JMAP}} {
						for text, home := range froms {
							from, _ := netip.ParseAddr(text)
							got := account.Access{AppOnly: appOnly, Networks: networks}.LogIn(account.Proven{By: by, Protocol: account.SMTP, From: from, At: now,
								App: account.AppPassword{Expires: expires, Protocols: protocols}})
							app := by == account.ByApp
							var want []reason.Word // all that stand against it
							if app && (expires.Equal(now) || expires.Equal(now.Add(-1))) {
								want = append(want, reason.AppPasswordExpired)
							}
							if app && protocols[0] != account.SMTP {
								want = append(want, reason.AppPasswordProtocol)
							}
							if appOnly && by == account.ByPassword {
								want = append(want, reason.AppPasswordNeeded)
							}
							if networks != nil && !home {
								want = append(want, reason.LoginNetwork)
							}
							if got == "" != (len(want) == 0) || got != "" && got != want[0] {
								t.Errorf("app only %t, %v, %s from %q, ends %v, %v: %q, want %q", appOnly, networks, by, text, expires, protocols, got, want)
							}
							seen[got]++
						}
					}
				}
			}
		}
	}
	if len(seen) != 5 {
		t.Errorf("%v", seen)
	}
}

// ACC-3: whom an account may write to.
func TestMaySend(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		send   account.Sending
		hosted bool
		want   reason.Word
	}{
		{account.SendAnywhere, false, ""}, {account.SendAnywhere, true, ""},
		{account.SendHosted, true, ""}, {account.SendHosted, false, reason.AccountSendsHosted},
		{account.SendNothing, true, reason.AccountSendsNothing}, {account.SendNothing, false, reason.AccountSendsNothing},
	} {
		if got := (account.Access{Send: tt.send}).MaySend(tt.hosted); got != tt.want {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}

func TestParseProtocols(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]account.Protocol{
		"smtp": {account.SMTP}, "jmap,smtp": {account.SMTP, account.JMAP}, "imap imap, smtp": {account.SMTP, account.IMAP},
		"": nil, ",": nil, "SMTP": nil, "smtp,pop3": nil,
	} {
		got, err := account.ParseProtocols(in)
		if !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: %v, %v", in, got, err)
		}
		if again, err := account.ParseProtocols(account.JoinProtocols(got)); want != nil && (err != nil || !slices.Equal(again, got)) {
			t.Errorf("%q: not read back: %v, %v", in, again, err)
		}
	}
}
