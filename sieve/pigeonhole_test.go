package sieve

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPigeonhole holds what scripts do against sieve-test of Dovecot's Pigeonhole,
// over generated pairs of script and message. Where the peer is known to be wrong,
// nothing is generated: behind a "*" it compares with case ("aXB" does not match
// "a*b", RFC 5228 §2.7.1); and fileinto :copy to a mailbox keeps the implicit keep though
// fileinto :create to the same one follows (RFC 3894 §3).
func TestPigeonhole(t *testing.T) {
	peer, err := exec.LookPath("sieve-test")
	if err != nil {
		if os.Getenv("WAXWING_INTEROP") == "required" {
			t.Fatal("sieve-test is not here: install dovecot-sieve")
		}
		t.Skip("sieve-test is not here (Debian: dovecot-sieve)")
	}
	pairs := 1200
	if testing.Short() {
		pairs = 100
	}
	dir := t.TempDir()
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 { // it will not work as root, so it is nobody, who must get in
		uid, gid = 65534, 65534
		for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
			if err := os.Chmod(d, 0o777); err != nil {
				t.Fatal(err)
			}
		}
	}
	conf := filepath.Join(dir, "dovecot.conf")
	write(t, conf, fmt.Sprintf("mail_uid=%d\nmail_gid=%d\nfirst_valid_uid=1\nfirst_valid_gid=1\nmail_home=%s\nmail_location=mbox:%s/mail\nplugin {\n sieve_extensions = +editheader +vacation-seconds\n sieve_max_redirects = 4\n}\n", uid, gid, dir, dir))
	for seed := range pairs {
		g := &generator{r: rand.New(rand.NewPCG(uint64(seed), 1)), more: seed%2 == 1}
		script, mail := g.script(), g.mail()
		write(t, filepath.Join(dir, "s.sieve"), script)
		write(t, filepath.Join(dir, "m.eml"), strings.ReplaceAll(mail, "\n", "\r\n"))
		cmd := exec.Command(peer, "-c", conf, "-f", "bounce+x@example.org", "-r", "me+inbox@example.net", filepath.Join(dir, "s.sieve"), filepath.Join(dir, "m.eml"))
		cmd.Env = append(os.Environ(), "TZ=UTC")
		var out, problems bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &problems
		failed := cmd.Run() != nil
		theirs := peerActions(out.String())
		if failed {
			theirs = "error"
		}
		ours := ourActions(script, mail)
		if strings.Count(theirs, "store INBOX") > 1 {
			ours, theirs = oneInbox(ours), oneInbox(theirs)
		}
		if ours != theirs {
			t.Errorf("seed %d:\n ours   %s\n theirs %s\n%s\n%s\n%s", seed, ours, theirs, script, mail, problems.String())
		}
	}
}

var inbox = regexp.MustCompile(`store INBOX[^;]*(; store INBOX[^;]*)*`)

