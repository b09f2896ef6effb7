package sendmail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/message"
	"waxwing/smtpserver"
)

// composed is what is made of a message, a command line, a configuration's lines
// and a machine.
func composed(t *testing.T, msg, args, lines string, m Machine) (*outgoing, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sendmail.toml")
	if err := os.WriteFile(file, []byte("socket = \"s\"\n"+lines), 0o600); err != nil {
		t.Fatal(err)
	}
	conf, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := parse(strings.Fields(args))
	if err != nil {
		t.Fatal(err)
	}
	in, err := readMessage(strings.NewReader(msg), c.dots)
	if err != nil {
		t.Fatal(err)
	}
	p := &Program{Machine: m, Now: func() time.Time { return time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC) }}
	return p.compose(in, &c, conf)
}

// TRA-6: names of this machine's users are completed everywhere.
func TestLocalNames(t *testing.T) {
	t.Parallel()
	cron, err := os.ReadFile("testdata/cron-debian.txt")
	if err != nil {
		t.Fatal(err)
	}
	const all = "From: anna\nSender: <root>\nReply-To: Bob <bob@localhost>\nTo: root, Joe (x) <joe@x.test>\nCc: g: bob, carl@web1 ;\nBcc: dora\n\nhi\n"
	short := Machine{User: "me", Host: "web1", MailName: "web1"}
	full := Machine{User: "me", Host: "web1.lan.test", MailName: "mail.test"}
	for _, c := range []struct {
		name, msg, args, conf string
		machine               Machine
		from                  string
		to                    []string
		have                  []string
	}{
		{"cron, from and root", string(cron), "-i -FCronDaemon -B8BITMIME -oem root", "from = \"cron@example.test\"\nroot = \"admin@example.test\"\n", short,
			"cron@example.test", []string{"admin@example.test"}, []string{"From: cron@example.test (Cron Daemon)", "To: root@example.test", "Subject: Cron <root@host> /usr/local/bin/backup"}},
		{"cron, domain", string(cron), "-i -FCronDaemon -oem root", "domain = \"example.test\"\n", short,
			"root@example.test", []string{"root@example.test"}, []string{"From: root@example.test (Cron Daemon)", "To: root@example.test"}},
		{"cron, mailname", string(cron), "-i root", "", full,
			"root@mail.test", []string{"root@mail.test"}, []string{"From: root@mail.test (Cron Daemon)"}},
		{"cron, host name", string(cron), "-i root", "", Machine{User: "me", Host: "web1.lan.test"},
			"root@web1.lan.test", []string{"root@web1.lan.test"}, []string{"From: root@web1.lan.test (Cron Daemon)"}},
		{"root alone", string(cron), "-i root", "root = \"admin@example.test\"\n", short,
			"root@web1", []string{"admin@example.test"}, []string{"To: admin@example.test"}},
		{"root in capitals", "\nx", "Root", "root = \"admin@example.test\"\n", short, "me@web1", []string{"admin@example.test"}, nil},
		{"every field", all, "-t", "from = \"web@example.test\"\nroot = \"admin@example.test\"\ndomain = \"other.test\"\n", short,
			"web@example.test", []string{"admin@example.test", "joe@x.test", "bob@other.test", "carl@other.test", "dora@other.test"},
			[]string{"From: web@example.test", "Sender: <web@example.test>", "Reply-To: Bob <bob@other.test>", "To: root@other.test, Joe (x) <joe@x.test>", "Cc: g: bob@other.test, carl@other.test ;"}},
		{"every field, without from", all, "-t", "domain = \"other.test\"\n", short,
			"root@other.test", []string{"root@other.test", "joe@x.test", "bob@other.test", "carl@other.test", "dora@other.test"}, []string{"From: anna@other.test", "Sender: <root@other.test>"}},
		{"resent", "From: far@x.test\nTo: me@localhost\nResent-From: root\nResent-To: bob\n\nhi\n", "-t", "domain = \"other.test\"\n", short,
			"root@other.test", []string{"bob@other.test"}, []string{"Resent-From: root@other.test", "Resent-To: bob@other.test", "From: far@x.test", "To: me@other.test"}},
		{"-f with this machine's domain", "\nx", "-f www-data@web1 a@x.test", "from = \"web@example.test\"\n", short, "web@example.test", []string{"a@x.test"}, []string{"From: web@example.test"}},
		{"-f with another's", "\nx", "-f a@web2.test a@x.test", "from = \"web@example.test\"\n", short, "a@web2.test", []string{"a@x.test"}, nil},
		{"name of from", "\nx", "a@x.test", "from = \"Web Shop <web@example.test>\"\n", short, "web@example.test", []string{"a@x.test"}, []string{"From: Web Shop <web@example.test>"}},
		{"nothing to complete", "From:  Joe   <joe@x.test>\nTo: A\n\tB <b@x.test>\n\nx", "-t", "domain = \"other.test\"\n", short, "joe@x.test", []string{"b@x.test"}, []string{"From:  Joe   <joe@x.test>", "To: A", "\tB <b@x.test>"}},
	} {
		o, err := composed(t, c.msg, c.args, c.conf, c.machine)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if o.from != c.from || !slices.Equal(o.recipients, c.to) {
			t.Errorf("%s: from %q to %q", c.name, o.from, o.recipients)
		}
		for _, line := range c.have {
			if !strings.Contains("\r\n"+string(o.bytes()), "\r\n"+line+"\r\n") {
				t.Errorf("%s: no line %q in\n%s", c.name, line, o.bytes())
			}
		}
	}
	_, err = composed(t, "\nx", "anna", "", short)
	if e, ok := err.(*Error); !ok || e.Code != exConfig || !strings.Contains(err.Error(), "anna is a user of this machine") {
		t.Errorf("a name without a domain: %v", err)
	}
}

