package receive

import (
	"testing"

	"waxwing/dns"
	"waxwing/internal/route"
)

// TestBackup (INB-10): mail for a domain that is listed is queued for the domain's own hosts, and
// never for the operator's relays; nobody else's is taken.
func TestBackup(t *testing.T) {
	t.Parallel()
	q := &outbox{}
	c := serve(t, &MX{Door: common(q), DNS: nullMX{}, Backup: []dns.Name{dns.MustParse("backup.test")}}, nil)
	c.do("250", "MAIL FROM:<a@else.test>")
	for rcpt, want := range map[string]string{"<anybody@backup.test>": "250", "<joe@sub.backup.test>": "550 5.7.1", "<joe@elsewhere.test>": "550 5.7.1", "<x@[192.0.2.1]>": "550 5.7.1"} {
		c.do(want, "RCPT TO:"+rcpt)
	}
	c.do("250", "RCPT TO:<joe@here.test>")
	c.do("354", "DATA")
	c.do("250", "Subject: x\r\n\r\ny\r\n.")
	env := q.last(t).env
	if env.Transport != route.DirectName || len(env.Recipients) != 2 || env.Recipients[0].Local || !env.Recipients[1].Local {
		t.Errorf("%+v", env)
	}
	c.send("250", "<a@else.test>", "<joe@here.test>", "Subject: x\r\n\r\ny")
	if env := q.last(t).env; env.Transport != "" {
		t.Errorf("mail for here alone has the transport %q", env.Transport)
	}
}
