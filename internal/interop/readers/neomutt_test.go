package readers

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

const neomuttConfig = `set folder = "imaps://joe@$HOST:$PORT/"
set imap_user = "joe"
set imap_pass = "$PASSWORD"
set ssl_ca_certificates_file = "$CA"
set certificate_file = "$CA"
set mbox_type = Maildir
set spoolfile = "+INBOX"
set confirmappend = no
set confirmcreate = no
set delete = yes
set move = no
set quit = yes
set wait_key = no
set imap_qresync = yes
set imap_condstore = yes
set header_cache = "$DIR/cache"
set message_cachedir = "$DIR/cache"
set auto_tag = yes
set mark_old = no
set sort = mailbox-order
`

// TestNeomutt: flags, a deletion, a move and a copy from a maildir, at a terminal.
func TestNeomutt(t *testing.T) {
	t.Parallel()
	w := start(t, "neomutt", "script")
	n := many()
	e := w.as("joe")
	e.fill("INBOX", "far", n)
	e.do(`CREATE "Grüße"`)
	fillMaildir(t, filepath.Join(w.dir, "mail"), "near", n)
	w.write("muttrc", neomuttConfig)
	keys := func(folder, push string) {
		t.Helper()
		said := w.command("script", "-qefc", fmt.Sprintf(`neomutt -n -F muttrc -f %s -e 'push "%s"'`, folder, push), "/dev/null")
		if strings.Contains(said, "rror") || strings.Contains(said, "BAD") {
			t.Errorf("it said: %s", tail(said))
		}
	}
	keys("mail", "<tag-pattern>.<enter><tag-prefix><copy-message>+INBOX<enter><quit>")
	keys("+INBOX", "<tag-pattern>~s plain<enter><tag-prefix><flag-message><untag-pattern>.<enter><tag-pattern>~s alternative<enter><tag-prefix><delete-message>"+
		"<untag-pattern>.<enter><tag-pattern>~s quoted<enter><tag-prefix><save-message>+Grüße<enter><sync-mailbox><quit>")
	want := mail{}
	for i := range n {
		for _, author := range []string{"far", "near"} {
			switch i % 10 {
			case 0:
				want.add("INBOX", strings.TrimSpace(`\Flagged `+seen(i)), letter(author, i))
			case 4: // deleted
			case 8:
				want.add("Grüße", seen(i), letter(author, i))
			default:
				want.add("INBOX", seen(i), letter(author, i))
			}
		}
	}
	differ(t, "Waxwing", e.all(), "what was to be", want)
}
