package provision_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/account"
	"waxwing/internal/accounts"
	"waxwing/internal/allowance"
	"waxwing/internal/config"
	"waxwing/internal/inventory"
	"waxwing/internal/provision"
	"waxwing/internal/route"
	"waxwing/internal/routes"
	"waxwing/internal/scripts"
	"waxwing/internal/signing"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/internal/stspublish"
)

var (
	org = dns.MustParse("example.org")
	net = dns.MustParse("example.net")
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// roomsOn are rooms over a store, with a DNS in which example.org has the MX mx.example.org.
func roomsOn(t *testing.T, db *store.Store) *provision.Rooms {
	t.Helper()
	zones := dnstest.Serve(t, dnstest.Zone{Name: "example.org", Records: []string{"@ MX 10 mx", "mx A 192.0.2.1"}})
	return &provision.Rooms{DB: db, Accounts: &accounts.Store{DB: db}, Policies: &stspublish.Service{Store: db, DNS: dnstest.Client(t, zones)},
		Signing: &signing.Service{Store: db}, Routes: &routes.Store{DB: db}, Scripts: &scripts.Store{DB: db}}
}

// fill gives the store some of everything, as the commands do.
func fill(t *testing.T, r *provision.Rooms) {
	t.Helper()
	ctx := t.Context()
	for _, d := range []dns.Name{org, net, dns.MustParse("b\u00fccher.example")} {
		must(t, r.Accounts.AddDomain(ctx, d))
	}
	must(t, r.Accounts.DisableDomain(ctx, net, account.Keep))
	for _, a := range []string{"joe", "ann"} {
		must(t, r.Accounts.AddAccount(ctx, a, "correct horse"))
	}
	must(t, r.Accounts.Disable(ctx, "ann", account.Refuse))
	must(t, r.Scripts.PutGlobal(ctx, "common", "keep;\n"))
	must(t, r.Scripts.Put(ctx, "joe", "main", strings.ReplaceAll(`require "fileinto";
if header :contains "subject" "\"\"\"" { fileinto "bücher\\x"; }
# ''' 	end`, "\n", "\r\n")))
	must(t, r.Scripts.Activate(ctx, "joe", "main"))
	must(t, r.Scripts.Put(ctx, "joe", "other", "discard;"))
	must(t, r.Scripts.Put(ctx, "ann", "main", "stop;"))
	must(t, r.Accounts.SetTrusted(ctx, "joe", []dns.Name{org, net}))
	limit, none := int64(7), int64(0)
	must(t, (&allowance.Store{DB: r.DB}).SetLimit(ctx, "joe", func(allowance.Own) allowance.Own { return allowance.Own{Messages: &limit, Recipients: &none} }))
	for address, to := range map[string]string{"Joe@example.org": "joe", "*@example.org": "ann", `"a b"@example.net`: "joe", "j\u00f6@b\u00fccher.example": "ann"} {
		must(t, r.Accounts.AddAddress(ctx, address, to))
	}
	must(t, r.Accounts.SetRules(ctx, net, account.LocalRules{Separators: "+-", CaseSensitive: true}))
	must(t, r.Accounts.SetRules(ctx, dns.MustParse("b\u00fccher.example"), account.LocalRules{}))
	must(t, r.Accounts.AddAddress(ctx, "Kim@example.net", "joe"))
	must(t, r.Accounts.RefuseAddress(ctx, "Sales@example.org"))
	for address, a := range map[string]account.Alias{
		"Info@example.org": {Members: []string{"JOE@example.org", "Else@Elsewhere.test"}, SenderCopy: true},
		"Team@example.net": {Members: []string{"Kim@example.net", "info@example.org"}, Posting: account.PostListed, Posters: []string{"@example.org", "Boss@corp.test"}},
	} {
		a.Address = address
		must(t, r.Accounts.AddAlias(ctx, a))
	}
	policy, err := stspublish.NewPolicy("enforce", 8*24*time.Hour, "mx.example.org,*.mx.example.org", org)
	must(t, err)
	_, err = r.Policies.Set(ctx, org, policy)
	must(t, err)
	for _, k := range []signing.NewKey{{Selector: "Ed", Services: []string{"email", "tlsrpt"}, Now: true}, {Selector: "rsa"}, {Selector: "old"}} {
		k.Domain = org
		k.Signer, err = signing.MakeKey(map[bool]string{true: "rsa", false: "ed25519"}[k.Selector == "rsa"])
		must(t, err)
		_, err = r.Signing.AddKey(ctx, k)
		must(t, err)
	}
	must(t, r.Signing.SetState(ctx, org, "old", signing.Retired))
	for _, typed := range []routes.Typed{
		{Kind: "submission", Host: "smtp.isp.example", User: "me", Port: 2587, Mechanisms: "plain,scram-sha-256", Family: "ipv4", Source: "192.0.2.7", Implicit: true},
		{Kind: "smarthost", Host: "192.0.2.9", Security: "tls", EHLO: "out.example.org"},
		{Kind: "socks5", Proxy: "127.0.0.1:1080", ProxyUser: "p", EHLO: "tor.example.org", Public: "192.0.2.1,2001:db8::1"},
		{Kind: "fail", Code: 550, Enhanced: "5.7.1", Text: "We don't \"write\" to them."},
	} {
		tr, err := typed.Transport("t-" + typed.Kind)
		must(t, err)
		if tr.User != "" {
			tr.Password = "hush"
		}
		if tr.ProxyUser != "" {
			tr.ProxyPassword = "hush hush"
		}
		must(t, r.Routes.AddTransport(ctx, tr))
	}
	for _, row := range []routes.Row{
		{Scope: "server", To: ".far.example", Transport: "t-smarthost"}, {Scope: "account", Owner: "joe", Need: "require-tls", Transport: "direct"},
		{Scope: "domain", Owner: "example.org", From: "example.net", Attempts: 3, Transport: "t-fail"}, {Scope: "account", Owner: "ann", Transport: "t-submission"},
		{Scope: "server", Transport: "t-socks5"}, {Scope: "server", Transport: "t-socks5"},
	} {
		rule, err := row.Rule()
		must(t, err)
		_, err = r.Routes.AddRule(ctx, rule, false)
		must(t, err)
	}
}

func read(t *testing.T, r *provision.Rooms) *inventory.Inventory {
	t.Helper()
	inv, err := r.Read(t.Context(), true)
	must(t, err)
	return inv
}

// parsed is a document that was written, read and checked.
func parsed(t *testing.T, inv *inventory.Inventory) *inventory.Inventory {
	t.Helper()
	text, err := inv.Format("Head.")
	must(t, err)
	return checked(t, string(text))
}

func checked(t *testing.T, text string) *inventory.Inventory {
	t.Helper()
	inv, doc, err := inventory.Parse("f", []byte(text))
	must(t, err)
	if provision.Check(inv, doc); doc.Err() != nil {
		t.Fatalf("%v\n%s", doc.Err(), text)
	}
	return inv
}

// apply carries a document out, and returns what was done.
func apply(t *testing.T, r *provision.Rooms, wanted *inventory.Inventory) []inventory.Change {
	t.Helper()
	p, err := r.Plan(t.Context(), wanted)
	if err != nil || len(p.Refused) > 0 {
		t.Fatalf("%v, refused: %v", err, p.Refused)
	}
	must(t, r.CarryOut(t.Context(), wanted, p, true))
	if left, err := r.Plan(t.Context(), wanted); err != nil || len(left.Changes) != len(p.Changes) {
		t.Fatalf("a try has changed something: %v, %v", left.Changes, err)
	}
	must(t, r.CarryOut(t.Context(), wanted, p, false))
	return p.Changes
}

const nothing = "version = 1\ndomain = []\naccount = []\naddress = []\nalias = []\nmta_sts = []\ndkim = []\ntransport = []\nroute = []\nsieve_global = []\nsieve = []\n"

// TestRoundTrip (OPS-6): what a store's document says is what there is; an emptied store that is
// given it again, and another one, have the same, and sign with its keys.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		r := roomsOn(t, db)
		fill(t, r)
		before := read(t, r)
		for _, doc := range []*inventory.Inventory{before, before.WithoutSecrets()} {
			if done := apply(t, r, parsed(t, doc)); len(done) > 0 {
				t.Errorf("the own document changes %v", done)
			}
		}
		apply(t, r, checked(t, nothing))
		if got := parsed(t, read(t, r)); !reflect.DeepEqual(got, checked(t, nothing)) {
			t.Fatalf("not empty: %+v", got)
		}
		for _, to := range []*provision.Rooms{r, roomsOn(t, storetest.Open(t))} {
			apply(t, to, parsed(t, before))
			want, _ := before.Format("")
			got, err := read(t, to).Format("")
			if err != nil || string(got) != string(want) {
				t.Errorf("%v: it has\n%s\nwanted\n%s", err, got, want)
			}
			works(t, to)
		}
	})
}

