package readers

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/imap"
)

// eye is a client of the test's own, to put mail there and to see what is there.
type eye struct {
	t   *testing.T
	nc  net.Conn
	br  *bufio.Reader
	tag int
	// utf7: the server has names in modified UTF-7 alone.
	utf7 bool
}

// as is a client that is logged in. Names of mailboxes are in UTF-8.
func (w *waxwing) as(name string) *eye {
	w.t.Helper()
	nc, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", w.port), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { nc.Close() })
	e := &eye{t: w.t, nc: nc, br: bufio.NewReader(nc), utf7: w.utf7}
	e.response()
	e.do("LOGIN " + name + " " + password)
	e.do("ENABLE IMAP4rev2 UTF8=ACCEPT")
	return e
}

var literal = regexp.MustCompile(`\{(\d+)\}\r\n$`)

// response reads one with its literals.
func (e *eye) response() string {
	e.t.Helper()
	e.nc.SetDeadline(time.Now().Add(time.Minute))
	var b strings.Builder
	for {
		line, err := e.br.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			e.t.Fatalf("%v after %q", err, b.String())
		}
		m := literal.FindStringSubmatch(line)
		if m == nil {
			return b.String()
		}
		var n int64
		fmt.Sscan(m[1], &n)
		if _, err := io.CopyN(&b, e.br, n); err != nil {
			e.t.Fatal(err)
		}
	}
}

// do sends a command, which must succeed, and returns the untagged responses.
func (e *eye) do(command string) (untagged []string) {
	e.t.Helper()
	if e.utf7 {
		line, rest, more := strings.Cut(command, "\r\n")
		if line = quoted.ReplaceAllStringFunc(line, imap.EncodeUTF7); more {
			line += "\r\n"
		}
		command = line + rest
	}
	e.tag++
	tag := fmt.Sprintf("e%d ", e.tag)
	e.nc.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(e.nc, tag+command+"\r\n"); err != nil {
		e.t.Fatal(err)
	}
	for {
		r := e.response()
		if rest, ok := strings.CutPrefix(r, tag); ok {
			if !strings.HasPrefix(rest, "OK") {
				e.t.Fatalf("%.100s: %s", command, rest)
			}
			return untagged
		}
		untagged = append(untagged, r)
	}
}

// fill stores n messages of an author, the first two of five seen.
func (e *eye) fill(box, author string, n int) {
	e.t.Helper()
	for from := 0; from < n; from += 50 {
		var b strings.Builder
		b.WriteString("APPEND " + quote(box))
		for i := from; i < min(n, from+50); i++ {
			m := letter(author, i)
			fmt.Fprintf(&b, " (%s) {%d+}\r\n%s", seen(i), len(m), m)
		}
		e.do(b.String())
	}
}

func seen(i int) string {
	if i%5 < 2 {
		return `\Seen`
	}
	return ""
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// named are fields by which mbsync and offlineimap find again what they store, in which
// getmail notes where a message came from, and neomutt its length and flags.
var named = regexp.MustCompile(`(?m)^(?:X-TUID|X-OfflineIMAP|Return-Path|Content-Length|Lines|Status|X-Status|X-getmail-retrieved-from-mailbox): .*\r\n`)

// mail is messages, each once for every time that it is there: the mailbox, the flags, the octets.
type mail map[string]int

func (m mail) add(box, flags, text string) {
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	m[box+" ("+flags+") "+named.ReplaceAllString(head+"\r\n", "")+"\r\n"+body]++
}

// differ shows how two sides differ.
func differ(t *testing.T, one string, a mail, two string, b mail) {
	t.Helper()
	shown := 0
	for _, k := range slices.Sorted(maps.Keys(a)) {
		if a[k] != b[k] && shown < 5 {
			shown++
			t.Errorf("%d times in %s, %d times in %s: %.400q", a[k], one, b[k], two, k)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(b)) {
		if a[k] == 0 && shown < 10 {
			shown++
			t.Errorf("not in %s, %d times in %s: %.400q", one, b[k], two, k)
		}
	}
}

// quoted are strings with names in them.
var quoted = regexp.MustCompile(`"[^"]*[^"\x00-\x7f][^"]*"`)

var (
	listed  = regexp.MustCompile(`^\* LIST \(([^)]*)\) "/" (.*)\r\n$`)
	fetched = regexp.MustCompile(`^\* \d+ FETCH \(UID (\d+) FLAGS \(([^)]*)\) BODY\[\] \{\d+\}$`)
)

// boxes are the mailboxes.
func (e *eye) boxes() (names []string) {
	e.t.Helper()
	for _, r := range e.do(`LIST "" "*"`) {
		m := listed.FindStringSubmatch(r)
		if m == nil { // news of the selected mailbox
			continue
		}
		name := strings.Trim(m[2], `"`)
		if e.utf7 {
			name, _ = imap.DecodeUTF7(name)
		}
		if !strings.Contains(m[1], `\Noselect`) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// all is what lies in every mailbox.
func (e *eye) all() mail {
	e.t.Helper()
	m := mail{}
	for _, box := range e.boxes() {
		e.in(m, box)
	}
	return m
}

// in adds what lies in a mailbox.
func (e *eye) in(m mail, box string) {
	e.t.Helper()
	e.do("EXAMINE " + quote(box))
	for _, r := range e.do("UID FETCH 1:* (UID FLAGS BODY.PEEK[])") {
		head, text, _ := strings.Cut(r, "\r\n")
		if !strings.Contains(head, "BODY[") {
			continue // news of another session's
		}
		f := fetched.FindStringSubmatch(head)
		text, ok := strings.CutSuffix(text, ")\r\n")
		if f == nil || !ok {
			e.t.Fatalf("FETCH: %.200q", r)
		}
		flags := slices.DeleteFunc(strings.Fields(f[2]), func(f string) bool { return f == `\Recent` })
		slices.Sort(flags)
		m.add(box, strings.Join(flags, " "), text)
	}
	e.do("UNSELECT")
}
