package structure

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

var update = flag.Bool("update", false, "ask the Dovecot of this machine anew and write what it answers into testdata")

const (
	golden      = "testdata/dovecot.txt" // what Dovecot answers
	differently = "testdata/differ.txt"  // our answers that are others
)

// TestDovecot compares ENVELOPE, BODY, BODYSTRUCTURE and every section of odd messages with what
// Dovecot answers. The differences that are wanted stand in differs.
func TestDovecot(t *testing.T) {
	if *update {
		writeGolden(t)
	}
	theirs, others := readGolden(t, golden), readGolden(t, differently)
	for _, odd := range oddMessages {
		t.Run(odd.name, func(t *testing.T) {
			m, err := Parse(bytes.NewReader(odd.bytes()))
			if err != nil {
				t.Fatal(err)
			}
			if (differs[odd.name] != "") != (len(others[odd.name]) > 0) {
				t.Errorf("%d answers differ from Dovecot's, because: %q", len(others[odd.name]), differs[odd.name])
			}
			for _, item := range ours(odd, m) {
				want, ok := others[odd.name][item.name]
				if !ok {
					want = theirs[odd.name][item.name]
				}
				if want != item.value {
					t.Errorf("%s\n ours    %s\n wanted  %s\n Dovecot %s", item.name, item.value, want, theirs[odd.name][item.name])
				}
			}
		})
	}
}

// differs says why answers for a message are not Dovecot's.
var differs = map[string]string{
	"nul in subject":           "we store and send NUL where it may stand; Dovecot makes it 0x80",
	"address quotes":           "a quoted word may be a piece of a local part (RFC 5322 §4.4)",
	"address empty":            "nothing between commas is no address",
	"address broken":           "what follows a broken address is read",
	"address dots":             "white space may stand around dots (RFC 5322 §4.4)",
	"address brackets":         "an address may stand unquoted for a name, and in two pairs of brackets",
	"multipart empty boundary": "a boundary has at least one character (RFC 2046 §5.1.1)",
	"boundary long":            "Dovecot compares 80 octets, and so takes the last boundary for a further one",
	"boundary nested prefix":   "the line end before a boundary is the boundary's, also behind an inner one",
	"boundary nested same":     "as before",
	"message cut by boundary":  "as before",
	"message global":           "it is a message (RFC 6532 §3.7)",
	"type broken":              "a broken type is text (RFC 2045 §5.2)",
	"type empty":               "as before",
	"type slash":               "as before",
	"type slash only":          "as before",
	"type two words":           "as before",
	"type no semicolon":        "the type itself can be read",
	"type comma":               "as before",
	"type double semicolon":    "nothing between semicolons is no parameter",
	"params odd":               "an unquoted value ends with white space or a semicolon",
	"params open quote":        "a quoted string may end with the field",
	"params extended pieces":   "no white space may stand in an extended value (RFC 2231 §7)",
	"extension fields empty":   "an empty field is NIL",
	"disposition odd":          "it may be quoted",
	"language odd":             "nothing between commas is no language",
}

func writeGolden(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(golden, askDovecot(t), 0o644); err != nil {
		t.Fatal(err)
	}
	theirs := readGolden(t, golden)
	var out bytes.Buffer
	for _, odd := range oddMessages {
		m, _ := Parse(bytes.NewReader(odd.bytes()))
		title := "# " + odd.name + "\n"
		for _, item := range ours(odd, m) {
			if theirs[odd.name][item.name] != item.value {
				fmt.Fprintf(&out, "%s%s\t%s\n", title, item.name, item.value)
				title = ""
			}
		}
	}
	if err := os.WriteFile(differently, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

type answer struct{ name, value string }

// ours are our answers for one message.
func ours(odd oddMessage, m *Message) []answer {
	raw := odd.bytes()
	out := []answer{
		{"ENVELOPE", canonical(m.AppendEnvelope(nil, false))},
		{"BODY", canonical(m.AppendBody(nil, false, false))},
		{"BODYSTRUCTURE", canonical(m.AppendBody(nil, true, false))},
	}
	for _, s := range sections(m) {
		number, text := splitSection(s)
		if r, ok := m.Section(number, text); ok {
			out = append(out, answer{"BODY[" + s + "]", sum(raw[r.Start:r.End])})
		} else {
			out = append(out, answer{"BODY[" + s + "]", sum(nil)}) // NIL would be right, too
		}
	}
	return out
}

func sum(b []byte) string { return fmt.Sprintf("%d %08x", len(b), crc32.ChecksumIEEE(b)) }

// sections are all sections that are there, and some that are not.
func sections(m *Message) []string {
	out := []string{"", "HEADER", "TEXT", "1.1.1.1.1", "9"}
	var walk func(prefix string, p *Part)
	part := func(number string, p *Part) {
		out = append(out, number, number+".MIME")
		if p.IsMessage() {
			out = append(out, number+".HEADER", number+".TEXT")
			walk(number+".", p.Parts[0])
		} else if p.IsMultipart() {
			walk(number+".", p)
		}
	}
	walk = func(prefix string, in *Part) {
		if !in.IsMultipart() {
			if prefix == "" || in.Start > 0 {
				part(prefix+"1", in)
			}
			return
		}
		for i, p := range in.Parts {
			part(prefix+strconv.Itoa(i+1), p)
		}
	}
	walk("", m.Root)
	return out
}

func splitSection(s string) (number []uint32, text string) {
	for s != "" {
		word, rest, _ := strings.Cut(s, ".")
		n, err := strconv.ParseUint(word, 10, 32)
		if err != nil {
			return number, s
		}
		number, s = append(number, uint32(n)), rest
	}
	return number, ""
}

// canonical writes an answer with all strings quoted, whether they came so or as literals.
func canonical(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		switch c := b[0]; {
		case c == '"':
			end := 1
			var s []byte
			for ; b[end] != '"'; end++ {
				if b[end] == '\\' {
					end++
				}
				s = append(s, b[end])
			}
			out.WriteString(strconv.Quote(string(s)))
			b = b[end+1:]
		case c == '{':
			size, rest, _ := bytes.Cut(b[1:], []byte("}\r\n"))
			n, _ := strconv.Atoi(string(size))
			out.WriteString(strconv.Quote(string(rest[:n])))
			b = rest[n:]
		default:
			out.WriteByte(c)
			b = b[1:]
		}
	}
	return out.String()
}

func readGolden(t *testing.T, file string) map[string]map[string]string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]string{}
	var at map[string]string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "# "); ok {
			at = map[string]string{}
			out[name] = at
		} else if name, value, ok := strings.Cut(line, "\t"); ok {
			at[name] = value
		}
	}
	return out
}

