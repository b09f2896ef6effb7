package jmapserver_test

import (
	"fmt"
	"strings"
	"testing"

	"waxwing/internal/store/storetest"
)

// JMP-1: however many long mails are asked for at once, an answer is bounded before it is made.
func TestMuchAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t))
	var ids []string
	for i := range 5 {
		ids = append(ids, string(w.mail("INBOX", fmt.Sprintf("Subject: %d\n\n", i)+strings.Repeat("a long line of text\n", 8<<20/20))))
	}
	whole := func(ids ...string) string {
		return `"ids": ["` + strings.Join(ids, `", "`) + `"], "properties": ["bodyValues"], "fetchAllBodyValues": true`
	}
	all := whole(ids...)
	if got := w.fails("Email/get", all); got != "requestTooLarge" {
		t.Errorf("all of five long mails: %s", got)
	}
	if got := w.call("Email/get", all+`, "maxBodyValueBytes": 100`); len(got["list"].([]any)) != len(ids) {
		t.Errorf("the beginnings of five long mails: %v", got)
	}
	if got := w.call("Email/get", whole(ids[0])); len(got["list"].([]any)) != 1 {
		t.Error("one long mail is too long")
	}
}
