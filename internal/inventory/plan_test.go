package inventory

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawn is an inventory in which nothing dangles, from few names, so that two have much in
// common. Secrets are there for all.
func drawn(t *rapid.T) *Inventory {
	inv := &Inventory{Version: Version}
	some := func(label string, from ...string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 0, len(from), rapid.ID[string]).Draw(t, label)
	}
	one := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
	inv.Domains, inv.Accounts, inv.Addresses, inv.Policies = []Domain{}, []Account{}, []Address{}, []Policy{}
	inv.Aliases = []Alias{}
	inv.Keys, inv.Transports, inv.Routes = []Key{}, []Transport{}, []Route{}
	domains := some("domains", "a.test", "b.test", "c.test")
	for _, d := range domains {
		inv.Domains = append(inv.Domains, Domain{Name: d, Disabled: rapid.Bool().Draw(t, "disabled")})
	}
	accounts := some("accounts", "joe", "ann", "kim")
	for _, a := range accounts {
		inv.Accounts = append(inv.Accounts, Account{Name: a, Messages: one("messages", "", "none", "7"), Password: one("password", "p1", "p2"), SCRAM1: "s"})
	}
	if len(domains) > 0 && len(accounts) > 0 {
		for _, l := range some("locals", "x", "y", "*") {
			inv.Addresses = append(inv.Addresses, Address{Address: l + "@" + one("of", domains...), Account: one("to", accounts...), Mailbox: one("mailbox", "", "Lists")})
		}
	}
	for _, d := range domains {
		if rapid.Bool().Draw(t, "policy") {
			inv.Policies = append(inv.Policies, Policy{d, one("mode", "testing", "enforce"), "7d", []string{"mx.a.test", "mx.b.test"}[:rapid.IntRange(1, 2).Draw(t, "mx")]})
		}
	}
	for _, k := range some("keys", "k1", "k2") {
		half := one("half", "1", "2")
		inv.Keys = append(inv.Keys, Key{Domain: one("of", "a.test", "b.test"), Selector: k, Retired: rapid.Bool().Draw(t, "retired"), Record: "public" + half, PrivateKey: "private" + half})
	}
	inv.Globals, inv.Scripts = []GlobalScript{}, []Script{}
	for _, g := range some("globals", "g1", "g2") {
		inv.Globals = append(inv.Globals, GlobalScript{g, one("text", "keep;", "stop;")})
	}
	for _, a := range accounts {
		for _, n := range some("scripts", "s1", "s2") {
			inv.Scripts = append(inv.Scripts, Script{a, n, rapid.Bool().Draw(t, "active"), one("text", "keep;", "stop;")})
		}
	}
	ways := some("transports", "isp", "tor")
	for _, w := range ways {
		inv.Transports = append(inv.Transports, Transport{Name: w, Kind: "submission", Host: one("host", "h1", "h2"), User: "u", Password: one("secret", "q1", "q2")})
	}
	for range rapid.IntRange(0, 6).Draw(t, "routes") {
		r := Route{To: one("to", "", "far.test"), Transport: one("by", append(ways, "direct", "local")...)}
		if len(accounts) > 0 && rapid.Bool().Draw(t, "owned") {
			r.Account = one("owner", accounts...)
		}
		inv.Routes = append(inv.Routes, r)
	}
	return inv
}

// carriedOut does the changes one by one, and fails where one cannot be done then.
func carriedOut(t *rapid.T, now *Inventory, changes []Change) *Inventory {
	out := now.sorted()
	for _, c := range changes {
		for _, s := range sections() {
			if s.name == c.Section {
				entries, _ := s.of(out)
				s.set(out, step(t, s, entries, c))
			}
		}
		danglingOf(out, func(_ int, d dangling) { t.Fatalf("after %s: %s lacks %s", &c, d.of, d.need) })
	}
	return out
}

func step(t *rapid.T, s section, entries []Entry, c Change) []Entry {
	i := slices.IndexFunc(entries, func(e Entry) bool { return e.Key() == c.Key })
	switch {
	case s.ordered && c.Action == Remove:
		if entries[c.At].Key() != c.Key {
			t.Fatalf("%s is not at %d", c.Key, c.At)
		}
		return slices.Delete(entries, c.At, c.At+1)
	case s.ordered:
		return slices.Insert(entries, c.At, c.After)
	case (i < 0) != (c.Action == Add):
		t.Fatalf("%s: there is %v", &c, i >= 0)
	case c.Action == Add:
		return append(entries, c.After)
	case c.Action == Modify:
		entries[i] = c.After
		return entries
	}
	return slices.Delete(entries, i, i+1)
}

