package delivery

import (
	"encoding/json"
	"math"
	"testing"
)

// OPS-7: identifiers are strings in JSON, and one spelling goes both ways.
func TestID(t *testing.T) {
	t.Parallel()
	for _, id := range []ID{1, 35, 36, 1<<53 + 1, 254811209376432129, math.MaxInt64} {
		if got, err := ParseID(id.String()); err != nil || got != id {
			t.Errorf("%d: %s came back as %d, %v", id, id, got, err)
		}
		b, err := json.Marshal(struct{ ID ID }{id})
		var back struct{ ID ID }
		if err != nil || string(b) != `{"ID":"`+id.String()+`"}` || json.Unmarshal(b, &back) != nil || back.ID != id {
			t.Errorf("%d: JSON %s, back %d, %v", id, b, back.ID, err)
		}
	}
	for _, bad := range []string{"", "0", "-1", "+1", "1_0", "a b", "ä", "!", "zzzzzzzzzzzzzz"} {
		if id, err := ParseID(bad); err == nil {
			t.Errorf("%q is read as %d", bad, id)
		}
	}
	if id, err := ParseID("1Z"); err != nil || id != 71 {
		t.Errorf("upper case: %d, %v", id, err)
	}
	var none struct{ ID ID }
	if err := json.Unmarshal([]byte(`{"ID":"0"}`), &none); err != nil || none.ID != 0 {
		t.Errorf("0: %v", err)
	}
}
