package junk

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// Members are the decisions about one message for those behind an alias: by account, and under "" of all
// who are not named.
type Members map[string]Decision

// kept is how they are kept with the alias, as evidence is with other recipients.
type kept struct {
	Members Members `json:"members"`
}

// Kept is what is to be kept with the alias: the decisions that are not that of all others, and that one.
func (m Members) Kept() (string, error) {
	out := Members{}
	for account, d := range m {
		if others, ok := m[""]; account == "" || !ok || !reflect.DeepEqual(d, others) {
			out[account] = d
		}
	}
	b, err := json.Marshal(kept{out})
	if err != nil {
		return "", fmt.Errorf("what was decided for members of an alias: %w", err)
	}
	return string(b), nil
}

// OfMember is, of what is kept with an alias, the evidence of one account, and whether the account has the
// message in Junk. "" and false: nobody looked.
func OfMember(text, account string) (evidence string, aside bool) {
	var k kept
	if text == "" || json.Unmarshal([]byte(text), &k) != nil {
		return "", false
	}
	d, ok := k.Members[account]
	if !ok {
		d, ok = k.Members[""]
	}
	if !ok {
		return "", false
	}
	b, err := json.Marshal(d)
	if err != nil {
		return "", d.Action != Inbox
	}
	return string(b), d.Action != Inbox
}
