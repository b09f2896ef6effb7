package readers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const mbsyncConfig = `FSync no

IMAPAccount waxwing
Host $HOST
Port $PORT
User joe
Pass $PASSWORD
SSLType IMAPS
CertificateFile $CA

IMAPStore far
Account waxwing

MaildirStore near
Path $DIR/mail/
Inbox $DIR/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
Remove Both
SyncState *
`

// TestMbsync: mail goes both ways between Waxwing and a maildir.
func TestMbsync(t *testing.T) {
	t.Parallel()
	w := start(t, "mbsync")
	n := many()
	w.write("mbsyncrc", mbsyncConfig)
	e := w.as("joe")
	e.fill("INBOX", "far", n)
	e.do(`CREATE "Grüße/日本 & mehr"`)
	e.fill("Grüße/日本 & mehr", "unicode", 10)
	fillMaildir(t, filepath.Join(w.dir, "mail/INBOX"), "near", n)
	fillMaildir(t, filepath.Join(w.dir, "mail/Erw&AOQ-hnt"), "mentioned", 10)

	sync := func(what string) {
		t.Helper()
		clean(t, w.command("mbsync", "-c", "mbsyncrc", "-a"), "Maildir notice: no UIDVALIDITY, creating new.", "Maildir notice: sleeping due to recent directory modification.")
		differ(t, "Waxwing "+what, e.all(), "the maildir", inMaildir(t, filepath.Join(w.dir, "mail"), decoded))
	}
	sync("at first")
	if got := fmt.Sprint(e.boxes()); !strings.Contains(got, "Erwähnt") || !strings.Contains(got, "Grüße/日本 & mehr") {
		t.Errorf("mailboxes: %s", got)
	}
	if got := len(e.all()); got != 2*n+20 {
		t.Errorf("%d messages, want %d", got, 2*n+20)
	}

	// On the server: flags, a deletion, a move.
	e.do("SELECT INBOX")
	e.do(`UID STORE 3:7 +FLAGS (\Flagged \Answered)`)
	e.do(`UID STORE 1:2 -FLAGS (\Seen)`)
	e.do(`UID STORE 8 +FLAGS (\Deleted)`)
	e.do(`UID EXPUNGE 8`)
	e.do(`UID MOVE 9:10 "Grüße/日本 & mehr"`)
	// In the maildir: the same.
	mail := filepath.Join(w.dir, "mail/INBOX/cur")
	files, err := filepath.Glob(mail + "/*near*:2,*")
	if err != nil || len(files) < 10 {
		t.Fatal(len(files), err)
	}
	for i, f := range files[:8] {
		switch to := mail + "/" + filepath.Base(f); i {
		case 0:
			err = os.Remove(f)
		case 1: // mbsync knows it by its ",U=", which another mailbox must not have
			err = os.Rename(f, filepath.Join(w.dir, "mail/Erw&AOQ-hnt/cur/moved.1.here:2,S"))
		default:
			to, _, _ = strings.Cut(to, ":2,")
			err = os.Rename(f, to+":2,FRS")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	sync("after changes on both sides")
	if got := len(e.all()); got != 2*n+18 {
		t.Errorf("%d messages, want %d", got, 2*n+18)
	}
	before := e.all()
	sync("with nothing to do")
	differ(t, "Waxwing before", before, "Waxwing after", e.all())
}
