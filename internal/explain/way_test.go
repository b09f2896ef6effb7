package explain

import (
	"errors"
	"strings"
	"testing"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/route"
	"waxwing/internal/routes"
)

// TRA-4: what routes say is told, and what cannot be taken.
func TestWay(t *testing.T) {
	t.Parallel()
	to := delivery.RecipientDomain{Name: dns.MustParse("a.test")}
	relay := route.Transport{Name: "relay", Kind: route.Smarthost, Host: route.Host{Name: dns.MustParse("relay.test")}}
	proxy := route.Transport{Name: "proxy", Kind: route.SOCKS5, Proxy: "127.0.0.1:1080"}
	deny := route.Transport{Name: "deny", Kind: route.Fail, Code: 550}
	all := map[string]route.Transport{"relay": relay, "proxy": proxy, "deny": deny}
	for _, tt := range []struct {
		transport string // of a rule for everything; "": no rule
		broken    bool
		want      string // in the sentence; "": direct delivery
		direct    bool
	}{
		{transport: "", direct: true},
		{transport: "direct", direct: true},
		{transport: "relay", want: "handed to relay.test:25 by the transport relay ("},
		{transport: "proxy", want: "Through 127.0.0.1:1080, by the transport proxy (", direct: true},
		{transport: "deny", want: "as the transport deny says"},
		{transport: "local", want: "into a mailbox of this server"},
		{transport: "gone", want: "would wait: transport gone ("},
		{broken: true, want: "cannot be read"},
	} {
		table := &routes.Table{Ways: route.Ways{Transports: all}}
		if tt.transport != "" {
			table.Rules = []route.Rule{{ID: 1, Scope: route.OfServer, Transport: tt.transport}}
		}
		if tt.broken {
			table.Bad = []route.BadRule{{Rule: route.Rule{Scope: route.OfServer, Transport: "relay"}, Err: errors.New("y")}}
			table.Broken = map[string]error{"of others": errors.New("z")}
		}
		w := chooseWay(table, route.Subject{Recipient: to})
		if w.Direct() != tt.direct || (w == nil) != (tt.want == "") || w != nil && !strings.Contains(w.summary(), tt.want) {
			t.Errorf("%+v: %+v", tt, w)
		}
	}
}
