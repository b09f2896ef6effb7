package sifting_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/scripts"
	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
	"waxwing/message"
)

// JMP-1, RFC 8621 §8, RFC 3834: while its owner is away, an account answers once, in its time, whatever its script does with the
// message, and says nothing to what it refuses, throws away or answers itself, to lists, programs and junk.
func TestVacationResponse(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		w := newWorld(t, db)
		away := func(v scripts.Vacation) {
			t.Helper()
			must(t, w.Scripts.SetVacation(t.Context(), "joe", v, func(*store.Tx) error { return nil }))
		}
		v := scripts.Vacation{Enabled: true, Since: w.clock.Add(-time.Hour), Until: w.clock.Add(time.Hour), Subject: "Grüße", Plain: "Bin weg.\n"}
		away(v)
		s := w.again(plain)
		if got := describe(s); got != "copy INBOX; own ann@far.test" {
			t.Fatalf("without a script: %s", got)
		}
		text := string(s.Forwards[0].Text)
		if h, _, err := message.SplitHeader([]byte(text)); err != nil || message.DecodeWords(h.Get("Subject")) != "Grüße" || h.Get("Auto-Submitted") != "auto-replied" || h.Get("In-Reply-To") != "<1@far.test>" || !strings.Contains(text, "Bin weg.") {
			t.Errorf("answer: %v, %s", err, text)
		}
		w.settle(s)
		if got := describe(w.again(plain)); got != "copy INBOX" {
			t.Errorf("a second time: %s", got)
		}
		v.HTML = "<style>p{}</style><p>Bin <b>weg</b>.</p><p>Ja.</p>"
		v.Plain = ""
		away(v)
		s = w.again(plain)
		text = string(s.Forwards[0].Text)
		if !strings.Contains(text, "multipart/alternative") || !strings.Contains(text, "Bin weg.\r\n\r\nJa.") || !strings.Contains(text, "<b>weg</b>") {
			t.Errorf("with HTML, once it says something else: %s", text)
		}
		for _, c := range []struct {
			script, want string
			change       func(*delivery.Job)
			mail         string
		}{
			{`require "fileinto"; fileinto "Lists";`, "copy Lists; own ann@far.test", nil, plain},
			{`discard;`, "", nil, plain},
			{`require "reject"; reject "no";`, "refused no", nil, plain},
			{`redirect "other@far.test";`, "forward other@far.test", nil, plain},
			{`require "vacation"; vacation "mine";`, "copy INBOX; own ann@far.test", nil, plain},
			{`keep;`, "copy INBOX", func(j *delivery.Job) { j.Sender = "" }, plain},
			{`keep;`, "copy INBOX", nil, "List-Id: <l>\r\n" + plain},
			{`keep;`, "copy INBOX", nil, strings.Replace(plain, "joe@here.test", "others@here.test", 1)},
			{`stop;`, "copy Junk", junk, plain},
		} {
			change := []func(*delivery.Job){}
			if c.change != nil {
				change = append(change, c.change)
			}
			if got := describe(w.run(c.script, c.mail, change...)); got != c.want {
				t.Errorf("%s: %s, want %s", c.script, got, c.want)
			}
		}
		must(t, w.Scripts.Activate(t.Context(), "joe", ""))
		for _, other := range []scripts.Vacation{{}, {Since: v.Since, Plain: "x"}, {Enabled: true, Since: w.clock.Add(time.Second)}, {Enabled: true, Until: w.clock}} {
			away(other)
			if got := describe(w.again(plain)); !strings.HasSuffix(got, "copy INBOX") && got != "no script" {
				t.Errorf("%+v: %s", other, got)
			}
		}
		away(scripts.Vacation{Enabled: true})
		if s := w.again(plain); len(s.Forwards) != 1 || !strings.Contains(string(s.Forwards[0].Text), "Subject: Auto: hello") || !strings.Contains(string(s.Forwards[0].Text), "I am away") {
			t.Errorf("with no text: %s", fmt.Sprint(s))
		}
	})
}
