package milter

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"waxwing/milter/miltertest"
)

var plenty = Limits{Time: time.Minute, Octets: 1 << 20, Packets: 1000, Changes: 10}

type answers = func(cmd byte, data string) *miltertest.Answer

func say(packets ...[]byte) *miltertest.Answer {
	a := miltertest.Say(packets...)
	return &a
}

// on answers one command so, and goes on with all others.
func on(at byte, a *miltertest.Answer) answers {
	return func(cmd byte, _ string) *miltertest.Answer {
		if cmd == at {
			return a
		}
		return nil
	}
}

// told is what came of a whole message.
type told struct {
	result Result
	body   string
	at     string // the step that was the last
	answer Answer
	err    error
}

// ask tells a filter a whole message.
func ask(t *testing.T, f *miltertest.Filter, l Limits) (out told) {
	t.Helper()
	nc, err := net.Dial("tcp", f.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return over(t.Context(), nc, l)
}

func over(ctx context.Context, nc net.Conn, l Limits) (out told) {
	s, err := Start(ctx, nc, l)
	if err != nil {
		return told{at: "start", err: err}
	}
	defer s.Close()
	m := Macros{"j": "mx.here.test", "i": "abc", "{rcpt_addr}": "joe@here.test", "{mail_addr}": "a\x00b"}
	for _, step := range []struct {
		name string
		ask  func() (Answer, error)
	}{
		{"connect", func() (Answer, error) {
			return s.Connect(ctx, Client{Addr: netip.MustParseAddrPort("192.0.2.1:4321")}, m)
		}},
		{"helo", func() (Answer, error) { return s.HELO(ctx, "far.test", m) }},
		{"mail", func() (Answer, error) { return s.Mail(ctx, "x@far.test", []string{"SIZE=9"}, m) }},
		{"rcpt", func() (Answer, error) { return s.Rcpt(ctx, "joe@here.test", nil, m) }},
		{"rcpt", func() (Answer, error) { return s.Rcpt(ctx, "ann@here.test", nil, m) }},
	} {
		a, err := step.ask()
		if err != nil || a.Verb != Continue {
			return told{at: step.name, answer: a, err: err}
		}
	}
	var body bytes.Buffer
	out.at = "message"
	out.result, out.err = s.Message(ctx, Message{Macros: m, Fields: []Field{{"Subject", " one\r\n two"}, {"To", " joe@here.test"}}, Body: strings.NewReader("hello\r\n"), Replaced: &body})
	out.body, out.answer = body.String(), out.result.Answer
	return out
}

// What a filter hears, and in which order.
func TestDialogue(t *testing.T) {
	t.Parallel()
	f := miltertest.Serve(t, on(0, nil))
	if got := ask(t, f, plenty); got.err != nil || got.at != "message" || got.answer.Verb != Continue {
		t.Fatalf("%+v", got)
	}
	want := []string{
		"O\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xf7\xff",
		"DCj\x00mx.here.test\x00", "C[192.0.2.1]\x004\x10\xe1192.0.2.1\x00", "Hfar.test\x00",
		"DMi\x00abc\x00{mail_addr}\x00ab\x00", "M<x@far.test>\x00SIZE=9\x00",
		"DRi\x00abc\x00{rcpt_addr}\x00joe@here.test\x00", "R<joe@here.test>\x00", "DRi\x00abc\x00{rcpt_addr}\x00joe@here.test\x00", "R<ann@here.test>\x00",
		"DTi\x00abc\x00", "T", "LSubject\x00 one\n two\x00", "LTo\x00 joe@here.test\x00", "DNi\x00abc\x00", "N", "Bhello\r\n", "DEi\x00abc\x00", "E",
	}
	heard := f.Heard()
	if n := len(heard); n > 0 && heard[n-1] == "Q" { // it may come later than this look
		heard = heard[:n-1]
	}
	if !slices.Equal(heard, want) {
		t.Errorf("%q\nwant %q", heard, want)
	}
}

// A filter is told no more than it wants to hear, and is not waited for where it does not answer.
func TestNegotiated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		version  uint32
		protocol uint32
		lists    string
		want     string
	}{
		{"nothing", 6, 0x3ff &^ 0x80, "", "O DE E"},
		{"no answers but the last", 6, 0x80 | 0xff000&^0x100, "", "O DC C H DM M DR R DR R DT T L L DN N B DE E"},
		{"version 2 has no DATA", 2, 0, "", "O DC C H DM M DR R DR R L L DN N B DE E"},
		{"a list of its own", 6, 0, miltertest.Number(2) + miltertest.Texts("j,{nothing}") + miltertest.Number(99) + miltertest.Texts("x") + miltertest.Number(0) + miltertest.Texts(""), "O C H DM M DR R DR R DT T L L DN N B DE E"},
	} {
		mute := c.protocol&0x80 != 0
		f := miltertest.Serve(t, func(cmd byte, _ string) *miltertest.Answer {
			switch {
			case cmd == 'O':
				return say(miltertest.Options(c.version, 0x1f, c.protocol, c.lists))
			case mute && cmd != 'E':
				return &miltertest.Answer{}
			}
			return nil
		})
		if got := ask(t, f, plenty); got.err != nil || got.answer.Verb != Continue {
			t.Errorf("%s: %+v", c.name, got)
		}
		var cmds []string
		for _, h := range f.Heard() {
			if n := map[bool]int{true: 2, false: 1}[h[0] == 'D']; h != "Q" {
				cmds = append(cmds, h[:n])
			}
			if c.lists != "" && strings.HasPrefix(h, "DM") && h != "DMj\x00mx.here.test\x00" {
				t.Errorf("%s: %q", c.name, h)
			}
			if strings.HasPrefix(h, "LTo") && h != "LTo\x00joe@here.test\x00" {
				t.Errorf("%s: without the leading space negotiated: %q", c.name, h)
			}
		}
		if got := strings.Join(cmds, " "); got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
}

