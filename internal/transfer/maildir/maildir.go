// Package maildir knows what Maildirs are made of: the names of their files, which tell flags, the
// names of folders beside INBOX (Maildir++), and the file in which Dovecot names keywords. It does
// no I/O.
//
// The names of files are those of https://cr.yp.to/proto/maildir.html, with the letters a to z for
// keywords and the sizes in S= and W= as Dovecot has them.
package maildir

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/imap"
)

// KeywordFile is the file of a folder in which Dovecot names its keywords.
const KeywordFile = "dovecot-keywords"

// forwarded is the keyword for which Maildirs have a letter (RFC 5788).
const forwarded = "$Forwarded"

// letters are those of flags, in their order.
var letters = []struct {
	letter byte
	flag   string
}{{'D', `\Draft`}, {'F', `\Flagged`}, {'P', forwarded}, {'R', `\Answered`}, {'S', `\Seen`}, {'T', `\Deleted`}}

// Keywords are those of a folder, by letter; "" is not in use.
type Keywords [26]string

// ParseKeywords reads KeywordFile: lines with a number and a keyword.
func ParseKeywords(file []byte) (k Keywords) {
	for line := range strings.Lines(string(file)) {
		number, word, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.Atoi(number); err == nil && n >= 0 && n < len(k) {
			k[n] = strings.TrimSpace(word)
		}
	}
	return k
}

// Bytes are the file.
func (k *Keywords) Bytes() []byte {
	var b []byte
	for n, w := range k {
		if w != "" {
			b = fmt.Appendf(b, "%d %s\n", n, w)
		}
	}
	return b
}

// letter is that of a keyword, which gets one if it has none; false where there are no more.
func (k *Keywords) letter(word string) (byte, bool) {
	n := slices.IndexFunc(k[:], func(w string) bool { return strings.EqualFold(w, word) })
	if n < 0 {
		if n = slices.Index(k[:], ""); n < 0 {
			return 0, false
		}
		k[n] = word
	}
	return 'a' + byte(n), true
}

// Flags are what the name of a file in cur says, as IMAP spells it.
func Flags(name string, k *Keywords) (flags []string) {
	_, info, _ := split(name)
	for i := range len(info) {
		c := info[i]
		for _, l := range letters {
			if l.letter == c {
				flags = append(flags, l.flag)
			}
		}
		if c >= 'a' && c <= 'z' && k[c-'a'] != "" {
			flags = append(flags, k[c-'a'])
		}
	}
	return flags
}

// split parts a name before its info; the separator is another one where ":" cannot be.
func split(name string) (unique, info string, ok bool) {
	for _, sep := range []string{":2,", ";2,", "!2,"} {
		if i := strings.LastIndex(name, sep); i >= 0 {
			return name[:i], name[i+len(sep):], true
		}
	}
	return name, "", false
}

// Arrived is when a message came by its name, in seconds; names begin with it. 0: it does not say.
func Arrived(name string) int64 {
	digits, _, _ := strings.Cut(name, ".")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// Compare orders names as messages came.
func Compare(a, b string) int {
	if x, y := Arrived(a), Arrived(b); x != y {
		if x < y {
			return -1
		}
		return 1
	}
	return strings.Compare(a, b)
}

// File is a message of which Name makes the name.
type File struct {
	Arrived time.Time
	UID     uint32
	Size    int64 // octets of the file
	CRLF    int64 // octets with CRLF at the end of each line
	Flags   []string
}

// Name is the name of its file in cur. left are keywords for which there is no letter any more.
func (f *File) Name(k *Keywords) (name string, left []string) {
	var info []byte
	for _, w := range f.Flags {
		i := slices.IndexFunc(letters, func(l struct {
			letter byte
			flag   string
		}) bool {
			return strings.EqualFold(l.flag, w)
		})
		if i >= 0 {
			info = append(info, letters[i].letter)
			continue
		}
		if strings.HasPrefix(w, `\`) {
			continue
		}
		if c, ok := k.letter(w); ok {
			info = append(info, c)
		} else {
			left = append(left, w)
		}
	}
	slices.Sort(info)
	return fmt.Sprintf("%d.M%06dU%d.waxwing,S=%d,W=%d:2,%s", max(0, f.Arrived.Unix()), f.Arrived.Nanosecond()/1000, f.UID, f.Size, f.CRLF, slices.Compact(info)), left
}

// Dir is the directory of a mailbox in Maildir++; "" for INBOX, whose directory is the one that
// has the others. A dot in a name is written as Dovecot's listescape does.
func Dir(mailbox string) string {
	if strings.EqualFold(mailbox, "INBOX") {
		return ""
	}
	var b strings.Builder
	for level := range strings.SplitSeq(mailbox, "/") {
		b.WriteByte('.')
		b.WriteString(escape.Replace(imap.EncodeUTF7(level)))
	}
	return b.String()
}

var escape = strings.NewReplacer(`\`, `\5c`, ".", `\2e`)

// Mailbox is the mailbox of a directory that begins with a dot; "" for one that is none. Names
// that are no modified UTF-7 are taken for UTF-8.
func Mailbox(dir string) string {
	rest, ok := strings.CutPrefix(dir, ".")
	if !ok {
		return ""
	}
	var levels []string
	for level := range strings.SplitSeq(rest, ".") {
		level = unescape(level)
		if level == "" || strings.Contains(level, "/") {
			return ""
		}
		levels = append(levels, level)
	}
	return strings.Join(levels, "/")
}

func unescape(level string) string {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(level, `\`)
		b.WriteString(before)
		if !ok {
			break
		}
		c, err := hex.DecodeString(after[:min(2, len(after))])
		if err != nil || len(c) != 1 {
			b.WriteByte('\\')
			level = after
			continue
		}
		b.Write(c)
		level = after[2:]
	}
	if name, ok := imap.DecodeUTF7(b.String()); ok {
		return name
	}
	return b.String()
}