// oneInbox leaves one filing into INBOX, without flags: the peer files once more
// where flags change between, or where a keep follows fileinto "INBOX"; RFC 5228
// §2.10.3 wants no duplicates.
func oneInbox(s string) string { return inbox.ReplaceAllString(s, "store INBOX") }

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func ourActions(script, mail string) string {
	p, err := Compile(script)
	if err != nil {
		return "error"
	}
	m := parseMessage(mail)
	m.Size = int64(len(strings.ReplaceAll(mail, "\n", "\r\n")))
	_, body, _ := strings.Cut(mail, "\n\n")
	body = strings.ReplaceAll(body, "\n", "\r\n")
	m.Body = func(raw bool, types []string) []string {
		if raw || slices.ContainsFunc(types, func(s string) bool { return s == "" || s == "text" || s == "text/plain" }) {
			return []string{body}
		}
		return nil
	}
	env := testEnvironment()
	env.Now = time.Now().UTC()
	env.Mailbox = func(name string) bool { return name == "INBOX" } // the peer has no other
	env.Duplicate = nil                                             // nor remembers it anything
	actions, err := p.Run(m, env)
	if err != nil {
		return "error"
	}
	var out []string
	for _, a := range actions {
		switch a := a.(type) {
		case Keep:
			out = append(out, stored("INBOX", a.Flags))
		case FileInto:
			out = append(out, stored(a.Mailbox, a.Flags))
		case Redirect:
			out = append(out, "redirect "+a.Address)
		case Reject:
			out = append(out, "reject "+a.Reason)
		case Vacation:
			out = append(out, fmt.Sprintf("vacation %d", int(a.Period.Seconds())))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

func stored(mailbox string, flags []string) string {
	var f []string
	for _, s := range flags {
		f = append(f, strings.ToLower(s))
	}
	slices.Sort(f)
	return strings.TrimSpace("store " + mailbox + " " + strings.Join(f, " "))
}

var (
	storeLine    = regexp.MustCompile(`^ \* store message in folder: (.*)$`)
	flagsLine    = regexp.MustCompile(`^\s+\+ add IMAP flags: (.*)$`)
	redirectLine = regexp.MustCompile(`^ \* redirect message to: <(.*)>$`)
	rejectLine   = regexp.MustCompile(`^ \* reject message with reason: (.*)$`)
	secondsLine  = regexp.MustCompile(`^\s+=> seconds : (\d+)$`)
)

func peerActions(text string) string {
	var out []string
	mailbox := ""
	var flags []string
	flush := func() {
		if mailbox != "" {
			out = append(out, stored(mailbox, flags))
		}
		mailbox, flags = "", nil
	}
	for _, line := range strings.Split(text, "\n") {
		if m := storeLine.FindStringSubmatch(line); m != nil {
			flush()
			mailbox = m[1]
		} else if m := flagsLine.FindStringSubmatch(line); m != nil {
			flags = strings.Fields(m[1])
		} else if m := redirectLine.FindStringSubmatch(line); m != nil {
			out = append(out, "redirect "+m[1])
		} else if m := rejectLine.FindStringSubmatch(line); m != nil {
			out = append(out, "reject "+m[1])
		} else if m := secondsLine.FindStringSubmatch(line); m != nil {
			out = append(out, "vacation "+m[1])
		}
	}
	flush()
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// generator makes scripts and messages from a small vocabulary, so that tests
// hold about as often as not.
type generator struct {
	r    *rand.Rand
	more bool // with body, regex, mailbox and duplicate
}

func (g *generator) pick(words ...string) string { return words[g.r.IntN(len(words))] }

func (g *generator) text() string {
	return g.pick("a", "b", "ab", "AB", "x*g", "b?", "*", "a b", "10", "9", "007", "x@example.org", "joe", "news", "example.org", "Äpfel", "")
}

func (g *generator) quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func (g *generator) list(word func() string) string {
	if g.r.IntN(2) == 0 {
		return g.quoted(word())
	}
	var out []string
	for range 1 + g.r.IntN(3) {
		out = append(out, g.quoted(word()))
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func (g *generator) header() string {
	return g.pick("subject", "X-A", "x-b", "x-c", "Missing", "From", "To", "List-Id")
}

func (g *generator) key() string {
	if g.r.IntN(6) == 0 {
		return g.pick("${v}", "${1}", "${w}x", "pre${0}")
	}
	return g.text()
}

func (g *generator) matchType() string {
	switch g.r.IntN(8) {
	case 0:
		return ":contains "
	case 1, 2:
		return ":matches "
	case 3:
		return g.pick(":value", ":count") + ` "` + g.pick("gt", "ge", "lt", "le", "eq", "ne") + `" :comparator "i;ascii-numeric" `
	case 4:
		return `:comparator "i;octet" ` + g.pick(":is ", ":contains ", ":matches ")
	case 5:
		return ""
	}
	return ":is "
}

func (g *generator) test(depth int) string {
	if depth > 0 && g.r.IntN(4) == 0 {
		switch g.r.IntN(3) {
		case 0:
			return "not " + g.test(depth-1)
		case 1:
			return "allof(" + g.test(depth-1) + ", " + g.test(depth-1) + ")"
		}
		return "anyof(" + g.test(depth-1) + ", " + g.test(depth-1) + ")"
	}
	if g.more && g.r.IntN(3) == 0 {
		return g.another()
	}
	keys := g.list(g.key)
	switch g.r.IntN(11) {
	case 0:
		return "exists " + g.list(g.header)
	case 1:
		return "size " + g.pick(":over", ":under") + " " + g.pick("100", "250", "400", "1K")
	case 2:
		part := g.pick(":all ", ":localpart ", ":domain ", ":user ", ":detail ", "")
		return "address " + part + g.matchType() + g.list(func() string { return g.pick("from", "to") }) + " " + keys
	case 3:
		return "envelope " + g.pick(":all ", ":localpart ", ":domain ", ":user ", ":detail ") + g.matchType() + g.quoted(g.pick("from", "to")) + " " + keys
	case 4:
		return "string " + g.matchType() + g.list(g.key) + " " + keys
	case 5:
		return "hasflag " + g.matchType() + g.list(func() string { return g.pick("\\Seen", "a", "b", "x") })
	case 6:
		return `date :zone "` + g.pick("+0000", "-0500", "+0530") + `" ` + g.matchType() + `"date" "` + g.pick("year", "month", "day", "date", "julian", "hour", "minute", "weekday", "zone", "time", "iso8601", "std11") + `" ` +
			g.list(func() string {
				return g.pick("2026", "02", "28", "4", "5", "23", "61099", "2026-02-28", "04:30:00", "+0000")
			})
	case 7:
		return "header " + g.pick(`:index 1 `, `:index 2 `, `:index 1 :last `) + g.matchType() + g.quoted(g.header()) + " " + keys
	}
	return "header " + g.matchType() + g.list(g.header) + " " + keys
}

// another is a test of one of the further extensions.
func (g *generator) another() string {
	switch g.r.IntN(6) {
	case 0:
		return "mailboxexists " + g.list(func() string { return g.pick("INBOX", "INBOX", "Nowhere", "Work/x") })
	case 1:
		return "duplicate " + g.pick("", ":handle \"h\" ", ":last ") + g.pick("", `:header "X-A" `, `:uniqueid "${v}u" `) + g.pick("", ":seconds 60 ")
	case 2:
		return "header :regex " + g.pick("", `:comparator "i;octet" `) + g.list(g.header) + " " + g.list(g.pattern)
	case 3:
		return "address :regex " + g.pick(":all ", ":localpart ", ":domain ") + g.list(func() string { return g.pick("from", "to") }) + " " + g.list(g.pattern)
	}
	how := g.pick(":contains ", ":contains ", ":is ", ":matches ", `:contains :comparator "i;octet" `, `:count "ge" :comparator "i;ascii-numeric" `)
	return "body " + g.pick("", ":raw ", ":text ", `:content "text" `, `:content "text/plain" `, `:content "image" `, `:content ["audio", ""] `) + how +
		g.list(func() string {
			return g.pick("0123", "678", "FOX", "fox", "1", "*fox*", "0*", "", "fo?", "zebra", "quick fox\r\n", "0123456789012345678\r\n")
		})
}

// pattern is a regular expression that means the same to both, also what its groups stand for.
func (g *generator) pattern() string {
	return g.pick("^a", "b$", "^[ab]+$", "(a|x)(.*)", "^$", "[0-9]+", "^(.)b", "x@(example)[.]org", "a{2}", "^joe[+](.*)@", "A", "ne+ws", "(", "[a")
}

func (g *generator) command(depth int) string {
	if g.more && g.r.IntN(12) == 0 {
		return "fileinto :create " + g.quoted(g.pick("New", "${1}z")) + ";"
	}
	switch g.r.IntN(14) {
	case 0:
		return "keep;"
	case 1:
		return "discard;"
	case 2:
		return "stop;"
	case 3:
		return "redirect " + g.pick(":copy ", "") + g.quoted(g.pick("a@example.org", "b@example.org", "c+d@example.org")) + ";"
	case 4:
		return "fileinto " + g.pick(":copy ", "") + g.pick("", `:flags ["a", "\\Seen"] `) + g.quoted(g.pick("Lists", "Work/x", "${v}y", "INBOX")) + ";"
	case 5:
		return g.pick("setflag", "addflag", "removeflag") + " " + g.list(func() string { return g.pick("a", "b", "\\Seen", "a b", "x") }) + ";"
	case 6:
		return "set " + g.pick("", ":lower ", ":upper ", ":upperfirst ", ":length ", ":quotewildcard ", ":lower :upperfirst ") + g.quoted(g.pick("v", "w")) + " " + g.quoted(g.key()) + ";"
	case 7:
		return "vacation :days " + g.pick("1", "3", "7") + ` "gone";`
	case 8:
		return "addheader " + g.pick("", ":last ") + g.quoted(g.pick("X-A", "X-New")) + " " + g.quoted(g.pick("a", "ab", "x")) + ";"
	case 9:
		return "deleteheader " + g.pick("", ":index 1 ", `:contains `) + g.quoted(g.pick("X-A", "X-B")) + " " + g.quoted(g.pick("a", "b")) + ";"
	}
	if depth == 0 {
		return "keep;"
	}
	s := "if " + g.test(2) + " {" + g.block(depth-1) + "}"
	if g.r.IntN(2) == 0 {
		s += " elsif " + g.test(1) + " {" + g.block(depth-1) + "}"
	}
	if g.r.IntN(2) == 0 {
		s += " else {" + g.block(depth-1) + "}"
	}
	return s
}

func (g *generator) block(depth int) string {
	var out []string
	for range g.r.IntN(4) {
		out = append(out, g.command(depth))
	}
	return strings.Join(out, "\n")
}

func (g *generator) script() string {
	s := `require ["fileinto","envelope","imap4flags","variables","relational","subaddress","copy","date","index","vacation","editheader","comparator-i;ascii-numeric"];` + "\n"
	if g.more {
		s += `require ["body","regex","mailbox","duplicate"];` + "\n"
	}
	for range 1 + g.r.IntN(5) {
		s += g.command(2) + "\n"
	}
	return s
}

func (g *generator) mail() string {
	s := "From: Joe <joe+news@example.org>\nTo: " + g.pick("x@example.org", "a@b.org, joe@example.org", "me+inbox@example.net") + "\nDate: Sat, 28 Feb 2026 23:30:00 -0500\nSubject: " + g.pick("a b", "AB", "=?utf-8?q?=C3=84pfel?=", "10", "") + "\n"
	for range g.r.IntN(5) {
		s += g.pick("X-A", "X-B", "X-C") + ": " + g.pick("a", "b", "ab", "a b", "10", "9", "007", "axb", "x@example.org") + "\n"
	}
	s += "\n" + strings.Repeat("0123456789012345678\n", g.r.IntN(10))
	if g.more {
		s += g.pick("", "quick fox\n", "fox\n", "Fox\n")
	}
	return s
}
