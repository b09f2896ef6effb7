package imap

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func reader(s string) (*Reader, *int) {
	asked := 0
	return NewReader(bufio.NewReader(strings.NewReader(s)), Limits{}, func() error { asked++; return nil }), &asked
}

// TestCommands reads each command and shows it as JSON, without what is empty.
func TestCommands(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`a NOOP`:                            `{"Name":"NOOP"}`,
		`a login joe "pass word"`:           `{"Args":{"Password":"pass word","User":"joe"},"Name":"LOGIN"}`,
		"a LOGIN {3}\r\njoe {4+}\r\np\"\\x": `{"Args":{"Password":"p\"\\x","User":"joe"},"Name":"LOGIN"}`,
		`a AUTHENTICATE plain`:              `{"Args":{"Mechanism":"PLAIN"},"Name":"AUTHENTICATE"}`,
		`a AUTHENTICATE PLAIN =`:            `{"Args":{"Initial":"=","Mechanism":"PLAIN"},"Name":"AUTHENTICATE"}`,
		`a SELECT inbox`:                    `{"Args":{"Mailbox":"INBOX"},"Name":"SELECT"}`,
		`a EXAMINE "a b" (CONDSTORE)`:       `{"Args":{"CondStore":true,"Mailbox":"a b"},"Name":"EXAMINE"}`,
		`a SELECT x (QRESYNC (67890007 20050715194045000 41,43:211 (1:3 5:7)))`: `{"Args":{"Mailbox":"x","QResync":{"Known":{"Ranges":[{"High":41,"Low":41},{"High":211,"Low":43}]},"ModSeq":20050715194045000,` +
			`"SeqMatch":[{"Ranges":[{"High":3,"Low":1}]},{"Ranges":[{"High":7,"Low":5}]}],"UIDValidity":67890007}},"Name":"SELECT"}`,
		`a CREATE Sent (USE (\Sent))`: `{"Args":{"Mailbox":"Sent","Use":["\\Sent"]},"Name":"CREATE"}`,
		`a RENAME a b`:                `{"Args":{"From":"a","To":"b"},"Name":"RENAME"}`,
		`a LIST "" *`:                 `{"Args":{"Patterns":["*"]},"Name":"LIST"}`,
		`a LIST (SUBSCRIBED) "" ("a%" b) RETURN (CHILDREN STATUS (MESSAGES UNSEEN))`: `{"Args":{"Extended":true,"Patterns":["a%","b"],"Return":["CHILDREN"],"Select":["SUBSCRIBED"],"Status":["MESSAGES","UNSEEN"]},"Name":"LIST"}`,
		`a STATUS x (UIDNEXT MESSAGES)`:                                              `{"Args":{"Items":["UIDNEXT","MESSAGES"],"Mailbox":"x"},"Name":"STATUS"}`,
		`a FETCH 1:*,5 ALL`:                                                          `{"Args":{"Items":[{"Name":"FLAGS"},{"Name":"INTERNALDATE"},{"Name":"RFC822.SIZE"},{"Name":"ENVELOPE"}],"Set":{"Ranges":[{"Low":1},{"High":5,"Low":5}]}},"Name":"FETCH"}`,
		`a UID FETCH 7 (UID BODY.PEEK[1.2.HEADER.FIELDS (From "To")]<0.100> BINARY[1] BODY) (CHANGEDSINCE 5 VANISHED)`: `{"Args":{"ChangedSince":5,"Items":[{"Name":"UID"},{"Name":"BODY","Peek":true,"Section":{"Count":100,"Fields":["From","To"],` +
			`"Part":[1,2],"Partial":true,"Text":"HEADER.FIELDS"}},{"Name":"BINARY","Section":{"Part":[1]}},{"Name":"BODY"}],"Set":{"Ranges":[{"High":7,"Low":7}]},"Vanished":true},"Name":"FETCH","UID":true}`,
		`a FETCH 1 BODY[]`:                           `{"Args":{"Items":[{"Name":"BODY","Section":{}}],"Set":{"Ranges":[{"High":1,"Low":1}]}},"Name":"FETCH"}`,
		`a FETCH 1 (PREVIEW (LAZY))`:                 `{"Args":{"Items":[{"Lazy":true,"Name":"PREVIEW"}],"Set":{"Ranges":[{"High":1,"Low":1}]}},"Name":"FETCH"}`,
		`a UID FETCH $ FLAGS (PARTIAL -1:-100)`:      `{"Args":{"Items":[{"Name":"FLAGS"}],"Partial":{"From":-1,"To":-100},"Set":{"Saved":true}},"Name":"FETCH","UID":true}`,
		`a STORE 1 +FLAGS.SILENT (\Seen $x)`:         `{"Args":{"Flags":["\\Seen","$x"],"Mode":43,"Set":{"Ranges":[{"High":1,"Low":1}]},"Silent":true},"Name":"STORE"}`,
		`a STORE 1 (UNCHANGEDSINCE 9) FLAGS \Seen x`: `{"Args":{"Flags":["\\Seen","x"],"Mode":61,"Set":{"Ranges":[{"High":1,"Low":1}]},"UnchangedSince":9},"Name":"STORE"}`,
		`a UID MOVE 1 x`:                             `{"Args":{"Mailbox":"x","Set":{"Ranges":[{"High":1,"Low":1}]}},"Name":"MOVE","UID":true}`,
		`a EXPUNGE`:                                  `{"Name":"EXPUNGE"}`,
		`a UID EXPUNGE 3:4`:                          `{"Args":{"Set":{"Ranges":[{"High":4,"Low":3}]}},"Name":"EXPUNGE","UID":true}`,
		`a SEARCH UNSEEN FROM joe`:                   `{"Args":{"Key":{"Keys":[{"Name":"UNSEEN"},{"Name":"FROM","Text":"joe"}],"Name":"AND"}},"Name":"SEARCH"}`,
		`a SEARCH RETURN (MIN PARTIAL 1:10) CHARSET utf-8 OR (1:2 NOT SEEN) HEADER X-A "b"`: `{"Args":{"Charset":"UTF-8","Key":{"Keys":[{"Keys":[{"Name":"SEQ","Set":{"Ranges":[{"High":2,"Low":1}]}},{"Keys":[{"Name":"SEEN"}],"Name":"NOT"}],"Name":"AND"},` +
			`{"Header":"X-A","Name":"HEADER","Text":"b"}],"Name":"OR"},"Return":[{"Name":"MIN"},{"Name":"PARTIAL","Partial":{"From":1,"To":10}}]},"Name":"SEARCH"}`,
		`a SEARCH RECENT`: `{"Args":{"Key":{"Name":"RECENT"}},"Name":"SEARCH"}`,
		`a SEARCH MODSEQ "/flags/\\draft" all 620162338`:                 `{"Args":{"Key":{"Entry":"/flags/\\draft","Name":"MODSEQ","Number":620162338}},"Name":"SEARCH"}`,
		`a SEARCH SINCE 1-Feb-1994 LARGER 5`:                             `{"Args":{"Key":{"Keys":[{"Date":"1994-02-01T00:00:00Z","Name":"SINCE"},{"Name":"LARGER","Number":5}],"Name":"AND"}},"Name":"SEARCH"}`,
		`a SORT (REVERSE DATE SUBJECT) UTF-8 ALL`:                        `{"Args":{"By":[{"Name":"DATE","Reverse":true},{"Name":"SUBJECT"}],"Charset":"UTF-8","Key":{"Name":"ALL"}},"Name":"SORT"}`,
		`a THREAD REFERENCES UTF-8 ALL`:                                  `{"Args":{"Algorithm":"REFERENCES","Charset":"UTF-8","Key":{"Name":"ALL"}},"Name":"THREAD"}`,
		`a ENABLE CONDSTORE qresync`:                                     `{"Args":{"Words":["CONDSTORE","QRESYNC"]},"Name":"ENABLE"}`,
		`a ID ("name" "x" "os" NIL)`:                                     `{"Args":{"Fields":{"name":"x"}},"Name":"ID"}`,
		`a ID NIL`:                                                       `{"Args":{},"Name":"ID"}`,
		`a SETQUOTA "" (STORAGE 512)`:                                    `{"Args":{"Limits":{"STORAGE":512}},"Name":"SETQUOTA"}`,
		`a GETMETADATA INBOX (MAXSIZE 1024) (/shared/a /private/b)`:      `{"Args":{"Entries":["/shared/a","/private/b"],"Mailbox":"INBOX","MaxSize":1024},"Name":"GETMETADATA"}`,
		`a GETMETADATA (MAXSIZE 10 DEPTH infinity) "" (/shared/comment)`: `{"Args":{"Depth":"infinity","Entries":["/shared/comment"],"MaxSize":10},"Name":"GETMETADATA"}`,
		`a SETMETADATA x (/private/comment "v" /shared/a NIL)`:           `{"Args":{"Entries":[{"Name":"/private/comment","Value":"v"},{"Name":"/shared/a"}],"Mailbox":"x"},"Name":"SETMETADATA"}`,
		`a NOTIFY SET STATUS (selected (MessageNew (UID FLAGS) MessageExpunge)) (subtree (a b) none)`: `{"Args":{"Groups":[{"Events":["MessageNew","MessageExpunge"],"Fetch":[{"Name":"UID"},{"Name":"FLAGS"}],"Filter":"SELECTED"},` +
			`{"Filter":"SUBTREE","Mailboxes":["a","b"]}],"Status":true},"Name":"NOTIFY"}`,
		`a COMPRESS DEFLATE`: `{"Args":{"Words":["DEFLATE"]},"Name":"COMPRESS"}`,
	} {
		r, _ := reader(in + "\r\nz NOOP\r\n")
		c, err := r.ReadCommand()
		if err != nil || c.Tag != "a" {
			t.Errorf("%s: %+v, %v", in, c, err)
			continue
		}
		if got := compact(t, c); got != want {
			t.Errorf("%s:\n got  %s\n want %s", in, got, want)
		}
		if next, err := r.ReadCommand(); err != nil || next.Tag != "z" {
			t.Errorf("%s: then %+v, %v", in, next, err)
		}
	}
}

