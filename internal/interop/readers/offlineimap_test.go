package readers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const offlineimapConfig = `[general]
accounts = waxwing
metadata = $DIR/state
maxsyncaccounts = 1
ui = basic
fsync = False
[Account waxwing]
localrepository = near
remoterepository = far
utf8foldernames = yes
[Repository near]
type = Maildir
localfolders = $DIR/mail
sep = /
[Repository far]
type = IMAP
remotehost = $HOST
remoteport = $PORT
remoteuser = joe
remotepass = $PASSWORD
ssl = yes
sslcacertfile = $CA
maxconnections = 2
`

// TestOfflineimap: mail goes both ways between Waxwing and a maildir, by offlineimap.
func TestOfflineimap(t *testing.T) {
	t.Parallel()
	w := start(t, "offlineimap")
	n := many()
	w.write(".offlineimaprc", offlineimapConfig)
	e := w.as("joe")
	e.fill("INBOX", "far", n)
	e.do(`CREATE "Grüße/日本 & mehr"`)
	e.fill("Grüße/日本 & mehr", "unicode", 10)
	fillMaildir(t, filepath.Join(w.dir, "mail/INBOX"), "near", n)
	fillMaildir(t, filepath.Join(w.dir, "mail/Erwähnt"), "mentioned", 10)
	sync := func(what string, want int) {
		t.Helper()
		said := w.command("offlineimap", "-c", ".offlineimaprc", "-o", "-1")
		for line := range strings.SplitSeq(said, "\n") {
			if strings.Contains(line, "ERROR") || strings.Contains(line, "WARNING") || strings.Contains(line, "Traceback") {
				t.Errorf("it said: %s", line)
			}
		}
		a := e.all()
		differ(t, "Waxwing "+what, a, "the maildir", inMaildir(t, filepath.Join(w.dir, "mail"), func(s string) string { return s }))
		if len(a) != want {
			t.Errorf("%s: %d messages, want %d", what, len(a), want)
		}
	}
	sync("at first", 2*n+20)
	e.do("SELECT INBOX")
	e.do(`UID STORE 3:7 +FLAGS (\Flagged \Answered)`)
	e.do(`UID STORE 1:2 -FLAGS (\Seen)`)
	e.do(`UID STORE 8 +FLAGS (\Deleted)`)
	e.do(`UID EXPUNGE 8`)
	e.do(`UID MOVE 9:10 "Grüße/日本 & mehr"`)
	files, err := filepath.Glob(filepath.Join(w.dir, fmt.Sprintf("mail/INBOX/*/*,U=%d*", n+5)))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		files, err := filepath.Glob(filepath.Join(w.dir, fmt.Sprintf("mail/INBOX/*/*,U=%d,*", n+10+i)))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		to, _, _ := strings.Cut(filepath.Base(files[0]), ":2,")
		if err := os.Rename(files[0], filepath.Join(w.dir, "mail/INBOX/cur", to+":2,FRS")); err != nil {
			t.Fatal(err)
		}
	}
	sync("after changes on both sides", 2*n+18)
	sync("with nothing to do", 2*n+18)
}
