package imapserver

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"waxwing/internal/guard"
	"waxwing/internal/search"
	"waxwing/internal/store/storetest"
)

func second(_ []string, tagged string) string { return tagged }

// until reads responses up to one that has a text in it.
func (c *client) until(text string) string {
	c.t.Helper()
	for {
		if l := c.line(); strings.Contains(l, text) {
			return l
		}
	}
}

// IMP-6: sessions hear of each other, and of messages that have gone only where they may.
func TestTwoSessions(t *testing.T) {
	each(t, func(w *world) {
		t := w.t.(*testing.T)
		a, b := w.login(), w.login()
		for range 4 {
			a.append("INBOX", hello)
		}
		a.ok("SELECT INBOX")
		b.ok("SELECT INBOX")
		a.ok(`STORE 2 +FLAGS \Deleted`)
		a.ok("EXPUNGE")
		if lines := strings.Join(b.ok("FETCH 3 UID"), "\n"); strings.Contains(lines, "EXPUNGE") || !strings.Contains(lines, "* 3 FETCH (UID 3)") {
			t.Errorf("FETCH by numbers: %s", lines)
		}
		has(t, b.expect("NO", "FETCH 2:3 ENVELOPE"), "* 3 FETCH")
		has(t, b.ok("NOOP"), "* 2 EXPUNGE")
		has(t, b.ok("FETCH 2 UID"), "* 2 FETCH (UID 3)")
		b.expect("BAD", "FETCH 4 UID") // it has gone

		// The same with QRESYNC.
		b.ok("ENABLE QRESYNC")
		a.ok(`UID STORE 4 +FLAGS \Deleted`)
		a.ok("UID EXPUNGE 4")
		has(t, b.ok("NOOP"), "* VANISHED 4")
	})
}

// IDLE hears at once.
func TestIdle(t *testing.T) {
	each(t, func(w *world) {
		t := w.t.(*testing.T)
		a, b := w.login(), w.login()
		b.ok("SELECT INBOX")
		b.send("i1 IDLE\r\n")
		b.until("+ ")
		begin := time.Now()
		a.append("INBOX", hello)
		b.until("* 1 EXISTS")
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("IDLE heard after %v", d)
		}
		a.ok("SELECT INBOX")
		a.ok(`STORE 1 +FLAGS \Seen`)
		b.until(`FLAGS (\Seen)`)
		b.send("DONE\r\n")
		b.until("i1 OK")
		b.send("i2 IDLE\r\n")
		b.until("+ ")
		b.send("NONSENSE\r\n")
		b.until("i2 BAD")
	})
}

// RFC 7162: what has changed since, and what has gone.
func TestQResync(t *testing.T) {
	each(t, func(w *world) {
		t := w.t.(*testing.T)
		a := w.login()
		for range 5 {
			a.append("INBOX", hello)
		}
		sel := strings.Join(a.ok("SELECT INBOX (CONDSTORE)"), "\n")
		var validity, modseq uint64
		fmt.Sscanf(sel[strings.Index(sel, "UIDVALIDITY"):], "UIDVALIDITY %d", &validity)
		fmt.Sscanf(sel[strings.Index(sel, "HIGHESTMODSEQ"):], "HIGHESTMODSEQ %d", &modseq)
		a.ok(`UID STORE 2 +FLAGS (\Flagged)`)
		a.ok(`UID STORE 4 +FLAGS (\Deleted)`)
		a.ok("EXPUNGE")
		a.append("INBOX", hello)
		b := w.login()
		b.expect("BAD", fmt.Sprintf("SELECT INBOX (QRESYNC (%d %d))", validity, modseq))
		b.ok("ENABLE QRESYNC")
		lines := b.ok(fmt.Sprintf("SELECT INBOX (QRESYNC (%d %d))", validity, modseq))
		has(t, lines, "* VANISHED (EARLIER) 4", `* 2 FETCH (UID 2 FLAGS (\Flagged)`, "* 5 FETCH (UID 6 FLAGS ()")
		if strings.Contains(strings.Join(lines, "\n"), "UID 1 ") {
			t.Error("a message that has not changed is told of")
		}
		has(t, b.ok(fmt.Sprintf("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d VANISHED)", modseq)), "* VANISHED (EARLIER) 4", "UID 2 FLAGS", "MODSEQ (")
		_, tagged := b.do(fmt.Sprintf(`UID STORE 1:2 (UNCHANGEDSINCE %d) +FLAGS (\Answered)`, modseq))
		if !strings.Contains(tagged, "MODIFIED 2") {
			t.Errorf("STORE UNCHANGEDSINCE: %s", tagged)
		}
	})
}

