package message

import (
	"fmt"
	"net/mail"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TRA-8: addresses by the grammar of RFC 5322, the obsolete one included.
func TestAddressGrammar(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		// RFC 5322, Appendix A.
		{"John Doe <jdoe@machine.example>", "John Doe <jdoe@machine.example>"},
		{`"Joe Q. Public" <john.q.public@example.com>`, "Joe Q. Public <john.q.public@example.com>"},
		{"Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>", "Mary Smith <mary@x.test>|jdoe@example.org|Who? <one@y.test>"},
		{`<boss@nil.test>, "Giant; \"Big\" Box" <sysservices@example.net>`, `boss@nil.test|Giant; "Big" Box <sysservices@example.net>`},
		{"A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;", "Ed Jones <c@a.test>|joe@where.test|John <jdoe@one.test>"},
		{"Undisclosed recipients:;", ""},
		{"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete <pete@silly.test>"},
		{"A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n         joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end of the group)", "Chris Jones <c@public.example>|joe@example.org|John <jdoe@one.test>"},
		{"(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", ""},
		{"Joe Q. Public <john.q.public@example.com>", "Joe Q. Public <john.q.public@example.com>"},
		{"Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example", "Mary Smith <mary@example.net>|jdoe@test.example"},

		{"Joe < joe@example.test >", "Joe <joe@example.test>"},
		{"joe @ example . test", "joe@example.test"},
		{"<@a.test,,@b.test:joe@example.test>", "joe@example.test"},
		{`"a b" . "c".d@x.test`, `a b.c.d@x.test`},
		{`"a\"\b" <"j\oe"@x.test>`, `a"b <joe@x.test>`},
		{"joe@example.test (Joe)", "Joe <joe@example.test>"},
		{"joe@example.test (=?utf-8?q?J=C3=B6?= (x))", "Jö (x) <joe@example.test>"},
		{"joe@[192.0.2.1], joe@[ IPv6:2001:db8::1 ]", "joe@[192.0.2.1]|joe@[IPv6:2001:db8::1]"},
		{",,joe@x.test,", "joe@x.test"},
		{"a:;, b: c@x.test,, ;, d@x.test", "c@x.test|d@x.test"},
		{"jörg@bücher.test, Jörg <j@x.test>", "jörg@bücher.test|Jörg <j@x.test>"},
		{"J\xf6rg <j@x.test>", "J\uFFFDrg <j@x.test>"},
		{"\"J\xf6rg\x01\" <j@x.test> (\xf6)", "J\uFFFDrg <j@x.test>"},
		// Dots where they should not be: in use, and to be quoted when written.
		{"abc.@x.test, a..b@x.test, .a@x.test", "abc.@x.test|a..b@x.test|.a@x.test"},
		// Encoded words: adjacent ones, with a language, in quotes, unknown, broken.
		{"=?utf-8?q?J=C3=B6?= =?utf-8?q?rg?= X <j@x.test>", "Jörg X <j@x.test>"},
		{"=?utf-8?Q?J._D=C3=B6?= <j@x.test>", "J. Dö <j@x.test>"},
		{"=?ISO-8859-1*de?Q?J=F6rg?= <j@x.test>", "Jörg <j@x.test>"},
		{`"=?utf-8?q?J=C3=B6?=" <j@x.test>`, "=?utf-8?q?J=C3=B6?= <j@x.test>"},
		{"=?x-unknown?q?J=F6?= <j@x.test>", "=?x-unknown?q?J=F6?= <j@x.test>"},
		{"=?utf-8?b?!?= <j@x.test>", "=?utf-8?b?!?= <j@x.test>"},
		{"=?utf-8?q?a=00=0D=0ABcc=3A?= <j@x.test>", "a   Bcc: <j@x.test>"},
		{"=?ISO-2022-JP?B?GyRCOzNFRBsoQg==?= <j@x.test>", "山田 <j@x.test>"},
		{"=?cp1252?q?=80?= <j@x.test>", "€ <j@x.test>"},
		{"=?shift_jis?q?=8E=52?= <j@x.test>", "山 <j@x.test>"},
	} {
		list, err := ParseAddressList(c.in)
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
			continue
		}
		var got []string
		for _, a := range list {
			text := a.Local + "@" + a.Domain
			if a.Name != "" {
				text = a.Name + " <" + text + ">"
			}
			got = append(got, text)
		}
		if text := strings.Join(got, "|"); text != c.want {
			t.Errorf("%q: %q, want %q", c.in, text, c.want)
		}
	}
}

