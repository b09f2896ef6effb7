package inventory

import (
	"strings"
	"testing"
)

// INB-14: apply gives mailboxes to no transport of another kind, and to none that is not there,
// nor changes one to which they are given; what was wrong before stops nothing else.
func TestMailboxTransports(t *testing.T) {
	t.Parallel()
	dovecot, isp := Transport{Name: "dovecot", Kind: "lmtp"}, Transport{Name: "isp", Kind: "smarthost"}
	of := func(transports []Transport, domain, account string) *Inventory {
		return &Inventory{Version: Version, Transports: transports, Domains: []Domain{{Name: "a.example", Transport: domain}}, Accounts: []Account{{Name: "joe", Transport: account}}}
	}
	both := []Transport{dovecot, isp}
	for _, tt := range []struct {
		name        string
		now, wanted *Inventory
		want        string // "": nothing is refused
	}{
		{"both kept elsewhere", of(both, "", ""), of(both, "dovecot", "dovecot"), ""},
		{"here", of(both, "dovecot", ""), of(both, "dovecot", "local"), ""},
		{"a domain by another kind", of(both, "", ""), of(both, "isp", ""), "the transport isp would be of kind smarthost"},
		{"an account by another kind", of(both, "", ""), of(both, "", "isp"), "the transport isp would be of kind smarthost"},
		{"by none", of(both, "", ""), of(both, "gone", ""), "there would be no transport gone"},
		{"it is removed", of(both, "dovecot", ""), of([]Transport{isp}, "dovecot", ""), "there would be no transport dovecot"},
		{"its kind changes", of(both, "dovecot", ""), of([]Transport{{Name: "dovecot", Kind: "smarthost"}, isp}, "dovecot", ""), "the transport dovecot would be of kind smarthost"},
		{"wrong before", of(both, "isp", ""), of(both, "isp", "dovecot"), ""},
		{"transports are not told of", of(both, "", ""), &Inventory{Version: Version, Domains: []Domain{{Name: "a.example", Transport: "dovecot"}}}, ""},
	} {
		p := Decide(tt.now, tt.wanted)
		switch {
		case tt.want == "" && len(p.Refused) > 0, tt.want != "" && (len(p.Refused) != 1 || !strings.Contains(p.Refused[0].Text, tt.want)):
			t.Errorf("%s: %v", tt.name, p.Refused)
		}
	}
}