// works sees that what the document brought does what it is for.
func works(t *testing.T, r *provision.Rooms) {
	t.Helper()
	ctx := t.Context()
	c, ok, err := r.Accounts.Credentials(ctx, "joe")
	if good, verr := account.VerifyPassword(c.PasswordHash, "correct horse"); !ok || !good || err != nil || verr != nil {
		t.Errorf("joe cannot log in: %v, %v", err, verr)
	}
	if target, err := r.Accounts.Resolve(ctx, "anybody", org); err != nil || target.Account != "ann" {
		t.Errorf("the catchall: %+v, %v", target, err)
	}
	if off, err := r.Accounts.IsDisabled(ctx, net); !off || err != nil {
		t.Errorf("example.net is not disabled (%v)", err)
	}
	msg := []byte("From: a@example.org\r\n\r\nbody\r\n")
	field, err := r.Signing.Sign(ctx, org, msg, nil)
	if err != nil || strings.Count(string(field), "DKIM-Signature:") != 1 {
		t.Fatalf("signed: %s, %v", field, err)
	}
	keys, err := r.Signing.Keys(ctx, org)
	must(t, err)
	zone := dnstest.Zone{Name: "example.org"}
	for _, k := range keys {
		zone.Records = append(zone.Records, fmt.Sprintf("%s._domainkey TXT %q", k.Selector, k.Record))
	}
	all, err := dkim.Verify(ctx, dnstest.Client(t, dnstest.Serve(t, zone)), append(field, msg...), dkim.Limits{})
	if err != nil || len(all) != 1 || all[0].Result != dkim.Pass {
		t.Errorf("the signature: %+v, %v", all, err)
	}
	if prog, err := r.Scripts.Global(ctx, "common"); prog == nil || err != nil {
		t.Errorf("the global script: %v", err)
	}
	if l, err := r.Scripts.Library(ctx, "joe"); err != nil || l == nil || l.Active != "main" {
		t.Errorf("joe's scripts: %+v, %v", l, err)
	}
	table, err := r.Routes.Table(ctx)
	must(t, err)
	if tr := table.Transports["t-submission"]; string(tr.Password) != "hush" {
		t.Error("the transport has not its password")
	}
	if way := table.Choose(route.Subject{Account: "ann"}); way.Transport != "t-submission" {
		t.Errorf("the way of ann's mail: %+v", way)
	}
}

