package imapserver

import (
	"strings"
	"testing"
)

// IMP-1: names stay subscribed without a mailbox, before there is one and after.
func TestSubscriptions(t *testing.T) {
	each(t, func(w *world) {
		t := w.t.(*testing.T)
		c := w.login()
		subscribed := func(want string) {
			t.Helper()
			var got []string
			for _, l := range c.ok(`LIST (SUBSCRIBED) "" News*`) {
				got = append(got, strings.TrimPrefix(l, "* LIST "))
			}
			if all := strings.Join(got, "; "); all != want {
				t.Errorf("subscribed: %s, want %s", all, want)
			}
		}
		c.ok("SUBSCRIBE News/Go")
		subscribed(`(\NonExistent \Subscribed \HasNoChildren) "/" "News/Go"`)
		has(t, c.ok(`LSUB "" News*`), `* LSUB (\Noselect) "/" "News/Go"`)
		if got := strings.Join(c.ok(`LIST "" *`), "\n"); strings.Contains(got, "News") {
			t.Errorf("listed without a mailbox: %s", got)
		}
		c.ok("CREATE News/Go")
		subscribed(`(\Subscribed \HasNoChildren) "/" "News/Go"`)
		has(t, c.ok(`LSUB "" News*`), `* LSUB () "/" "News/Go"`)
		c.ok("DELETE News/Go")
		subscribed(`(\NonExistent \Subscribed \HasNoChildren) "/" "News/Go"`)
		c.ok("UNSUBSCRIBE News/Go")
		subscribed("")
		c.ok("UNSUBSCRIBE News/Go")
		c.expect("NO", "SUBSCRIBE a//b")
	})
}

// IMP-1: a mailbox that came along with one below it can be made by a client that does so later.
func TestImplied(t *testing.T) {
	each(t, func(w *world) {
		t := w.t.(*testing.T)
		c := w.login()
		c.ok("CREATE a/b/c")
		has(t, c.ok(`LIST "" a*`), `"/" "a"`, `"/" "a/b"`, `"/" "a/b/c"`)
		id := second(c.do("STATUS a (MAILBOXID)"))
		c.ok("CREATE a")
		if again := second(c.do("STATUS a (MAILBOXID)")); again != id {
			t.Errorf("another mailbox: %s, was %s", again, id)
		}
		has(t, []string{second(c.do("CREATE a")), second(c.do("CREATE a/b/c"))}, "NO [ALREADYEXISTS]")
		c.append("a/b", hello)
		has(t, []string{second(c.do("CREATE a/b"))}, "NO [ALREADYEXISTS]") // mail lies in it
		c.ok("RENAME a/b/c x/y")
		has(t, []string{second(c.do(`CREATE x (USE (\Sent))`))}, "NO [")
		c.ok("CREATE x")
		has(t, []string{second(c.do("CREATE x"))}, "NO [ALREADYEXISTS]")
	})
}
