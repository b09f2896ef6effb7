package sendmail

import (
	"bytes"
	"strings"
	"testing"
)

// dialogue sends lines to -bs and returns the replies' first lines.
func speakTo(t *testing.T, args []string, in string) (replies []string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = invoke(t, strings.NewReader(in), &out, &errs, append(args, "-bs")...)
	if errs.Len() > 0 {
		t.Errorf("on stderr: %s", errs.String())
	}
	for line := range strings.Lines(out.String()) {
		if !strings.HasSuffix(line, "\r\n") {
			t.Errorf("a reply without CRLF: %q", line)
		}
		replies = append(replies, strings.TrimSuffix(line, "\r\n"))
	}
	return replies, code
}

func hold(t *testing.T, replies []string, want ...string) {
	t.Helper()
	for i, r := range replies {
		if i >= len(want) || !strings.HasPrefix(r, want[i]) {
			t.Fatalf("reply %d is %q, want %q", i, replies, want)
		}
	}
	if len(replies) != len(want) {
		t.Fatalf("%q, want %q", replies, want)
	}
}

// TRA-6: -bs as Symfony's mailer speaks it, twice over one dialogue, with what it
// says after a refusal.
func TestDialogue(t *testing.T) {
	t.Parallel()
	h := startSubmitHost(t, nil)
	file := h.config(t, "from = \"web@b.test\"\nroot = \"admin@b.test\"")
	const mail = "From: Shop <shop@b.test>\r\nTo: x@y.test\r\nSubject: one\r\nMIME-Version: 1.0\r\n\r\n.a line\r\n"
	replies, code := speakTo(t, []string{"-C", file, "-i"}, "HELO [127.0.0.1]\r\nMAIL FROM:<shop@b.test>\r\nRCPT TO:<x@y.test>\r\nRCPT TO:<root@localhost>\r\nDATA\r\n"+
		strings.ReplaceAll(mail, "\r\n.", "\r\n..")+"\r\n.\r\n"+
		"MAIL FROM:<www-data@localhost>\r\nRCPT TO:<nobody@y.test>\r\nDATA\r\n"+mail+"\r\n.\r\nRSET\r\nNOOP\r\n"+
		"MAIL FROM:<>\r\nRCPT TO:<x@y.test>\r\nDATA\r\nSubject: two\r\n\r\nhello\r\n\r\n.\r\nQUIT\r\n")
	hold(t, replies, "220 web1", "250 ", "250 ", "250 ", "250 ", "354 ", "250 2.0.0", "250 ", "250 ", "354 ", "550 5.1.1", "250 ", "250 ", "250 ", "250 ", "354 ", "250 2.0.0", "221 ")
	if code != 0 || len(h.got) != 2 {
		t.Fatalf("exit code %d, it took %q", code, h.got)
	}
	if got := h.got[0]; !strings.HasPrefix(got, "me shop@b.test requiretls=false: x@y.test[] admin@b.test[]\n") || !strings.Contains(got, "\r\nDate: ") || !strings.HasSuffix(got, "\r\n\r\n.a line\r\n\r\n") {
		t.Errorf("%q", got)
	}
	if got := h.got[1]; !strings.HasPrefix(got, "me  requiretls=false: x@y.test[]\n") || !strings.Contains(got, "\r\nSubject: two\r\n") || !strings.Contains(got, "From: web@b.test\r\n") {
		t.Errorf("%q", got)
	}
}

// Programs that end lines with LF, that say EHLO, or that hang up.
func TestDialogueForms(t *testing.T) {
	t.Parallel()
	h := startSubmitHost(t, nil)
	file := h.config(t, "")
	replies, _ := speakTo(t, []string{"-C", file}, "HELO me\nMAIL FROM:<a@b.test>\nRCPT TO:<x@y.test>\nDATA\nSubject: x\n\none\ntwo\n.\nQUIT\n")
	hold(t, replies, "220 ", "250 ", "250 ", "250 ", "354 ", "250 ", "221 ")
	if len(h.got) != 1 || !strings.HasSuffix(h.got[0], "\r\n\r\none\r\ntwo\r\n") {
		t.Errorf("%q", h.got)
	}
	replies, code := speakTo(t, []string{"-C", file}, "EHLO me\r\n")
	for _, r := range replies {
		for _, word := range []string{"STARTTLS", "AUTH", "DSN", "CHUNKING", "REQUIRETLS"} {
			if strings.Contains(r, word) {
				t.Errorf("it offers %q", r)
			}
		}
	}
	if code != 0 || len(replies) < 4 {
		t.Errorf("%d %q", code, replies)
	}
	// Hanging up in the middle of a message sends nothing.
	speakTo(t, []string{"-C", file}, "HELO me\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<x@y.test>\r\nDATA\r\nSubject: x\r\n\r\nhalf")
	if len(h.got) != 1 {
		t.Errorf("half a message was sent: %q", h.got)
	}
	// A server that cannot be reached is a reason to try again, one that takes no
	// login not one of the recipient's.
	replies, _ = speakTo(t, []string{"-C", h.config(t, "")}, "HELO me\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<anna@localhost>\r\nDATA\r\nQUIT\r\n")
	hold(t, replies, "220 ", "250 ", "250 ", "550 5.1.2", "554 ", "221 ")
}

// asReply and codeReply over all exit codes: what is temporary stays so.
func TestAsReply(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]string{exDataErr: "554 5.6.0", exNoUser: "550 5.1.1", exNoHost: "550 5.1.2", exNoPerm: "550 5.7.0", exUnavailable: "554 5.0.0", exUsage: "554 5.0.0",
		exConfig: "451 4.3.5", exTempFail: "451 4.3.0", exSoftware: "451 4.3.0", exIOErr: "451 4.3.0", exProtocol: "451 4.3.0"} {
		if got := asReply(failf(code, "why")).Error(); !strings.HasPrefix(got, want+" why") {
			t.Errorf("%d: %s, want %s", code, got, want)
		}
	}
}
