package transfer_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"waxwing/internal/accounts"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/internal/transfer"
	"waxwing/internal/transfer/imapclient"
	"waxwing/internal/transfer/mbox"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func each(t *testing.T, fn func(t *testing.T, db *store.Store, m *mailboxes.Store)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		fn(t, db, &mailboxes.Store{DB: db})
	})
}

func account(t testing.TB, db *store.Store, name string) {
	t.Helper()
	must(t, (&accounts.Store{DB: db}).AddAccount(t.Context(), name, "correct horse"))
}

// importer and exporter collect what is left.
func importer(m *mailboxes.Store, account string) (*transfer.Importer, *[]string) {
	var left []string
	return &transfer.Importer{Boxes: m, Account: account, Max: 8 << 20, Left: func(l transfer.Left) { left = append(left, l.String()) }}, &left
}

func exporter(m *mailboxes.Store, account string) (*transfer.Exporter, *[]string) {
	var left []string
	return &transfer.Exporter{Boxes: m, Account: account, Left: func(l transfer.Left) { left = append(left, l.String()) }}, &left
}

// all is what an account has, a line a message.
func all(t testing.TB, m *mailboxes.Store, account string) (out []string) {
	t.Helper()
	ctx := context.Background()
	boxes, err := m.Boxes(ctx, account)
	must(t, err)
	words, err := m.Keywords(ctx, account)
	must(t, err)
	for _, b := range boxes {
		must(t, m.Mails(ctx, b.ID, mailbox.All(), func(msg *mailbox.Message) error {
			flags := msg.Entry.Flags.Words(words)
			slices.Sort(flags)
			out = append(out, fmt.Sprintf("%s %v %v %q", b.Name, msg.Received.UTC(), flags, text(t, m, msg.ID)))
			return nil
		}))
	}
	return out
}

