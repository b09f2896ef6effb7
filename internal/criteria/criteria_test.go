package criteria

import (
	"bufio"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/imap"
	"waxwing/internal/delivery"
	"waxwing/internal/mailbox"
	"waxwing/structure"
)

const sample = "From: Jörg <joe@example.net>\r\nTo: friends: ann@example.com;\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nDate: Sat, 24 Mar 2007 23:00:00 +0200\r\n" +
	"X-Test: yes\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\nprologue\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nsch=F6n=\r\ner Tag\r\n" +
	"--b\r\nContent-Type: application/pdf; name=report.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nc2VjcmV0\r\n--b--\r\n"

// key reads a search program.
func key(t testing.TB, program string) imap.Key {
	r := imap.NewReader(bufio.NewReader(strings.NewReader("a SEARCH "+program+"\r\n")), imap.Limits{}, func() error { return nil })
	c, err := r.ReadCommand()
	if err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	return c.Args.(*imap.Search).Key
}

func known() Known {
	return Known{
		Keywords: []string{"Work"}, Count: 10, Last: 100, Saved: []imap.Range{{Low: 50, High: 60}}, Now: time.Unix(1e9, 0),
		Structure: func(*mailbox.Mail) (*structure.Message, error) { return structure.Parse(strings.NewReader(sample)) },
		Content:   func(int64) (delivery.Content, error) { return delivery.Bytes(sample), nil },
		EmailID:   func(int64) string { return "E1" }, ThreadID: func(int64) string { return "T1" },
	}
}

// What a search finds of one message: by what the view knows, and with all there is.
func TestEval(t *testing.T) {
	t.Parallel()
	mail := &mailbox.Message{Mail: mailbox.Mail{ID: 1, Thread: 1, Size: 1000, Received: time.Unix(1e9-3600, 0).UTC()}}
	mail.Entry.Saved = time.Unix(1e9, 0).UTC()
	for _, tt := range []struct {
		program string
		view    Finding // without the mail
		all     Finding
	}{
		{"ALL", Yes, Yes}, {"SEEN", Yes, Yes}, {"UNSEEN", No, No}, {"ANSWERED", No, No}, {"KEYWORD work", Yes, Yes}, {"UNKEYWORD Work", No, No}, {"KEYWORD other", No, No},
		{"UNKEYWORD other", Yes, Yes}, {"3:5", Yes, Yes}, {"*", No, No}, {"UID 55", Yes, Yes}, {"UID 56:*", No, No}, {"$", Yes, Yes}, {"RECENT", No, No}, {"OLD", Yes, Yes}, {"NEW", No, No},
		{"MODSEQ 7", Yes, Yes}, {"MODSEQ 8", No, No},
		{"LARGER 999", Unknown, Yes}, {"LARGER 1000", Unknown, No}, {"SMALLER 1001", Unknown, Yes}, {"OLDER 3600", Unknown, Yes}, {"OLDER 3601", Unknown, No}, {"YOUNGER 3600", Unknown, Yes},
		{"SINCE 9-Sep-2001", Unknown, Yes}, {"BEFORE 9-Sep-2001", Unknown, No}, {"ON 9-Sep-2001", Unknown, Yes}, {"SAVEDON 9-Sep-2001", Unknown, Yes},
		{"EMAILID E1", Unknown, Yes}, {"THREADID T2", Unknown, No},
		{"FROM jörg", Unknown, Yes}, {"FROM JOE@EXAMPLE", Unknown, Yes}, {"TO friends", Unknown, Yes}, {"TO ann", Unknown, Yes}, {"CC ann", Unknown, No},
		{"SUBJECT grüße", Unknown, Yes}, {"SUBJECT GRÜ", Unknown, Yes}, {"SENTON 24-Mar-2007", Unknown, Yes}, {"SENTBEFORE 24-Mar-2007", Unknown, No},
		{`HEADER X-Test ""`, Unknown, Yes}, {`HEADER X-None ""`, Unknown, No}, {"HEADER x-test YES", Unknown, Yes},
		{"BODY schöner", Unknown, Yes}, {"BODY SCHÖNER", Unknown, Yes}, {"BODY prologue", Unknown, No}, {"BODY secret", Unknown, No}, {"BODY report.pdf", Unknown, Yes}, {"BODY X-Test", Unknown, No},
		{"TEXT X-Test", Unknown, Yes}, {"TEXT tag", Unknown, Yes},
		{"NOT SEEN", No, No}, {"NOT LARGER 5", Unknown, No}, {"SEEN LARGER 5", Unknown, Yes}, {"UNSEEN LARGER 5", No, No}, {"OR SEEN LARGER 5", Yes, Yes}, {"OR UNSEEN LARGER 5", Unknown, Yes},
		{"NOT (UNSEEN BODY x)", Yes, Yes}, {"(SEEN (3 UID 55))", Yes, Yes},
	} {
		p := Compile(key(t, tt.program), known())
		m := Message{Seq: 3, UID: 55, Flags: mailbox.Seen | mailbox.Keyword(0), ModSeq: 7}
		if got := p.Eval(&m); got != tt.view {
			t.Errorf("%s by the view: %d, want %d", tt.program, got, tt.view)
		}
		m.Mail = mail
		if got := p.Eval(&m); got != tt.all || m.Err != nil {
			t.Errorf("%s: %d, want %d (%v)", tt.program, got, tt.all, m.Err)
		}
	}
}