// sendmail-cluster.txt and sendmail-latin1.txt (TRA-6).
func TestCases(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		args, from, to string
		have           []string
	}{
		"sendmail-cluster.txt": {"-tif joe@example.test", "joe@example.test", "anna@example.test", []string{"From: joe@example.test"}},
		"sendmail-latin1.txt": {"-t", "joe@example.test", "joe@example.test",
			[]string{"From: =?utf-8?q?J=C3=BCrg?= <joe@example.test>", "Subject: =?utf-8?q?gr=C3=BCn?=", "Content-Type: text/plain; charset=iso-8859-1", "", "k\xfchl"}},
	} {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		msg := string(b)
		if strings.HasPrefix(msg, "# ") {
			_, msg, _ = strings.Cut(msg, "\n")
		}
		o, err := composed(t, msg, want.args, "", Machine{User: "me", Host: "web1"})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if o.from != want.from || strings.Join(o.recipients, " ") != want.to || o.smtputf8() {
			t.Errorf("%s: from %q to %q, SMTPUTF8 %v", name, o.from, o.recipients, o.smtputf8())
		}
		for _, line := range want.have {
			if !strings.Contains("\r\n"+string(o.bytes()), "\r\n"+line+"\r\n") {
				t.Errorf("%s: no line %q in\n%s", name, line, o.bytes())
			}
		}
	}
}

