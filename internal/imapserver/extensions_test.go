package imapserver

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"waxwing/imap"
	"waxwing/internal/imapserver/offer"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store/storetest"
)

// probe is a command by which a capability shows, after others; the account has two messages in INBOX, which is selected.
type probe struct {
	before  []string
	command string
	shows   string // stands in what is answered; "OK": that is all
	off     string // begins the tagged answer where the capability is switched off; "!x": there is no x in it; "": no command needs it
}

// probes are of each capability that can be switched off.
var probes = map[string]probe{
	"LITERAL+":              {command: "STATUS {5+}\r\nINBOX (MESSAGES)", shows: "MESSAGES 2"},
	"ENABLE":                {command: "ENABLE CONDSTORE", shows: "* ENABLED CONDSTORE", off: "BAD"},
	"ID":                    {command: `ID ("name" "x")`, shows: `* ID ("name" "Waxwing"`, off: "BAD"},
	"IDLE":                  {command: "IDLE\r\nDONE", shows: "+ idling", off: "BAD"},
	"NAMESPACE":             {command: "NAMESPACE", shows: `* NAMESPACE (("" "/")) NIL NIL`, off: "BAD"},
	"UNSELECT":              {command: "UNSELECT", shows: "OK", off: "BAD"},
	"CHILDREN":              {before: []string{"CREATE Archive/x"}, command: `LIST "" Archive`, shows: `\HasChildren`},
	"LIST-EXTENDED":         {command: `LIST (SUBSCRIBED) "" (INBOX Arch*) RETURN (CHILDREN)`, shows: `\Subscribed`, off: "BAD"},
	"LIST-STATUS":           {command: `LIST "" INBOX RETURN (STATUS (MESSAGES))`, shows: `* STATUS "INBOX" (MESSAGES 2)`, off: "BAD"},
	"SPECIAL-USE":           {command: `LIST (SPECIAL-USE) "" *`, shows: `\Sent`, off: "BAD"},
	"CREATE-SPECIAL-USE":    {before: []string{"DELETE Archive"}, command: `CREATE Old (USE (\Archive))`, shows: "OK", off: "NO"},
	"UIDPLUS":               {command: "COPY 1 Archive", shows: "COPYUID", off: "!COPYUID"},
	"ESEARCH":               {command: "SEARCH RETURN (COUNT) ALL", shows: "COUNT 2", off: "BAD"},
	"ESORT":                 {command: "SORT RETURN (COUNT) (DATE) utf-8 ALL", shows: "COUNT 2", off: "BAD"},
	"CONTEXT=SEARCH":        {command: "SEARCH RETURN (UPDATE COUNT) ALL", shows: "COUNT 2", off: "BAD"},
	"CONTEXT=SORT":          {command: "SORT RETURN (UPDATE COUNT) (DATE) utf-8 ALL", shows: "COUNT 2", off: "BAD"},
	"SEARCHRES":             {command: "SEARCH RETURN (SAVE COUNT) ALL", shows: "COUNT 2", off: "BAD"},
	"MOVE":                  {command: "MOVE 1 Archive", shows: "* 1 EXPUNGE", off: "BAD"},
	"CONDSTORE":             {command: "FETCH 1 (MODSEQ)", shows: "MODSEQ (", off: "BAD"},
	"QRESYNC":               {command: "ENABLE QRESYNC", shows: "* ENABLED QRESYNC", off: "!QRESYNC"},
	"STATUS=SIZE":           {command: "STATUS INBOX (SIZE)", shows: "SIZE " + fmt.Sprint(2*len(hello)), off: "BAD"},
	"MULTIAPPEND":           {command: "APPEND INBOX {3+}\r\nabc {3+}\r\ndef", shows: "APPENDUID", off: "BAD"},
	"BINARY":                {command: "FETCH 1 BINARY.SIZE[1]", shows: "BINARY.SIZE[1] 14", off: "BAD"},
	"UTF8=ACCEPT":           {command: "ENABLE UTF8=ACCEPT", shows: "* ENABLED UTF8=ACCEPT", off: "!UTF8"},
	"SORT":                  {command: "SORT (SUBJECT) utf-8 ALL", shows: "* SORT 1 2", off: "BAD"},
	"SORT=DISPLAY":          {command: "SORT (DISPLAYFROM) utf-8 ALL", shows: "* SORT 1 2", off: "BAD"},
	"THREAD=ORDEREDSUBJECT": {command: "THREAD ORDEREDSUBJECT utf-8 ALL", shows: "* THREAD (", off: "BAD"},
	"THREAD=REFERENCES":     {command: "THREAD REFERENCES utf-8 ALL", shows: "* THREAD (", off: "BAD"},
	"WITHIN":                {command: "SEARCH YOUNGER 1000", shows: "* SEARCH 1 2", off: "BAD"},
	"QUOTA":                 {command: "GETQUOTAROOT INBOX", shows: `* QUOTAROOT "INBOX" ""`, off: "BAD"},
	"QUOTA=RES-STORAGE":     {command: `GETQUOTA ""`, shows: "STORAGE 1 1024", off: "!STORAGE"},
	"QUOTA=RES-MESSAGE":     {command: `GETQUOTA ""`, shows: "MESSAGE 2 100", off: "!MESSAGE"},
	"METADATA":              {before: []string{`SETMETADATA INBOX (/private/comment "x")`}, command: "GETMETADATA INBOX /private/comment", shows: `/private/comment "x"`, off: "BAD"},
	"SAVEDATE":              {command: "FETCH 1 SAVEDATE", shows: `SAVEDATE "`, off: "BAD"},
	"OBJECTID":              {command: "FETCH 1 (EMAILID THREADID)", shows: "EMAILID (E", off: "BAD"},
	"PREVIEW":               {command: "FETCH 1 (PREVIEW)", shows: `PREVIEW "how are you?"`, off: "BAD"},
	"PARTIAL":               {command: "UID FETCH 1:* (UID) (PARTIAL -1:-1)", shows: "* 2 FETCH", off: "BAD"},
	"REPLACE":               {command: "REPLACE 1 INBOX {3+}\r\nabc", shows: "APPENDUID", off: "BAD"},
	"UIDONLY":               {command: "ENABLE UIDONLY", shows: "* ENABLED UIDONLY", off: "!ENABLED UIDONLY"},
	"NOTIFY":                {command: "NOTIFY SET (SELECTED (MessageNew MessageExpunge))", shows: "OK", off: "BAD"},
	"COMPRESS=DEFLATE":      {command: "COMPRESS DEFLATE", shows: "OK", off: "BAD"},
	"CATENATE":              {command: "APPEND INBOX CATENATE (TEXT {3+}\r\nabc)", shows: "APPENDUID", off: "BAD"},
	"URLAUTH":               {command: `GENURLAUTH "imap://ACCOUNT@imap.example.test/INBOX/;UID=1;URLAUTH=anonymous" INTERNAL`, shows: "* GENURLAUTH", off: "BAD"},
	"URLAUTH=BINARY":        {command: `URLFETCH ("imap://rubbish" BODYPARTSTRUCTURE)`, shows: "* URLFETCH", off: "BAD"},
}

