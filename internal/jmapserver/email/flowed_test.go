package email_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"waxwing/internal/jmapserver/email"
	"waxwing/jmap"
)

// MAIL-4: text that is written as RFC 3676 has it says so; nothing else can.
func TestFormatFlowed(t *testing.T) {
	t.Parallel()
	for part, want := range map[string]string{
		`{"partId": "t", "type": "text/plain", "format": "flowed"}`:  "format=flowed",
		`{"partId": "t", "type": "text/plain"}`:                      "",
		`{"partId": "t", "type": "text/plain", "format": "fixed"}`:   "error",
		`{"blobId": "B1", "type": "text/plain", "format": "flowed"}`: "error",
	} {
		var properties map[string]json.RawMessage
		values := `"bodyValues": {"t": {"value": "a \nb"}}, `
		if strings.Contains(part, "blobId") {
			values = ""
		}
		if err := json.Unmarshal([]byte(`{`+values+`"textBody": [`+part+`]}`), &properties); err != nil {
			t.Fatal(err)
		}
		d := &email.Draft{Properties: properties, Max: 1 << 20, Now: time.Unix(1e9, 0), MessageID: "<a@b>", Blob: func(jmap.ID) ([]byte, string, bool, error) { return []byte("x"), "text/plain", true, nil }}
		text, err := d.Compose()
		if (err != nil) != (want == "error") {
			t.Errorf("%s: %v", part, err)
		} else if err == nil && strings.Contains(string(text), "format=flowed") != (want != "") {
			t.Errorf("%s: %s", part, text)
		}
	}
}
