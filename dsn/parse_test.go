package dsn

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// QUE-13: what was seen in use, as it was seen.
func TestCases(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/cases/dsn-*.eml")
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Parse(b)
		if err != nil || len(r.Recipients) != 1 {
			t.Errorf("%s: %+v, %v", file, r, err)
			continue
		}
		rc := r.Recipients[0]
		if rc.Address != "reports@example.org" || rc.Action != Failed || rc.Status.String() != "5.4.4" || rc.Reply == nil || rc.Reply.Code != 550 ||
			r.Hostname.ASCII() != "mx.example.net" || r.Arrival.IsZero() || !strings.Contains(r.Human, "It failed.") {
			t.Errorf("%s: %+v, %v", file, r, rc.Reply)
		}
		if strings.Contains(file, "unfolded") {
			if got := rc.Reply.String(); got != "550 First line of the reply mx.example.net [192.0.2.1]:25 says no to relaying." {
				t.Errorf("%s: reply %q", file, got)
			}
		}
	}
}

// notice is a notification with a status part; typ and more are of that part.
func notice(status, typ, more string) string {
	if typ == "" {
		typ = "message/delivery-status"
	}
	return "From: MAILER-DAEMON@mx.example.net\nTo: x@example.test\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=b1\n\n" +
		"--b1\nContent-Type: text/plain\n\nIt failed.\n--b1\nContent-Type: " + typ + "\n" + more + "\n" + status + "\n--b1--\n"
}

const (
	perMessage = "Reporting-MTA: dns; mx.example.net\nArrival-Date: Fri, 21 Nov 2014 17:15:27 -0500 (EST)\n"
	perBob     = "Final-Recipient: rfc822; bob@example.org\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 no such user\n"
	perAnn     = "Final-Recipient: rfc822; ann@example.org\nAction: delayed\nStatus: 4.4.1\n"
	bobFailed  = "bob@example.org failed 5.1.1 550 5.1.1 no such user"
	annDelayed = "ann@example.org delayed 4.4.1 <nil>"
)

