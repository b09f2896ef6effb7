package imapclient

import (
	"bufio"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func readBody(r io.Reader, _ int64) (any, error) {
	b, err := io.ReadAll(r)
	return string(b), err
}

func respond(s string) ([]Value, error) {
	r := reader{br: bufio.NewReader(iotest.OneByteReader(strings.NewReader(s))), take: readBody}
	return r.response()
}

func TestResponse(t *testing.T) {
	t.Parallel()
	for s, want := range map[string][]Value{
		"* OK [UIDVALIDITY 3] fine (so)\r\n":         {{Text: "*"}, {Text: "OK"}, {Text: "[UIDVALIDITY 3] fine (so)"}},
		"a1 NO\r\n":                                  {{Text: "a1"}, {Text: "NO"}},
		"+ go on\r\n":                                {{Text: "+"}, {Text: "go on"}},
		"* LIST (\\A) \"\\\\\" {3}\r\na b\r\n":       {{Text: "*"}, {Text: "LIST"}, {List: []Value{{Text: `\A`}}}, {Text: `\`}, {Text: "a b"}},
		"* 1 FETCH (UID 2 BODY[] {2}\r\nx\n)\n":      {{Text: "*"}, {Text: "1"}, {Text: "FETCH"}, {List: []Value{{Text: "UID"}, {Text: "2"}, {Text: "BODY[]"}, {Body: "x\n"}}}},
		"* 1 FETCH (BODY[HEADER (A B)] \"\" X ())\n": {{Text: "*"}, {Text: "1"}, {Text: "FETCH"}, {List: []Value{{Text: "BODY[HEADER (A B)]"}, {Text: ""}, {Text: "X"}, {List: []Value{}}}}},
	} {
		if got, err := respond(s); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"* X (", "* X )\r\n", "* \"a\r\n", "* {x}\r\n", "* {9999999999}\r\n", "* {-1}\r\n", "* (BODY[] {5}\r\nab", "* (BODY[] {1}\r\na BODY[] {1}\r\nb)\r\n", "* {5}\r\nab", strings.Repeat("(", 50), "", "* OK " + strings.Repeat("x", maxString+1)} {
		if v, err := respond(s); err == nil {
			t.Errorf("%.50q: %+v", s, v)
		}
	}
}

func FuzzResponse(f *testing.F) {
	f.Add("* OK [UIDVALIDITY 3] x\r\n")
	f.Add("* 1 FETCH (UID 2 FLAGS (\\Seen a) BODY[] {2}\r\nxy INTERNALDATE \" 1-Jan-2026 00:00:00 +0000\")\r\n")
	f.Add("* LIST (\\HasNoChildren) \".\" \"a\\\"b\"\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		client, server := net.Pipe()
		go func() {
			io.WriteString(server, "* OK\r\n"+s)
			server.Close()
		}()
		go io.Copy(io.Discard, server)
		defer client.Close()
		c, err := New(client, readBody)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Fetch([]uint32{1}, func(Message) error { return nil }); err == nil && !strings.Contains(strings.ToUpper(s), "OK") {
			t.Error("an answer out of nothing")
		}
	})
}

// server answers commands, each known by how it begins behind its tag.
func server(t *testing.T, greeting string, answers map[string]string) *Client {
	t.Helper()
	client, conn := net.Pipe()
	t.Cleanup(func() { client.Close() })
	go func() {
		defer conn.Close()
		io.WriteString(conn, greeting+"\r\n")
		in := bufio.NewScanner(conn)
		for in.Scan() {
			tag, rest, _ := strings.Cut(in.Text(), " ")
			for begin, answer := range answers {
				if strings.HasPrefix(rest, begin) || begin == in.Text() {
					io.WriteString(conn, strings.ReplaceAll(answer, "TAG", tag))
				}
			}
		}
	}()
	c, err := New(client, readBody)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClient(t *testing.T) {
	t.Parallel()
	c := server(t, "* OK hello", map[string]string{
		"CAPABILITY":                   "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nTAG OK\r\n",
		"AUTHENTICATE PLAIN":           "+ \r\n",
		"AGpvZQBzZWNyZXQ=":             "a2 OK in\r\n",
		"LIST":                         "* LIST (\\Noselect) \".\" x\r\n* LIST () \".\" \"Entw&APw-rfe.a/b\"\r\n* LIST () NIL INBOX\r\nTAG OK\r\n",
		`EXAMINE "Entw&APw-rfe.a/b"`:   "* 3 EXISTS\r\n* OK [UIDVALIDITY 77] x\r\nTAG OK [READ-ONLY]\r\n",
		"EXAMINE \"no\"":               "TAG NO [NONEXISTENT] no\r\n",
		"UID SEARCH UID 4:*":           "* SEARCH 9 3 5\r\nTAG OK\r\n",
		"UID FETCH 5,9 (UID FLAGS INT": "* 7 FETCH (FLAGS (\\Seen))\r\n* 1 FETCH (BODY[] {3}\r\na\r\n UID 5 FLAGS (\\Seen x) INTERNALDATE \" 5-Nov-2026 12:00:00 +0100\")\r\nTAG OK\r\n",
	})
	if err := c.Login("joe", "secret"); err != nil {
		t.Fatal(err)
	}
	all, err := c.List()
	if want := []Mailbox{{"Entw&APw-rfe.a/b", "Entwürfe/a_b"}, {"INBOX", "INBOX"}}; err != nil || !reflect.DeepEqual(all, want) {
		t.Error(all, err)
	}
	if v, err := c.Examine(all[0].Raw); v != 77 || err != nil {
		t.Error(v, err)
	}
	var refused *Refused
	if _, err := c.Examine("no"); !errors.As(err, &refused) {
		t.Error(err)
	}
	uids, err := c.UIDs(3)
	if err != nil || !reflect.DeepEqual(uids, []uint32{5, 9}) {
		t.Error(uids, err)
	}
	var got []Message
	err = c.Fetch(uids, func(m Message) error { got = append(got, m); return nil })
	if err != nil || len(got) != 1 || got[0].UID != 5 || got[0].Body != "a\r\n" || !reflect.DeepEqual(got[0].Flags, []string{`\Seen`, "x"}) || got[0].Date.UTC().Hour() != 11 {
		t.Errorf("%+v, %v", got, err)
	}
	if err := server(t, "* OK", map[string]string{"CAPABILITY": "* CAPABILITY LOGINDISABLED\r\nTAG OK\r\n"}).Login("a", "b"); err == nil {
		t.Error("a way to log in that is none")
	}
}