// askDovecot has Dovecot's imap, without its daemon, answer for the odd messages.
func askDovecot(t *testing.T) []byte {
	t.Helper()
	d := startDovecot(t)
	var out bytes.Buffer
	for i, odd := range oddMessages {
		raw := odd.bytes()
		d.ask(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(raw), raw))
		if i == 0 {
			d.ask("SELECT INBOX")
		} else {
			d.ask("NOOP")
		}
		fmt.Fprintf(&out, "# %s\n", odd.name)
		for _, item := range []string{"ENVELOPE", "BODY", "BODYSTRUCTURE"} {
			answer := d.fetch(i+1, item)
			fmt.Fprintf(&out, "%s\t%s\n", item, canonical(answer))
		}
		m, _ := Parse(bytes.NewReader(raw))
		for _, s := range sections(m) {
			answer := d.fetch(i+1, "BODY.PEEK["+s+"]")
			fmt.Fprintf(&out, "BODY[%s]\t%s\n", s, sum(unquote(answer)))
		}
	}
	return out.Bytes()
}

func unquote(b []byte) []byte {
	s, err := strconv.Unquote(canonical(b))
	if err != nil {
		panic(err)
	}
	return []byte(s)
}

type dovecot struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
	tag int
}

func startDovecot(t *testing.T) *dovecot {
	t.Helper()
	dir, err := os.MkdirTemp("", "dovecot")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	uid := os.Getuid()
	if uid == 0 { // root has no mail
		uid = 65534
	}
	if err := os.Chown(dir, uid, uid); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "dovecot.conf")
	text := fmt.Sprintf("base_dir = %[1]s/run\nstate_dir = %[1]s/state\nlog_path = %[1]s/log\nmail_location = sdbox:%[1]s/mail\nmail_home = %[1]s\n"+
		"mail_uid = %[2]d\nmail_gid = %[3]d\nfirst_valid_uid = 0\nfirst_valid_gid = 0\nssl = no\nprotocols = imap\nnamespace inbox {\n inbox = yes\n separator = /\n}\n"+
		"passdb {\n driver = static\n args = nopassword=y\n}\nuserdb {\n driver = static\n args = uid=%[2]d gid=%[3]d home=%[1]s\n}\n", dir, uid, uid)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/usr/lib/dovecot/imap", "-c", conf)
	cmd.Env = append(os.Environ(), "USER=u", "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	d := &dovecot{t: t, in: in, out: bufio.NewReader(out)}
	d.response() // the greeting
	return d
}

// response reads a line with its literals.
func (d *dovecot) response() []byte {
	var whole []byte
	for {
		line, err := d.out.ReadBytes('\n')
		if err != nil {
			d.t.Fatalf("Dovecot ended: %v", err)
		}
		whole = append(whole, line...)
		text := strings.TrimRight(string(line), "\r\n")
		open := strings.LastIndexByte(text, '{')
		if open < 0 || !strings.HasSuffix(text, "}") {
			return whole
		}
		n, err := strconv.Atoi(text[open+1 : len(text)-1])
		if err != nil {
			return whole
		}
		literal := make([]byte, n)
		if _, err := io.ReadFull(d.out, literal); err != nil {
			d.t.Fatal(err)
		}
		whole = append(whole, literal...)
	}
}

// ask sends a command and gives the untagged responses.
func (d *dovecot) ask(command string) (untagged [][]byte) {
	d.tag++
	tag := fmt.Sprintf("t%d ", d.tag)
	if _, err := io.WriteString(d.in, tag+command+"\r\n"); err != nil {
		d.t.Fatal(err)
	}
	for {
		r := d.response()
		if bytes.HasPrefix(r, []byte(tag)) {
			if !bytes.HasPrefix(r, []byte(tag+"OK")) {
				d.t.Logf("%.100q: %q", command, r)
				return nil
			}
			return untagged
		}
		untagged = append(untagged, r)
	}
}

// fetch gives one item of a message; nil where the answer is NO.
func (d *dovecot) fetch(n int, item string) []byte {
	for _, r := range d.ask(fmt.Sprintf("FETCH %d (%s)", n, item)) {
		name := strings.Replace(item, ".PEEK", "", 1)
		prefix := fmt.Sprintf("* %d FETCH (%s ", n, name)
		if rest, ok := bytes.CutPrefix(r, []byte(prefix)); ok {
			return bytes.TrimSuffix(rest, []byte(")\r\n"))
		}
	}
	return nil
}
