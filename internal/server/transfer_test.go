package server

import (
	"archive/zip"
	"bytes"
	"io"
	"mime/multipart"
	"strings"
	"testing"
)

// MAIL-7: an mbox file is taken in as it comes, once, and all mail goes out as archives of both sorts; nothing of it reaches another account.
func TestPeopleTransfer(t *testing.T) {
	t.Parallel()
	p := byHTTPS(t)
	ann := p.another().in("ann", "another-good-password")
	p.in("you", "a-good-password")
	upload := func(text string, status int) string {
		t.Helper()
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		_ = w.WriteField("mailbox", "Old/Mail")
		f, err := w.CreateFormFile("file", "x.mbox")
		if err == nil {
			_, err = io.WriteString(f, text)
		}
		if err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		r, err := p.Post(p.base+"/account/transfer/import", w.FormDataContentType(), &b)
		body, _ := p.read(r, err, "import", status)
		return body
	}
	const one = "From a@b.test Thu Jan  1 00:00:00 2026\nSubject: kept\nMessage-ID: <1@b.test>\n\ntext\n\n"
	if body := upload(one+strings.ReplaceAll(one, "1@", "2@"), 200); !strings.Contains(body, "2 messages taken") {
		t.Error(body)
	}
	if body := upload(one, 200); !strings.Contains(body, "1 were there already") {
		t.Error(body)
	}
	upload("no mbox file", 422)
	archive := func(files map[string]string) string {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for name, text := range files {
			f, err := z.Create(name)
			if err == nil {
				_, err = io.WriteString(f, text)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if body := upload(archive(map[string]string{"Maildir/cur/1700000000.x.host:2,S": "Subject: zipped\n\nx\n", "Maildir/.Sub/new/1700000001.x.host": "Subject: below\n\nx\n"}), 200); !strings.Contains(body, "2 messages taken") {
		t.Error(body)
	}
	if body := upload(archive(map[string]string{"readme.txt": "hello"}), 422); !strings.Contains(body, "neither Maildirs nor mbox files") {
		t.Error(body)
	}
	upload("PK and nothing more", 422)
	for as, want := range map[string]string{"mbox files, in one archive": "Old/Mail.mbox", "Maildir, in one archive": ".Old.Mail/cur/"} {
		for _, who := range []*person{p, ann} {
			r, err := who.Get(p.base + "/account/transfer/export?as=" + strings.ReplaceAll(as, " ", "+"))
			if err != nil {
				t.Fatal(err)
			}
			raw, err := io.ReadAll(r.Body)
			r.Body.Close()
			z, zerr := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
			if err != nil || zerr != nil {
				t.Fatal(err, zerr)
			}
			found := 0
			for _, f := range z.File {
				in, err := f.Open()
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(in)
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(f.Name, want) {
					found += strings.Count(string(text), "Subject: kept")
				}
			}
			if found != map[bool]int{true: 2}[who == p] {
				t.Errorf("%s: %d messages", as, found)
			}
		}
	}
}
