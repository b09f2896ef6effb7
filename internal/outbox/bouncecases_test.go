package outbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// QUE-13, RPT-12: bounces of other servers as they come are taken as such, with
// what they say.
func TestBouncesAsTheyCome(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../dsn/testdata/cases/dsn-*.eml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if v, note, reason := readBounce(b); v != refused || !strings.Contains(note, "bounced: 550") || reason != "" {
			t.Errorf("%s: %v %q %q", file, v, note, reason)
		}
	}
	notes := "Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\nFinal-Recipient: rfc822;a@b.test\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: X-Notes; no such person\n--b--\n"
	if v, note, _ := readBounce([]byte(notes)); v != refused || note != "bounced: 5.1.1 no such person" {
		t.Errorf("%v %q", v, note)
	}
}
