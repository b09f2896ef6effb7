package imapurl

import (
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	t.Parallel()
	u, err := Parse("imap://joe%40example.org;AUTH=*@imap.example.org:143/Gr%C3%BC%C3%9Fe/2;uidvalidity=7/;uid=20/;section=1.2.MIME/;partial=5.10;expire=2026-12-01T10:00:00Z;urlauth=user+ann:internal:01AB")
	if err != nil {
		t.Fatal(err)
	}
	if u.User != "joe@example.org" || u.Host != "imap.example.org:143" || u.Mailbox != "Grüße/2" || u.UIDValidity != 7 || u.UID != 20 {
		t.Errorf("%+v", u)
	}
	if s := u.Section; len(s.Part) != 2 || s.Text != "MIME" || !s.Partial || s.Offset != 5 || s.Count != 10 {
		t.Errorf("section %+v", u.Section)
	}
	if !u.Expire.Equal(time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)) || u.Access != "user+ann" || u.Mechanism != "INTERNAL" || u.Token != "01ab" || !strings.HasSuffix(u.Rump, ";urlauth=user+ann") {
		t.Errorf("%+v", u)
	}
	for text, want := range map[string]string{
		"/INBOX/;UID=1": "INBOX", "/inbox/;uid=1/;SECTION=HEADER": "INBOX", "/a%20b;UIDVALIDITY=9/;UID=1/": "a b",
		"/a/;uid=x/;UID=2": "a/;uid=x", // the last one counts
	} {
		if u, err := Parse(text); err != nil || u.Mailbox != want {
			t.Errorf("%s: %+v, %v", text, u, err)
		}
	}
	for _, text := range []string{
		"", "/", "/INBOX", "/;UID=1", "INBOX/;UID=1", "http://a/INBOX/;UID=1", "imap:///INBOX/;UID=1", "imap://a/;UID=1", "/INBOX/;UID=0", "/INBOX/;UID=x", "/INBOX/;UID=1/;SECTION=9.x",
		"/INBOX;UIDVALIDITY=0/;UID=1", "/INBOX/;UID=1/;PARTIAL=x", "/INBOX/;UID=1/;PARTIAL=0.0", "/IN%zzBOX/;UID=1", "/IN%0ABOX/;UID=1", "/INBOX/;UID=1/;COLOR=red",
		"/INBOX/;UID=1;URLAUTH=everybody", "/INBOX/;UID=1;URLAUTH=user+", "/INBOX/;UID=1;URLAUTH=authuser+x", "/INBOX/;UID=1;EXPIRE=2026-12-01T10:00:00Z",
		"/INBOX/;UID=1;EXPIRE=tomorrow;URLAUTH=authuser", "/" + strings.Repeat("a", maxURL) + "/;UID=1",
	} {
		if u, err := Parse(text); err == nil {
			t.Errorf("%q: %+v", text, u)
		}
	}
}

func FuzzURL(f *testing.F) {
	for _, s := range []string{"imap://joe@h/INBOX;UIDVALIDITY=3/;UID=20/;SECTION=1.2/;PARTIAL=0.9;URLAUTH=user+x:internal:01", "/a/;UID=1/;SECTION=HEADER.FIELDS%20(a)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := Parse(s)
		if err != nil {
			return
		}
		if u.Mailbox == "" || u.UID == 0 || !strings.HasPrefix(s, u.Rump) {
			t.Errorf("%q: %+v", s, u)
		}
		if again, err := Parse(u.Rump); err != nil || again.UID != u.UID || again.Access != u.Access {
			t.Errorf("what is signed of %q is not read again: %v", s, err)
		}
	})
}