// What two readers could take for different addresses is none.
func TestAddressGrammarRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"", " ", ",", "(x)", "<>", "Joe", "Joe <>", "Joe <joe>", "joe@", "@x.test", "joe@x.test bob@y.test", "Joe joe@x.test",
		"joe@x.test <bob@y.test>", "joe@x.test Joe", "<joe@x.test", "joe@x.test>", "<joe@x.test> <bob@y.test>", "<joe@x.test> Joe",
		"boss@y.test: joe@x.test;", ": joe@x.test;", "g: joe@x.test", "g: h: joe@x.test;;", "g: joe@x.test; bob@y.test", "joe@x.test;", "joe@x.test; bob@y.test",
		"joe@x.test (", "joe@x.test )", `"joe@x.test`, `"a" "b"@x.test`, "a b@x.test", `""@x.test`, ".@x.test", "joe@x..test", "joe@.x.test", "joe@x.test.", "joe@x test",
		`joe@"x.test"`, "joe@[1.2.3.4", "joe@[1.2.3.4]x", "joe@[a b]c", "joe@[\x01]", "<x.test:joe@x.test>", "<@x.test joe@x.test>", "<a@x.test,b@x.test>",
		"joe@x.test\x00", "\x00joe@x.test", "joe\x01@x.test", "\"joe\x01\"@x.test", "jo\xf6@x.test", "joe@\xf6.test", "[joe]@x.test", "joe\\@x.test",
		"joe@x@y.test", "=?utf-8?q?,?= <boss@y.test>,?= <joe@x.test>",
	} {
		if list, err := ParseAddressList(in); err == nil {
			t.Errorf("%q is read as %v", in, list)
		}
	}
}

// from-charset.eml and from-cfws.eml (TRA-8): valid fields that were refused.
func TestFromCases(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"from-charset.eml", "from-cfws.eml"} {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		h, _, err := SplitHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		if list, err := From(h); err != nil || len(list) != 1 || list[0].Addr() != "joe@example.test" {
			t.Errorf("%s: %v %v", name, list, err)
		}
	}
}

// TRA-6: names of this machine are completed where they stand; nothing else moves.
func TestRewriteAddressList(t *testing.T) {
	t.Parallel()
	complete := func(a Address) Address {
		if a.Domain == "" || a.Domain == "localhost" {
			a.Domain = "host.test"
		}
		return a
	}
	for _, c := range []struct{ in, text, addrs string }{
		{"root", "root@host.test", "root@host.test"},
		{"root (Cron Daemon)", "root@host.test (Cron Daemon)", "root@host.test"},
		{"Charlie <root>, joe@x.test,  (a) anna (b)", "Charlie <root@host.test>, joe@x.test,  (a) anna@host.test (b)", "root@host.test joe@x.test anna@host.test"},
		{`"jo e", g: <  bob >;`, `"jo e"@host.test, g: <  bob@host.test >;`, `"jo e"@host.test bob@host.test`},
		{"first . last", "first.last@host.test", "first.last@host.test"},
		{"  joe@x.test ", "  joe@x.test ", "joe@x.test"},
		{"Jo <jo@localhost> (x), joe@x.test", "Jo <jo@host.test> (x), joe@x.test", "jo@host.test joe@x.test"},
		{"g:;", "g:;", ""},
	} {
		text, list, err := RewriteAddressList(c.in, complete)
		var addrs []string
		for _, a := range list {
			addrs = append(addrs, a.Addr())
		}
		if err != nil || text != c.text || strings.Join(addrs, " ") != c.addrs {
			t.Errorf("%q: %q %v %v", c.in, text, addrs, err)
		}
		if again, _, err := RewriteAddressList(text, complete); err != nil || again != text {
			t.Errorf("%q: not whole: %q %v", c.in, again, err)
		}
	}
	if _, _, err := RewriteAddressList("Charlie Root", complete); err == nil {
		t.Error("two words are an address")
	}
}

