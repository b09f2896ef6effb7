package logline

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// IsJournal reports that w is the stream to the journal that systemd names in
// JOURNAL_STREAM, "device:inode" (systemd.exec(5)). Where the output was redirected
// the variable is still there, and names another file.
func IsJournal(w io.Writer, stream string) bool {
	f, ok := w.(*os.File)
	if !ok || stream == "" {
		return false
	}
	dev, ino, ok := identity(f)
	return ok && stream == fmt.Sprintf("%d:%d", dev, ino)
}

func quoteJSON(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil { // no string is refused
		return []byte(`""`)
	}
	return b
}