// Each answer at each step.
func TestAnswers(t *testing.T) {
	t.Parallel()
	steps := map[byte]string{'C': "connect", 'H': "helo", 'M': "mail", 'R': "rcpt", 'T': "message", 'L': "message", 'N': "message", 'B': "message", 'E': "message"}
	for cmd, name := range steps {
		for answer, want := range map[string]Answer{
			"a": {Verb: Accept}, "d": {Verb: Discard}, "r": {Verb: Reject}, "t": {Verb: TempFail}, "f": {Verb: TempFail}, "4": {Verb: TempFail},
			"y550 5.7.1 no, 100%%\x00":                 {ReplyWith, Reply{550, [3]int{5, 7, 1}, []string{"no, 100%"}}},
			"y451-4.7.1 a\r\n451-4.7.1 b\r\n451 c\x00": {ReplyWith, Reply{451, [3]int{4, 7, 1}, []string{"a", "b", "c"}}},
			"y554 4.7.1 other class\x00":               {ReplyWith, Reply{554, [3]int{}, []string{"other class"}}},
			"y554\x00":                                 {ReplyWith, Reply{554, [3]int{}, []string{""}}},
			"y554 1.2.3.4 is listed\rnow\x00":          {ReplyWith, Reply{554, [3]int{}, []string{"1.2.3.4 is listed now"}}},
		} {
			f := miltertest.Serve(t, on(cmd, say(miltertest.Packet('p'), miltertest.Packet(answer[0], answer[1:]))))
			got := ask(t, f, plenty)
			if got.err != nil || got.at != name || fmt.Sprint(got.answer) != fmt.Sprint(want) {
				t.Errorf("%c, %q: %+v", cmd, answer, got)
			}
		}
	}
}