// TestDecide (OPS-6): the changes, done one by one, lead from what there is to what is wanted, and
// at no moment does an entry lack one that it needs; from one to itself there are none.
func TestDecide(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now, wanted := drawn(t), drawn(t)
		p := Decide(now, wanted)
		if len(p.Refused) > 0 || len(p.Left) > 0 {
			t.Fatalf("refused %v, left %v", p.Refused, p.Left)
		}
		got := carriedOut(t, now, p.Changes)
		if !reflect.DeepEqual(wanted.sorted(), got.sorted()) {
			t.Fatalf("it is\n%+v\nwanted\n%+v", got, wanted)
		}
		if !reflect.DeepEqual(wanted.sorted(), p.After.sorted()) {
			t.Fatalf("After is\n%+v\nwanted\n%+v", p.After, wanted)
		}
		if again := Decide(got, wanted); len(again.Changes) > 0 {
			t.Fatalf("then still %v", again.Changes)
		}
	})
}

// TestDecideInPart (OPS-6): a section that is not told of stays; a document without
// secrets leaves them as they are, where there are such; and what is refused is all that
// cannot be, be it by a secret that is nowhere or by an entry that would dangle.
func TestDecideInPart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now, other := drawn(t), drawn(t)
		if p := Decide(now, now.WithoutSecrets()); len(p.Changes)+len(p.Refused) > 0 {
			t.Fatalf("without its secrets it differs: %v, %v", p.Changes, p.Refused)
		}
		wanted := &Inventory{Version: Version}
		told := map[string]bool{}
		for _, s := range sections() {
			if told[s.name] = rapid.Bool().Draw(t, s.name); told[s.name] {
				entries, _ := s.of(other)
				s.set(wanted, entries)
			}
		}
		p := Decide(now, wanted)
		for _, c := range p.Changes {
			if !told[c.Section] {
				t.Fatalf("%s, of which the document says nothing", &c)
			}
		}
		for _, name := range p.Left {
			if told[name] {
				t.Fatalf("%s is left alone", name)
			}
		}
		lacks := 0
		danglingOf(p.After, func(_ int, d dangling) {
			lacks++
			if !slices.ContainsFunc(p.Refused, func(r Refusal) bool {
				return r.Section == d.of.Section && r.Key == d.of.Key && strings.Contains(r.Text, d.need.String()) && (r.Path() != "") == (told[r.Section] && !Ordered(r.Section))
			}) {
				t.Fatalf("%s would lack %s: %v", d.of, d.need, p.Refused)
			}
		})
		if lacks != len(p.Refused) {
			t.Fatalf("%d dangle, and %v", lacks, p.Refused)
		}
	})
}

// TestDanglingStays (OPS-6): what lacks something already stops no other change.
func TestDanglingStays(t *testing.T) {
	t.Parallel()
	now := &Inventory{Policies: []Policy{{Domain: "gone.test"}}}
	if p := Decide(now, &Inventory{Domains: []Domain{{Name: "a.test"}}}); len(p.Refused) > 0 || len(p.Changes) != 1 {
		t.Errorf("%v, %v", p.Refused, p.Changes)
	}
}