// apart are capabilities that show in tests of their own.
var apart = []string{"SASL-IR", "INPROGRESS"} // TestInitialResponse, TestInProgress

// IMP-2: each capability that is announced is served, and each can be switched off for an account.
func TestEachExtension(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.srv.Boxes.Quota = mailboxes.Quota{Octets: 1 << 20, Messages: 100}
	off := map[string]string{}
	for i, c := range offer.Optional() {
		off[fmt.Sprintf("without%d", i)] = c
	}
	w.srv.DisableFor = func(_ context.Context, account string) []string { return []string{off[account]} }
	for i, c := range offer.Optional() {
		p, ok := probes[c]
		if !ok && !slices.Contains(apart, c) {
			t.Errorf("nothing shows %s", c)
		}
		for _, on := range []bool{true, false} {
			account := fmt.Sprintf("with%d", i)
			if !on {
				account = fmt.Sprintf("without%d", i)
			}
			w.account(account)
			one := w.dial()
			one.ok("LOGIN " + account + " secret")
			if announced := slices.Contains(strings.Fields(one.ok("CAPABILITY")[0]), c); announced != on {
				t.Errorf("%s is announced: %v, want %v", c, announced, on)
			}
			if ok {
				p.try(t, one, c, on, account)
			}
			one.nc.Close()
		}
	}
}