// Changes come as they were asked for.
func TestChanges(t *testing.T) {
	t.Parallel()
	p, texts, number := miltertest.Packet, miltertest.Texts, miltertest.Number
	f := miltertest.Serve(t, on('E', say(p('h', texts("X-A", " 1")), p('i', number(0), texts("X-B", " 2\n\t3")), p('p'), p('m', number(2), texts("Subject", "")),
		p('b', "new "), p('+', texts("<a@b.test>")), p('2', texts("<c@d.test>", "NOTIFY=NEVER")), p('-', texts("<e@f.test>")), p('b', "body"), p('e', texts("<g@h.test>")),
		p('e', texts("<>", "X")), p('q', texts("a virus")), p('c'))))
	got := ask(t, f, plenty)
	want := []Change{{AddField, 0, "X-A", " 1", ""}, {InsertField, 0, "X-B", " 2\n\t3", ""}, {ChangeField, 2, "Subject", "", ""}, {AddRecipient, 0, "", "<a@b.test>", ""},
		{AddRecipient, 0, "", "<c@d.test>", "NOTIFY=NEVER"}, {RemoveRecipient, 0, "", "<e@f.test>", ""}, {ChangeSender, 0, "", "<g@h.test>", ""}, {ChangeSender, 0, "", "<>", "X"}, {Quarantine, 0, "", "a virus", ""}}
	if got.err != nil || !slices.Equal(got.result.Changes, want) || !got.result.Replaced || got.body != "new body" {
		t.Errorf("%+v", got)
	}
	words := ""
	for _, c := range want {
		words += c.Op.String() + " "
	}
	if words != "add-field insert-field change-field add-recipient add-recipient remove-recipient change-sender change-sender quarantine " {
		t.Error(words)
	}
	f = miltertest.Serve(t, func(cmd byte, _ string) *miltertest.Answer {
		switch cmd {
		case 'O':
			return say(miltertest.Options(6, 0x1ff, 0)) // without the leading space
		case 'E':
			return say(p('h', texts("X-A", "1")), p('m', number(1), texts("Subject", "")), p('c'))
		}
		return nil
	})
	if got := ask(t, f, plenty); got.err != nil || !slices.Equal(got.result.Changes, []Change{{AddField, 0, "X-A", " 1", ""}, {ChangeField, 1, "Subject", "", ""}}) {
		t.Errorf("%+v", got)
	}
}

// A filter that wants no more of something is told what follows it.
func TestSkip(t *testing.T) {
	t.Parallel()
	for cmd, times := range map[byte]int{'R': 1, 'L': 1, 'B': 1} {
		f := miltertest.Serve(t, func(c byte, _ string) *miltertest.Answer {
			switch c {
			case 'O':
				return say(miltertest.Options(6, 0, 0x400))
			case cmd:
				return say(miltertest.Packet('s'))
			}
			return nil
		})
		if got := ask(t, f, plenty); got.err != nil || got.at != "message" {
			t.Errorf("%c: %+v", cmd, got)
		}
		n := 0
		for _, h := range f.Heard() {
			if h[0] == cmd {
				n++
			}
		}
		if n != times {
			t.Errorf("%c: told %d times", cmd, n)
		}
	}
}

// Whatever a filter does beside the protocol, at whichever step, it is told in words and ends the
// session at once: by the bounds, and not by its time, which is a minute here.
func TestHostile(t *testing.T) {
	t.Parallel()
	p, texts, number := miltertest.Packet, miltertest.Texts, miltertest.Number
	many := func(n int, packet []byte) *miltertest.Answer { return say(bytes.Repeat(packet, n)) }
	for _, c := range []struct {
		at   byte
		a    *miltertest.Answer
		want string
	}{
		{'O', say(p('c')), "in place of the negotiation"}, {'O', say(p('O', "short")), "in place of the negotiation"},
		{'O', say(miltertest.Options(1, 0, 0)), "speaks version 1"}, {'O', say(miltertest.Options(7, 0, 0)), "speaks version 7"},
		{'O', say(miltertest.Options(6, 0x200, 0)), "actions that do not exist (0x200)"},
		{'O', say(miltertest.Options(6, 0, 0x800)), "were not offered (0x800)"},
		{'O', say(miltertest.Options(6, 0, 0, "abc")), "too short"}, {'O', say(miltertest.Options(6, 0, 0, number(1)+"abc")), "no end"},
		{'O', &miltertest.Answer{Close: true}, "closed the connection"},
		{'C', say(p('s')), "'s' in answer to 'C'"}, {'C', say(p('h', texts("a", "b"))), "'h' in answer to 'C'"}, {'R', say(p('s')), "'s' in answer to 'R'"},
		{'M', say([]byte{0, 0, 0, 0}), "an empty packet"}, {'M', say([]byte{255, 255, 255, 255, 'c'}), "4294967295 octets"},
		{'M', &miltertest.Answer{Raw: []byte{0, 0}, Close: true}, "closed the connection"}, {'M', &miltertest.Answer{Raw: []byte{0, 0, 1, 0, 'y'}, Close: true}, "closed the connection"},
		{'M', many(2000, p('p')), "too many packets"}, {'M', many(3, p('p', strings.Repeat("x", 1<<19))), "too many octets"},
		{'R', say(p('y', "550 x")), "no end"}, {'R', say(p('y', "250 x\x00")), "the code \"250\""}, {'R', say(p('y', "+50 x\x00")), "the code"}, {'R', say(p('y', "x\x00")), "without a code"},
		{'R', say(p('y', "550x\x00")), "without a code"}, {'R', say(p('y', "550-a\r\n551 b\x00")), "the code \"551\""}, {'R', say(p('y', "550 a\x00b\x00")), "longer than what it holds"},
		{'R', say(p('y', strings.Repeat("550-a\r\n", 64), "550 a\x00")), "a reply of 65 lines"},
		{'T', &miltertest.Answer{Close: true}, "closed"}, {'L', &miltertest.Answer{Close: true}, "closed"}, {'N', &miltertest.Answer{Close: true}, "closed"}, {'B', &miltertest.Answer{Close: true}, "closed"},
		{'E', &miltertest.Answer{Close: true}, "closed"}, {'E', &miltertest.Answer{Raw: p('b', "half a body"), Close: true}, "closed"},
		{'E', many(11, p('h', texts("a", "b"))), "more than 10 changes"}, {'E', many(20, p('b', strings.Repeat("x", 65535))), "too many octets"},
		{'E', say(p('h', "a\x00b")), "no end"}, {'E', say(p('m', "abc")), "too short"}, {'E', say(p('i', number(1<<31), texts("a", "b"))), "the index"},
		{'E', say(p('e', "a\x00b\x00c\x00")), "longer"}, {'E', say(p('+', "a")), "no end"}, {'E', say(p('q', "a")), "no end"}, {'E', say(p('s')), "'s' in answer to a message"}, {'E', say(p('z')), "'z' in answer to a message"},
	} {
		f := miltertest.Serve(t, on(c.at, c.a))
		got := ask(t, f, plenty)
		if got.err == nil || !strings.Contains(got.err.Error(), c.want) || IsLocal(got.err) {
			t.Errorf("%c, %.40q: %v; want %s", c.at, c.a.Raw, got.err, c.want)
		}
	}
}