// QUE-13: generators of the real world, and the fault of one part. Each wants the
// recipients with action, status and reply.
func TestOthers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, msg, want string }{
		{"as RFC 3464 has it", notice(perMessage+"\n"+perBob+"\n"+perAnn, "", ""), bobFailed + ", " + annDelayed},
		{"one group, two recipients", notice(perMessage+perBob+perAnn, "", ""), bobFailed + ", " + annDelayed},
		{"one group, original recipients", notice(perMessage+"Original-Recipient: rfc822;b@example.org\n"+perBob+"Original-Recipient: rfc822;a@example.org\n"+perAnn, "", ""), bobFailed + ", " + annDelayed},
		{"only the second has one", notice(perMessage+perBob+"Original-Recipient: rfc822;a@example.org\n"+perAnn, "", ""), bobFailed + ", " + annDelayed},
		{"action and status before", notice(perMessage+"\nAction: failed\nStatus: 5.1.1\nOriginal-Recipient: rfc822;b@x.example\nFinal-Recipient: rfc822;bob@example.org\nDiagnostic-Code: smtp;550 5.1.1 no such user\n\n"+perAnn, "", ""), bobFailed + ", " + annDelayed},
		{"no group for the message", notice(perBob, "", ""), bobFailed},
		{"empty lines everywhere", notice("\n\n"+strings.ReplaceAll(perMessage+"\n"+perBob, "\n", "\n\n"), "", ""), bobFailed},
		{"an empty line within a recipient", notice(perMessage+"\nFinal-Recipient: rfc822; bob@example.org\n\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 no such user\n", "", ""), bobFailed},
		{"blanks in empty lines", notice(perMessage+" \t\n"+perBob+"  \n"+perAnn, "", ""), bobFailed + ", " + annDelayed},
		{"a status part without recipients", notice(perMessage+"\nAction: failed\nStatus: 5.1.1\n", "", ""), " failed 5.1.1 <nil>"},
		{"comments in Content-Type", notice(perMessage+"\n"+perBob, "message/delivery-status (the fields)", ""), bobFailed},
		{"parameters of Content-Type", notice(perMessage+"\n"+perBob, "Message/Delivery-Status; charset=\"us-ascii\"; name", ""), bobFailed},
		{"status in base64", notice("UmVwb3J0aW5nLU1UQTogZG5zOyBteC5leGFtcGxlLm5ldAoKRmluYWwtUmVjaXBpZW50OiByZmM4MjI7IGJvYkBleGFtcGxlLm9yZwpBY3Rpb246IGZhaWxlZApTdGF0dXM6IDUuMS4xCkRpYWdub3N0aWMtQ29kZTogc210cDsgNTUwIDUuMS4xIG5vIHN1Y2ggdXNlcgo=\n", "", "Content-Transfer-Encoding: base64\n"), bobFailed},
		{"status in quoted-printable", notice(perMessage+"\nFinal-Recipient: rfc822; bob=40example.org\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 no =\nsuch user\n", "", "Content-Transfer-Encoding: quoted-printable\n"), bobFailed},
		{"status in an unknown encoding", notice(perMessage+"\n"+perBob, "", "Content-Transfer-Encoding: x-none\n"), bobFailed},
		{"status 8-bit", notice(perMessage+"\n"+strings.Replace(perBob, "no such user", "kein gül\xfcltiger Nutzer", 1), "", "Content-Transfer-Encoding: 8-bit\n"), "bob@example.org failed 5.1.1 550 5.1.1 kein gül\xfcltiger Nutzer"},
		{"text in broken base64", strings.Replace(notice(perMessage+"\n"+perBob, "", ""), "Content-Type: text/plain\n", "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n", 1), bobFailed},
		{"a part whose header is broken", strings.Replace(notice(perMessage+"\n"+perBob, "", ""), "Content-Type: text/plain\n", "no field at all\n", 1), bobFailed},
		{"an original in an unknown encoding", strings.Replace(notice(perMessage+"\n"+perBob, "", ""), "--b1--", "--b1\nContent-Type: message/rfc822\nContent-Transfer-Encoding: x-uuencode\n\nbegin\n--b1--", 1), bobFailed},
		{"no end", strings.Replace(notice(perMessage+"\n"+perBob, "", ""), "--b1--", "", 1), bobFailed},
		{"a footer around it", "From: a@b.example\nContent-Type: multipart/mixed; boundary=out\n\n--out\n" + strings.SplitN(notice(perMessage+"\n"+perBob, "", ""), "MIME-Version: 1.0\n", 2)[1] + "\n--out\nContent-Type: text/plain\n\nA list.\n--out--\n", bobFailed},
		{"a notice in a message", "From: a@b.example\nSubject: Fwd\nContent-Type: multipart/mixed; boundary=out\n\n--out\n\nsee below\n--out\nContent-Type: message/rfc822\n\n" + notice(perMessage+"\n"+perBob, "", "") + "\n--out--\n", bobFailed},
		{"a notice that is a message", "From: a@b.example\nContent-Type: message/rfc822\n\n" + notice(perMessage+"\n"+perBob, "", ""), bobFailed},
		{"a notice about a notice", strings.Replace(notice(perMessage+"\n"+perAnn, "", ""), "--b1--", "--b1\nContent-Type: message/rfc822\n\nFrom: x@y.example\nContent-Type: multipart/report; boundary=in\n\n--in\nContent-Type: message/delivery-status\n\n"+perMessage+"\n"+perBob+"\n--in--\n\n--b1--", 1), annDelayed},
		{"an unindented reply", notice(perMessage+"\nFinal-Recipient: rfc822; bob@example.org\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550-5.1.1 no\n550-5.1.1 such: thing\n550 5.1.1 user\nRemote-MTA: dns; mx.example.org\n", "", ""), "bob@example.org failed 5.1.1 550 5.1.1 no such: thing user"},
		{"an unindented reply of one line", notice(perMessage+"\n"+strings.Replace(perBob, "no such user", "no such\nuser", 1), "", ""), bobFailed},
		{"a folded reply", notice(perMessage+"\n"+strings.Replace(perBob, "smtp; 550 5.1.1 no such user", "smtp;\n\t550-5.1.1 no such\n\t550 5.1.1 user", 1), "", ""), bobFailed},
		// Sendmail, Postfix, Exchange, Domino, and what else there is.
		{"sendmail", notice("Reporting-MTA: dns; mx.example.net\nReceived-From-MTA: DNS; client.example.net\nArrival-Date: Fri, 21 Nov 2014 17:15:27 -0500\n\nFinal-Recipient: RFC822; bob@example.org\nX-Actual-Recipient: RFC822; bob@mail.example.org\nAction: failed\nStatus: 5.1.1\nRemote-MTA: DNS; mx.example.org\nDiagnostic-Code: SMTP; 550 5.1.1 <bob@example.org>... User unknown\nLast-Attempt-Date: Fri, 21 Nov 2014 17:15:28 -0500\n", "", ""), "bob@example.org failed 5.1.1 550 5.1.1 <bob@example.org>... User unknown"},
		{"Postfix", notice("Reporting-MTA: dns; mx.example.net\nX-Postfix-Queue-ID: 4XyZ\nX-Postfix-Sender: rfc822; x@example.test\nArrival-Date: Fri, 21 Nov 2014 17:15:27 -0500 (EST)\n\nFinal-Recipient: rfc822; bob@example.org\nOriginal-Recipient: rfc822;bob@example.org\nAction: failed\nStatus: 5.1.1\nRemote-MTA: dns; mx.example.org\nDiagnostic-Code: smtp; 550-5.1.1 The email account that you tried to reach does\n    not exist. 550 5.1.1 https://support.example.org\n", "", ""), "bob@example.org failed 5.1.1 550 5.1.1 The email account that you tried to reach does not exist. 550 5.1.1 https://support.example.org"},
		{"Exchange", notice("Reporting-MTA: dns;EX01.corp.example\nReceived-From-MTA: dns;EX02.corp.example\nArrival-Date: Fri, 21 Nov 2014 22:15:27 +0000\n\nOriginal-Recipient: rfc822;bob@example.org\nFinal-Recipient: rfc822;bob@example.org\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp;550 5.1.1 RESOLVER.ADR.RecipNotFound; not found\nX-Display-Name: Bob\n", "", ""), "bob@example.org failed 5.1.1 550 5.1.1 RESOLVER.ADR.RecipNotFound; not found"},
		{"Domino", notice("Reporting-MTA: smtp;notes.corp.example\n\nFinal-Recipient: rfc822;bob@example.org\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: X-Notes; User bob not listed in public Name & Address Book\n", "", ""), "bob@example.org failed 5.1.1 <nil> User bob not listed in public Name & Address Book"},
		{"sloppy values", notice(perMessage+"\nFinal-Recipient: <bob@example.org>\nAction: Failed (bad mailbox)\nStatus: #5.1.1 (bad destination)\nDiagnostic-Code: 550 5.1.1 no such user\n", "", ""), bobFailed},
		{"a local type and a comment", notice(perMessage+"\nFinal-Recipient: LOCAL; bob@example.org (unrelayable)\nAction: failure\nStatus: 5.1.1.\nDiagnostic-Code: SMTP;550 #5.1.1 no such user\n", "", ""), bobFailed},
		{"no action", notice(perMessage+"\nFinal-Recipient: rfc822; bob@example.org\nStatus: 5.1.1\n\nFinal-Recipient: rfc822;ann@example.org\nStatus: 4.4.1\n", "", ""), "bob@example.org failed 5.1.1 <nil>, " + annDelayed},
		{"no status", notice(perMessage+"\nFinal-Recipient: rfc822; bob@example.org\nAction: failed\nDiagnostic-Code: smtp; 550 5.1.1 no such user\n", "", ""), bobFailed},
		{"only the original recipient", notice(perMessage+"\nOriginal-Recipient: rfc822;bob@example.org\nAction: failed\nStatus: 5.1.1\n", "", ""), "bob@example.org failed 5.1.1 <nil>"},
		{"fields told twice", notice(perMessage+"\n"+perBob+"Diagnostic-Code: smtp; 250 ok\n", "", ""), bobFailed},
		{"UTF-8", notice(perMessage+"\nFinal-Recipient: utf-8;j\\x{F6}rg@example.org\nAction: failed\nStatus: 5.1.1\n\nFinal-Recipient: utf-8; jürg@example.org\nAction: failed\nStatus: 5.1.1\n", "message/global-delivery-status", "Content-Transfer-Encoding: 8bit\n"), "jörg@example.org failed 5.1.1 <nil>, jürg@example.org failed 5.1.1 <nil>"},
		{"older Exim", "From: Mail Delivery System <Mailer-Daemon@mx.example.net>\nX-Failed-Recipients: bob@example.org, ann@example.org\nAuto-Submitted: auto-generated\nSubject: Mail delivery failed: returning message to sender\n\nThis message was created automatically by mail delivery software.\n\nThis is a permanent error. The following address(es) failed:\n\n  bob@example.org\n    SMTP error from remote mail server after RCPT TO:<bob@example.org>:\n    host mx.example.org [192.0.2.1]: 550 5.1.1 no such user\n  ann@example.org\n    Unrouteable address\n\n------ This is a copy of the message, including all the headers. ------\n\nSubject: x\n", bobFailed + ", ann@example.org failed 5.0.0 <nil>"},
	} {
		for _, eol := range []string{"\n", "\r\n"} {
			r, err := Parse([]byte(strings.ReplaceAll(tt.msg, "\n", eol)))
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
				continue
			}
			var got []string
			for _, rc := range r.Recipients {
				s := fmt.Sprintf("%s %s %s %v", rc.Address, rc.Action, rc.Status, rc.Reply)
				if rc.Text != "" {
					s += " " + rc.Text
				}
				got = append(got, s)
			}
			if s := strings.Join(got, ", "); s != tt.want {
				t.Errorf("%s:\n%s\nwant\n%s", tt.name, s, tt.want)
			}
		}
	}
	for name, msg := range map[string]string{
		"a mail": "Subject: x\n\nHello\n", "a report of another kind": notice(perMessage, "message/disposition-notification", ""), "no fields": notice("nothing\n", "", ""), "empty": "",
	} {
		if r, err := Parse([]byte(msg)); err == nil {
			t.Errorf("%s was read as %+v", name, r)
		}
	}
}

// QUE-13: what is read is bounded.
func TestParseBounds(t *testing.T) {
	t.Parallel()
	r, err := Parse([]byte(notice(perMessage+"\n"+strings.Repeat(perAnn+"\n", 2000), "", "")))
	if err != nil || len(r.Recipients) != maxRecipients {
		t.Errorf("%v, %d recipients", err, len(r.Recipients))
	}
	deep := notice(perMessage+"\n"+perBob, "", "")
	for range 20 {
		deep = "Content-Type: message/rfc822\n\n" + deep
	}
	if r, err := Parse([]byte(deep)); err == nil {
		t.Errorf("a notice within twenty messages was read: %+v", r)
	}
}
