package travel

import (
	"fmt"
	"strings"
	"testing"

	"waxwing/dsn"
	"waxwing/structure"
)

const postfix = "From: MAILER-DAEMON@b.test\r\nSubject: Undelivered\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nI'm sorry.\r\n" +
	"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.b.test\r\n\r\n" +
	"Final-Recipient: rfc822; joe@b.test\r\nAction: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; in.b.test\r\nDiagnostic-Code: smtp; 550 5.1.1 <joe@b.test>:\r\n no such user\r\n\r\n" +
	"Final-Recipient: rfc822; ann@b.test\r\nAction: delayed\r\nStatus: 4.4.1\r\nWill-Retry-Until: Tue, 1 Dec 2026 10:00:00 +0000\r\n\r\n" +
	"--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <sent@a.test>\r\nSubject: hello\r\n\r\nz\r\n--b--\r\n"

// MAIL-6: what a notification says to programs is put into plain words, with what helps, and with the mail that it is about.
func TestNotice(t *testing.T) {
	t.Parallel()
	d, err := dsn.Parse([]byte(postfix))
	if err != nil {
		t.Fatal(err)
	}
	n := noticeOf(d)
	if n.About != "sent@a.test" || n.By != "mx.b.test" || n.More || len(n.Recipients) != 2 {
		t.Fatalf("%+v", n)
	}
	joe, ann := n.Recipients[0], n.Recipients[1]
	if want := (noticed{Address: "joe@b.test", Action: dsn.Failed, Status: "5.1.1", Host: "in.b.test", Reply: "<joe@b.test>: no such user", Meaning: "The address does not exist on that server.",
		Cure: "Check the address for typing errors, and ask the recipient for the right one."}); joe != want {
		t.Errorf("%+v", joe)
	}
	if ann.Action != dsn.Delayed || ann.Meaning == "" || ann.Cure != "" || ann.Until != "2026-12-01T10:00:00Z" {
		t.Errorf("%+v", ann)
	}
	var many strings.Builder
	for i := range maxNoticed + 1 {
		fmt.Fprintf(&many, "Final-Recipient: rfc822; r%d@b.test\r\nAction: failed\r\n\r\n", i)
	}
	if d, err = dsn.Parse([]byte(strings.Replace(postfix, "Final-Recipient", many.String()+"Final-Recipient", 1))); err != nil {
		t.Fatal(err)
	}
	if n := noticeOf(d); len(n.Recipients) != maxNoticed || !n.More {
		t.Errorf("%d recipients, more: %v", len(n.Recipients), n.More)
	}
	for text, want := range map[string]bool{postfix: true, strings.Replace(postfix, "delivery-status\r\n\r\nRep", "x\r\n\r\nRep", 1): false, "Subject: x\r\n\r\ny": false} {
		m, err := structure.Parse(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := isNotice(m.Root); got != want {
			t.Errorf("%.200q is a notice: %v", text, got)
		}
	}
}
