package imapserver

import (
	"context"
	"strings"
	"testing"

	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store/storetest"
	"waxwing/internal/wire"
)

// Between commands nobody hears of what has gone, though a bell rang while IDLE ended: the next command may
// name messages by the old numbers (RFC 9051 §7.5.1).
func TestNothingBetweenCommands(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.account("joe")
	conns := make(chan *wire.Conn, 1)
	w.net.Handle = func(ctx context.Context, c *wire.Conn) {
		conns <- c
		w.srv.Handle(ctx, c)
	}
	c := w.login()
	for range 3 {
		c.append("INBOX", hello)
	}
	c.ok("SELECT INBOX")
	c.ok("FETCH 1:* UID")
	b, err := w.srv.Boxes.Box(t.Context(), "joe", "INBOX")
	if err == nil {
		_, _, err = w.srv.Boxes.Remove(t.Context(), b.ID, []mailbox.Range{{Low: 1, High: 1}})
	}
	if err != nil {
		t.Fatal(err)
	}
	(<-conns).Ring()
	if got := strings.Join(c.ok("FETCH 3 UID"), " "); got != "* 3 FETCH (UID 3)" {
		t.Errorf("got %q", got)
	}
	has(t, c.ok("NOOP"), "* 1 EXPUNGE")
}

// "*" is the UID of the last message that is there, whatever UIDs there have been (RFC 9051 §6.4.9).
func TestLastUID(t *testing.T) {
	each(t, func(w *world) {
		c := w.login()
		for range 4 {
			c.append("INBOX", hello)
		}
		c.ok("SELECT INBOX")
		c.ok(`STORE 3:4 +FLAGS.SILENT (\Deleted)`)
		c.ok("EXPUNGE")
		c.ok("SELECT INBOX")
		for command, want := range map[string]string{
			"THREAD REFERENCES UTF-8 DRAFT": "* THREAD", "THREAD REFERENCES UTF-8 ALL": "* THREAD ((1)(2))",
			"UID FETCH * UID": "* 2 FETCH (UID 2)", "UID FETCH 900:* UID": "* 2 FETCH (UID 2)", "UID SEARCH UID *": "* SEARCH 2",
			`UID STORE 7:* +FLAGS (\Seen)`: `* 2 FETCH (UID 2 FLAGS (\Seen))`, "UID SEARCH NOT UID 5:*": "* SEARCH 1",
		} {
			if got := strings.Join(c.ok(command), " "); got != want {
				t.Errorf("%s: %q, want %q", command, got, want)
			}
		}
		c.ok("UID COPY 3:* Archive")
		if b, err := w.srv.Boxes.Box(t.Context(), "joe", "Archive"); err != nil || b.Messages != 1 {
			t.Errorf("%d messages were copied, %v", b.Messages, err)
		}
	})
}

// What there is no room for is refused before it is read: it would wait on the disk for the end of the command.
func TestRefusedBeforeItIsRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.account("joe")
	w.srv.AppendLimit = 1000
	c := w.login()
	c.expect("NO [TOOBIG]", "APPEND INBOX"+strings.Repeat(" {999+}\r\n"+strings.Repeat("x", 999), 4)+" {999}")
	w.srv.Boxes.Quota = mailboxes.Quota{Octets: 100}
	c.expect("NO [OVERQUOTA]", "APPEND INBOX {999}")
	c.expect("NO [OVERQUOTA]", "APPEND INBOX {60+}\r\n"+strings.Repeat("x", 60)+" {60}")
	c.append("INBOX", strings.Repeat("x", 60))
}

// What a client calls an annotation is written to others as it is: it cannot end a response.
func TestAnnotationsCannotSmuggle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.account("joe")
	c := w.login()
	for _, name := range []string{"{18+}\r\n/private/a\r\n* BYE", `"/private/a b"`, `"/private/a)"`, "{12+}\r\n/private/\xc3\xa4x"} {
		c.expect("BAD", `SETMETADATA "" (`+name+` "x")`)
	}
}

// What an account has too much of already is no fault of the server's.
func TestTooMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.account("joe")
	c := w.login()
	c.append("INBOX", hello)
	c.ok("SELECT INBOX")
	c.expect("NO [LIMIT]", "STORE 1 +FLAGS ("+strings.Repeat("k", 256)+")")
}
