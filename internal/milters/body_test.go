package milters

import (
	"bytes"
	"io"
	"os"
	"testing"
)

// FuzzBody: whatever a milter sends as a body, in whatever pieces, it is lines of mail.
func FuzzBody(f *testing.F) {
	f.Add([]byte("a\nb\r\nc\r"), 3)
	f.Add([]byte("\r\r\n\n"), 1)
	f.Fuzz(func(t *testing.T, text []byte, at int) {
		at = max(0, min(at, len(text)))
		b := &Body{Limit: 1 << 20, Memory: 8, File: func() (*os.File, error) { return os.CreateTemp(t.TempDir(), "body") }}
		defer b.Close()
		for _, part := range [][]byte{text[:at], text[at:]} {
			if _, err := b.Write(part); err != nil {
				if bytes.IndexByte(text, 0) < 0 {
					t.Error(err)
				}
				return
			}
		}
		if err := b.End(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(b.Reader())
		if err != nil {
			t.Fatal(err)
		}
		rest := bytes.ReplaceAll(got, []byte("\r\n"), nil)
		if bytes.ContainsAny(rest, "\r\n") || len(got) > 0 && !bytes.HasSuffix(got, []byte("\r\n")) || !bytes.Equal(rest, bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\r"), nil), []byte("\n"), nil)) {
			t.Errorf("%q of %q", got, text)
		}
	})
}
