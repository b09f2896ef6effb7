package receive

import (
	"context"
	"testing"

	"waxwing/dns"
)

// ACC-1, INB-8: what an alias cannot take is refused before 250: a bounce would go to whomever the
// message names as its sender.
func TestAliasAtTheDoor(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	mx := &MX{Door: common(q), DNS: nullMX{}, Reports: &sink{}, IsReport: func(_ context.Context, local string, _ dns.Name) bool { return local == "board" }}
	c := serve(t, mx, nil)
	c.do("250", "MAIL FROM:<victim@else.test>")
	c.do("550 5.2.4 nobody is behind this alias", "RCPT TO:<lonely@here.test>")
	c.do("250", "RCPT TO:<team+x@here.test>")
	c.do("354", "DATA")
	c.do("550 5.4.6 mail loop", "Delivered-To: other@here.test\r\ndelivered-to:\r\n TEAM@here.test\r\n\r\nbody\r\n.")
	// What is no report goes to who reads the address, under the same rules as other mail.
	c.send("550 5.7.1 <victim@else.test> may not write", "<victim@else.test>", "<board@here.test>", "Subject: x\r\n\r\nspam")
	c.send("250", "<victim@else.test>", "<board@here.test>", "Subject: x\r\n\r\na report")
	if n := q.count(); n != 0 {
		t.Errorf("%d messages were taken", n)
	}
	c.send("250", "<victim@else.test>", "<joe@here.test> <team@here.test>", "Delivered-To: joe@here.test\r\n\r\nbody")
}
