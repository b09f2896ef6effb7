package readers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"waxwing/imap"
)

// maildirFlags are the letters of maildir's flags, in the order of their names in IMAP.
var maildirFlags = []struct{ letter, flag string }{{"R", `\Answered`}, {"D", `\Draft`}, {"F", `\Flagged`}, {"S", `\Seen`}}

// fillMaildir stores n messages of an author in a maildir, which it makes.
func fillMaildir(t *testing.T, dir, author string, n int) {
	t.Helper()
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		name := fmt.Sprintf("new/1174770000.%s%d.here", author, i)
		if seen(i) != "" {
			name = fmt.Sprintf("cur/1174770000.%s%d.here:2,S", author, i)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(letter(author, i), "\r\n", "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// inMaildir is what lies in maildirs below dir, as IMAP would show it; name makes the
// mailbox's name of that of the directory.
func inMaildir(t *testing.T, dir string, name func(string) string) mail {
	t.Helper()
	m := mail{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		sub := filepath.Base(filepath.Dir(path))
		if err != nil || d.IsDir() || sub != "cur" && sub != "new" {
			return err
		}
		box, err := filepath.Rel(dir, filepath.Dir(filepath.Dir(path)))
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, info, _ := strings.Cut(d.Name(), ":2,")
		var flags []string
		for _, f := range maildirFlags {
			if strings.Contains(info, f.letter) {
				flags = append(flags, f.flag)
			}
		}
		m.add(name(box), strings.Join(flags, " "), strings.ReplaceAll(string(b), "\n", "\r\n"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// decoded is a mailbox's name of a directory's, which has it in modified UTF-7.
func decoded(name string) string {
	if s, ok := imap.DecodeUTF7(name); ok {
		return s
	}
	return name
}
