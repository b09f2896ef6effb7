package junk

import (
	"encoding/json"
	"strings"
	"testing"

	"waxwing/internal/reason"
)

// JNK-1: what is kept with an alias gives each member its own decision, those who are not named that of all
// others, and is no longer than the decisions that differ.
func TestMembers(t *testing.T) {
	t.Parallel()
	inbox := Decision{Limit: 10, Evidence: []Evidence{{Word: reason.FirstContact, Points: 1}}}
	m := Members{"": inbox, "joe": {Action: Junk, Sum: 15, Limit: 10}, "ann": inbox, "bob": {Action: Reject, Sum: 40, Limit: 10}}
	text, err := m.Kept()
	if err != nil || strings.Contains(text, "ann") {
		t.Errorf("%s, %v", text, err)
	}
	for account, want := range m {
		evidence, aside := OfMember(text, account)
		var d Decision
		if err := json.Unmarshal([]byte(evidence), &d); err != nil || d.Action != want.Action || d.Sum != want.Sum || aside != (want.Action != Inbox) {
			t.Errorf("%s: %s, %v, %v", account, evidence, aside, err)
		}
	}
	if evidence, aside := OfMember(text, "somebody"); evidence == "" || aside {
		t.Errorf("one who is not named: %s, %v", evidence, aside)
	}
	alone, err := Members{"joe": inbox}.Kept()
	if err != nil {
		t.Fatal(err)
	}
	for _, nothing := range []string{"", "{", `{"action":"junk"}`, alone} {
		if evidence, aside := OfMember(nothing, "ann"); evidence != "" || aside {
			t.Errorf("%q: %s, %v", nothing, evidence, aside)
		}
	}
}