// TRA-6: 8-bit header text is read in the declared charset, else kept.
func TestHeaderCharset(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, charset, header, want string
	}{
		{"UTF-8 declared", "utf-8", "Subject: grün", "Subject: =?utf-8?q?gr=C3=BCn?="},
		{"nothing declared", "", "Subject: grün", "Subject: =?utf-8?q?gr=C3=BCn?="},
		{"us-ascii declared", "US-ASCII", "Subject: grün", "Subject: =?utf-8?q?gr=C3=BCn?="},
		{"unknown declared", "x-none", "Subject: grün", "Subject: =?utf-8?q?gr=C3=BCn?="},
		{"what a C locale declares", "ANSI_X3.4-1968", "Subject: grün", "Subject: =?utf-8?q?gr=C3=BCn?="},
		{"Windows", "windows-1252", "Subject: 5 \x80", "Subject: =?utf-8?q?5_=E2=82=AC?="},
		{"Cyrillic", "koi8-r", "Subject: \xd0\xd2\xc9", "Subject: =?utf-8?q?=D0=BF=D1=80=D0=B8?="},
		{"Japanese", "Shift_JIS", "Subject: \x8e\x52", "Subject: =?utf-8?q?=E5=B1=B1?="},
		{"a name", "iso-8859-15", "To: J\xf6rg \xa4 <j@x.test> (k\xfchl), (b) bob@x.test", "To: =?utf-8?q?J=C3=B6rg_=E2=82=AC?= <j@x.test> (=?utf-8?q?k=C3=BChl?=), (b)\r\n bob@x.test"},
		{"an extension field", "iso-8859-1", "X-Topic: gr\xfcn", "X-Topic: =?utf-8?q?gr=C3=BCn?="},
		{"kept: neither declared nor UTF-8", "", "Subject: gr\xfcn", "Subject: gr\xfcn"},
		{"kept: declared as something else", "utf-8", "Subject: gr\xfcn", "Subject: gr\xfcn"},
		{"kept: a name that cannot be read", "", "To: J\xf6rg <j@x.test>", "To: J\xf6rg <j@x.test>"},
		{"kept: a field with a grammar", "utf-8", "References: <ü@x.test>", "References: <ü@x.test>"},
	} {
		msg := "From: joe@x.test\n" + c.header + "\n"
		if c.charset != "" {
			msg += "Content-Type: text/plain; charset=" + c.charset + "\n"
		}
		o, err := composed(t, msg+"\nx\n", "a@x.test", "", Machine{User: "me", Host: "web1"})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if text := "\r\n" + string(o.bytes()); !strings.Contains(text, "\r\n"+c.want+"\r\n") || o.smtputf8() ||
			strings.Contains(text, "\r\nMIME-Version: 1.0\r\n") != (c.charset != "") {
			t.Errorf("%s: no %q, SMTPUTF8 %v, in\n%s", c.name, c.want, o.smtputf8(), text)
		}
	}
	o, err := composed(t, "To: jörg@x.test\n\nx\n", "a@x.test", "", Machine{User: "me", Host: "web1"})
	if err != nil || !o.smtputf8() {
		t.Errorf("an address beyond US-ASCII needs no SMTPUTF8: %v", err)
	}
}

// A header that programs did not end is ended for them.
func TestSplitMessage(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][2]string{
		"A: b\r\nC: d\r\n\r\nx\r\n":    {"A: b\r\nC: d\r\n", "\r\nx\r\n"},
		"A: b\r\nno field\r\nC: d\r\n": {"A: b\r\n", "\r\nno field\r\nC: d\r\n"},
		"just text\r\n":                {"", "\r\njust text\r\n"},
		" x\r\nA: b\r\n":               {"", "\r\n x\r\nA: b\r\n"},
		"\r\nx\r\n":                    {"", "\r\nx\r\n"},
		"A: b\r\n":                     {"A: b\r\n", "\r\n"},
	} {
		h, body, err := splitMessage([]byte(in))
		if err != nil || string(h.Bytes()) != want[0] || string(body) != want[1] {
			t.Errorf("%q: %q %q %v", in, h.Bytes(), body, err)
		}
	}
}

// TRA-6: a file that nobody named and that cannot be read is warned of, no more.
func TestUnreadableConfig(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("HOME", home)
	file := filepath.Join(home, "waxwing", "sendmail.toml")
	if path, warnings := findConfig(""); path == file || len(warnings) > 0 {
		t.Errorf("without a file: %q %q", path, warnings)
	}
	// A loop of links cannot be opened by anybody, root included.
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("sendmail.toml", file); err != nil {
		t.Fatal(err)
	}
	path, warnings := findConfig("")
	if path == file || len(warnings) != 1 || !strings.Contains(warnings[0], file) {
		t.Errorf("%q %q", path, warnings)
	}
	if path, warnings := findConfig(file); path != file || len(warnings) > 0 {
		t.Errorf("named: %q %q", path, warnings)
	}
	if _, err := os.Stat(systemConfig); err == nil {
		return // this machine's own would be used from here on
	}
	var out, errs bytes.Buffer
	code := invoke(t, strings.NewReader("\nx\n"), &out, &errs, "-f", "a@b.test", "x@y.test")
	if !strings.Contains(errs.String(), "warning: open "+file) || code == exConfig {
		t.Errorf("%d %s", code, errs.String())
	}
	// Programs that speak SMTP take any word on stderr for a failure to start.
	errs.Reset()
	if code := invoke(t, strings.NewReader("QUIT\r\n"), &out, &errs, "-bs"); code != 0 || errs.Len() > 0 || !strings.HasPrefix(out.String(), "220 web1 ") {
		t.Errorf("%d %s%s", code, errs.String(), out.String())
	}
	t.Setenv("HOME", "/dev/null")
	t.Setenv("XDG_CONFIG_HOME", "")
	if path, warnings := findConfig(""); path != "" || len(warnings) > 0 {
		t.Errorf("HOME=/dev/null: %q %q", path, warnings)
	}
}