// IMP-6: a client knows up to which modseq it has been told all, also of what it has stored itself, and not while
// messages have gone of which it has not been told.
func TestHighestModSeq(t *testing.T) {
	each(t, func(w *world) {
		t := w.t.(*testing.T)
		a, b := w.login(), w.login()
		a.ok("ENABLE QRESYNC")
		a.ok("SELECT INBOX")
		b.ok("SELECT INBOX")
		said := func(lines []string) string {
			_, rest, _ := strings.Cut(strings.Join(lines, "\n"), "[HIGHESTMODSEQ ")
			n, _, _ := strings.Cut(rest, "]")
			return n
		}
		now := func() string {
			t.Helper()
			for _, l := range b.ok("STATUS INBOX (HIGHESTMODSEQ)") {
				if n, ok := strings.CutPrefix(l, `* STATUS "INBOX" (HIGHESTMODSEQ `); ok {
					return strings.TrimSuffix(n, ")")
				}
			}
			return "none"
		}
		for range 3 {
			if got := said(a.ok(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(hello), hello))); got == "" || got != now() {
				t.Errorf("after APPEND: %q, want %s", got, now())
			}
		}
		b.ok(`STORE 2 +FLAGS \Deleted`)
		b.ok("EXPUNGE")
		b.append("INBOX", hello)
		if got := said(a.ok("FETCH 1 FLAGS")); got != "" { // message 2 keeps its number as yet
			t.Errorf("with an expunge to tell: %s", got)
		}
		if got := said(a.ok("NOOP")); got == "" || got != now() {
			t.Errorf("after NOOP: %q, want %s", got, now())
		}
	})
}

// Extensions, a word each (IMP-2).
func TestExtensions(t *testing.T) {
	each(t, func(w *world) {
		t := w.t.(*testing.T)
		c := w.login()
		c.append("INBOX", hello)
		c.append("INBOX", strings.Replace(hello, "<1@", "<2@", 1))
		c.ok("SELECT INBOX")
		has(t, c.ok("FETCH 1 (PREVIEW EMAILID THREADID SAVEDATE)"), `PREVIEW "how are you?"`, "EMAILID (E", "THREADID (T", "SAVEDATE \"")
		has(t, c.ok("SEARCH RETURN (SAVE COUNT) SUBJECT hello"), "COUNT 2")
		has(t, c.ok("FETCH $ UID"), "* 1 FETCH", "* 2 FETCH")
		has(t, c.ok("UID SEARCH RETURN (PARTIAL -1:-1) ALL"), "PARTIAL (-1:-1 2)")
		has(t, c.ok("SEARCH YOUNGER 1000"), "* SEARCH 1 2")
		has(t, c.ok("SEARCH OLDER 1000"), "* SEARCH")
		has(t, c.ok(`LIST "" "%" RETURN (STATUS (MESSAGES SIZE))`), `* STATUS "INBOX" (MESSAGES 2 SIZE`)
		has(t, c.ok(`LIST (SPECIAL-USE) "" "*"`), `\Sent`)
		has(t, []string{second(c.do(`CREATE Bin (USE (\Archive))`))}, "NO [USEATTR]")
	})
}

// NOTIFY, METADATA, QUOTA, REPLACE, UIDONLY, COMPRESS.
func TestMoreExtensions(t *testing.T) {
	each(t, func(w *world) {
		t := w.t.(*testing.T)
		c, other := w.login(), w.login()
		c.ok(`SETMETADATA INBOX (/private/comment "mine" /shared/x NIL)`)
		has(t, c.ok("GETMETADATA (DEPTH infinity) INBOX /private"), `* METADATA "INBOX" (/private/comment "mine")`)
		c.ok(`SETMETADATA "" (/shared/comment "ours")`)
		has(t, c.ok(`GETMETADATA "" /shared/comment`), `* METADATA "" (/shared/comment "ours")`)
		has(t, c.ok("GETQUOTAROOT INBOX"), `* QUOTAROOT "INBOX" ""`, `* QUOTA "" (`)

		c.ok("NOTIFY SET (SELECTED (MessageNew (UID FLAGS) MessageExpunge FlagChange)) (PERSONAL (MessageNew MessageExpunge MailboxName))")
		c.ok("SELECT INBOX")
		other.append("Archive", hello)
		c.until(`* STATUS "Archive" (MESSAGES 1`)
		other.append("INBOX", hello)
		c.until("* 1 EXISTS")
		c.until("* 1 FETCH (UID 1 FLAGS ())")
		other.ok("CREATE News")
		c.until(`* LIST (`)
		c.ok("NOTIFY NONE")

		changed := strings.Replace(hello, "how are", "where are", 1)
		has(t, c.ok(fmt.Sprintf("REPLACE 1 INBOX {%d+}\r\n%s", len(changed), changed)), "APPENDUID", "* 1 EXPUNGE")
		has(t, c.ok("FETCH 1 (UID BODY.PEEK[TEXT])"), "UID 2", "where are")

		c.ok("ENABLE UIDONLY")
		c.expect("BAD", "FETCH 1 FLAGS")
		has(t, c.ok("UID FETCH 2 (FLAGS)"), "* 2 UIDFETCH (FLAGS ())")
	})
}