// compact is JSON without empty values.
func compact(t *testing.T, c Command) string {
	t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	var prune func(v any) (any, bool)
	prune = func(v any) (any, bool) {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				p, empty := prune(e)
				if v[k] = p; empty && k != "Args" && k != "Section" || e == nil || k == "Tag" {
					delete(v, k)
				}
			}
			return v, len(v) == 0
		case []any:
			for i, e := range v {
				v[i], _ = prune(e)
			}
			return v, len(v) == 0
		case string:
			return v, v == "" || v == "0001-01-01T00:00:00Z"
		case json.Number:
			return v, v == "0"
		case bool:
			return v, !v
		}
		return v, v == nil
	}
	v, _ = prune(v)
	if m, ok := v.(map[string]any)["Args"].(map[string]any); ok && m["Depth"] == "0" {
		delete(m, "Depth")
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}

// TestFaults: a command that cannot be read is told with its tag, and the next one
// is read (RFC 9051 §7.1.3).
func TestFaults(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                    `* a tag is expected`,
		"a":                                   `a a space is expected`,
		"a ":                                  `a an atom is expected`,
		"a XYZZY":                             `a "XYZZY" is no command`,
		"a UID NOOP":                          `a UID NOOP is no command`,
		"a NOOP x":                            `a the end of the command is expected`,
		"a LOGIN joe":                         `a a space is expected`,
		`a LOGIN joe "x`:                      `a a quoted string without its end`,
		`a LOGIN joe "\x"`:                    `a only a quote or a backslash`,
		"a LOGIN joe {70000}":                 `a a literal of 70000 octets`,
		"a LOGIN {3+}\r\nj\x00e x":            `a a NUL in a literal`,
		"a FETCH 0 FLAGS":                     `a "0" is no sequence set`,
		"a FETCH 1:2:3 FLAGS":                 `a "1:2:3" is no sequence set`,
		"a FETCH 4294967296 FLAGS":            `a "4294967296" is no sequence set`,
		"a FETCH 1 ()":                        `a an empty list`,
		"a FETCH 1 NONSENSE":                  `a "NONSENSE" is nothing`,
		"a FETCH 1 BODY[MIME]":                `a MIME needs`,
		"a FETCH 1 BODY[0]":                   `a a part number`,
		"a FETCH 1 BODY[]<0.0>":               `a a range of no octets`,
		"a SEARCH NOT":                        `a a space is expected`,
		"a SEARCH " + strings.Repeat("(", 50): `a search keys are nested`,
		"a SEARCH SINCE yesterday":            `a "yesterday" is no date`,
		"a SEARCH RETURN (NONSENSE) ALL":      `a RETURN knows no`,
		"a STORE 1 FLAGZ x":                   `a FLAGS or FLAGS.SILENT`,
		"a SORT (REVERSE) UTF-8 ALL":          `a SORT needs a key`,
		"a SELECT x (QRESYNC (1))":            `a QRESYNC needs`,
		"a NOTIFY SET (x (MessageNew))":       `a NOTIFY knows no`,
		"a NOOP\rx":                           `a the end of the command`,
		strings.Repeat("x", 200) + " NOOP":    `* the tag is too long`,
		"a GETMETADATA (DEPTH 7) x y":         `a DEPTH is`,
	} {
		r, _ := reader(in + "\r\nz NOOP\r\n")
		_, err := r.ReadCommand()
		var s *SyntaxError
		if !errors.As(err, &s) || !strings.HasPrefix(s.Tag+" "+s.Text, want) {
			t.Errorf("%q: %v (%+v), want %s", in, err, s, want)
			continue
		}
		if next, err := r.ReadCommand(); err != nil || next.Tag != "z" {
			t.Errorf("%q: then %+v, %v", in, next, err)
		}
	}
	for in, want := range map[string]error{
		"a NOOP " + strings.Repeat("x", 70_000) + "\r\n": ErrLineTooLong,
		"a LOGIN x {70000+}\r\n":                         ErrLiteralTooLong,
		"a NONSENSE x {70000+}\r\n":                      ErrLiteralTooLong,
		"a LOGIN x {10}\r\nabc":                          io.ErrUnexpectedEOF,
		"a NOOP":                                         io.EOF,
	} {
		r, _ := reader(in)
		if _, err := r.ReadCommand(); !errors.Is(err, want) {
			t.Errorf("%.30q: %v, want %v", in, err, want)
		}
	}
}

