package mtasts

import (
	"os"
	"strings"
	"testing"
)

// STS-12: a record as somebody publishes it, with white space before the semicolon, counts.
func TestZoneCase(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/cases/mta-sts-record-wsp-before-semicolon.zone")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(b), `TXT "`)
	text, _, ok := strings.Cut(text, `"`)
	if r, err := ParseRecord([]string{text}); !ok || err != nil || r.ID != "20250101" {
		t.Errorf("%q: %+v, %v", text, r, err)
	}
}
