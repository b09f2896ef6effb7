package sendmail

import (
	"testing"

	"waxwing/message"
)

// SES-17: a server without SMTPUTF8 is given A-labels, where they are enough.
func TestSendmailToASCII(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		from, to, header string
		ok               bool
	}{
		{"me@bücher.test", "x@grüße.test", "To: x@grüße.test\r\n", true},
		{"me@here.test", "x@grüße.test", "Subject: x\r\n", true},
		{"me@here.test", "jörg@grüße.test", "Subject: x\r\n", false},
		{"mé@here.test", "x@there.test", "Subject: x\r\n", false},
		{"me@here.test", "x@grüße.test", "Subject: Grüße\r\n", true}, // encoded before, or kept for 8BITMIME (TRA-6)
	} {
		h, _, err := message.SplitHeader([]byte(tt.header + "\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		o := &outgoing{from: tt.from, recipients: []string{"a@there.test", tt.to}, header: h}
		if ok := o.toASCII(); ok != tt.ok || ok == o.smtputf8() {
			t.Errorf("%+v: %v, then %+v", tt, ok, o)
		}
	}
}
