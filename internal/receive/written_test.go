package receive

import (
	"testing"

	"waxwing/internal/login"
)

// Addresses with dots that RFC 5321 wants in quotes are taken without them, and
// the envelope that is relayed has every address octet for octet. An address that
// comes twice counts once, however it is quoted.
func TestAddressesAsWritten(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	mx := serve(t, &MX{Door: common(q), DNS: nullMX{}}, nil)
	for _, from := range []string{"abc..def@docomo.test", "abc.@docomo.test", ".abc@Docomo.test", `"abc..def"@docomo.test`, `"a b"@x.test`, `"abc"@x.test`, "a@x.test", ""} {
		mx.send("250", "<"+from+">", `<joe@here.test> <"joe"@here.test> <joe+..x.@here.test> <"joe+..x."@here.test>`, "Subject: x\r\n\r\nx")
		env := q.last(t).env
		if env.Sender != from || len(env.Recipients) != 2 || env.Recipients[0].Address != "joe@here.test" || env.Recipients[1].Address != "joe+..x.@here.test" {
			t.Errorf("%s: sender %s, recipients %v", from, env.Sender, env.Recipients)
		}
	}
	mx.do("250", "MAIL FROM:<>")
	mx.do("550 5.1.1", "RCPT TO:<no..body@here.test>")

	c := serve(t, &Submission{Door: common(q)}, &login.Checker{Accounts: people{}})
	c.login()
	c.send("250", "<joe@here.test>", "<abc..def@docomo.test> <.a@docomo.test>", "From: joe@here.test\r\n\r\nx")
	if r := q.last(t).env.Recipients; r[0].Address != "abc..def@docomo.test" || r[1].Address != ".a@docomo.test" {
		t.Errorf("recipients of a submitted message: %v", r)
	}
	c.do("553", "MAIL FROM:<jo..e@here.test>")
}
