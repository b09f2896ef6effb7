package maildir

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// Names as other programs make them (MBX-8).
func TestFlags(t *testing.T) {
	t.Parallel()
	k := ParseKeywords([]byte("0 work\n1 $Junk\nx y\n99 z\n"))
	for name, want := range map[string][]string{
		"1700000000.M1P2.host,S=12,W=13:2,FS":  {`\Flagged`, `\Seen`},
		"1700000000.M1P2.host:2,DPRTab":        {`\Draft`, forwarded, `\Answered`, `\Deleted`, "work", "$Junk"},
		"1700000000.M1P2.host;2,S":             {`\Seen`},
		"1700000000.M1P2.host!2,S":             {`\Seen`},
		"1700000000.M1P2.host:2,":              nil,
		"1700000000.M1P2.host:1,S":             nil,
		"1700000000.M1P2.host":                 nil,
		"1700000000.M1P2.host:2,c\x00\xffQz19": nil,
	} {
		if got := Flags(name, &k); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got, want := string(k.Bytes()), "0 work\n1 $Junk\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	names := []string{"1700000000.b", "cur", "999.a", "1700000000.a:2,S"}
	slices.SortFunc(names, Compare)
	if want := []string{"cur", "999.a", "1700000000.a:2,S", "1700000000.b"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}

func TestName(t *testing.T) {
	t.Parallel()
	var k Keywords
	f := File{time.Unix(1700000000, 12345678), 7, 10, 12, []string{`\Seen`, "work", `\Answered`, "WORK", "$forwarded", `\Deleted`, `\Recent`}}
	name, left := f.Name(&k)
	if want := "1700000000.M012345U7.waxwing,S=10,W=12:2,PRSTa"; name != want || left != nil {
		t.Errorf("%s, want %s, %q", name, want, left)
	}
	f.Flags = nil
	for c := range 'z' - 'a' + 1 {
		f.Flags = append(f.Flags, "k"+string('a'+c))
	}
	if name, left = f.Name(&k); !strings.HasSuffix(name, ":2,bcdefghijklmnopqrstuvwxyz") || !slices.Equal(left, []string{"kz"}) {
		t.Errorf("%s, %q", name, left)
	}
}

func TestMailbox(t *testing.T) {
	t.Parallel()
	for dir, want := range map[string]string{".Sent": "Sent", ".Lists.Go": "Lists/Go", ".Entw&APw-rfe": "Entwürfe", ".Entwürfe": "Entwürfe", `.a\2eb`: "a.b", `.a\b`: `a\b`, `.a\5cb`: `a\b`,
		"": "", "a": "", ".": "", "..": "", ".a.": "", ".a..b": "", `.\2f`: ""} {
		if got := Mailbox(dir); got != want {
			t.Errorf("%q: %q, want %q", dir, got, want)
		}
	}
	if Dir("inbox") != "" {
		t.Error(Dir("inbox"))
	}
}

func FuzzName(f *testing.F) {
	f.Add("1700000000.M1P2.host,S=12,W=13:2,FSab", "0 work\n1 $x\n")
	f.Add("x!2,", "25 z")
	f.Fuzz(func(t *testing.T, name, keywords string) {
		k := ParseKeywords([]byte(keywords))
		flags := Flags(name, &k)
		again := k
		made, left := (&File{Flags: flags}).Name(&again)
		if len(left) > 0 {
			t.Fatalf("%q: no letter for %q", flags, left)
		}
		for _, w := range Flags(made, &again) {
			if !slices.ContainsFunc(flags, func(f string) bool { return strings.EqualFold(f, w) }) {
				t.Errorf("%q has %q of %q", made, w, flags)
			}
		}
		Compare(name, keywords)
	})
}

func FuzzMailbox(f *testing.F) {
	for _, s := range []string{".Sent", "a.b/c", `a\2eb`, "Entwürfe/&", ".&APw-", "INBOX/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := Mailbox(s); strings.HasPrefix(got, "/") || strings.HasSuffix(got, "/") || strings.Contains(got, "//") {
			t.Errorf("%q: %q", s, got)
		}
		if strings.ToValidUTF8(s, "") != s || s == "" || strings.EqualFold(s, "INBOX") || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) || slices.Contains(strings.Split(s, "/"), "") {
			return
		}
		if got := Mailbox(Dir(s)); got != s {
			t.Errorf("%q is %q: %q", s, Dir(s), got)
		}
	})
}