func text(t testing.TB, m *mailboxes.Store, id int64) string {
	t.Helper()
	c, _, err := m.Content(context.Background(), id)
	must(t, err)
	r, err := c.Open()
	must(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	must(t, err)
	return string(b)
}

// clear takes all away that an account has.
func clear(t *testing.T, m *mailboxes.Store, account string) {
	t.Helper()
	boxes, err := m.Boxes(t.Context(), account)
	must(t, err)
	for _, b := range boxes {
		if b.Name != mailbox.Inbox && b.Use == "" {
			err = m.Delete(t.Context(), account, b.Name)
		} else {
			_, _, err = m.Remove(t.Context(), b.ID, mailbox.All())
		}
		must(t, err)
	}
}

// drawMail puts some messages into an account that has none. Their lines all end in one way.
func drawMail(t *rapid.T, m *mailboxes.Store, account string) {
	ctx := context.Background()
	line := rapid.SampledFrom([]string{"", "Subject: x", "From x", ">From y", ">>From z", "From joe Thu Nov  5 12:34:56 2026", "Status: RO", "X-Status: D", "X-Keywords: no", "a\rb", "\r", "été \x00\xff", "Message-ID: <a@b>",
		strings.Repeat("long ", 20<<10), " folded"})
	flag := rapid.SampledFrom([]string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`, "work", "$Forwarded", "$Junk"})
	for _, box := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"INBOX", "Sent", "Lists/Go", "a.b", `Entwürfe & \2e`, "INBOX/x"}), 1, 3, rapid.ID).Draw(t, "boxes") {
		_, err := m.Create(ctx, account, box, "")
		if err != nil && !strings.Contains(err.Error(), "already") {
			t.Fatal(err)
		}
		for i := range rapid.IntRange(0, 4).Draw(t, "messages") {
			var b strings.Builder
			for _, l := range rapid.SliceOfN(line, 0, 8).Draw(t, "lines") {
				b.WriteString(strings.TrimRight(l, "\r") + "\r\n")
			}
			// A Maildir's names begin with the date, and its messages are taken in their order.
			date := time.Unix(int64(1e9+1000*i+rapid.IntRange(0, 999).Draw(t, "second")), 0)
			_, _, err := m.Append(ctx, account, box, []mailboxes.Appended{{Flags: rapid.SliceOfDistinct(flag, rapid.ID).Draw(t, "flags"), Date: date, Content: delivery.Bytes(b.String())}})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What is given out and taken in again has the same bytes, flags and dates, in both formats and with
// both line ends (MBX-8).
func TestRoundTrip(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		const from, to = "from", "to"
		account(t, db, from)
		account(t, db, to)
		rapid.Check(t, func(rt *rapid.T) {
			clear(t, m, from)
			clear(t, m, to)
			drawMail(rt, m, from)
			ex, left := exporter(m, from)
			ex.CRLF = rapid.Bool().Draw(rt, "crlf")
			boxes, err := m.Boxes(context.Background(), from)
			must(t, err)
			dir := filepath.Join(t.TempDir(), "x")
			if rapid.Bool().Draw(rt, "maildir") {
				must(t, ex.Maildir(context.Background(), boxes, dir))
			} else {
				must(t, ex.Mboxes(context.Background(), boxes, dir))
			}
			im, notTaken := importer(m, to)
			must(t, im.Directory(context.Background(), dir, "", mbox.RD))
			if want, got := all(t, m, from), all(t, m, to); !slices.Equal(got, want) || len(*left)+len(*notTaken) > 0 || im.Done().Messages != int64(len(want)) {
				rt.Fatalf("taken in:\n%.3000s\nwant:\n%.3000s\nleft: %q %q", strings.Join(got, "\n"), strings.Join(want, "\n"), *left, *notTaken)
			}
		})
	})
}

// A Maildir as Dovecot keeps it, with what cannot be taken.
func TestMaildir(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		account(t, db, "joe")
		dir := t.TempDir()
		put := func(name, text string) {
			at := filepath.Join(dir, name)
			must(t, os.MkdirAll(filepath.Dir(at), 0o700))
			must(t, os.WriteFile(at, []byte(text), 0o600))
			must(t, os.Chtimes(at, time.Unix(1e9, 5000), time.Unix(1e9, 5000)))
		}
		put("cur/1700000002.a,S=5:2,SFa", "A: b\n\n2\n")
		put("new/1700000001.b", "A: b\r\n\r\n1\nmixed\r\n")
		put("cur/1700000003.long:2,", "A: b\n\n"+strings.Repeat("x\n", 2<<20))
		put("cur/1700000004.longer:2,", strings.Repeat("x", 8<<20+1))
		put("tmp/1700000005.half", "A:")
		put("cur/.hidden", "x")
		must(t, os.Symlink("/etc/passwd", filepath.Join(dir, "cur/1700000006.link:2,")))
		put("dovecot-keywords", "0 work\n")
		put("dovecot-uidlist", "3 V1 N2\n")
		put(".Lists.Entw&APw-rfe/cur/1.a:2,T", "\n")
		put(".a%b/cur/1.a:2,", "never\n")
		put(".hidden/file", "From x\n")
		im, left := importer(m, "joe")
		must(t, im.Directory(t.Context(), dir, "", mbox.RD))
		date := time.Unix(1e9, 5000).UTC().String()
		want := []string{"INBOX " + date + ` [] "A: b\r\n\r\n1\r\nmixed\r\n"`, "INBOX " + date + ` [\Flagged \Seen work] "A: b\r\n\r\n2\r\n"`,
			"INBOX " + date + fmt.Sprintf(" [] %q", "A: b\r\n\r\n"+strings.Repeat("x\r\n", 2<<20)), "Lists/Entwürfe " + date + ` [\Deleted] "\r\n"`}
		if got := all(t, m, "joe"); !slices.Equal(got, want) {
			t.Errorf("%.200q, want\n%.200q", got, want)
		}
		for i, l := range []string{"cur/1700000004.longer:2,: it has more than 8388608 octets", "cur/1700000006.link:2,: ", `folder "a%b": `} {
			if i >= len(*left) || !strings.HasPrefix((*left)[i], l) {
				t.Errorf("%q, want %q first", *left, l)
			}
		}
		if d := im.Done(); d.Messages != 4 || d.Left != 3 {
			t.Errorf("%+v", d)
		}
	})
}

// What an account can have no keyword for is taken without it, and told; an import that was interrupted goes on.
func TestAgain(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		account(t, db, "joe")
		var b bytes.Buffer
		w := mbox.NewWriter(&b, false)
		for i := range 70 {
			must(t, w.Write(mbox.Message{Date: time.Unix(int64(1e9+i), 0), Flags: []string{fmt.Sprintf("k%d", i), `\Seen`}}, strings.NewReader("A: b\r\n\r\nx\r\n")))
		}
		must(t, w.Write(mbox.Message{Date: time.Unix(1e9, 0), Flags: []string{"no[keyword", `\Unknown`, `\Seen`}}, strings.NewReader("Message-ID: <x@y>\r\n")))
		must(t, w.Flush())
		im, left := importer(m, "joe")
		must(t, im.Mbox(t.Context(), bytes.NewReader(b.Bytes()), int64(b.Len()), "Old/box", mbox.RD))
		if d := im.Done(); d.Messages != 71 || d.Left != 13 || d.Part != d.Whole {
			t.Errorf("%+v, %q", d, *left)
		}
		if l := (*left)[12]; !strings.Contains(l, "message 71, at octet ") || !strings.Contains(l, "taken without its keywords") {
			t.Error(l)
		}
		im, left = importer(m, "joe")
		im.Again = true
		must(t, im.Mbox(t.Context(), bytes.NewReader(b.Bytes()), 0, "Old/box", mbox.RD))
		if d := im.Done(); d.Messages != 0 || d.Known != 71 || len(*left) > 0 {
			t.Errorf("%+v, %q", d, *left)
		}
		if got := all(t, m, "joe"); len(got) != 71 || !strings.Contains(got[0], `[\Seen k0]`) {
			t.Errorf("%d, %q", len(got), got[:1])
		}
		must(t, im.Mbox(t.Context(), bytes.NewReader(b.Bytes()), 0, "", mbox.RD))
		if err := im.Mbox(t.Context(), strings.NewReader("Dear Sir"), 0, "INBOX", mbox.RD); err != mbox.ErrFormat {
			t.Error(err)
		}
	})
}

// A pull that was interrupted goes on behind what is durable, and takes nothing twice (MBX-8).
func TestPull(t *testing.T) {
	each(t, func(t *testing.T, db *store.Store, m *mailboxes.Store) {
		account(t, db, "joe")
		backwards := false
		pull := func(validity string, breakAt, want int) {
			t.Helper()
			im, left := importer(m, "joe")
			p := &transfer.Puller{Importer: *im, Source: "joe@there", Into: "There"}
			client, conn := net.Pipe()
			defer client.Close()
			go there(conn, validity, breakAt, backwards)
			c, err := imapclient.New(client, p.Take)
			must(t, err)
			if err = p.Pull(t.Context(), c); (err != nil) != (breakAt > 0) {
				t.Fatal(err)
			}
			if got := all(t, m, "joe"); len(got) != want || len(*left) > 0 {
				t.Errorf("%d messages, want %d, %q", len(got), want, *left)
			}
		}
		pull("7", 280, 256) // of which a batch was written
		pull("7", 0, 300)
		pull("7", 0, 300)
		if got := all(t, m, "joe"); !strings.HasPrefix(got[299], `There/Box 2026-11-05 11:00:00 +0000 UTC [\Seen k1] "N: 300\r\n"`) {
			t.Error(got[299])
		}
		pull("8", 0, 600) // numbered anew
		// In which order a server sends messages is its own affair: none is lost, and none comes twice.
		backwards = true
		pull("9", 290, 600) // those with higher numbers wait for those before them
		pull("9", 0, 900)
		pull("9", 0, 900)
	})
}

// there is a server with 300 messages in one mailbox; behind that of breakAt it is gone.
func there(conn net.Conn, validity string, breakAt int, backwards bool) {
	defer conn.Close()
	io.WriteString(conn, "* OK\r\n")
	in := bufio.NewScanner(conn)
	for in.Scan() {
		tag, command, _ := strings.Cut(in.Text(), " ")
		var low, high int
		switch word, _, _ := strings.Cut(strings.TrimPrefix(command, "UID "), " "); word {
		case "LIST":
			io.WriteString(conn, "* LIST () \"/\" Box\r\n")
		case "EXAMINE":
			io.WriteString(conn, "* OK [UIDVALIDITY "+validity+"]\r\n")
		case "SEARCH":
			fmt.Sscanf(command, "UID SEARCH UID %d:", &low)
			io.WriteString(conn, "* SEARCH")
			for u := min(low, 300); u <= 300; u++ {
				fmt.Fprintf(conn, " %d", u)
			}
			io.WriteString(conn, "\r\n")
		case "FETCH":
			if n, _ := fmt.Sscanf(command, "UID FETCH %d:%d", &low, &high); n == 1 {
				high = low
			}
			for i := low; i <= high; i++ {
				u := i
				if backwards {
					u = low + high - i
				}
				text := fmt.Sprintf("N: %d\r\n", u)
				fmt.Fprintf(conn, "* 1 FETCH (UID %d FLAGS (\\Seen k1) INTERNALDATE \" 5-Nov-2026 12:00:00 +0100\" BODY[] {%d}\r\n%s)\r\n", u, len(text), text)
				if u == breakAt {
					return
				}
			}
		}
		io.WriteString(conn, tag+" OK\r\n")
	}
}

// MBX-8: what cannot be read is told of, and all else is taken.
func TestLeft(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	account(t, db, "joe")
	im, left := importer(&mailboxes.Store{DB: db}, "joe")
	dir := t.TempDir()
	deep := filepath.Join(dir, strings.Repeat("d/", 25))
	must(t, os.MkdirAll(deep, 0o700))
	const one = "From joe@example.org Thu Nov  5 12:34:56 2026\nSubject: one\n\nx\n\n"
	for _, name := range []string{filepath.Join(deep, "below"), filepath.Join(dir, "first"), filepath.Join(dir, "zlast")} {
		must(t, os.WriteFile(name, []byte(one), 0o600))
	}
	want := []string{"more than 20 levels"}
	if os.Geteuid() != 0 { // who may read everything
		must(t, os.WriteFile(filepath.Join(dir, "mine"), []byte(one), 0))
		must(t, os.Mkdir(filepath.Join(dir, "private"), 0))
		want = append(want, "mine", "private")
	}
	must(t, im.Directory(t.Context(), dir, "", mbox.RD))
	if len(*left) != len(want) || im.Done().Messages != 2 {
		t.Errorf("%d messages were taken, and left are %v", im.Done().Messages, *left)
	}
	for _, w := range want {
		if !slices.ContainsFunc(*left, func(l string) bool { return strings.Contains(l, w) }) {
			t.Errorf("left are %v, and not %q", *left, w)
		}
	}
}
