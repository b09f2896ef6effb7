package readers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const fetchmailConfig = `set no bouncemail
set invisible
poll $HOST protocol IMAP service $PORT user "joe" password "$PASSWORD"
  ssl sslcertck sslcertfile "$CA" folder INBOX,"Gr&APwA3w-e" fetchall no rewrite mda "cat >$(mktemp $DIR/mail/new/XXXXXXXX)"
`

// TestFetchmail: mail is taken away, and is as it was.
func TestFetchmail(t *testing.T) {
	t.Parallel()
	w := start(t, "fetchmail")
	n := many()
	e, want := w.toFetch(n)
	fillMaildir(t, filepath.Join(w.dir, "mail"), "", 0)
	w.write("fetchmailrc", fetchmailConfig)
	said := w.command("fetchmail", "-f", "fetchmailrc", "--nosyslog", "-s")
	clean(t, said, "Running as root is discouraged")
	got := fetchedMail(t, w.dir)
	differ(t, "what was there", want, "what was fetched", got)
	if left := e.all(); len(left) != 0 {
		t.Errorf("%d messages are left", len(left))
	}
}

func fetchedMail(t *testing.T, dir string) mail {
	t.Helper()
	got := mail{}
	for text, n := range inMaildir(t, dir, func(string) string { return "" }) {
		got[strings.TrimSuffix(text, "\r\n")] += n
	}
	return got
}

// toFetch stores messages in two mailboxes, and says what a program should fetch, each without
// its last line end: programs add one where there is none.
func (w *waxwing) toFetch(n int) (*eye, mail) {
	w.t.Helper()
	e := w.as("joe")
	e.fill("INBOX", "far", n)
	e.do(`CREATE "Grüße"`)
	e.fill("Grüße", "unicode", 10)
	want := mail{}
	for i := range n {
		want.add("", "", strings.TrimSuffix(letter("far", i), "\r\n"))
	}
	for i := range 10 {
		want.add("", "", strings.TrimSuffix(letter("unicode", i), "\r\n"))
	}
	return e, want
}

const getmailConfig = `[retriever]
type = SimpleIMAPSSLRetriever
server = $HOST
port = $PORT
username = joe
password = $PASSWORD
ca_certs = $CA
mailboxes = ("INBOX", u"Grüße")
[destination]
type = MDA_external
path = /bin/sh
arguments = ("-c", "cat >$(mktemp $DIR/mail/new/XXXXXXXX)")
allow_root_commands = true
[options]
read_all = true
delete = true
delivered_to = false
received = false
`

// TestGetmail: the same with getmail6.
func TestGetmail(t *testing.T) {
	t.Parallel()
	w := start(t, "getmail")
	n := min(many(), 20) // it starts two processes for each
	e, want := w.toFetch(n)
	fillMaildir(t, filepath.Join(w.dir, "mail"), "", 0)
	rc := w.write("getmailrc", getmailConfig)
	said := w.command("getmail", "--getmaildir", w.dir, "--rcfile", rc)
	for line := range strings.SplitSeq(said, "\n") {
		if l := strings.ToLower(line); strings.Contains(l, "error") || strings.Contains(l, "warn") || strings.Contains(l, "traceback") {
			t.Errorf("it said: %s", line)
		}
	}
	differ(t, "what was there", want, "what was fetched", fetchedMail(t, w.dir))
	if left := e.all(); len(left) != 0 {
		t.Errorf("%d messages are left", len(left))
	}
}

// TestCurl: single messages up and down, and commands.
func TestCurl(t *testing.T) {
	t.Parallel()
	w := start(t, "curl")
	e := w.as("joe")
	e.do(`CREATE "Grüße"`)
	curl := func(path string, args ...string) string {
		t.Helper()
		return w.command("curl", append([]string{"-sS", "--cacert", w.ca, "-u", "joe:" + password, "imaps://$HOST:$PORT/" + path}, args...)...)
	}
	want := mail{}
	for i := range 10 {
		file := filepath.Join(w.dir, fmt.Sprint(i))
		if err := os.WriteFile(file, []byte(letter("curl", i)), 0o600); err != nil {
			t.Fatal(err)
		}
		clean(t, curl("Gr%26APwA3w-e", "-T", file))
		want.add("Grüße", `\Seen`, letter("curl", i))
		if got := curl(fmt.Sprintf("Gr%%26APwA3w-e/;UID=%d", i+1)); got != letter("curl", i) {
			t.Errorf("message %d comes back as %.300q", i, got)
		}
	}
	differ(t, "Waxwing", e.all(), "what was uploaded", want)
	for _, c := range []struct{ path, command, want string }{
		{"", `LIST "" *`, `"/" Gr&APwA3w-e`}, {"Gr%26APwA3w-e", "SEARCH SUBJECT plain", "* SEARCH 1\r\n"},
		{"Gr%26APwA3w-e", `STORE 1:2 +FLAGS (\Deleted)`, "* 2 FETCH"}, {"Gr%26APwA3w-e", "EXPUNGE", "* 1 EXPUNGE"},
		{"", `STATUS Gr&APwA3w-e (MESSAGES)`, "(MESSAGES 8)"}, {"", "NOOP", ""},
	} {
		if got := curl(c.path, "-X", c.command); !strings.Contains(strings.ReplaceAll(got, `"Gr&APwA3w-e"`, "Gr&APwA3w-e"), c.want) {
			t.Errorf("%s: %q", c.command, got)
		}
	}
	if got := curl("Gr%26APwA3w-e?SUBJECT%20long"); !strings.HasPrefix(got, "* SEARCH ") {
		t.Errorf("search: %q", got)
	}
}
