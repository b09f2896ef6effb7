package imapserver

import (
	"strings"
	"testing"
)

func has(t *testing.T, lines []string, want ...string) {
	t.Helper()
	all := strings.Join(lines, "\n")
	for _, w := range want {
		if !strings.Contains(all, w) {
			t.Errorf("no %q in\n%s", w, all)
		}
	}
}

// A whole life of a message: IMP-1.
func TestSession(t *testing.T) {
	each(t, func(w *world) {
		t := w.t.(*testing.T)
		c := w.login()
		has(t, c.ok(`LIST "" *`), `* LIST (\HasNoChildren) "/" "INBOX"`, `\Sent`, `\Trash`)
		c.append("INBOX", hello)
		has(t, c.ok("STATUS INBOX (MESSAGES UNSEEN UIDNEXT)"), "MESSAGES 1 UNSEEN 1 UIDNEXT 2")
		has(t, c.ok("SELECT INBOX"), "* 1 EXISTS", "UIDVALIDITY", "UIDNEXT 2")
		has(t, c.ok("FETCH 1 (UID FLAGS ENVELOPE BODYSTRUCTURE RFC822.SIZE INTERNALDATE)"), `"hello"`, "UID 1", "FLAGS ()", "text")
		has(t, c.ok("FETCH 1 BODY[TEXT]"), "how are you?", `FLAGS (\Seen)`)
		has(t, c.ok("SEARCH TEXT YOU"), "* SEARCH 1")
		has(t, c.ok(`STORE 1 +FLAGS (\Flagged $Work)`), `\Flagged`, "$Work")
		has(t, c.ok("COPY 1 Archive"))
		c.ok(`STORE 1 +FLAGS \Deleted`)
		has(t, c.ok("EXPUNGE"), "* 1 EXPUNGE")
		has(t, c.ok("SELECT Archive"), "* 1 EXISTS")
		has(t, c.ok("FETCH 1 (FLAGS)"), `\Flagged`, "$Work")
		c.ok("MOVE 1 Trash")
		c.ok("LOGOUT")
	})
}
