package threads

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// messages are written "id < reference reference: subject", with numbers from 1 and a minute between.
func messages(lines ...string) []Message {
	var out []Message
	for i, l := range lines {
		head, subject, _ := strings.Cut(l, ":")
		id, refs, _ := strings.Cut(head, "<")
		subject = strings.TrimSpace(subject)
		m := Message{Number: uint32(i + 1), Order: i + 1, ID: strings.TrimSpace(id), References: strings.Fields(refs), Sent: time.Unix(int64(i)*60, 0)}
		m.Subject, m.Reply = strings.CutPrefix(subject, "Re ")
		out = append(out, m)
	}
	return out
}

func write(all []*Node) string {
	var b []byte
	for _, n := range all {
		b = Append(b, n)
	}
	return string(b)
}

// RFC 5256 §3 and §4.
func TestThreads(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		in    []Message
		want  string
		bySub bool
	}{
		{"none", nil, "", false},
		{"one", messages("a: x"), "(1)", false},
		{"two", messages("a: x", "b: y"), "(1)(2)", false},
		{"a reply", messages("a: x", "b < a: Re x"), "(1 2)", false},
		{"a chain", messages("a: x", "b < a: Re x", "c < a b: Re x"), "(1 2 3)", false},
		{"two replies", messages("a: x", "b < a: Re x", "c < a: Re x"), "(1 (2)(3))", false},
		{"a chain, then two", messages("a: x", "b < a: Re x", "c < a b: Re x", "d < a b: Re x"), "(1 2 (3)(4))", false},
		{"a parent that is not there", messages("b < a: x", "c < a: x"), "((1)(2))", false},
		{"one child of a parent that is not there", messages("b < a: x"), "(1)", false},
		{"by subject: a reply without references", messages("a: x", "b: Re x"), "(1 2)", false},
		{"by subject: no reply", messages("a: x", "b: x"), "((1)(2))", false},
		{"twice the same id", messages("a: x", "a: y"), "(1)(2)", false},
		{"a loop", messages("a < b: x", "b < a: y"), "(2 1)", false},
		{"below itself", messages("a < a: x"), "(1)", false},
		{"without ids", messages(": x", ": y"), "(1)(2)", false},
		{"subjects", messages("a: x", "b: y", "c: X", "d: x"), "(1 (3)(4))(2)", true},
	} {
		got := ""
		if got = write(ByReferences(tt.in)); tt.bySub {
			got = write(BySubject(tt.in))
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// Threads may be as deep as there are messages, and must not cost the square of that.
func TestDeepThread(t *testing.T) {
	t.Parallel()
	var all []Message
	for i := range 5000 {
		m := Message{Number: uint32(i + 1), ID: fmt.Sprint("m", i), Order: i, Sent: time.Unix(int64(i), 0)}
		if i > 0 {
			m.References = []string{fmt.Sprint("m", i-1)}
		}
		all = append(all, m)
	}
	if got := write(ByReferences(all)); strings.Count(got, " ") != 4999 {
		t.Errorf("%.100s", got)
	}
}

// Each message stands in the result once, whatever it refers to.
func FuzzThreads(f *testing.F) {
	f.Add(uint64(1), uint8(5))
	f.Fuzz(func(t *testing.T, seed uint64, n uint8) {
		r := rand.New(rand.NewPCG(seed, 0))
		var all []Message
		for i := range int(n) {
			m := Message{Number: uint32(i + 1), Order: i, ID: fmt.Sprint(r.IntN(20)), Subject: fmt.Sprint(r.IntN(4)), Reply: r.IntN(2) == 0, Sent: time.Unix(r.Int64N(10), 0)}
			for range r.IntN(4) {
				m.References = append(m.References, fmt.Sprint(r.IntN(20)))
			}
			if m.Subject == "0" {
				m.Subject = ""
			}
			all = append(all, m)
		}
		for _, threads := range [][]*Node{ByReferences(all), BySubject(all)} {
			seen := map[uint32]int{}
			open := threads
			for len(open) > 0 {
				x := open[0]
				open = append(open[1:], x.Children...)
				if x.Message != nil {
					seen[x.Message.Number]++
				} else if len(x.Children) == 0 {
					t.Fatal("a thread of nothing")
				}
			}
			for i := range all {
				if seen[uint32(i+1)] != 1 {
					t.Fatalf("message %d stands there %d times in %s", i+1, seen[uint32(i+1)], write(threads))
				}
			}
			if b := []byte(write(threads)); bytes.Count(b, []byte("(")) != bytes.Count(b, []byte(")")) {
				t.Fatalf("%s", b)
			}
		}
	})
}

// Threads of a mailbox in which each subject stands twice are made in a time that grows with their number.
func TestManySubjects(t *testing.T) {
	t.Parallel()
	all := make([]Message, 200_000)
	for i := range all {
		all[i] = Message{Number: uint32(i + 1), Order: i, Subject: fmt.Sprint("s", i/2)}
	}
	from := time.Now()
	if got := len(ByReferences(all)); got != len(all)/2 {
		t.Errorf("%d threads", got)
	}
	if took := time.Since(from); took > 20*time.Second {
		t.Errorf("took %v", took.Round(time.Millisecond))
	}
}