// TestComplete (OPS-6): what becomes of secrets that the document leaves out.
func TestComplete(t *testing.T) {
	t.Parallel()
	key := Key{Domain: "a.test", Selector: "s", Record: "p", PrivateKey: "k", Services: []string{"email"}}
	isp := Transport{Name: "isp", Kind: "submission", Host: "h", User: "u", Password: "q"}
	tor := Transport{Name: "tor", Kind: "socks5", Proxy: "h:1", ProxyUser: "u", ProxyPassword: "q"}
	for name, c := range map[string]struct {
		now, wanted, want Entry // want nil: an error
	}{
		"account, new":                      {nil, Account{Name: "a"}, Account{Name: "a"}},
		"account, kept":                     {Account{Name: "a", Password: "p", SCRAM256: "2", SCRAM1: "1"}, Account{Name: "a"}, Account{Name: "a", Password: "p", SCRAM256: "2", SCRAM1: "1"}},
		"account, another":                  {Account{Name: "a", Password: "p"}, Account{Name: "a", Password: "q", SCRAM1: "1"}, Account{Name: "a", Password: "q", SCRAM1: "1"}},
		"key, new":                          {nil, Key{Domain: "a.test", Selector: "s", Record: "p"}, nil},
		"key, new with its half":            {nil, key, key},
		"key, kept":                         {key, Key{Domain: "a.test", Selector: "s", Record: "p", Services: []string{"email"}, Retired: true}, Key{Domain: "a.test", Selector: "s", Record: "p", PrivateKey: "k", Services: []string{"email"}, Retired: true}},
		"key, kept by its name":             {key, Key{Domain: "a.test", Selector: "s"}, key},
		"key, another":                      {key, Key{Domain: "a.test", Selector: "s", Record: "o"}, nil},
		"key, another of the same services": {key, Key{Domain: "a.test", Selector: "s", Record: "o", Services: []string{"email"}}, nil},
		"key, other services":               {key, Key{Domain: "a.test", Selector: "s", Services: []string{"tlsrpt"}}, nil},
		"transport, new":                    {nil, Transport{Name: "isp", User: "u"}, nil},
		"transport, kept":                   {isp, Transport{Name: "isp", Kind: "submission", Host: "h", User: "u", Family: "ipv4"}, Transport{Name: "isp", Kind: "submission", Host: "h", User: "u", Family: "ipv4", Password: "q"}},
		"transport, no login":               {isp, Transport{Name: "isp", Kind: "submission", Host: "h"}, Transport{Name: "isp", Kind: "submission", Host: "h"}},
		"transport, another host":           {isp, Transport{Name: "isp", Kind: "submission", Host: "evil", User: "u"}, nil},
		"transport, another user":           {isp, Transport{Name: "isp", Kind: "submission", Host: "h", User: "v"}, nil},
		"transport, another port":           {isp, Transport{Name: "isp", Kind: "submission", Host: "h", User: "u", Port: 1}, nil},
		"transport, another kind":           {isp, Transport{Name: "isp", Kind: "smarthost", Host: "h", User: "u"}, nil},
		"transport, less security":          {isp, Transport{Name: "isp", Kind: "submission", Host: "h", User: "u", Security: "tls"}, nil},
		"proxy, new":                        {nil, Transport{Name: "tor", ProxyUser: "u"}, nil},
		"proxy, kept":                       {tor, Transport{Name: "tor", Kind: "socks5", Proxy: "h:1", ProxyUser: "u"}, tor},
		"proxy, another":                    {tor, Transport{Name: "tor", Kind: "socks5", Proxy: "h:2", ProxyUser: "u"}, nil},
		"proxy, another user":               {tor, Transport{Name: "tor", Kind: "socks5", Proxy: "h:1", ProxyUser: "v"}, nil},
	} {
		got, err := c.wanted.Complete(c.now)
		if (err == nil) != (c.want != nil) || err == nil && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestReorderLittle (OPS-6): of an order only what moved is told.
func TestReorderLittle(t *testing.T) {
	t.Parallel()
	list := func(to ...string) *Inventory {
		inv := &Inventory{Routes: []Route{}}
		for _, d := range to {
			inv.Routes = append(inv.Routes, Route{To: d, Transport: "direct"})
		}
		return inv
	}
	for _, c := range []struct {
		from, to []string
		want     string
	}{
		{[]string{"b", "c", "d"}, []string{"a", "b", "c", "d"}, "+a"},
		{[]string{"a", "b", "c", "d", "e"}, []string{"a", "c", "d", "b", "e"}, "-b +b"},
		{[]string{"a", "b"}, nil, "-b -a"},
		{nil, []string{"a", "a"}, "+a +a"},
		{[]string{"a", "b", "c"}, []string{"c", "b", "a"}, "-b -a +b +a"},
	} {
		var got []string
		for _, ch := range Decide(list(c.from...), list(c.to...)).Changes {
			line := strings.Fields(strings.TrimSuffix(ch.String(), ", transport direct"))
			got = append(got, line[0]+line[len(line)-1])
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v to %v: %v, want %s", c.from, c.to, got, c.want)
		}
	}
	long := make([]string, 3000)
	for i := range long {
		long[i] = string(rune('a' + i%20))
	}
	turned := slices.Clone(long)
	slices.Reverse(turned)
	if p := Decide(list(long...), list(turned...)); len(p.Changes) == 0 || !reflect.DeepEqual(p.After.Routes, list(turned...).Routes) {
		t.Error("orders that are too long to be compared")
	}
}

// TestCommon (OPS-6): what stays of an order is the same in both, and no more could.
func TestCommon(t *testing.T) {
	t.Parallel()
	var longest func(a, b []string) int
	longest = func(a, b []string) int {
		switch {
		case len(a) == 0 || len(b) == 0:
			return 0
		case a[0] == b[0]:
			return 1 + longest(a[1:], b[1:])
		}
		return max(longest(a[1:], b), longest(a, b[1:]))
	}
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 8)
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		inA, inB := common(a, b)
		var left, right []string
		for i := range a {
			if inA[i] {
				left = append(left, a[i])
			}
		}
		for i := range b {
			if inB[i] {
				right = append(right, b[i])
			}
		}
		if !slices.Equal(left, right) || len(left) != longest(a, b) {
			t.Fatalf("%v and %v: %v and %v stay, of %d", a, b, left, right, longest(a, b))
		}
	})
}
