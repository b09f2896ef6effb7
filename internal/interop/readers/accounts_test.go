package readers

import (
	"fmt"
	"strings"
	"testing"
)

const interimapConfig = `database = $DIR/interimap.db
list-mailbox = "*"
[local]
type = imaps
host = $HOST
port = $PORT
username = ann
password = $PASSWORD
SSL_CAfile = $CA
[remote]
type = imaps
host = $HOST
port = $PORT
username = joe
password = $PASSWORD
SSL_CAfile = $CA
`

// TestInterimap: two accounts are kept the same by QRESYNC.
func TestInterimap(t *testing.T) {
	t.Parallel()
	w := start(t, "interimap")
	n := many()
	w.write("interimap/config", interimapConfig)
	joe, ann := w.as("joe"), w.as("ann")
	joe.fill("INBOX", "far", n)
	joe.do(`CREATE "Grüße/日本 & mehr"`)
	joe.fill("Grüße/日本 & mehr", "unicode", 10)
	ann.fill("INBOX", "near", n)
	ann.do(`CREATE "Erwähnt"`)
	ann.fill("Erwähnt", "mentioned", 10)
	sync := func(what string, want int) {
		t.Helper()
		said := w.command("interimap", "--quiet")
		for line := range strings.SplitSeq(said, "\n") {
			if strings.Contains(line, "WARNING") || strings.Contains(line, "ERROR") || strings.Contains(line, "rror:") {
				t.Errorf("it said: %s", line)
			}
		}
		a, b := joe.all(), ann.all()
		differ(t, "joe's "+what, a, "ann's", b)
		if len(a) != want {
			t.Errorf("%s: %d messages, want %d", what, len(a), want)
		}
	}
	sync("at first", 2*n+20)
	for i, e := range []*eye{joe, ann} {
		first := 1 + 20*i
		e.do("SELECT INBOX")
		e.do(fmt.Sprintf(`UID STORE %d:%d +FLAGS (\Flagged \Answered)`, first, first+4))
		e.do(fmt.Sprintf(`UID STORE %d -FLAGS (\Seen)`, first))
		e.do(fmt.Sprintf(`UID STORE %d +FLAGS (\Deleted)`, first+6))
		e.do(fmt.Sprintf(`UID EXPUNGE %d`, first+6))
		e.do(fmt.Sprintf(`UID MOVE %d:%d "Grüße/日本 & mehr"`, first+8, first+9))
		e.do("UNSELECT")
	}
	sync("after changes on both sides", 2*n+18)
	sync("with nothing to do", 2*n+18)
}

const imapfilterConfig = `options.timeout = 60
options.create = true
options.subscribe = true
options.certificates = true
options.info = false
local joe = IMAP { server = '$HOST', port = $PORT, username = 'joe', password = '$PASSWORD', ssl = 'auto' }
local ann = IMAP { server = '$HOST', port = $PORT, username = 'ann', password = '$PASSWORD', ssl = 'auto' }
joe:create_mailbox('Grüße/日本')
local all = joe['INBOX']:select_all()
assert(#all == $MANY, 'all: ' .. #all)
local unseen = joe['INBOX']:is_unseen()
local long = joe['INBOX']:is_larger(10000)
local plain = joe['INBOX']:contain_subject('plain')
local quoted = joe['INBOX']:contain_subject('quoted')
local words = joe['INBOX']:contain_body('how are you')
assert(#unseen == $MANY * 3 / 5, 'unseen: ' .. #unseen)
assert(#long == $MANY / 10, 'long: ' .. #long)
assert(#plain == $MANY / 10, 'plain: ' .. #plain)
assert(#words == $MANY / 10, 'words: ' .. #words)
assert(#quoted == $MANY / 10, 'quoted: ' .. #quoted)
assert(#(unseen * plain) == 0)
plain:mark_flagged()
quoted:move_messages(joe['Grüße/日本'])
long:copy_messages(ann['INBOX'])
joe['INBOX']:contain_subject('alternative'):delete_messages()
ann['INBOX']:is_larger(10000):add_flags({ '$$Label1', '\\Answered' })
local mailboxes, folders = joe:list_all()
assert(#mailboxes >= 6, 'mailboxes: ' .. #mailboxes)
`