func (p *probe) try(t *testing.T, c *client, name string, on bool, account string) {
	t.Helper()
	c.append("INBOX", hello)
	c.append("INBOX", hello)
	c.ok("SELECT INBOX")
	for _, b := range p.before {
		c.do(b)
	}
	untagged, tagged := c.do(strings.ReplaceAll(p.command, "ACCOUNT", account))
	said := strings.Join(append(untagged, tagged), "\n")
	not, absent := strings.CutPrefix(p.off, "!")
	switch {
	case on && (!strings.HasPrefix(tagged, "OK ") || !strings.Contains(said, p.shows)):
		t.Errorf("%s: %s is answered %s, want %s", name, p.command, said, p.shows)
	case on || p.off == "":
	case absent && strings.Contains(said, not), !absent && !strings.HasPrefix(tagged, p.off+" "):
		t.Errorf("%s is switched off: %s is answered %s, want %s", name, p.command, said, p.off)
	}
}

// IMP-2, SASL-IR.
func TestInitialResponse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.account("joe")
	w.dial().ok("AUTHENTICATE PLAIN AGpvZQBzZWNyZXQ=")
	w = newWorld(t, w.db)
	w.srv.Disable = []string{"sasl-ir"}
	w.dial().expect("BAD", "AUTHENTICATE PLAIN AGpvZQBzZWNyZXQ=")
}

// IMP-2, INPROGRESS (RFC 9585): a search that takes long says how far it is, every ten seconds and to nobody who does
// not want to know.
func TestInProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for off, want := range map[string]string{
			"":           "* OK [INPROGRESS (\"a1\" 200 900)] still searching\r\n* OK [INPROGRESS (\"a1\" 400 900)] still searching\r\n",
			"INPROGRESS": "",
		} {
			var said bytes.Buffer
			s := &session{srv: &Server{}, w: imap.NewWriter(&said), off: offer.Off{off}}
			progress := s.progress("a1")
			for i := range 5 {
				progress(i*100, 900)
				time.Sleep(5 * time.Second)
			}
			if said.String() != want {
				t.Errorf("%q is off: %q", off, said.String())
			}
		}
	})
}

// RFC 9051 §6.3.11, RFC 9208 §4.1.4: how many messages have \Deleted, and what they take.
func TestStatusDeleted(t *testing.T) {
	each(t, func(w *world) {
		t := w.t.(*testing.T)
		c := w.login()
		for range 3 {
			c.append("INBOX", hello)
		}
		has(t, c.ok("STATUS INBOX (DELETED DELETED-STORAGE)"), "(DELETED 0 DELETED-STORAGE 0)")
		c.ok("SELECT INBOX")
		c.ok(`STORE 2:3 +FLAGS \Deleted`)
		has(t, c.ok(`LIST "" INBOX RETURN (STATUS (DELETED DELETED-STORAGE))`), fmt.Sprintf("(DELETED 2 DELETED-STORAGE %d)", 2*len(hello)))
	})
}