// A filter that says nothing, or an octet now and then, has its time for all it does together.
func TestSlow(t *testing.T) {
	t.Parallel()
	short := plenty
	short.Time = 50 * time.Millisecond
	for _, at := range []byte("OCHMRTLNBE") {
		f := miltertest.Serve(t, on(at, &miltertest.Answer{Hang: true}))
		if got := ask(t, f, short); !errors.Is(got.err, ErrTime) {
			t.Errorf("%c: %+v", at, got)
		}
	}
	f := miltertest.Serve(t, on(0, nil))
	if got := ask(t, f, Limits{}); got.err != ErrTime {
		t.Errorf("without any time: %+v", got)
	}
	// Signs of life, for ever.
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		go io.Copy(io.Discard, there)
		for {
			if _, err := there.Write(miltertest.Packet('p')); err != nil {
				return
			}
		}
	}()
	l := short
	l.Packets, l.Octets = 1<<60, 1<<60
	if got := over(t.Context(), here, l); got.err == nil {
		t.Errorf("%+v", got)
	}
	// The caller's end comes before the filter's time is up.
	ctx, cancel := context.WithCancel(t.Context())
	f = miltertest.Serve(t, func(cmd byte, _ string) *miltertest.Answer {
		if cmd == 'M' {
			cancel()
			return &miltertest.Answer{Hang: true}
		}
		return nil
	})
	nc, err := net.Dial("tcp", f.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if got := over(ctx, nc, plenty); got.err == nil || errors.Is(got.err, ErrTime) {
		t.Errorf("%+v", got)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error)  { return 0, errors.New("a bad disk") }
func (broken) Write([]byte) (int, error) { return 0, errors.New("a full disk") }

// What fails on our side is no failure of the filter's.
func TestLocalFailure(t *testing.T) {
	t.Parallel()
	f := miltertest.Serve(t, on('E', say(miltertest.Packet('b', "new"), miltertest.Packet('c'))))
	for want, m := range map[string]Message{"a bad disk": {Body: broken{}, Replaced: io.Discard}, "a full disk": {Body: strings.NewReader("x"), Replaced: broken{}}} {
		nc, err := net.Dial("tcp", f.Addr)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Start(t.Context(), nc, plenty)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Message(t.Context(), m); !IsLocal(err) || err.Error() != want {
			t.Errorf("%v", err)
		}
		s.Close() // once more costs nothing
	}
}

// The client is told as libmilter reads it.
func TestClients(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		client Client
		want   string
	}{
		{Client{"a.test", netip.MustParseAddrPort("[2001:db8::1]:25")}, "Ca.test\x006\x00\x19IPv6:2001:db8::1\x00"},
		{Client{"", netip.MustParseAddrPort("[2001:db8::1]:25")}, "C[IPv6:2001:db8::1]\x006\x00\x19IPv6:2001:db8::1\x00"},
		{Client{"", netip.MustParseAddrPort("[::ffff:192.0.2.1]:25")}, "C[192.0.2.1]\x004\x00\x19192.0.2.1\x00"},
		{Client{}, "Clocalhost\x00U"},
	} {
		f := miltertest.Serve(t, on(0, nil))
		nc, err := net.Dial("tcp", f.Addr)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Start(t.Context(), nc, plenty)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Connect(t.Context(), c.client, nil); err != nil {
			t.Fatal(err)
		}
		s.Close()
		if got := f.Heard()[1]; got != c.want {
			t.Errorf("%+v: %q", c.client, got)
		}
	}
}

