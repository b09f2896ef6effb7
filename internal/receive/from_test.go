package receive

import (
	"os"
	"strings"
	"testing"

	"waxwing/internal/login"
)

// TestFromIsOwn (INB-5, TRA-8): comments, groups, routes, folding and several
// addresses are read, and are no way around the check that From is the account's.
func TestFromIsOwn(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	c := serve(t, &Submission{Door: common(q), Signer: seal{}}, &login.Checker{Accounts: people{}})
	c.login()
	for _, tt := range []struct{ header, want string }{
		{"From: Joe < joe@here.test >", "250"},
		{"From: joe (it's me) @ (here) here . test", "250"},
		{"From: \"boss@far.test\" <joe@here.test>", "250"},
		{"From: joe@here.test (boss@far.test)", "250"},
		{"From: team: joe@here.test, joe+list@here.test;", "250"},
		{"From: Joe\r\n\t<joe@here.test>", "250"},
		{"From: =?x-none?q?Jo?= <joe@here.test>", "250"},
		{"From: J\xf6 <joe@here.test>", "250"},
		{"From: <@far.test:joe@here.test>", "250"},

		{"From: team: joe@here.test, ann@here.test;", "550 5.7.1"},
		{"From: team: joe@here.test;, boss@far.test", "550 5.7.1"},
		{"From: joe@here.test, <@here.test:boss@far.test>", "550 5.7.1"},
		{"From: boss@far.test (joe@here.test)", "550 5.7.1"},
		{"From: \"joe@here.test\"@far.test", "550 5.7.1"},
		{"From: \"joe@here.test\" <boss@far.test>", "550 5.7.1"},
		{"From: boss@far.test,, joe@here.test", "550 5.7.1"},
		{"From: joe@here.test\r\n\t, boss@far.test", "550 5.7.1"},
		{"From: joe@[127.0.0.1]", "550 5.7.1"},
		{"From: joe@here.test\r\nSender: team: ann@here.test;", "550 5.7.1"},
		{"From: joe@here.test\r\nSender: joe@here.test, (x) ann@here.test", "550 5.7.1"},

		{"From: undisclosed:;", "550 5.6.0"},
		{"From: boss@far.test <joe@here.test>", "550 5.6.0"},
		{"From: <joe@here.test> boss@far.test", "550 5.6.0"},
		{"From: boss@far.test: joe@here.test;", "550 5.6.0"},
		{"From: =?utf-8?q?,?= <boss@far.test>,?= <joe@here.test>", "550 5.6.0"},
		{"From: joe@here.test (", "550 5.6.0"},
		{"From: joe@here.test\x0b<boss@far.test>", "550 5.6.0"},
		{"From: joe", "550 5.6.0"},
		{"From: joe@here.test\r\nSender: (nobody)", "550 5.6.0"},
		{"From : joe@here.test\r\nFrom: boss@far.test", "550 5.6.0"},
	} {
		c.send(tt.want, "<joe@here.test>", "<x@far.test>", tt.header+"\r\n\r\n")
	}
}

// from-charset.eml and from-cfws.eml: valid mail that was refused.
func TestFromCases(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	c := serve(t, &Submission{Door: common(q)}, &login.Checker{Accounts: people{}})
	c.login()
	for _, name := range []string{"from-charset.eml", "from-cfws.eml"} {
		b, err := os.ReadFile("../../message/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		mail := strings.ReplaceAll(string(b), "example.test", "here.test")
		mail = strings.ReplaceAll(strings.ReplaceAll(mail, "\r\n", "\n"), "\n", "\r\n")
		c.send("250", "<joe@here.test>", "<x@far.test>", strings.TrimSuffix(mail, "\r\n"))
	}
}