// mailq tells what it may not see by its exit code.
func TestQueueCodes(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sendmail.toml")
	if err := os.WriteFile(file, []byte("socket = \"s\"\nserver_config = \"w.toml\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		err  error
		code int
	}{{nil, 0}, {fmt.Errorf("reading: %w", os.ErrPermission), exNoPerm}, {errors.New("no database"), exUnavailable}} {
		p := &Program{Queue: func(_ context.Context, config string) error {
			if config != filepath.Join(filepath.Dir(file), "w.toml") {
				t.Errorf("configuration %q", config)
			}
			return c.err
		}}
		err := p.Run(t.Context(), []string{"-C", file, "-bp"})
		var e *Error
		if errors.As(err, &e) != (c.code != 0) || e != nil && e.Code != c.code {
			t.Errorf("%v: %v, want the code %d", c.err, err, c.code)
		}
	}
}

func TestConfigNames(t *testing.T) {
	t.Parallel()
	for lines, want := range map[string]string{
		`from = "a@b.test, c@d.test"`: "from is one mail address",
		`root = "root"`:               "root is one mail address",
		`domain = "not a name"`:       "domain:",
		`port = "465"`:                "sendmail.toml:2: port: written twice, or of the wrong type",
		`password = hunter2"`:         "sendmail.toml:2: this line is no TOML",
		`colour.light = "blue"`:       `unknown key "colour.light"`,
	} {
		file := filepath.Join(t.TempDir(), "sendmail.toml")
		if err := os.WriteFile(file, []byte("socket = \"s\"\n"+lines+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadConfig(file); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", lines, err)
		}
	}
}

// INB-13: no line that SMTP cannot carry goes to a submission server.
func TestLongLinesAreConverted(t *testing.T) {
	t.Parallel()
	h := startSubmitHost(t, func(s *smtpserver.Server) {
		s.Hooks.Keywords = func(_ smtpserver.Conn, lines []string) []string {
			return slices.DeleteFunc(lines, func(l string) bool { return l == "8BITMIME" })
		}
	})
	file := h.config(t, "")
	var errs bytes.Buffer
	code := invoke(t, strings.NewReader("From: a@b.test\n\n"+strings.Repeat("ü", 1000)+"\n"), &errs, &errs, "-C", file, "x@y.test")
	if code != 0 || len(h.got) != 1 || message.LongLine([]byte(h.got[0])) || message.EightBit([]byte(h.got[0])) {
		t.Errorf("%d %s %.500q", code, errs.String(), h.got)
	}
	code = invoke(t, strings.NewReader("From: a@b.test\nDKIM-Signature: v=1\n\n"+strings.Repeat("x", 1000)+"\n"), &errs, &errs, "-C", file, "x@y.test")
	if code != exDataErr || len(h.got) != 1 || !strings.Contains(errs.String(), "998 octets") {
		t.Errorf("%d %s", code, errs.String())
	}
}

// config writes a configuration for the host.
func (h *submitHost) config(t *testing.T, lines string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sendmail.toml")
	conf := fmt.Sprintf("server = \"localhost\"\nport = %d\nuser = \"me\"\npassword = \"hunter2\"\nroots_file = %q\n%s\n", h.port, h.roots, lines)
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