// FuzzMilter: whatever a filter sends, the session ends by itself, nothing panics, and what comes
// out of it is within the bounds.
func FuzzMilter(f *testing.F) {
	p, texts, number := miltertest.Packet, miltertest.Texts, miltertest.Number
	go1 := bytes.Repeat(p('c'), 10)
	start := func(protocol uint32, rest ...[]byte) []byte {
		return slices.Concat(append([][]byte{miltertest.Options(6, 0x1ff, protocol)}, rest...)...)
	}
	f.Add(start(0x100000, go1, p('h', texts("A", "b")), p('b', "x"), p('q', texts("v")), p('c')))
	f.Add(start(0x7f, p('m', number(1), texts("Subject", "")), p('i', number(9), texts("A", "b")), p('y', "550 5.7.1 no\x00")))
	f.Add(start(0, p('p'), p('a')))
	f.Add(start(0xff400, p('c'), p('+', texts("<a@b>")), p('2', texts("<a@b>", "x")), p('e', texts("<>")), p('-', texts("<a@b>")), p('d')))
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, sent []byte) {
		l := Limits{Time: time.Minute, Octets: 1 << 16, Packets: 100, Changes: 5}
		got := over(context.Background(), &scripted{in: bytes.NewReader(sent)}, l)
		if len(got.result.Changes) > l.Changes || int64(len(got.body)) > l.Octets {
			t.Errorf("%+v", got)
		}
		if r := got.answer.Reply; got.err == nil && got.answer.Verb == ReplyWith && (r.Code < 400 || r.Code > 599 || len(r.Lines) == 0 || r.Enhanced[0] != 0 && r.Enhanced[0] != r.Code/100) {
			t.Errorf("%+v", r)
		}
		for _, line := range got.answer.Reply.Lines {
			if strings.ContainsAny(line, "\r\n\x00") {
				t.Errorf("%q", line)
			}
		}
		for _, c := range got.result.Changes {
			if strings.ContainsRune(c.Name+c.Value+c.Param, 0) || c.Index < 0 {
				t.Errorf("%+v", c)
			}
		}
	})
}

// scripted is a connection on which a filter has sent all it will.
type scripted struct {
	net.Conn
	in io.Reader
}

func (s *scripted) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s *scripted) Write(b []byte) (int, error) { return len(b), nil }
func (s *scripted) Close() error                { return nil }
func (s *scripted) SetDeadline(time.Time) error { return nil }

// The time of a dial is the session's: nobody who is not there keeps a client longer, and how long it took is told.
func TestDial(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	s, err := Dial(t.Context(), "tcp", addr, Limits{Time: time.Minute})
	if err == nil || s == nil || s.Spent() <= 0 {
		t.Errorf("%v, %v", s, err)
	}
	s.Close()
	f := miltertest.Serve(t, func(byte, string) *miltertest.Answer { return nil })
	s, err = Dial(t.Context(), "tcp", f.Addr, Limits{Time: time.Hour, Octets: 1000, Packets: 10})
	if err != nil || s.left.Time+s.Spent() != time.Hour || s.Spent() <= 0 {
		t.Errorf("%s left after %s, %v", s.left.Time, s.Spent(), err)
	}
	s.Close()
}

// A filter that does not read has no say in when a session ends.
func TestCloseIsSoon(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	defer there.Close()
	s := &Session{wire: wire{nc: here, r: bufio.NewReader(here), w: bufio.NewWriter(here), left: Limits{Time: 24 * time.Hour}}}
	done := make(chan struct{})
	go func() {
		s.Close()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Error("a session is still ending")
	}
}