// TestManyDocuments (OPS-6): from any document to any other the store becomes what it says.
func TestManyDocuments(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		r := roomsOn(t, db)
		fill(t, r)
		whole := read(t, r)
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range 25 {
			wanted := parsed(t, some(rng, whole))
			apply(t, r, wanted)
			got, err := read(t, r).Format("")
			must(t, err)
			if want, _ := wanted.Format(""); string(got) != string(want) {
				t.Fatalf("document %d: the store has\n%s\nwanted\n%s", i, got, want)
			}
		}
	})
}

// some is a part of whole in which nothing dangles, changed here and there.
func some(rng *rand.Rand, whole *inventory.Inventory) *inventory.Inventory {
	part := &inventory.Inventory{Version: inventory.Version, Addresses: []inventory.Address{}, Aliases: []inventory.Alias{}, Policies: []inventory.Policy{}, Routes: []inventory.Route{}}
	have := map[inventory.Ref]bool{}
	keep := func(section string, e inventory.Entry) bool {
		for _, need := range e.Needs() {
			if !have[need] {
				return false
			}
		}
		have[inventory.Ref{Section: section, Key: e.Key()}] = rng.IntN(3) > 0
		return have[inventory.Ref{Section: section, Key: e.Key()}]
	}
	part.Domains, part.Accounts = chosen(whole.Domains, "domain", keep), chosen(whole.Accounts, "account", keep)
	for i := range part.Domains {
		part.Domains[i].Disabled = rng.IntN(2) == 0
	}
	for i := range part.Accounts {
		part.Accounts[i].Disabled, part.Accounts[i].Messages = rng.IntN(2) == 0, []string{"", "none", "12"}[rng.IntN(3)]
	}
	part.Addresses, part.Policies = chosen(whole.Addresses, "address", keep), chosen(whole.Policies, "mta_sts", keep)
	part.Aliases = chosen(whole.Aliases, "alias", keep)
	part.Keys, part.Transports = chosen(whole.Keys, "dkim", keep), chosen(whole.Transports, "transport", keep)
	for i := range part.Keys {
		part.Keys[i].Retired, part.Keys[i].SignAtOnce = rng.IntN(2) == 0, rng.IntN(2) == 0
		if other := whole.Keys[rng.IntN(len(whole.Keys))]; rng.IntN(3) == 0 {
			part.Keys[i].PrivateKey, part.Keys[i].Record, part.Keys[i].Services = other.PrivateKey, other.Record, other.Services
		}
	}
	for i := range part.Aliases {
		part.Aliases[i].NoSenderCopy = rng.IntN(2) == 0
	}
	for i := range part.Addresses {
		if part.Addresses[i].Refused {
			continue
		}
		part.Addresses[i].Account, part.Addresses[i].Mailbox = part.Accounts[rng.IntN(len(part.Accounts))].Name, []string{"", "Lists"}[rng.IntN(2)]
	}
	part.Globals = chosen(whole.Globals, "sieve_global", keep)
	part.Scripts = chosen(whole.Scripts, "sieve", func(_ string, e inventory.Entry) bool {
		return have[inventory.Ref{Section: "account", Key: e.(inventory.Script).Account}] && rng.IntN(3) > 0
	})
	active := map[string]bool{}
	for i := range part.Scripts {
		c := &part.Scripts[i]
		c.Active = rng.IntN(2) == 0 && !active[c.Account]
		active[c.Account] = active[c.Account] || c.Active
		c.Script = []string{c.Script, "keep;"}[rng.IntN(2)]
	}
	part.Routes = chosen(whole.Routes, "route", keep)
	rng.Shuffle(len(part.Routes), func(i, j int) { part.Routes[i], part.Routes[j] = part.Routes[j], part.Routes[i] })
	return part
}