// IMP-3: what is malformed is answered, and too much of it ends the connection.
func TestMalformed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.account("joe")
	c := w.login()
	c.expect("BAD", "FROBNICATE")
	c.expect("BAD", "FETCH 1 FLAGS") // nothing is selected
	c.ok("SELECT INBOX")
	c.expect("BAD", "FETCH 1 FLAGS")
	c.expect("BAD", `STORE 1:* +FLAGS \Recent`)
	for i := range 16 {
		c.send(fmt.Sprintf("b%d NONSENSE {3+}\r\nabc\r\n", i))
		if l := c.line(); !strings.HasPrefix(l, fmt.Sprintf("b%d BAD", i)) {
			t.Fatalf("%d: %s", i, l)
		}
	}
	if l := c.line(); !strings.HasPrefix(l, "* BYE") { // the twentieth
		t.Errorf("after many errors: %s", l)
	}
}

// IMP-5: a message that is too large, and one that is stored where nothing is, are refused and the
// dialogue goes on.
func TestRefusedMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.account("joe")
	w.srv.AppendLimit = 1000
	c := w.login()
	big := strings.Repeat("x", 2000)
	_, tagged := c.do(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(big), big))
	if !strings.HasPrefix(tagged, "NO [TOOBIG]") {
		t.Errorf("too large: %s", tagged)
	}
	_, tagged = c.do(fmt.Sprintf("APPEND Nowhere {%d+}\r\n%s", len(hello), hello))
	if !strings.HasPrefix(tagged, "NO [TRYCREATE]") {
		t.Errorf("nowhere: %s", tagged)
	}
	c.send("x1 APPEND INBOX {2000}\r\n")
	if l := c.line(); !strings.HasPrefix(l, "x1 NO [TOOBIG]") {
		t.Errorf("too large, and asked first: %s", l)
	}
	c.ok("NOOP")
}

// IMP-4: a long message is stored by way of a file, and comes back.
func TestLongMessage(t *testing.T) {
	each(t, func(w *world) {
		c := w.login()
		long := hello + strings.Repeat("a line that is one of many\r\n", 20000)
		c.append("INBOX", long)
		c.ok("SELECT INBOX")
		has(w.t.(*testing.T), c.ok("FETCH 1 BODY.PEEK[]"), long)
		has(w.t.(*testing.T), c.ok("FETCH 1 BODY.PEEK[]<100.20>"), long[100:120])
		has(w.t.(*testing.T), c.ok("SEARCH BODY \"one of many\""), "* SEARCH 1")
	})
}

func TestCompressed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.account("joe")
	c := w.login()
	c.ok("COMPRESS DEFLATE")
	c.compress()
	c.ok("SELECT INBOX")
	c.append("INBOX", hello)
	has(t, c.ok("FETCH 1 BODY[]"), "how are you?")
	c.expect("NO", "COMPRESS DEFLATE")
}

// MBX-7: a search answers from the index, and finds what is not in it yet.
func TestSearchIndexed(t *testing.T) {
	each(t, func(w *world) {
		t := w.t.(*testing.T)
		index := &search.Service{Store: &search.Store{DB: w.db, Mails: w.srv.Boxes}, Log: slog.New(slog.DiscardHandler), Guard: &guard.Guard{}}
		w.srv.Search = index.Store
		c := w.login()
		c.append("INBOX", strings.Replace(hello, "how are you?", "zebras graze", 1))
		c.append("INBOX", hello)
		all := func() {
			for n := 1; n > 0; {
				var err error
				if n, err = index.Step(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		all()
		c.append("INBOX", strings.Replace(hello, "how are you?", "more zebras", 1)) // not indexed, as what follows
		c.append("INBOX", "List-Id: Birds <birds.example.org>\r\n"+strings.Replace(hello, "how are you?", "", 1))
		c.append("INBOX", "X-Other: birds\r\n"+strings.Replace(hello, "how are you?", "", 1))
		c.ok("SELECT INBOX")
		answers := map[string]string{
			"SEARCH BODY zebra": "* SEARCH 1 3", "SEARCH NOT TEXT zebra": "* SEARCH 2 4 5",
			"SEARCH OR FROM joe SUBJECT nothing": "* SEARCH 1 2 3 4 5", `SEARCH BODY "graze" SEEN`: "* SEARCH",
			"SEARCH BODY zebra BODY graze FROM joe": "* SEARCH 1", "SEARCH TEXT zebra HEADER From joe": "* SEARCH 1 3",
			"SEARCH HEADER Message-ID nowhere": "* SEARCH", "SEARCH HEADER X-None joe": "* SEARCH", "SEARCH HEADER List-Id birds": "* SEARCH 4", "SEARCH TEXT birds": "* SEARCH 4 5",
		}
		for _, when := range []string{"with a tail", "when all is indexed"} {
			for command, want := range answers {
				if got := c.ok(command); len(got) != 1 || got[0] != want {
					t.Errorf("%s, %s: %q, want %s", when, command, got, want)
				}
			}
			all()
		}
	})
}