// TRA-6: raw names and comments are encoded where they stand, and nothing else is.
func TestEncodeAddressList(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Jörg <j@x.test>, Joe <joe@x.test>":                   "=?utf-8?q?J=C3=B6rg?= <j@x.test>, Joe <joe@x.test>",
		"\"Jörg, K.\" <j@x.test> (it is)":                     "=?utf-8?b?SsO2cmcsIEsu?= <j@x.test> (it is)",
		"Gäste: root (Jörg), \"A B\"  <a@x.test>;":            "=?utf-8?q?G=C3=A4ste?=: root (=?utf-8?q?J=C3=B6rg?=), \"A B\"  <a@x.test>;",
		"j@x.test (a (b) ö)":                                  "j@x.test (=?utf-8?b?YSAoYikgw7Y=?=)",
		"J (ö) ä <j@x.test>":                                  "=?utf-8?q?J_=C3=A4?= <j@x.test>",
		"jörg@bücher.test":                                    "jörg@bücher.test",
		"=?iso-8859-1?q?=FC?= <a@x.test> (plain), <b@x.test>": "=?iso-8859-1?q?=FC?= <a@x.test> (plain), <b@x.test>",
	} {
		got, err := EncodeAddressList(in)
		if err != nil || got != want {
			t.Errorf("%q: %q %v, want %q", in, got, err, want)
		}
	}
}

// What is read can be written and read again; what net/mail reads, we read too,
// and as the same addresses. It refuses much that is right, and decodes names.
func FuzzParseAddressList(f *testing.F) {
	for _, s := range []string{`"Doe, J." <"j doe"@example.org>, =?utf-8?q?J=C3=B6?= <jo@example.net>, team: a@b.example, c@[192.0.2.1];`,
		"Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example", "root (Cron Daemon)", "a@b (c(d)\\)), g:;", "\xf6@x", `"\"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, errList := ParseAddressList(s)
		for _, a := range list {
			if !utf8.ValidString(a.Name) || strings.ContainsAny(a.Name, "\r\n\x00") {
				t.Fatalf("%q: name %q", s, a.Name)
			}
			again, err := ParseAddressList(a.String())
			if err != nil || len(again) != 1 || again[0].Local != a.Local || again[0].Domain != a.Domain {
				t.Fatalf("%q: %q is read again as %v %v", s, a.String(), again, err)
			}
		}
		if text, err := EncodeAddressList(s); err == nil {
			again, errAgain := ParseAddressList(text)
			if (errAgain == nil) != (errList == nil) || len(again) != len(list) {
				t.Fatalf("%q: encoded as %q, it has other addresses: %v", s, text, again)
			}
			for i, a := range again {
				if a.Local != list[i].Local || a.Domain != list[i].Domain {
					t.Fatalf("%q: encoded as %q, it has another address: %v", s, text, a)
				}
			}
		}
		theirs, errTheirs := mail.ParseAddressList(s)
		control := func(a *mail.Address) bool { // which net/mail takes in quotes, and we do not
			return strings.ContainsFunc(a.Address, func(c rune) bool { return c < ' ' || c == 0x7f })
		}
		if errTheirs != nil || slices.ContainsFunc(theirs, control) {
			return
		}
		if errList != nil || len(list) != len(theirs) {
			t.Fatalf("%q: %v %v, net/mail has %v", s, list, errList, theirs)
		}
		for i, a := range list {
			if a.Local+"@"+a.Domain != theirs[i].Address {
				t.Fatalf("%q: %v, net/mail has %v", s, a, theirs[i])
			}
		}
	})
}

// AUT-5: the author's domains are those of one field, each once; addresses in several groups name nobody.
func TestFromDomains(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]string{
		"From: joe@a.test":                             "[a.test] <nil>",
		"From: joe@A.test, ann@b.test, ann@a.test":     "[a.test b.test] <nil>",
		"From: us: joe@a.test, ann@b.test;":            "[a.test b.test] <nil>",
		"From: us: joe@a.test;, ann@b.test":            "[a.test b.test] <nil>",
		"From: nobody:;, us: joe@a.test;":              "[a.test] <nil>",
		"From: us: joe@a.test;, them: ann@b.test;":     "[] From field has addresses in several groups",
		"From: us: joe@a.test;, them: ann@a.test;":     "[] From field has addresses in several groups",
		"From: nobody:;":                               "[] From field names no address",
		"From: joe@[192.0.2.1]":                        "[] From field, address joe@[192.0.2.1]:",
		"From: joe@a.test\r\nfrom: ann@a.test":         "[] message has 2 From fields",
		"Sender: joe@a.test":                           "[] message has no From field",
		"From: =?utf-8?q?joe=40bank.test?= <x@a.test>": "[a.test] <nil>",
		"From: \"joe@bank.test\" <x@a.test>":           "[a.test] <nil>",
		"From: joe@bank.test <x@a.test>":               "[] From field:",
	} {
		h, _, err := SplitHeader([]byte(field + "\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		list, err := FromDomains(h)
		if got := fmt.Sprint(list, " ", err); !strings.HasPrefix(got, want) {
			t.Errorf("%q: %s, want %s", field, got, want)
		}
	}
}