// IMP-5, RFC 9051 §5.4: who says nothing is logged out, after half an hour and more once he has logged in; IDLE lasts.
func TestAutologout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil) // nothing is asked of the store
		ends := func(c *client) (string, time.Duration) {
			t.Helper()
			c.nc.SetDeadline(time.Time{})
			begin := time.Now()
			l, err := readResponse(c.br)
			if err != nil {
				t.Fatal(err)
			}
			return l, time.Since(begin)
		}
		c := w.dial()
		if l, after := ends(c); !strings.HasPrefix(l, "* BYE autologout") || after != loginTimeout {
			t.Errorf("without a login: %q after %v", l, after)
		}
		c = w.dial()
		for range 5 { // whatever it says
			time.Sleep(35 * time.Second)
			c.ok("NOOP")
		}
		if l, after := ends(c); !strings.HasPrefix(l, "* BYE autologout") || after != 5*time.Second {
			t.Errorf("a stranger that chats: %q after %v", l, after)
		}
		c = w.login()
		time.Sleep(30 * time.Minute)
		c.ok("NOOP")
		if l, after := ends(c); !strings.HasPrefix(l, "* BYE autologout") || after < 30*time.Minute || after != autologout {
			t.Errorf("logged in: %q after %v", l, after)
		}
		c = w.login()
		c.send("x IDLE\r\n")
		c.until("+ ")
		for range 20 {
			if l, after := ends(c); l != "* OK still here" || after > 29*time.Minute {
				t.Fatalf("in IDLE: %q after %v", l, after)
			}
		}
		c.send("DONE\r\n")
		c.until("x OK")
	})
}

// IMP-5: a server that stops ends commands that are being carried out, and says BYE to all.
func TestShutdown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.account("joe")
	ctx, stop := context.WithCancel(t.Context())
	storing, waiting, idling := w.dialUntil(ctx), w.dialUntil(ctx), w.dialUntil(ctx)
	for _, c := range []*client{storing, waiting, idling} {
		c.ok("LOGIN joe secret")
	}
	idling.send("x IDLE\r\n")
	idling.until("+ ")
	storing.send(fmt.Sprintf("x APPEND INBOX {%d}\r\n", len(hello)))
	storing.until("+ ")
	stop()
	for _, c := range []*client{waiting, idling} {
		if l := c.line(); !strings.HasPrefix(l, "* BYE [UNAVAILABLE]") {
			t.Errorf("who waits hears %s", l)
		}
	}
	storing.send(hello + "\r\n")
	if l := storing.line(); !strings.HasPrefix(l, "x OK [APPENDUID ") {
		t.Errorf("who stores a message hears %s", l)
	}
	if l := storing.line(); !strings.HasPrefix(l, "* BYE [UNAVAILABLE]") {
		t.Errorf("then: %s", l)
	}
	has(t, w.login().ok("STATUS INBOX (MESSAGES)"), "MESSAGES 1")
}

// IMP-5: each limit that a client meets is counted.
func TestLimitsAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	w.account("joe")
	var counted []string
	w.net.Trace.Limited = func(limit string) { counted = append(counted, limit) }
	w.srv.AppendLimit, w.srv.SearchTime = 1000, time.Nanosecond
	w.srv.Boxes.Quota = mailboxes.Quota{Messages: 2}
	c := w.login()
	c.append("INBOX", hello)
	c.append("INBOX", hello)
	c.ok("SELECT INBOX")
	for i, m := range []struct{ command, code, limit string }{
		{"APPEND INBOX {1001+}\r\n" + strings.Repeat("x", 1001), "[TOOBIG]", "size"},
		{"APPEND INBOX" + strings.Repeat(" {3+}\r\nabc", maxMulti+1), "[LIMIT]", "messages"},
		{"APPEND INBOX {3+}\r\nabc", "[OVERQUOTA]", "quota"},
		{"COPY 1 Archive", "[OVERQUOTA]", "quota"},
		{"SEARCH TEXT nothing", "[LIMIT]", "search-time"},
		{"STORE 1 +FLAGS (" + keywords(70) + ")", "[LIMIT]", "keywords"},
	} {
		if _, tagged := c.do(m.command); !strings.HasPrefix(tagged, "NO "+m.code) || len(counted) != i+1 || counted[i] != m.limit {
			t.Fatalf("%.40s: %s, counted %v", m.command, tagged, counted)
		}
	}
}

func keywords(n int) string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("k%d", i))
	}
	return strings.Join(out, " ")
}