// TestAppend: messages stream, several in one command (RFC 3502), and a client that
// waits is asked only for what is wanted.
func TestAppend(t *testing.T) {
	t.Parallel()
	r, asked := reader("a APPEND x (\\Seen) \"17-Jul-1996 02:44:25 -0700\" {5}\r\nhello {3+}\r\nabc UTF8 (~{2}\r\nxy)\r\nb NOOP\r\n")
	c, err := r.ReadCommand()
	if err != nil || c.Name != "APPEND" {
		t.Fatal(c, err)
	}
	var got []string
	for {
		m, err := r.NextMessage()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := r.Take(m)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(body)
		got = append(got, fmt.Sprint(string(b), m.Flags, m.Date.Unix(), m.Binary, m.UTF8, err))
	}
	want := []string{`hello[\Seen] 837596665 false false <nil>`, `abc[] -62135596800 false false <nil>`, `xy[] -62135596800 true true <nil>`}
	if !slices.Equal(got, want) || *asked != 2 {
		t.Errorf("%q, asked %d times; want %q", got, *asked, want)
	}
	if c, err := r.ReadCommand(); err != nil || c.Tag != "b" {
		t.Error(c, err)
	}
	r, asked = reader("a APPEND x {5}\r\nb NOOP\r\n")
	if _, err := r.ReadCommand(); err != nil {
		t.Fatal(err)
	}
	m, err := r.NextMessage()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Refuse(m, 100); err != nil || *asked != 0 {
		t.Error(err, *asked)
	}
	if c, err := r.ReadCommand(); err != nil || c.Tag != "b" {
		t.Error(c, err)
	}
	r, _ = reader("a APPEND x {5+}\r\nhello\r\nb NOOP\r\n")
	if _, err := r.ReadCommand(); err != nil {
		t.Fatal(err)
	}
	if m, err = r.NextMessage(); err != nil {
		t.Fatal(err)
	}
	if err := r.Refuse(m, 100); err != nil {
		t.Error(err)
	}
	if c, err := r.ReadCommand(); err != nil || c.Tag != "b" {
		t.Error(c, err)
	}
}

