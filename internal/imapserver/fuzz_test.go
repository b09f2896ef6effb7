package imapserver

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"waxwing/internal/account"
	"waxwing/internal/guard"
	"waxwing/internal/guard/guardtest"
	"waxwing/internal/store/storetest"
	"waxwing/internal/wire"
)

// talk sends text to a session of an account that is logged in already, and returns what the server says.
func (w *world) talk(t testing.TB, g *guard.Guard, text string) string {
	srv := &wire.Server{Protocol: account.IMAP, Auth: anybody{}, Guard: g, Area: guard.IMAP, Timeouts: wire.Timeouts{Read: 100 * time.Millisecond}}
	srv.Handle = func(ctx context.Context, c *wire.Conn) {
		s := newSession(w.srv, c)
		s.account = "joe"
		defer s.close()
		s.serve(ctx)
	}
	here, there := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.Do(guard.IMAP, func() { srv.ServeConn(t.Context(), there) })
	}()
	go io.WriteString(here, text)
	here.SetDeadline(time.Now().Add(20 * time.Second))
	said, err := io.ReadAll(here)
	if err != nil {
		t.Fatalf("the session does not end: %v after %q", err, text)
	}
	here.Close()
	<-done
	return string(said)
}

// Whatever a client sends: nothing panics, the session ends, and no tag is answered twice.
func FuzzSession(f *testing.F) {
	for _, s := range []string{
		"SELECT INBOX\r\na FETCH 1:* (FLAGS BODY[HEADER.FIELDS (from)] BINARY[1] ENVELOPE BODYSTRUCTURE)\r\na STORE 1 -FLAGS.SILENT (\\Seen k)",
		"SELECT INBOX (QRESYNC (1 1 1:5 (1 1)))\r\na SEARCH RETURN (MIN MAX ALL PARTIAL 1:2 SAVE) OR BODY x NOT 1:3\r\na FETCH $ UID",
		"APPEND INBOX (\\Seen) {3+}\r\nabc\r\na MOVE 1 Trash\r\na THREAD REFERENCES utf-8 ALL\r\na SORT (REVERSE SUBJECT) utf-8 ALL",
		"NOTIFY SET STATUS (SELECTED (MessageNew (UID) MessageExpunge)) (PERSONAL (MailboxName))\r\na LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (% *) RETURN (STATUS (MESSAGES))",
		"ENABLE UIDONLY QRESYNC\r\na SELECT INBOX\r\na UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)\r\na IDLE\r\nDONE",
		"IDLE\r\nDONE\r\na ENABLE IMAP4rev2\r\na SETMETADATA \"\" (/private/a {1+}\r\nx)\r\na GETQUOTAROOT INBOX\r\na CREATE x (USE (\\Sent))",
		"REPLACE 1 INBOX {1+}\r\nx", "APPEND INBOX {1}\r\n", "UID EXPUNGE 1:*", "SELECT {5+}\r\nINBOX\r\na CLOSE",
	} {
		f.Add("a " + s)
	}
	w := newWorld(f, storetest.Open(f))
	w.account("joe")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4000 || strings.Contains(strings.ToUpper(text), "COMPRESS") { // compressed, nobody logs out
			t.Skip()
		}
		watch := guardtest.New()
		said := w.talk(t, &watch.Guard, text+"\r\nzy LOGOUT\r\nzz LOGOUT\r\n") // IDLE may take the first
		if seen := watch.Seen(); len(seen) > 0 {
			t.Fatalf("a panic after %q", text)
		}
		if n := strings.Count("\r\n"+said, "\r\nzz "); n > 1 && !strings.Contains(text, "zz") {
			t.Fatalf("answered %d times: %q", n, said)
		}
	})
}

// FuzzSearchProgram: a search of any program ends in an answer.
func FuzzSearchProgram(f *testing.F) {
	for _, s := range []string{"ALL", "NOT 1:*", "OR SEEN (BODY x)", "CHARSET utf-8 SUBJECT é", "RETURN (COUNT) UNSEEN", "HEADER from \"\"", "MODSEQ 1"} {
		f.Add(s)
	}
	w := newWorld(f, storetest.Open(f))
	w.account("joe")
	w.talk(f, &guard.Guard{}, "a APPEND INBOX {"+"5+}\r\na: b\n\r\nzz LOGOUT\r\n")
	f.Fuzz(func(t *testing.T, program string) {
		if strings.ContainsAny(program, "\r\n{") || len(program) > 2000 {
			t.Skip()
		}
		said := w.talk(t, &guard.Guard{}, "a SELECT INBOX\r\nb SEARCH "+program+"\r\nzz LOGOUT\r\n")
		if !strings.Contains(said, "\r\nb ") && !strings.Contains(said, "* BAD") && !strings.Contains(said, "* BYE") {
			t.Fatalf("no answer: %q", said)
		}
	})
}
