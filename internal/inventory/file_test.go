package inventory

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestRoundTrip (OPS-6): what is written is read again, and written again is the same text.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		inv := drawn(t)
		for i := range inv.Accounts {
			inv.Accounts[i].SCRAM256 = rapid.StringOf(rapid.RuneFrom([]rune("a'\"\\ \u00fc\t$#"))).Draw(t, "text")
		}
		text, err := inv.Format("A head\n\nof two.\n")
		if err != nil {
			t.Fatal(err)
		}
		got, doc, err := Parse("f", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if got.Unique(doc); doc.Err() != nil {
			t.Fatalf("%v\n%s", doc.Err(), text)
		}
		if !reflect.DeepEqual(inv.sorted(), got) {
			t.Fatalf("%+v\nof\n%s", got, text)
		}
		again, err := got.Format("A head\n\nof two.\n")
		if err != nil || string(again) != string(text) {
			t.Fatalf("%v:\n%s\nwas\n%s", err, again, text)
		}
	})
}

// TestFile (OPS-6) is a document as it looks.
func TestFile(t *testing.T) {
	t.Parallel()
	inv := &Inventory{Domains: []Domain{{Name: "b.test", Disabled: true}, {Name: "a.test"}}, Accounts: []Account{}, Policies: []Policy{{"a.test", "testing", "7d", []string{"mx1", "mx2"}}},
		Keys: []Key{{Domain: "a.test", Selector: "s", PrivateKey: "-----BEGIN\nx\n-----END\n"}}}
	got, err := inv.Format("The head.")
	want := `# The head.

version = 1
account = []

[[domain]]
name = 'a.test'

[[domain]]
name = 'b.test'
disabled = true

[[mta_sts]]
domain = 'a.test'
mode = 'testing'
max_age = '7d'
mx = ['mx1', 'mx2']

[[dkim]]
domain = 'a.test'
selector = 's'
private_key = """
-----BEGIN
x
-----END
"""
`
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
}

// TestFaults (OPS-6): all faults at once, each with line and column.
func TestFaults(t *testing.T) {
	t.Parallel()
	inv, doc, err := Parse("f", []byte("version = 9\n[[domain]]\nname = 'a'\n[[domain]]\nnmae = 'b'\n[[domain]]\nname = 'a'\n[[route]]\ntransport = 'x'\n[[route]]\ntransport = 'x'\n"))
	if err != nil {
		t.Fatal(err)
	}
	inv.Unique(doc)
	want := "f:1:1: version: 9 is of a newer program; this one reads up to 1\n" +
		"f:4:3: domain[1].name: missing; it is needed, as in name = \"example.org\"\n" +
		"f:5:1: domain[1].nmae: unknown key; did you mean \"name\"?\n" +
		"f:6:3: domain[2]: domain a stands in line 2 already"
	if err := doc.Err(); err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	if _, doc, err := Parse("f", nil); err != nil || doc.Err() == nil || !strings.Contains(doc.Err().Error(), "version: missing") {
		t.Errorf("without a version: %v", doc.Err())
	}
	largest := []byte("version = 1\n#" + strings.Repeat(" ", MaxFile-len("version = 1\n#")))
	if _, doc, err := Parse("f", largest); err != nil || doc.Err() != nil {
		t.Errorf("as large as may be: %v", err)
	}
	if _, _, err := Parse("f", append(largest, ' ')); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Error(err)
	}
}

// TestSections (OPS-6): what is not told of stays so without secrets; of all sections the order of
// routes alone says something.
func TestSections(t *testing.T) {
	t.Parallel()
	part := &Inventory{Domains: []Domain{{Name: "a.test"}}, Routes: []Route{}}
	if got := part.WithoutSecrets(); !reflect.DeepEqual(got, part) {
		t.Errorf("%+v", got)
	}
	for _, name := range append(Sections(), "nonsense") {
		if Ordered(name) != (name == "route") {
			t.Errorf("%s: %v", name, Ordered(name))
		}
	}
}

// TestChangeAsLine (OPS-6): no secret is shown.
func TestChangeAsLine(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Change{
		"+ domain a.test":                                  {Action: Add, Section: "domain", Key: "a.test", After: Domain{Name: "a.test"}},
		"+ address x@a.test: account joe":                  {Action: Add, Section: "address", Key: "x@a.test", After: Address{Address: "x@a.test", Account: "joe"}},
		"+ account joe: disabled true":                     {Action: Add, Section: "account", Key: "joe", After: Account{Name: "joe", Disabled: true, Password: "hash"}},
		"- account joe":                                    {Action: Remove, Section: "account", Key: "joe", Before: Account{Name: "joe", Password: "hash"}},
		"~ account joe: disabled unset → true":             {Action: Modify, Section: "account", Key: "joe", Before: Account{Name: "joe"}, After: Account{Name: "joe", Disabled: true}},
		"~ account joe: password is another":               {Action: Modify, Section: "account", Key: "joe", Before: Account{Name: "joe", Password: "h"}, After: Account{Name: "joe", Password: "i"}},
		"~ mta_sts a.test: mx m1 → m1 m2":                  {Action: Modify, Section: "mta_sts", Key: "a.test", Before: Policy{Domain: "a.test", MX: []string{"m1"}}, After: Policy{Domain: "a.test", MX: []string{"m1", "m2"}}},
		"+ sieve joe main: active true, script of 2 lines": {Action: Add, Section: "sieve", Key: "joe main", After: Script{"joe", "main", true, "keep;\nstop;\n"}},
		"+ route to far.test, transport isp":               {Action: Add, Section: "route", Key: Route{To: "far.test", Transport: "isp"}.Key(), After: Route{To: "far.test", Transport: "isp"}},
		"+ dkim s._domainkey.a.test: record v=D…":          {Action: Add, Section: "dkim", Key: "s._domainkey.a.test", After: Key{Domain: "a.test", Selector: "s", Record: "v=D" + strings.Repeat("\u00fc", 99), PrivateKey: "k"}},
	} {
		got := c.String()
		if strings.Contains(got, "\u00fc") {
			got = strings.ReplaceAll(got, "\u00fc", "")
		}
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