// With an index, a message is read only where that cannot say.
func TestIndexed(t *testing.T) {
	t.Parallel()
	for program, want := range map[string][3]Finding{ // of UIDs 10, 11 and 55
		"BODY x": {Yes, No, Unknown}, "NOT BODY x": {No, Yes, Unknown}, "BODY some": {Yes, Unknown, Unknown}, "BODY odd": {Unknown, Unknown, Unknown}, "SEEN BODY x": {No, No, No},
		"HEADER Subject x": {Yes, No, Unknown}, "HEADER X-Other x": {Unknown, No, Unknown}, `HEADER Subject ""`: {Unknown, Unknown, Unknown},
		"BODY x TEXT y SUBJECT z": {Yes, No, Unknown}, "NOT (BODY x BODY y)": {No, Yes, Unknown}, "BODY x BODY some": {Yes, No, Unknown}, "BODY x BODY odd": {Unknown, No, Unknown},
		"BODY x HEADER X-Other x": {Unknown, No, Unknown}, "OR BODY x SUBJECT y": {Yes, No, Unknown}, "BODY x SEEN BODY y": {No, No, No},
	} {
		k := known()
		k.Index = func(keys []imap.Key) (a Indexed, ok bool) {
			a, ok = Indexed{Found: []uint32{10, 20}, Tail: []uint32{55}}, true
			for _, key := range keys {
				a.Some = a.Some || key.Text == "some"
				a.Doubt = a.Doubt || key.Header == "X-Other"
				ok = ok && key.Text != "odd" && key.Text != ""
			}
			return a, ok
		}
		p := Compile(key(t, program), k)
		for i, uid := range []uint32{10, 11, 55} {
			if got := p.Eval(&Message{Seq: 1, UID: uid}); got != want[i] {
				t.Errorf("%s, UID %d: %d, want %d", program, uid, got, want[i])
			}
		}
	}
}

// Texts that must all stand in a message are asked for at once; those of which one will do, one by one.
func TestAskedTogether(t *testing.T) {
	t.Parallel()
	for program, want := range map[string]string{
		"BODY a BODY b TEXT c":                         "abc",
		"UNSEEN BODY a (SUBJECT b HEADER From c)":      "a bc",
		"OR BODY a BODY b":                             "a b",
		"NOT (BODY a BODY b) FROM c":                   "ab c",
		"BODY a LARGER 5 BODY b SEEN":                  "ab",
		"BODY a SEEN":                                  "a",
		"BODY a BODY b BODY c BODY d " + sixteen + "z": "abcd" + strings.Repeat("e", 12) + " e z",
	} {
		k := known()
		var asked []string
		k.Index = func(keys []imap.Key) (Indexed, bool) {
			text := ""
			for _, key := range keys {
				text += key.Text
			}
			asked = append(asked, text)
			return Indexed{}, true
		}
		Compile(key(t, program), k)
		slices.Sort(asked)
		if got := strings.Join(asked, " "); got != want {
			t.Errorf("%s: asked for %q, wanted %q", program, got, want)
		}
	}
}

var sixteen = strings.Repeat("BODY e ", 13) + "BODY "

// Whatever the program and the message: what the view decides, the whole message does not decide otherwise.
func FuzzEval(f *testing.F) {
	for _, s := range []string{"ALL", "NOT OR SEEN BODY x", "HEADER a b UID 1:* $", `SUBJECT "é" LARGER 4`, "((SEEN) (NOT (UNSEEN TEXT y)))", "MODSEQ 4 KEYWORD k"} {
		f.Add(s, sample)
	}
	f.Fuzz(func(t *testing.T, program, text string) {
		r := imap.NewReader(bufio.NewReader(strings.NewReader("a SEARCH "+program+"\r\n")), imap.Limits{}, func() error { return nil })
		c, err := r.ReadCommand()
		if err != nil || len(text) > 20_000 {
			t.Skip()
		}
		a, ok := c.Args.(*imap.Search)
		if !ok {
			t.Skip()
		}
		k := known()
		k.Structure = func(*mailbox.Mail) (*structure.Message, error) { return structure.Parse(strings.NewReader(text)) }
		k.Content = func(int64) (delivery.Content, error) { return delivery.Bytes(text), nil }
		p := Compile(a.Key, k)
		m := Message{Seq: 3, UID: 55, Flags: mailbox.Seen, ModSeq: 7}
		first := p.Eval(&m)
		m.Mail = &mailbox.Message{Mail: mailbox.Mail{Size: int64(len(text)), Received: time.Unix(1e9, 0)}}
		if second := p.Eval(&m); second == Unknown || first != Unknown && first != second {
			t.Fatalf("%d, then %d", first, second)
		}
	})
}

// A search that may take no longer ends in the middle of a message: a program may look through it thousands of times.
func TestExpired(t *testing.T) {
	t.Parallel()
	late := errors.New("late")
	k, reads, asked := known(), 0, 0
	read := k.Content
	k.Content = func(id int64) (delivery.Content, error) {
		reads++
		return read(id)
	}
	k.Expired = func() error {
		if asked++; asked > 5 {
			return late
		}
		return nil
	}
	p := Compile(key(t, strings.Repeat("NOT BODY x1y2z3 ", 1000)+"ALL"), k)
	x := &Message{Mail: &mailbox.Message{}}
	if p.Eval(x); !errors.Is(x.Err, late) || asked > 2000 || reads > 5 {
		t.Errorf("%v, after %d texts and %d looks at the time", x.Err, reads, asked)
	}
}