func TestSets(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		last := rapid.Uint32Range(1, 50).Draw(t, "last")
		var s Set
		for range rapid.IntRange(1, 6).Draw(t, "n") {
			s.Ranges = append(s.Ranges, Range{rapid.Uint32Range(0, 60).Draw(t, "low"), rapid.Uint32Range(0, 60).Draw(t, "high")})
		}
		again, err := ParseSet(s.String())
		if err != nil || again.String() != s.String() {
			t.Fatalf("%s was read as %s, %v", s, again, err)
		}
		resolved := s.Resolve(last)
		var members []uint32
		for n := uint32(1); n <= 70; n++ {
			in := slices.ContainsFunc(resolved, func(r Range) bool { return n >= r.Low && n <= r.High })
			if in != s.Contains(n, last) {
				t.Fatalf("%s with %d: %d is in one and not in the other", s, last, n)
			}
			if in {
				members = append(members, n)
			}
		}
		if got := Numbers(members); !slices.Equal(got, resolved) && len(members) > 0 && resolved[len(resolved)-1].High <= 70 {
			t.Fatalf("%s: %v, from numbers %v", s, resolved, got)
		}
	})
}

func TestWriter(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := NewWriter(&b)
	w.Status("a", "OK", "READ-WRITE", "do\r\nne")
	w.String(`a "b" \`)
	w.String("two\r\nlines")
	w.String("grün")
	w.UTF8 = true
	w.String("grün\x00")
	w.String("grün")
	w.NString("", false)
	w.Literal(strings.NewReader("xyz"), 3, true)
	w.Date(time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC))
	w.Flags([]string{`\Seen`, "x"})
	w.Number(7)
	want := "a OK [READ-WRITE] do  ne\r\n" + `"a \"b\" \\"` + "{10}\r\ntwo\r\nlines{5}\r\ngrün{6}\r\ngrün?\"grün\"NIL~{3}\r\nxyz" + `" 3-Feb-2026 04:05:06 +0000"(\Seen x)7`
	if err := w.Flush(); err != nil || b.String() != want {
		t.Errorf("%v\n%q\nwant\n%q", err, b.String(), want)
	}
	w.Literal(strings.NewReader("x"), 3, false)
	if err := w.Flush(); err == nil {
		t.Error("a literal cut short passes")
	}
}

func TestUTF7(t *testing.T) {
	t.Parallel()
	for plain, coded := range map[string]string{
		"INBOX": "INBOX", "a&b": "a&-b", "Entwürfe": "Entw&APw-rfe", "台北": "&U,BTFw-", "~peter/mail/日本語": "~peter/mail/&ZeVnLIqe-", "😀x": "&2D3eAA-x",
	} {
		if got := EncodeUTF7(plain); got != coded {
			t.Errorf("%s: %s, want %s", plain, got, coded)
		}
		if got, ok := DecodeUTF7(coded); !ok || got != plain {
			t.Errorf("%s: %s", coded, got)
		}
	}
	for _, s := range []string{"&", "&AA", "&!-", "&AA-", "grün", "&AGE-", "&2D0-"} {
		if got, ok := DecodeUTF7(s); ok {
			t.Errorf("%q was read as %q", s, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := strings.ToValidUTF8(rapid.String().Draw(t, "name"), "")
		if strings.ContainsRune(s, '\uFFFD') {
			return
		}
		if got, ok := DecodeUTF7(EncodeUTF7(s)); !ok || got != s {
			t.Fatalf("%q became %q and %q", s, EncodeUTF7(s), got)
		}
	})
}

// FuzzReader: whatever a line holds, the next command is read where it begins,
// unless the dialogue has ended.
func FuzzReader(f *testing.F) {
	for _, s := range []string{
		"a FETCH 1:*,5 (BODY.PEEK[1.2.HEADER.FIELDS (From)]<0.10> FLAGS) (CHANGEDSINCE 5)", "a SEARCH RETURN (MIN) OR (NOT SEEN) HEADER x {3+}\r\nabc",
		"a APPEND x (\\Seen) {5+}\r\nhello", "a NOTIFY SET (selected (MessageNew (UID)))", "a STORE 1 +FLAGS (\\Seen)", "a LIST (SUBSCRIBED) \"\" (a b) RETURN (STATUS (UNSEEN))",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, _ := reader(line + "\r\nlast NOOP\r\n")
		for range 100 {
			c, err := r.ReadCommand()
			var s *SyntaxError
			switch {
			case errors.As(err, &s):
				continue
			case err != nil:
				return
			case c.Tag == "last" && c.Name == "NOOP":
				return
			}
			for {
				m, err := r.NextMessage()
				if err != nil {
					break
				}
				if r.Refuse(m, 1000) != nil {
					return
				}
			}
		}
		if strings.Count(line, "\n") < 50 {
			t.Fatal("the last command was not reached")
		}
	})
}