func chosen[E inventory.Entry](all []E, section string, keep func(string, inventory.Entry) bool) []E {
	out := []E{}
	for _, e := range all {
		if keep(section, e) {
			out = append(out, e)
		}
	}
	return out
}

// TestRefused (OPS-6): what stands in the way is said of all, and nothing is done.
func TestRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		r, ctx := roomsOn(t, db), t.Context()
		fill(t, r)
		before := read(t, r)
		refused := func(wanted *inventory.Inventory, words ...string) {
			t.Helper()
			p, err := r.Plan(ctx, wanted)
			must(t, err)
			all := fmt.Sprint(p.Refused)
			for _, w := range words {
				if !strings.Contains(all, w) {
					t.Errorf("%q is not in %s", w, all)
				}
			}
			if len(p.Refused) != len(words) {
				t.Errorf("refused %s", all)
			}
		}
		refused(checked(t, "version = 1\n[[mta_sts]]\ndomain = 'example.org'\nmode = 'enforce'\nmax_age = '2d'\nmx = ['other.example.org']\n"), "MX records of example.org name mx.example.org")
		refused(checked(t, "version = 1\n[[mta_sts]]\ndomain = 'example.org'\nmode = 'testing'\nmax_age = '2d'\nmx = ['other.example.org']\n"))
		refused(checked(t, "version = 1\ntransport = []\nroute = []\n"))
		refused(checked(t, "version = 1\naccount = []\naddress = []\n[[route]]\ntransport='direct'\naccount='joe'\n"), "there would be no account joe")
		refused(checked(t, "version = 1\ntransport = []\n"), "route to .far.example", "domain example.org, from example.net", "account ann", "transport t-socks5", "transport t-socks5")
		refused(checked(t, "version = 1\n[[transport]]\nname = 'isp'\nkind = 'submission'\nhost = 'h.example'\nuser = 'me'\n"), "password is not in the file", "t-", "t-", "t-", "t-", "t-")

		// Mail that has come is a reason which the store alone knows: all is taken back.
		must(t, db.Write(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO mailboxes (id, account, name, created) VALUES (1, 'joe', 'INBOX', 0)`)
			return err
		}))
		empty := checked(t, nothing)
		p, err := r.Plan(ctx, empty)
		must(t, err)
		for _, try := range []bool{true, false} {
			if err := r.CarryOut(ctx, empty, p, try); !errors.Is(err, accounts.ErrInUse) || !strings.Contains(err.Error(), "nothing was changed, since of") {
				t.Errorf("try %v: %v", try, err)
			}
		}
		if got := read(t, r); !reflect.DeepEqual(got, before) {
			t.Errorf("it was changed: %+v", got)
		}
		// A plan is carried out on what it was made from, or not at all.
		one := checked(t, "version = 1\n[[domain]]\nname = 'example.com'\n[[domain]]\nname = 'example.org'\n[[domain]]\nname = 'example.net'\ndisabled = true\n[[domain]]\nname = 'b\u00fccher.example'\n")
		p, err = r.Plan(ctx, one)
		must(t, err)
		must(t, r.Accounts.SetDomainDisabled(ctx, net, false))
		if err := r.CarryOut(ctx, one, p, false); !errors.Is(err, provision.ErrChanged) {
			t.Errorf("on another store: %v", err)
		}
	})
}

// TestNewAccount (OPS-6): an account without a password is like others, and no password is its.
func TestNewAccount(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		r, ctx := roomsOn(t, db), t.Context()
		wanted := checked(t, "version = 1\n[[account]]\nname = 'kim'\nmessages_per_day = '007'\n")
		if done := apply(t, r, wanted); len(done) != 1 || done[0].String() != "+ account kim: messages_per_day 7" {
			t.Errorf("%v", done)
		}
		c, ok, err := r.Accounts.Credentials(ctx, "kim")
		if err != nil || !ok || c.Stored().Check() != nil {
			t.Errorf("%v, %v", ok, err)
		}
		if done := apply(t, r, wanted); len(done) > 0 {
			t.Errorf("again: %v", done)
		}
	})
}

// TestFaults (OPS-6): what is wrong with a document is told all at once, with its place.
func TestFaults(t *testing.T) {
	t.Parallel()
	text := `version = 1
[[domain]]
name = 'a b'
[[account]]
name = 'Joe'
messages_per_day = 'many'
password = 'x'
[[address]]
address = 'joe'
account = 'joe'
[[mta_sts]]
domain = 'example.org'
mode = 'testing'
max_age = '1h'
mx = ['mx.example.org']
[[dkim]]
domain = 'example.org'
selector = 'a b'
services = ['web']
private_key = 'none'
[[transport]]
name = 'direct'
kind = 'direct'
[[transport]]
name = 'isp'
kind = 'submission'
port = 70000
host = 'h h'
[[transport]]
name = 'tor'
kind = 'socks5'
[[route]]
account = 'joe'
domain = 'example.org'
transport = 'direct'
[[route]]
to = 'a b'
transport = 'direct'
`
	inv, doc, err := inventory.Parse("f", []byte(text))
	must(t, err)
	provision.Check(inv, doc)
	var faults config.Errors
	if !errors.As(doc.Err(), &faults) {
		t.Fatal(doc.Err())
	}
	got := ""
	for _, f := range faults {
		got += fmt.Sprintf("%d:%d %s\n", f.Line, f.Column, f.Key)
		if strings.Contains(f.Text, "\n") {
			t.Errorf("%q has several lines", f.Text)
		}
	}
	const want = `3:1 domain[0].name
5:1 account[0].name
6:1 account[0].messages_per_day
7:1 account[0].password
9:1 address[0].address
11:3 mta_sts[0]
18:1 dkim[0].selector
19:1 dkim[0].services
20:1 dkim[0].private_key
22:1 transport[0].name
27:1 transport[1].port
28:1 transport[1].host
29:3 transport[2]
32:3 route[0]
36:3 route[1]
`
	if got != want {
		t.Errorf("%s\n%v", got, faults)
	}
}