// TestImapfilter: searches, marks, moves within an account, and copies to another.
func TestImapfilter(t *testing.T) {
	t.Parallel()
	w := start(t, "imapfilter")
	n := many()
	e := w.as("joe")
	e.fill("INBOX", "far", n)
	e.do("EXAMINE INBOX")
	if got := strings.Join(e.do(`SEARCH RETURN (COUNT) SUBJECT "a \"quoted\" \\ subject"`), ""); !strings.Contains(got, fmt.Sprintf("COUNT %d", n/10)) {
		t.Errorf("%s, want %d subjects with quotes", got, n/10)
	}
	e.do("UNSELECT")
	w.write("config.lua", strings.NewReplacer("$MANY", fmt.Sprint(n), "$$Label1", "$"+"Label1").Replace(imapfilterConfig))
	clean(t, w.command("imapfilter", "-t", w.ca, "-c", "config.lua"))
	want := mail{}
	for i := range n {
		flags := seen(i)
		switch i % 10 {
		case 0:
			want.add("INBOX", strings.TrimSpace(`\Flagged `+flags), letter("far", i))
		case 4: // deleted
		case 8:
			want.add("Grüße/日本", flags, letter("far", i))
		default:
			want.add("INBOX", flags, letter("far", i))
		}
	}
	differ(t, "Waxwing", e.all(), "what was to be", want)
	want = mail{}
	for i := 5; i < n; i += 10 {
		want.add("INBOX", `$Label1 \Answered \Seen`, letter("far", i))
	}
	differ(t, "Waxwing", w.as("ann").all(), "what was to be", want)
}

// TestImaplib: Python's library, in both encodings of names.
func TestImaplib(t *testing.T) {
	t.Parallel()
	w := start(t, "python3")
	n := many()
	e := w.as("joe")
	e.fill("INBOX", "far", n)
	w.write("script.py", imaplibScript)
	clean(t, w.command("python3", "-W", "error", "script.py", fmt.Sprint(n)))
	want := mail{}
	for i := range n {
		switch {
		case i < 3: // deleted
		case i < 6:
			want.add("Grüße", strings.TrimSpace(`\Flagged `+seen(i)), letter("far", i))
		default:
			want.add("INBOX", seen(i), letter("far", i))
		}
		want.add("日本", `\Answered`, strings.ReplaceAll(letter("far", i), "far@", "new@"))
	}
	differ(t, "Waxwing", e.all(), "what was to be", want)
}

const imaplibScript = `import imaplib, ssl, sys
n = int(sys.argv[1])
def ok(r):
    assert r[0] == 'OK', r
    return r[1]
m = imaplib.IMAP4_SSL('$HOST', $PORT, ssl_context=ssl.create_default_context(cafile='$CA'))
ok(m.authenticate('PLAIN', lambda _: b'\0joe\0$PASSWORD'))
ok(m.create('Gr&APwA3w-e'))
assert int(ok(m.select('INBOX'))[0]) == n
all = ok(m.uid('SEARCH', 'ALL'))[0].split()
assert len(all) == n
octets = []
for part in ok(m.uid('FETCH', '1:*', '(BODY.PEEK[])')):
    if isinstance(part, tuple):
        octets.append(part[1])
assert len(octets) == n, len(octets)
ok(m.store('1:3', '+FLAGS', r'(\Deleted)'))
assert len(ok(m.expunge())) == 3
ok(m.store('1:3', '+FLAGS', r'\Flagged'))
ok(m.copy('1:3', 'Gr&APwA3w-e'))
ok(m.store('1:3', '+FLAGS.SILENT', r'\Deleted'))
ok(m.expunge())
assert int(ok(m.status('Gr&APwA3w-e', '(MESSAGES UNSEEN)'))[0].split()[2]) == 3
assert ok(m.search('UTF-8', 'SUBJECT', '"plain"'))[0].split()
assert len(ok(m.thread('REFERENCES', 'UTF-8', 'ALL'))) == 1
assert len(ok(m.sort('(REVERSE DATE)', 'UTF-8', 'ALL'))[0].split()) == n - 6
ok(m.getquotaroot('INBOX')); ok(m.namespace()); ok(m.check()); ok(m.noop())
ok(m.close())
m.logout()
m = imaplib.IMAP4_SSL('$HOST', $PORT, ssl_context=ssl.create_default_context(cafile='$CA'))
ok(m.login('joe', '$PASSWORD'))
ok(m.create('&ZeVnLA-'))
for o in octets: # with UTF8=ACCEPT, imaplib would write "UTF8 (" into the message
    ok(m.append('&ZeVnLA-', r'(\Answered)', imaplib.Time2Internaldate(1174770000), o.replace(b'far@', b'new@')))
ok(m.enable('UTF8=ACCEPT'))
ok(m.rename('"日本"', '"日本 2"')); ok(m.rename('"日本 2"', '"日本"'))
ok(m.subscribe('"日本"'))
assert any('日本'.encode() in l for l in ok(m.lsub()))
m.logout()
`
