package dmarcrpt

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// DMR-2: reports are found in mails as they are really sent.
func TestFindInMails(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"google.eml":              "borschow.com 949348866075514174 1",
		"twilight.eml":            "twlnet.com 1627703331531660819 1",
		"mimecast-weird-gzip.eml": "ab.id.au 157a5fe30ec76f4bc0d8bccfc96c118a167a1280fee7c7465af5115e73082e5e 1",
		"empty_reason.xml":        "example.com 20240125141224705995 1",
		"fastmail.com.xml.gz":     "indemed.com 102675056 1",
	} {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		err = Find(b, func(r *Report) error {
			got += fmt.Sprintf("%s %s %d", r.Policy.Domain, r.ID, len(r.Records))
			return nil
		})
		if err != nil || got != want {
			t.Errorf("%s: %q, want %q: %v", name, got, want, err)
		}
	}
	stop := errors.New("stop")
	b, err := os.ReadFile("testdata/google.eml")
	if err != nil {
		t.Fatal(err)
	}
	if err := Find(b, func(*Report) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	if err := Find([]byte("From: a@b.example\r\n\r\nhello\r\n"), func(*Report) error { return nil }); !errors.Is(err, ErrNoReport) {
		t.Error(err)
	}
}
